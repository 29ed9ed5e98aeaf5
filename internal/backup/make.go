package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/durable"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// File is a file beside the catalog and the blobs that belongs into a backup.
type File struct {
	From string // its path
	To   string // its place below the backup, with slashes
}

// Source is what is copied.
type Source struct {
	DB      *database.DB
	Catalog *catalog.Catalog
	Blobs   *blob.Dir
	Files   []File
	Keys    bool // Files has the gateway's secrets
	Version string
	Now     func() time.Time
}

// Options says how to make a backup.
type Options struct {
	// Folder is where backups lie. It is made if it is not there.
	Folder string
	// Keep is how many backups remain, 0 for all.
	Keep int
	// Actor is who takes the copy, for the record.
	Actor string
	// Progress, if it is not nil, is told of the files that are there and of those
	// that are done.
	Progress func(done, total int64)
}

// Result is what a backup holds.
type Result struct {
	Backup string `json:"backup"` // its path
	Files  int64  `json:"files"`  // all of them
	Bytes  int64  `json:"bytes"`
	// How the blobs got there.
	Linked int64 `json:"linked"`
	Cloned int64 `json:"cloned"`
	Copied int64 `json:"copied"`
	// Purged are reports that ended between the snapshot and the copying.
	Purged int64 `json:"purged"`
	// Lost names reports whose blobs are not there as they should be, up to a
	// hundred of them; LostCount counts them all.
	Lost      []string `json:"lost,omitempty"`
	LostCount int64    `json:"lost_count"`
	Removed   int      `json:"removed"` // older backups
}

// LostError says that a backup was made, and that it lacks blobs that the gateway
// should have.
type LostError struct {
	Backup string
	Count  int64
}

func (e *LostError) Error() string {
	return fmt.Sprintf("%d reports are not in the backup %s: their blobs are missing or damaged", e.Count, e.Backup)
}

// Hint says what an operator can do.
func (*LostError) Hint() string {
	return "`sealdrop fsck` names them; no older backup was removed"
}

// Make makes a backup. With a [*LostError] there is one nevertheless; with any
// other error there is none.
func Make(ctx context.Context, s Source, o Options) (Result, error) {
	const op = "making the backup"
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return Result{}, fmt.Errorf("%s: %w", op, err)
	}
	held, err := lock(o.Folder)
	if err != nil {
		return Result{}, err
	}
	defer held.Close() // and with it the lock
	if err := removePartial(o.Folder); err != nil {
		return Result{}, err
	}
	m, err := newMaker(ctx, s, o)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", op, err)
	}
	err = m.make(ctx)
	if closing := m.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return Result{}, errors.Join(fmt.Errorf("%s: %w", op, err), os.RemoveAll(m.partial))
	}
	return m.publish(ctx)
}

// maker is one run of [Make].
type maker struct {
	Source
	options  Options
	made     time.Time
	path     string // of the backup once it is complete
	partial  string // of the backup until then
	previous string // the newest backup before it, "" for none
	dirs     *folders
	manifest *manifestWriter
	snapshot *database.DB
	result   Result

	noClone, noLink bool // the file system can't, or it is another one

	packs map[string]placed // by their names: each is there once, for many reports
}

// placed is how a pack of blobs got into the backup, or why it did not.
type placed struct {
	how  string
	size int64
	err  error
}

func newMaker(ctx context.Context, s Source, o Options) (*maker, error) {
	m := &maker{Source: s, options: o, packs: make(map[string]placed)}
	names, err := list(o.Folder)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		m.previous = filepath.Join(o.Folder, names[len(names)-1])
	}
	// The name has seconds, and is taken only if another backup was just made.
	for {
		m.made = s.Now().UTC().Truncate(time.Second)
		m.path = filepath.Join(o.Folder, m.made.Format(nameLayout))
		m.partial = m.path + partialSuffix
		if _, err := os.Lstat(m.path); errors.Is(err, fs.ErrNotExist) {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	m.result.Backup = m.path
	m.dirs = newFolders(m.partial)
	return m, os.Mkdir(m.partial, 0o700)
}

// Close closes what is open; it may be called twice.
func (m *maker) Close() error {
	var errs []error
	if m.snapshot != nil {
		errs = append(errs, m.snapshot.Close())
		m.snapshot = nil
	}
	if m.manifest != nil {
		errs = append(errs, m.manifest.Close())
		m.manifest = nil
	}
	return errors.Join(errs...)
}

func (m *maker) make(ctx context.Context) error {
	if err := m.DB.Snapshot(ctx, m.partial); err != nil {
		return err
	}
	var err error
	if m.snapshot, err = database.InFolder(m.partial).Open(ctx); err != nil {
		return err
	}
	last, err := m.snapshot.Read().LastAudit(ctx)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return err
	}
	m.manifest, err = createManifest(m.partial, Header{
		Format: manifestFormat, Made: m.made, Version: m.Version, Keys: m.Keys, Audit: audit.Head{Seq: last.Seq, Hash: last.Hash},
	})
	if err != nil {
		return err
	}
	if err := m.copyBlobs(ctx); err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := m.copyFile(f); err != nil {
			return err
		}
	}
	return m.seal()
}

// seal ends the backup: the catalog is closed, listed and synced like the rest.
func (m *maker) seal() error {
	err := m.snapshot.Close()
	m.snapshot = nil
	if err != nil {
		return err
	}
	digest, size, err := digestOf(filepath.Join(m.partial, database.FileName))
	if err != nil {
		return err
	}
	if err := m.add(entry{Path: database.FileName, Size: size, SHA256: digest, How: copied}); err != nil {
		return err
	}
	if err := m.manifest.finish(); err != nil {
		return err
	}
	return m.dirs.sync()
}

