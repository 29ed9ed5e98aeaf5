package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// upload is a file that the client is writing, staged in a blob that no row
// shows.
type upload struct {
	fs   *FS
	name reports.Name
	mode CreateMode

	mu     sync.Mutex
	w      *blob.Writer // nil until staged
	digest *digest
	mtime  time.Time
	err    error // why the transfer did not end well
	closed bool

	sent atomic.Int64
}

func (u *upload) open(w *blob.Writer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.w, u.digest = w, newDigest(w, w.Size())
}

func (u *upload) writer() *blob.Writer {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.w
}

func (u *upload) Size() int64 {
	if w := u.writer(); w != nil {
		return w.Size()
	}
	return 0
}

func (u *upload) modified() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mtime
}

func (u *upload) setModified(t time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mtime = t
}

func (u *upload) ReadAt(p []byte, off int64) (int, error) { return u.w.ReadAt(p, off) }

// maxUpload bounds an upload's length: beyond it lies no statement, but an
// offset that was made up.
const maxUpload = 1 << 40

// spaceCheck is after how many bytes of an upload the disk is looked at again.
const spaceCheck = 8 << 20

func (u *upload) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > maxUpload-int64(len(p)) {
		return 0, fmt.Errorf("%s: %w", u.name, reports.ErrTooLarge)
	}
	if before := u.sent.Add(int64(len(p))) - int64(len(p)); before/spaceCheck != (before+int64(len(p)))/spaceCheck {
		if err := u.fs.store.Blobs.Spare(); err != nil {
			u.TransferError(err)
			return 0, err
		}
	}
	n, err := u.w.WriteAt(p, off)
	if n > 0 {
		u.digest.wrote(p[:n], off)
	}
	if err != nil {
		u.TransferError(err)
	}
	return n, err
}

func (u *upload) TransferError(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return
	}
	u.err = err
	if errors.Is(err, reports.ErrNoSpace) {
		u.fs.logNoSpace(u.name)
	}
}

// Close publishes the upload, or keeps it aside if the transfer failed. A second
// Close is an error and does nothing: it must not touch a blob that is shown.
func (u *upload) Close() error {
	u.mu.Lock()
	failed, again := u.err, u.closed
	u.closed = true
	u.mu.Unlock()
	if again {
		return fmt.Errorf("closing %s: %w", u.name, fs.ErrClosed)
	}
	defer u.fs.forget(u)
	// The client may be gone by now; what it is told, or what it may resume
	// from, must not depend on that.
	ctx := context.Background()
	if failed != nil {
		return u.keepAside(ctx, failed)
	}
	sum, err := u.digest.sum(u.w.Size())
	if err != nil {
		_ = u.w.Abort()
		return fmt.Errorf("storing %s: %w", u.name, err)
	}
	if err := u.w.Commit(); err != nil {
		_ = u.w.Abort()
		return fmt.Errorf("storing %s: %w", u.name, err)
	}
	err = u.fs.store.Catalog.Upload(ctx, catalog.Upload{
		Client: u.fs.session.Client, Name: u.name, Blob: u.w.ID(), Size: u.w.Size(), SHA256: sum,
		Modified: u.modified(), Retention: u.fs.session.Retention, Exclusive: u.mode == Exclusive, Actor: u.fs.actor(),
	})
	if err != nil {
		u.drop(err)
	}
	return err
}

// keepAside makes what has arrived of an interrupted upload resumable. That is
// a courtesy: where it fails, the client starts anew.
func (u *upload) keepAside(ctx context.Context, failed error) error {
	size := u.w.Size()
	if size == 0 || errors.Is(failed, reports.ErrNoSpace) {
		return errors.Join(failed, u.w.Abort())
	}
	if err := u.w.Commit(); err != nil {
		return errors.Join(failed, err, u.w.Abort())
	}
	err := u.fs.store.Catalog.SavePartial(ctx, catalog.Partial{
		Client: u.fs.session.Client, Name: u.name, Blob: u.w.ID(), Size: size,
	})
	if err != nil {
		u.drop(err)
	}
	return errors.Join(failed, err)
}

// drop deletes a committed blob that no row came to show. Where it is not sure
// that none did, the blob is left to the orphan sweep.
func (u *upload) drop(err error) {
	if errors.Is(err, database.ErrUnknownOutcome) {
		return
	}
	if err := u.fs.store.Blobs.Delete(u.w.ID()); err != nil {
		u.fs.store.Log.Warn("an upload's content could not be deleted; a sweep will", "blob", u.w.ID(), "error", err)
	}
}
