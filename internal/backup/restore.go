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
	"slices"
	"syscall"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/durable"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// RestoreOptions says what to restore, and where.
type RestoreOptions struct {
	// From is a backup, or the folder of several, of which the newest is taken.
	From string
	// To becomes a data folder. It must be absent or empty.
	To string
	// Actor is who restores, for the record.
	Actor string
	// Server, if it is not nil, is where the catalog goes: an empty database of a
	// PostgreSQL server. Otherwise it stays in the data folder.
	Server *database.Place
	// Check looks through the new data folder before it gets its name, and fails
	// if it is not good.
	Check func(ctx context.Context, data string) error
	// AcceptLosses restores all else where reports are missing from the backup, or
	// damaged in it, and drops those.
	AcceptLosses bool
	Now          func() time.Time
	// Progress, if it is not nil, is told of every file that was restored.
	Progress func(bytes int64)
}

// Restored is what became of a restore.
type Restored struct {
	Backup string    `json:"backup"`
	Data   string    `json:"data"`
	Made   time.Time `json:"made"` // the backup
	Keys   bool      `json:"keys"` // the gateway's secrets were part of it
	// Catalog is the database that it went to, "" if it is in the data folder.
	Catalog string `json:"catalog,omitempty"`
	Files   int64  `json:"files"`
	Bytes   int64  `json:"bytes"`
	// Dropped are reports that were purged while the backup was made, and are not
	// in what was restored.
	Dropped int `json:"dropped"`
	// Lost are reports that were missing or damaged, and had to be left out.
	Lost int `json:"lost"`
}

// NotEmptyError says that there is something where a restore was to go.
type NotEmptyError struct{ Path string }

func (e *NotEmptyError) Error() string { return fmt.Sprintf("%s is not empty", e.Path) }

// Hint says what an operator can do.
func (*NotEmptyError) Hint() string {
	return "a restore overwrites nothing: name a folder with --to that is not there yet"
}

// NoBackupError says that a folder holds no backup.
type NoBackupError struct{ Path string }

func (e *NoBackupError) Error() string { return fmt.Sprintf("there is no backup in %s", e.Path) }

// Hint says what an operator can do.
func (*NoBackupError) Hint() string {
	return "name the folder that `sealdrop backup` was given, or one of the backups in it, such as 20261122T021600Z; one that ends in .partial was never completed"
}

// Restore makes a data folder of a backup. It reads every byte and compares it with
// the manifest, opens the catalog, compares the audit's chain with the manifest, and
// has o.Check look at the whole, before the folder gets its name: when it returns
// nil, the data folder is good, and durable. Otherwise there is none. A crash may
// leave the catalog in the database of o.Server without the folder; that database is
// refused the next time.
func Restore(ctx context.Context, o RestoreOptions) (Restored, error) {
	from, err := find(o.From)
	if err != nil {
		return Restored{}, err
	}
	to, err := filepath.Abs(o.To)
	if err != nil {
		return Restored{}, err
	}
	if empty, err := isEmpty(to); err != nil {
		return Restored{}, fmt.Errorf("restoring to %s: %w", to, err)
	} else if !empty {
		return Restored{}, &NotEmptyError{to}
	}
	held, err := lock(filepath.Dir(to))
	if err != nil {
		return Restored{}, fmt.Errorf("restoring to %s: %w", to, err)
	}
	defer held.Close() // and with it the lock
	r := &restoring{options: o, from: from, partial: to + partialSuffix}
	r.done.Backup, r.done.Data = from, to
	if err := os.RemoveAll(r.partial); err != nil {
		return Restored{}, fmt.Errorf("removing what an interrupted restore left: %w", err)
	}
	if err := r.run(ctx); err != nil {
		return Restored{}, errors.Join(err, os.RemoveAll(r.partial))
	}
	if err := r.publish(to); err != nil {
		if r.done.Catalog != "" {
			err = fmt.Errorf("%w; the catalog is in %s already: drop that database before you try again", err, r.done.Catalog)
		}
		return Restored{}, errors.Join(err, os.RemoveAll(r.partial))
	}
	return r.done, durable.SyncDir(filepath.Dir(to))
}

// publish gives the data folder its name. A folder that is there must be empty: any
// other is not removed by this, and not replaced by that.
func (r *restoring) publish(to string) error {
	if err := syscall.Rmdir(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("taking the place of %s: %w", to, err)
	}
	return os.Rename(r.partial, to)
}