// publish gives the backup its name, records it and removes older ones.
func (m *maker) publish(ctx context.Context) (Result, error) {
	if err := os.Rename(m.partial, m.path); err != nil {
		return m.result, err
	}
	if err := durable.SyncDir(m.options.Folder); err != nil {
		return m.result, err
	}
	err := m.DB.Write(ctx, func(tx *database.Tx) error {
		err := audit.Append(tx, m.Now(), audit.Entry{
			Event: "backup.made", Actor: m.options.Actor,
			Detail: map[string]string{"backup": m.path, "keys": fmt.Sprint(m.Keys), "files": fmt.Sprint(m.result.Files)},
		})
		if err != nil {
			return err
		}
		return mark(tx, m.Now())
	})
	if err != nil {
		return m.result, fmt.Errorf("the backup %s is complete, but could not be recorded: %w", m.path, err)
	}
	if m.result.LostCount > 0 {
		return m.result, &LostError{Backup: m.path, Count: m.result.LostCount}
	}
	if m.options.Keep > 0 {
		m.result.Removed, err = prune(m.options.Folder, m.options.Keep)
	}
	return m.result, err
}

// mark notes when the last backup was made, and its audit record, which says where
// it is.
func mark(tx *database.Tx, at time.Time) error {
	last, err := tx.LastAudit(tx.Context())
	if err != nil {
		return err
	}
	err = tx.SetMark(tx.Context(), query.SetMarkParams{Name: database.BackupAuditMark, N: last.Seq})
	if err != nil {
		return err
	}
	return tx.SetMark(tx.Context(), query.SetMarkParams{Name: database.BackupMark, N: database.Micros(at)})
}

func (m *maker) add(e entry) error {
	if e.there() {
		m.result.Files++
		m.result.Bytes += e.Size
	}
	return m.manifest.add(e)
}

// pageSize is how many rows of the snapshot are read at a time.
const pageSize = 500

func (m *maker) copyBlobs(ctx context.Context) error {
	files := catalog.New(m.snapshot, m.Now)
	total, _, err := files.Total(ctx, reports.ClientID{})
	if err != nil {
		return err
	}
	after, done := "", int64(0)
	for {
		page, err := files.Files(ctx, reports.ClientID{}, after, pageSize)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := m.copyBlob(ctx, r); err != nil {
				return fmt.Errorf("%s (%s): %w", r.Name, r.ID, err)
			}
			done++
			if m.options.Progress != nil {
				m.options.Progress(done, total)
			}
		}
		if len(page) < pageSize {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

func (m *maker) copyBlob(ctx context.Context, r reports.Report) error {
	place, parts, err := blob.Path(r.Blob)
	if err != nil {
		return err
	}
	e := entry{Path: "blobs/" + place, Size: r.Size, SHA256: r.SHA256, Blob: r.Blob, At: parts.Offset}
	target, err := m.dirs.forFile(e.Path)
	if err != nil {
		return err
	}
	if parts.Packed {
		e.How, err = m.member(r, parts, e.Path, target)
	} else {
		e.How, err = m.place(r, e.Path, target)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotAsStored):
		if !parts.Packed { // a pack may have others
			if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return m.absent(ctx, r, e)
	case err != nil:
		return err
	case e.SHA256 == "": // an upload whose digest is still being computed
		if e.SHA256, _, err = digestOf(target); err != nil {
			return err
		}
	}
	switch e.How {
	case linked:
		m.result.Linked++
	case cloned:
		m.result.Cloned++
	case copied:
		m.result.Copied++
	}
	return m.add(e)
}

// absent notes a blob that is not there: was its report purged or resealed since
// the snapshot?
func (m *maker) absent(ctx context.Context, r reports.Report, e entry) error {
	now, err := m.Catalog.Report(ctx, r.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && now.Blob != r.Blob:
		e.How = purged
		m.result.Purged++
	case err != nil:
		return err
	default:
		e.How = missing
		m.result.LostCount++
		if len(m.result.Lost) < 100 {
			m.result.Lost = append(m.result.Lost, r.ID)
		}
	}
	return m.add(e)
}

// copyFile copies one of the files that may change in place: never by a link.
func (m *maker) copyFile(f File) error {
	in, err := os.Open(f.From)
	if err != nil {
		return err
	}
	defer in.Close() // only read from
	target, err := m.dirs.forFile(f.To)
	if err != nil {
		return err
	}
	digest, size, err := copyTo(target, in)
	if err != nil {
		return fmt.Errorf("%s: %w", f.From, err)
	}
	return m.add(entry{Path: f.To, Size: size, SHA256: digest, How: copied})
}

// copyTo makes a new file, durable but for its name, and returns its digest.
func copyTo(target string, r io.Reader) (digest string, size int64, err error) {
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	h := sha256.New()
	if size, err = io.Copy(io.MultiWriter(out, h), r); err != nil {
		return "", size, err
	}
	return hex.EncodeToString(h.Sum(nil)), size, out.Sync()
}

func digestOf(path string) (digest string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close() // only read from
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// digestOfSection returns the digest of a part of a file.
func digestOfSection(r io.ReaderAt, off, size int64) (string, error) {
	h := sha256.New()
	if n, err := io.Copy(h, io.NewSectionReader(r, off, size)); err != nil || n != size {
		return "", errors.Join(err, errNotAsStored)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Within reports whether a path lies in a folder, or is it.
func Within(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
