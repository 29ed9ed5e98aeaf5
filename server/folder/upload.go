package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"
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

	room     atomic.Int64 // the length that the client's quota has room for, as it was last
	sent     atomic.Int64
	streamed atomic.Bool // ReadFrom was used
	// borrowed says that all of it is a copy of the file that has the name.
	borrowed atomic.Bool
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
	n, err := u.write(p, off)
	if n > 0 {
		u.digest.wrote(p[:n], off)
	}
	return n, err
}

// write is WriteAt without the digest.
func (u *upload) write(p []byte, off int64) (int, error) {
	if off < 0 || off > maxUpload-int64(len(p)) {
		return 0, fmt.Errorf("%s: %w", u.name, reports.ErrTooLarge)
	}
	if err := u.withinQuota(off + int64(len(p))); err != nil {
		u.TransferError(err)
		return 0, err
	}
	if before := u.sent.Add(int64(len(p))) - int64(len(p)); before/spaceCheck != (before+int64(len(p)))/spaceCheck {
		if err := u.fs.store.Blobs.Spare(); err != nil {
			u.TransferError(err)
			return 0, err
		}
	}
	n, err := u.w.WriteAt(p, off)
	if n > 0 {
		u.borrowed.Store(false)
	}
	if err != nil {
		u.TransferError(err)
	}
	return n, err
}

func (u *upload) ReadFrom(r io.Reader) (int64, error) {
	if u.digest.gaps(u.w.Size()) {
		return 0, fmt.Errorf("%s: %w", u.name, reports.ErrIncomplete)
	}
	u.streamed.Store(true)
	if _, ok := r.(syscall.Conn); ok {
		return u.splice(r)
	}
	return u.copy(r)
}

// copyBuffer is how much of an upload is written at a time. TLS hands over
// 16 KiB at most, which would make as many calls again.
const copyBuffer = 256 << 10