// find returns the backup that a path means.
func find(path string) (string, error) {
	found, err := findAll(path)
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// findAll returns the backups that a path means, the newest first: at least one.
func findAll(path string) ([]string, error) {
	switch _, err := os.Stat(filepath.Join(path, manifestName)); {
	case err == nil && filepath.Ext(filepath.Clean(path)) != partialSuffix:
		return []string{path}, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	names, err := list(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return nil, &NoBackupError{path}
	}
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		names[i] = filepath.Join(path, name)
	}
	slices.Reverse(names)
	return names, nil
}

// restoring is one run of [Restore].
type restoring struct {
	options       RestoreOptions
	from, partial string
	header        Header
	purged, lost  []string // blobs whose reports are to be left out
	done          Restored
}

func (r *restoring) run(ctx context.Context) error {
	if err := r.copy(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.options.Check(ctx, r.partial); err != nil {
		return &DamagedError{Backup: r.from, Err: err}
	}
	if err := r.sync(); err != nil || r.options.Server == nil {
		return err
	}
	return r.moveCatalog(ctx, *r.options.Server)
}

// moveCatalog comes last: a database is not as easily taken back as a folder.
func (r *restoring) moveCatalog(ctx context.Context, server database.Place) error {
	if err := database.MoveTo(ctx, r.partial, server); err != nil {
		return err
	}
	r.done.Catalog = server.String()
	err := os.Remove(filepath.Join(r.partial, database.FileName))
	if err == nil {
		err = durable.SyncDir(r.partial)
	}
	return err
}

// copy copies what the manifest lists and compares it on the way.
func (r *restoring) copy(ctx context.Context) error {
	manifest, err := os.Open(filepath.Join(r.from, manifestName))
	if err != nil {
		return err
	}
	defer manifest.Close() // only read from
	source, err := os.OpenRoot(r.from)
	if err != nil {
		return err
	}
	defer source.Close() // only read from
	if err := os.Mkdir(r.partial, 0o700); err != nil {
		return err
	}
	dirs := newFolders(r.partial)
	err = readManifest(manifest, func(h Header) error {
		r.header, r.done.Made, r.done.Keys = h, h.Made, h.Keys
		return nil
	}, func(e entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.How == purged {
			r.purged = append(r.purged, e.Blob)
			return nil
		}
		err := r.copyOne(source, dirs, e)
		if err != nil && e.Blob != "" && r.options.AcceptLosses {
			r.lost = append(r.lost, e.Blob)
			return nil
		}
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &DamagedError{Backup: r.from, Err: err}
	}
	return nil
}

// copyOne copies a file. One that is not as the manifest says is taken away again.
func (r *restoring) copyOne(source *os.Root, dirs *folders, e entry) error {
	if e.How == missing {
		return fmt.Errorf("%s: it was lost before the backup was made", e.Path)
	}
	in, err := source.Open(filepath.FromSlash(e.Path))
	if err != nil {
		return err
	}
	defer in.Close() // only read from
	target, err := dirs.forFile(e.Path)
	if err != nil {
		return err
	}
	if parts, ok := blobid.Parse(e.Blob); ok && parts.Packed {
		err = copyMember(target, in, e, parts)
	} else {
		err = copyWhole(target, in, e)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e.Path, err)
	}
	r.done.Files++
	r.done.Bytes += e.Size
	if r.options.Progress != nil {
		r.options.Progress(e.Size)
	}
	return nil
}

var errOtherBytes = errors.New("it has other bytes than the manifest says (the SHA-256 differs)")

func copyWhole(target string, in io.Reader, e entry) error {
	digest, size, err := copyTo(target, in)
	switch {
	case err != nil:
	case size != e.Size:
		err = fmt.Errorf("it has %d bytes, and the manifest says %d", size, e.Size)
	case digest != e.SHA256:
		err = errOtherBytes
	}
	if err != nil {
		return errors.Join(err, os.Remove(target))
	}
	return nil
}

// copyMember copies one blob of a pack, to where it was. Of the others only those that the
// manifest lists come after it.
func copyMember(target string, in io.ReaderAt, e entry, parts blobid.ID) (err error) {
	if parts.Offset != e.At || parts.Size != e.Size {
		return fmt.Errorf("the manifest has %d bytes at %d for blob %s", e.Size, e.At, e.Blob)
	}
	content := make([]byte, e.Size) // which the form of the id keeps small
	if _, err := in.ReadAt(content, e.At); err != nil {
		return fmt.Errorf("reading %d bytes at %d: %w", e.Size, e.At, err)
	}
	if digest := sha256.Sum256(content); hex.EncodeToString(digest[:]) != e.SHA256 {
		return errOtherBytes
	}
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := out.WriteAt(content, e.At); err != nil {
		return err
	}
	return out.Sync()
}

// settle opens the catalog and takes out what the backup rightly lacks: reports that
// were purged while it was made, and interrupted uploads.
func (r *restoring) settle(ctx context.Context) (err error) {
	place := database.InFolder(r.partial)
	there, err := place.Exists(ctx)
	if err == nil && !there {
		err = errors.New("it has no catalog")
	}
	if err != nil {
		return &DamagedError{Backup: r.from, Err: err}
	}
	db, err := place.Open(ctx)
	if err != nil {
		return &DamagedError{Backup: r.from, Err: err}
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := audit.Verify(ctx, db.Read(), r.header.Audit); err != nil {
		return &DamagedError{Backup: r.from, Err: err}
	}
	files := catalog.New(db, r.options.Now)
	if r.done.Dropped, err = r.forget(ctx, files, r.purged, "purged while the backup was made"); err != nil {
		return err
	}
	if r.done.Lost, err = r.forget(ctx, files, r.lost, "lost from the backup"); err != nil {
		return err
	}
	const batch = 1000
	for n := batch; n == batch; {
		if n, err = files.DropStalePartials(ctx, r.options.Now().AddDate(100, 0, 0), batch); err != nil {
			return err
		}
	}
	return db.Write(ctx, func(tx *database.Tx) error {
		return audit.Append(tx, r.options.Now(), audit.Entry{
			Event: "backup.restored", Actor: r.options.Actor,
			Detail: map[string]string{"backup": r.from, "made": r.header.Made.Format(time.RFC3339)},
		})
	})
}

// forget takes the reports that stand on blobs out of the catalog.
func (r *restoring) forget(ctx context.Context, files *catalog.Catalog, blobs []string, why string) (n int, err error) {
	for _, blob := range blobs {
		found, err := files.Forget(ctx, r.options.Actor, blob, why)
		if err != nil {
			return n, err
		}
		if found {
			n++
		}
	}
	return n, nil
}

// sync makes the folders durable, the files in them are.
func (r *restoring) sync() error {
	return filepath.WalkDir(r.partial, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return durable.SyncDir(path)
	})
}
