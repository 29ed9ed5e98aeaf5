package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Store is what all folders are made of.
type Store struct {
	Catalog  *catalog.Catalog
	Blobs    *blob.Dir
	Recorder *Recorder
	// Digester computes the digests of long uploads later; nil: none is published
	// without its digest.
	Digester *Digester
	Now      func() time.Time
	Log      *slog.Logger
	// Observe is told of every file once it is closed. nil: nobody is told.
	Observe func(Transfer)
}

// Transfer is what became of a file that a client opened.
type Transfer struct {
	Protocol string
	Upload   bool
	Bytes    int64 // that came, or that went out, those sent twice counted once
	Well     bool  // it ended well; of a file that is read, that is no promise that all of it was
}

func (s *Store) observe(t Transfer) {
	if s.Observe != nil {
		s.Observe(t)
	}
}

// Session tells on whose behalf a folder is served.
type Session struct {
	Client reports.ClientID
	// Retention is how long what the client uploads is kept.
	Retention time.Duration
	// Protocol, Address and Fingerprint go into receipts.
	Protocol    string
	Address     string
	Fingerprint string
	// Evidence says in receipts what stands behind a transfer that ended well.
	Evidence string
}

// FS is one client's folder during one session. It is safe for concurrent use.
type FS struct {
	store   *Store
	session Session
	started time.Time

	mu      sync.Mutex
	uploads map[reports.Name]*upload // open in this session
}

// Folder returns the folder of the session's client.
func (s *Store) Folder(session Session) *FS {
	return &FS{store: s, session: session, started: s.Now(), uploads: map[reports.Name]*upload{}}
}

func (f *FS) actor() string { return "client:" + f.session.Client.String() }

// Stat returns what a name stands for. Of an upload that is open in this session
// it tells the size so far; of one that was cut off earlier too, unless a whole
// file has the name.
func (f *FS) Stat(ctx context.Context, name reports.Name) (Entry, error) {
	if u := f.upload(name); u != nil {
		return Entry{Name: name, Size: u.Size(), ModTime: u.modified()}, nil
	}
	r, err := f.store.Catalog.Lookup(ctx, f.session.Client, name)
	if err == nil {
		return f.entry(r), nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if p, found, err := f.store.Catalog.Partial(ctx, f.session.Client, name); err != nil {
			return Entry{}, err
		} else if found {
			return Entry{Name: name, Size: p.Size, ModTime: p.Modified}, nil
		}
	}
	return Entry{}, err
}

func (f *FS) entry(r reports.Report) Entry {
	e := Entry{Name: r.Name, Folder: r.Kind == reports.KindFolder, Size: r.Size, ModTime: r.Modified}
	if r.Name.IsRoot() {
		e.ModTime = f.started
	}
	return e
}

func (f *FS) upload(name reports.Name) *upload {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.uploads[name]
}

// List returns up to limit entries of a folder in the byte order of their
// names, those after the name after. Fewer than limit means the end.
func (f *FS) List(ctx context.Context, dir reports.Name, after string, limit int) ([]Entry, error) {
	list, err := f.store.Catalog.Children(ctx, f.session.Client, dir, after, limit)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(list))
	for _, c := range list {
		entries = append(entries, Entry{Name: c.Name, Folder: c.Folder, Size: c.Size, ModTime: c.Modified})
	}
	return entries, nil
}

// Open opens a file for reading.
func (f *FS) Open(ctx context.Context, name reports.Name) (File, error) {
	r, err := f.store.Catalog.Lookup(ctx, f.session.Client, name)
	if err != nil {
		return nil, err
	}
	if r.Kind == reports.KindFolder {
		return nil, fmt.Errorf("%s: %w", name, reports.ErrIsFolder)
	}
	content, err := f.store.Blobs.Open(r.Blob)
	if err != nil {
		// The row promises the blob; that it is gone is not the client's doing.
		return nil, fmt.Errorf("the content of report %s is missing: %v", r.ID, err)
	}
	if size := content.Size(); size != r.Size {
		content.Close()
		return nil, fmt.Errorf("the content of report %s is damaged: it has %d bytes of %d; see `sealdrop fsck`", r.ID, size, r.Size)
	}
	return &download{fs: f, report: r, content: content, started: f.store.Now()}, nil
}

// Create opens a file for writing. It is visible once it is closed.
func (f *FS) Create(ctx context.Context, name reports.Name, mode CreateMode) (Upload, error) {
	if name.IsRoot() {
		return nil, fmt.Errorf("the folder itself: %w", reports.ErrIsFolder)
	}
	if dir, err := f.store.Catalog.Lookup(ctx, f.session.Client, name.Dir()); err != nil {
		return nil, err
	} else if dir.Kind != reports.KindFolder {
		return nil, fmt.Errorf("%s: %w", name.Dir(), reports.ErrNotFolder)
	}
	existing, err := f.store.Catalog.Lookup(ctx, f.session.Client, name)
	there := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case there && existing.Kind == reports.KindFolder:
		return nil, fmt.Errorf("%s: %w", name, reports.ErrIsFolder)
	case there && mode == Exclusive:
		return nil, fmt.Errorf("%s: %w", name, fs.ErrExist)
	case there && existing.LegalHold:
		return nil, fmt.Errorf("%s: %w", name, reports.ErrOnHold)
	}
	if err := f.store.Blobs.Spare(); err != nil {
		f.logNoSpace(name)
		return nil, err
	}
	room, err := f.roomFor(ctx, name)
	if err == nil {
		err = room.Check(0) // an empty file still fits where no byte does
	}
	if err != nil {
		f.logRefused(name, err)
		return nil, err
	}
	u := &upload{fs: f, name: name, mode: mode, mtime: f.store.Now()}
	u.room.Store(room.Bytes)
	f.mu.Lock()
	if f.uploads[name] != nil {
		f.mu.Unlock()
		return nil, fmt.Errorf("%s: %w", name, reports.ErrBusy)
	}
	f.uploads[name] = u // claims the name; nobody else sees u's writer before it is set
	f.mu.Unlock()
	w, err := f.stage(ctx, name, mode, existing, there)
	if err != nil {
		f.forget(u)
		return nil, err
	}
	u.borrowed.Store(mode == Continue && there)
	u.open(w)
	return u, nil
}