// copy appends what comes through memory. While one piece is written the next is
// read, which over TLS means decrypted.
func (u *upload) copy(r io.Reader) (total int64, err error) {
	pieces := readAhead(r)
	defer pieces.stop()
	for {
		p, err := pieces.next()
		if n := int64(len(p)); n > 0 {
			off := u.w.Size()
			if _, err := u.write(p, off); err != nil {
				return total, err
			}
			total += n
			if u.later(off + n) {
				u.digest.appended(off + n)
			} else {
				u.digest.wrote(p, off)
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			u.TransferError(err)
			return total, err
		}
	}
}

// ahead reads a stream in pieces, one ahead of who takes them.
type ahead struct {
	r      io.Reader
	first  bool
	read   chan portion // what was read
	spare  chan []byte  // what may be read into
	ended  chan struct{}
	holder []byte // the piece that was handed out last
}

type portion struct {
	data []byte
	err  error
}

func readAhead(r io.Reader) *ahead {
	return &ahead{r: r, first: true, read: make(chan portion, 1), spare: make(chan []byte, 2), ended: make(chan struct{})}
}

// next returns the next piece, which is good until it is called again. The first
// is read as it is asked for: most files have no other.
func (a *ahead) next() ([]byte, error) {
	if a.first {
		a.first = false
		a.holder = make([]byte, copyBuffer)
		n, err := fill(a.r, a.holder)
		if err == nil {
			a.spare <- make([]byte, copyBuffer)
			go a.run()
		}
		return a.holder[:n], err
	}
	a.spare <- a.holder[:copyBuffer]
	p := <-a.read
	a.holder = p.data
	return p.data, p.err
}

func (a *ahead) run() {
	for {
		select {
		case <-a.ended:
			return
		case buffer := <-a.spare:
			n, err := fill(a.r, buffer)
			a.read <- portion{buffer[:n], err} // has room: who takes it asks for no other before
			if err != nil {
				return
			}
		}
	}
}

// stop ends the reading. A read that is under way ends with the connection.
func (a *ahead) stop() { close(a.ended) }

// fill reads until p is full or r has an error, which is returned as it is:
// unlike [io.ReadFull] it leaves an unexpected end to be told from the end.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// splice appends what the kernel copies.
func (u *upload) splice(r io.Reader) (total int64, err error) {
	for {
		piece := u.piece()
		n, err := u.w.ReadFrom(io.LimitReader(r, piece))
		total += n
		if n > 0 {
			u.borrowed.Store(false)
		}
		end := u.w.Size()
		u.digest.appended(end)
		if err == nil && n > 0 {
			err = u.withinQuota(end)
		}
		if err == nil && n == piece {
			err = u.spare(end)
		}
		if err != nil {
			u.TransferError(err)
		}
		if err != nil || n < piece {
			return total, err
		}
	}
}

// piece is how much is spliced until it is looked at again whether there is room.
// Beyond the quota goes one byte, which tells that there is more to come.
func (u *upload) piece() int64 {
	return min(spaceCheck-1, max(u.room.Load()-u.w.Size(), 0)) + 1
}

// withinQuota says whether the client's quota has room for an upload of a length.
// It may have changed since the upload began.
func (u *upload) withinQuota(length int64) error {
	if length <= u.room.Load() {
		return nil
	}
	room, err := u.fs.roomFor(context.Background(), u.name)
	if err != nil {
		return err
	}
	u.room.Store(room.Bytes)
	return room.Check(length)
}

// spare says whether an upload of a length may grow by another [spaceCheck].
func (u *upload) spare(length int64) error {
	if length > maxUpload-spaceCheck {
		return fmt.Errorf("%s: %w", u.name, reports.ErrTooLarge)
	}
	return u.fs.store.Blobs.Spare()
}

func (u *upload) Truncate(size int64) error {
	if size < 0 || size > u.w.Size() {
		return fmt.Errorf("cutting %s off at %d: %w", u.name, size, fs.ErrInvalid)
	}
	if err := u.w.Truncate(size); err != nil {
		u.TransferError(err)
		return err
	}
	u.digest.truncated(size)
	return nil
}

func (u *upload) TransferError(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return
	}
	u.err = err
	switch {
	case errors.Is(err, reports.ErrNoSpace):
		u.fs.logNoSpace(u.name)
	case errors.Is(err, reports.ErrQuota):
		u.fs.logRefused(u.name, err)
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
	err := u.settle(failed)
	u.fs.store.observe(Transfer{Protocol: u.fs.session.Protocol, Upload: true, Bytes: u.w.Size(), Well: err == nil})
	return err
}

// settle publishes an upload that came whole, and keeps aside one that did not.
func (u *upload) settle(failed error) error {
	// The client may be gone by now; what it is told, or what it may resume
	// from, must not depend on that.
	ctx := context.Background()
	if failed != nil {
		return u.keepAside(ctx, failed)
	}
	sum, err := u.sum()
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
	switch {
	case err != nil:
		u.drop(err)
		if errors.Is(err, reports.ErrQuota) {
			u.fs.logRefused(u.name, err)
		}
	case sum == "":
		u.fs.store.Digester.Wake()
	}
	return err
}

// later reports whether the digest of an upload of a length that came as a
// stream is left to the [Digester].
func (u *upload) later(size int64) bool { return size > maxInline && u.fs.store.Digester != nil }

// sum returns the digest to publish, "" if it is to be computed later.
func (u *upload) sum() (string, error) {
	size := u.w.Size()
	if !u.streamed.Load() || !u.later(size) {
		return u.digest.sum(size)
	}
	if u.digest.gaps(size) {
		return "", reports.ErrIncomplete
	}
	return "", nil
}

// keepAside makes what has arrived of an interrupted upload resumable. That is
// a courtesy: where it fails, the client starts anew.
func (u *upload) keepAside(ctx context.Context, failed error) error {
	size := u.w.Size()
	if size == 0 || u.borrowed.Load() || errors.Is(failed, reports.ErrNoSpace) || errors.Is(failed, reports.ErrQuota) {
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
	if errors.Is(err, reports.ErrQuota) {
		return failed // it is of no interest that there was no room for the part
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
		u.fs.store.Log.Warn("an upload's content could not be deleted; a sweep will", "event", "blob.not-deleted", "blob", u.w.ID(), "error", err)
	}
}