// stage returns the blob that an upload writes to.
func (f *FS) stage(ctx context.Context, name reports.Name, mode CreateMode, existing reports.Report, there bool) (*blob.Writer, error) {
	if mode == Continue && there {
		// Stat told the whole file's size. If an upload over it was cut off, a
		// client that resumes would put the new file's end behind the old one's
		// beginning.
		if _, found, err := f.store.Catalog.Partial(ctx, f.session.Client, name); err != nil {
			return nil, err
		} else if found {
			return nil, fmt.Errorf("%s: %w", name, reports.ErrNotResumable)
		}
		return f.copyOf(existing)
	}
	if mode == Continue {
		p, found, err := f.store.Catalog.TakePartial(ctx, f.session.Client, name)
		if err != nil {
			return nil, err
		}
		if found {
			w, err := f.store.Blobs.Reopen(p.Blob)
			if err == nil || !errors.Is(err, fs.ErrNotExist) {
				return w, err
			}
		}
	}
	return f.store.Blobs.Create()
}

func (f *FS) copyOf(existing reports.Report) (*blob.Writer, error) {
	content, err := f.store.Blobs.Open(existing.Blob)
	if err != nil {
		return nil, fmt.Errorf("the content of report %s is missing: %v", existing.ID, err)
	}
	defer content.Close()
	w, err := f.store.Blobs.Create()
	if err != nil {
		return nil, err
	}
	if _, err := w.ReadFrom(io.NewSectionReader(content, 0, content.Size())); err != nil {
		_ = w.Abort() // what could not be deleted is an orphan, and swept
		return nil, err
	}
	return w, nil
}

// logNoSpace tells the operator; the client is told, too, and can do nothing.
func (f *FS) logNoSpace(name reports.Name) {
	f.store.Log.Error("an upload was refused: the disk is full", "event", "upload.disk-full", "client", f.session.Client, "name", name)
}

// logRefused tells the operator of an upload that the client has no quota for.
func (f *FS) logRefused(name reports.Name, err error) {
	remedy := ""
	if over, ok := errors.AsType[*reports.QuotaError](err); ok {
		remedy = over.UploadHint()
	}
	f.store.Log.Warn("an upload was refused", "event", "upload.refused", "client", f.session.Client, "name", name, "error", err, "remedy", remedy)
}

func (f *FS) forget(u *upload) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.uploads[u.name] == u {
		delete(f.uploads, u.name)
	}
}

// Remove hides a file; it also lets an interrupted upload of that name go.
func (f *FS) Remove(ctx context.Context, name reports.Name) error {
	err := f.store.Catalog.Remove(ctx, f.actor(), f.session.Client, name)
	if errors.Is(err, fs.ErrNotExist) {
		if dropped, err := f.store.Catalog.DropPartial(ctx, f.session.Client, name); dropped || err != nil {
			return err
		}
	}
	return err
}

// RemoveFolder removes an empty folder.
func (f *FS) RemoveFolder(ctx context.Context, name reports.Name) error {
	if name.IsRoot() {
		return fmt.Errorf("the folder itself: %w", fs.ErrPermission)
	}
	return f.store.Catalog.RemoveFolder(ctx, f.actor(), f.session.Client, name)
}

// Rename gives a file or folder another name; see [catalog.Catalog.Rename].
func (f *FS) Rename(ctx context.Context, from, to reports.Name, replace bool) error {
	return f.store.Catalog.Rename(ctx, f.actor(), f.session.Client, from, to, replace)
}

// Mkdir makes a folder.
func (f *FS) Mkdir(ctx context.Context, name reports.Name) error {
	if name.IsRoot() {
		return fmt.Errorf("the folder itself: %w", fs.ErrExist)
	}
	return f.store.Catalog.Mkdir(ctx, f.actor(), f.session.Client, name)
}

// Chtimes changes the time of a file or folder, or of an upload that is open in
// this session.
func (f *FS) Chtimes(ctx context.Context, name reports.Name, mtime time.Time) error {
	if u := f.upload(name); u != nil {
		u.setModified(mtime)
		return nil
	}
	if name.IsRoot() {
		return nil
	}
	return f.store.Catalog.SetModified(ctx, f.session.Client, name, mtime)
}

// Usage returns what the folder holds, and what there is still room for.
func (f *FS) Usage(ctx context.Context) (Usage, error) {
	used, quota, err := f.store.Catalog.Usage(ctx, f.session.Client)
	if err != nil {
		return Usage{}, err
	}
	_, free, err := f.store.Blobs.Space()
	if err != nil {
		return Usage{}, err
	}
	const plenty = 1 << 30 // the catalog sets no limit to the number of files
	left, disk := quota.Left(used), int64(min(free, 1<<62))
	return Usage{
		Bytes: used.Bytes, Files: used.Files,
		FreeBytes: min(left.Bytes, disk), FreeFiles: min(left.Files, plenty), ByQuota: left.Bytes < disk,
	}, nil
}

// roomFor returns how much of a file the client's quota has room for.
func (f *FS) roomFor(ctx context.Context, name reports.Name) (catalog.Room, error) {
	return f.store.Catalog.Room(ctx, f.session.Client, name, true)
}
