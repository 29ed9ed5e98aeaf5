package drop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
	"github.com/sealdrop/sealdrop/server/folder"
)

const (
	// Window is how many bytes of a file may wait in memory for what comes before
	// them. Programs that send several requests at a time need about 2 MiB.
	Window = 4 << 20
	// sessionWindow is the same for all files of a session together.
	sessionWindow = 16 << 20
	// maxReport bounds a report's length: beyond it lies an offset that was made up.
	maxReport = 1 << 40
)

// allowance counts the bytes that a session has in memory.
type allowance struct{ used atomic.Int64 }

func (a *allowance) take(n int64) bool {
	if a.used.Add(n) <= sessionWindow {
		return true
	}
	a.used.Add(-n)
	return false
}

func (a *allowance) giveBack(n int64) { a.used.Add(-n) }

// upload is a file on its way to its client, which a goroutine of its own seals.
type upload struct {
	folder *Folder
	client reports.ClientID
	w      *io.PipeWriter // to what seals; its end makes the report

	done chan struct{} // closed when the sealing has ended
	err  error         // how; to be read after done

	writing sync.Mutex // held while a piece is handed over, so that they go in order
	next    int64      // the offset of what is to be handed over next
	early   map[int64][]byte
	waits   int64 // bytes in early
	fault   error // why nothing more is taken

	mu     sync.Mutex // never held while anything waits
	name   reports.Name
	mtime  time.Time
	size   int64
	broken error
	staged bool // closed whole, without a final name
}

func newUpload(f *Folder, client reports.ClientID, name reports.Name) *upload {
	r, w := io.Pipe()
	u := &upload{folder: f, client: client, w: w, name: name, done: make(chan struct{}), early: map[int64][]byte{}}
	f.sealing.Go(func() { u.seal(r) })
	return u
}

// seal publishes what comes through r. It ends with r, or with the session.
func (u *upload) seal(r *io.PipeReader) {
	defer close(u.done)
	defer r.CloseWithError(errEnded) // for a write that still waits
	_, err := u.folder.Publisher.Publish(u.folder.ctx, publish.Delivery{
		Client: u.client, Size: -1, Actor: u.folder.Actor, Final: u.final,
	}, r)
	if errors.Is(err, reports.ErrUnknownClient) {
		err = fmt.Errorf("%s: %w", u.client, fs.ErrNotExist) // it was removed meanwhile
	}
	u.err = err
}

// errEnded is what a write gets after the sealing has failed; the failure is told
// instead.
var errEnded = errors.New("the sealing has ended")

// final says what the report is called.
func (u *upload) final() (publish.Landing, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	name, err := reports.ParseSegment(u.name.Base())
	modified := u.mtime
	if modified.IsZero() {
		modified = u.folder.Now()
	}
	return publish.Landing{Name: name, Modified: modified}, err
}

func (u *upload) entry() folder.Entry {
	u.mu.Lock()
	defer u.mu.Unlock()
	mtime := u.mtime
	if mtime.IsZero() {
		mtime = u.folder.began
	}
	return folder.Entry{Name: u.name, Size: u.size, ModTime: mtime}
}

func (u *upload) setModified(t time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mtime = t
}

// rename gives a staged file another name, after which it is staged no more if that
// is a final one.
func (u *upload) rename(to reports.Name) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.name, u.staged = to, Staged(to.Base())
}

func (u *upload) waiting() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.staged
}

// ReadAt refuses.
func (u *upload) ReadAt([]byte, int64) (int, error) { return 0, denied(u.entry().Name) }

// Truncate refuses, unless nothing changes.
func (u *upload) Truncate(size int64) error {
	if size == u.Size() {
		return nil
	}
	return u.disorder()
}

// Size is where the last byte that was written ends.
func (u *upload) Size() int64 { return u.entry().Size }

// ReadFrom appends all of r.
func (u *upload) ReadFrom(r io.Reader) (total int64, err error) {
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := u.WriteAt(buf[:n], u.Size()); err != nil {
				return total, err
			}
			total += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			u.TransferError(err)
			return total, err
		}
	}
}

func (u *upload) disorder() error { return fmt.Errorf("%s: %w", u.entry().Name, reports.ErrOrder) }

// WriteAt hands over what is in its turn, and keeps what is a little early. It
// waits while the sealing is slower than the network.
func (u *upload) WriteAt(p []byte, off int64) (int, error) {
	u.writing.Lock()
	defer u.writing.Unlock()
	if u.fault != nil || len(p) == 0 {
		return 0, u.fault
	}
	if u.fault = u.accept(p, off); u.fault != nil {
		u.abort(u.fault)
		return 0, u.fault
	}
	return len(p), nil
}

func (u *upload) accept(p []byte, off int64) error {
	end := off + int64(len(p))
	switch {
	case off < 0 || off > maxReport-int64(len(p)):
		return fmt.Errorf("%s: %w", u.entry().Name, reports.ErrTooLarge)
	case off < u.next || u.early[off] != nil:
		return u.disorder()
	case off > u.next:
		if end-u.next > Window || !u.folder.ahead.take(int64(len(p))) {
			return u.disorder()
		}
		u.early[off] = append([]byte(nil), p...)
		u.waits += int64(len(p))
		u.grow(end)
		return nil
	}
	u.grow(end)
	if err := u.hand(p); err != nil {
		return err
	}
	for len(u.early) > 0 {
		piece, ok := u.early[u.next]
		if !ok {
			return u.overlap()
		}
		delete(u.early, u.next)
		u.waits -= int64(len(piece))
		u.folder.ahead.giveBack(int64(len(piece)))
		if err := u.hand(piece); err != nil {
			return err
		}
	}
	return nil
}

// overlap returns an error if something waits that was handed over already.
func (u *upload) overlap() error {
	for off := range u.early {
		if off < u.next {
			return u.disorder()
		}
	}
	return nil
}

// hand gives a piece to what seals.
func (u *upload) hand(p []byte) error {
	if _, err := u.w.Write(p); err != nil {
		if broken := u.failure(); broken != nil {
			return broken
		}
		<-u.done
		if u.err != nil {
			return u.err
		}
		return err
	}
	u.next += int64(len(p))
	return nil
}

func (u *upload) grow(size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.size = max(u.size, size)
}

func (u *upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.broken
}

// TransferError has Close give the file up.
func (u *upload) TransferError(err error) { u.abort(err) }

// abort has the sealing end without a report. The first reason counts.
func (u *upload) abort(err error) {
	u.mu.Lock()
	if u.broken == nil {
		u.broken = err
	}
	u.mu.Unlock()
	_ = u.w.CloseWithError(err) // it never fails
}

// Close delivers the file if it has its final name, and otherwise keeps it for
// [Folder.Rename]. What is not whole is given up.
func (u *upload) Close() error {
	u.writing.Lock()
	if len(u.early) > 0 {
		u.abort(fmt.Errorf("%s: %w", u.entry().Name, reports.ErrIncomplete))
	}
	u.folder.ahead.giveBack(u.waits)
	u.early, u.waits = nil, 0
	if u.fault == nil {
		u.fault = fs.ErrClosed
	}
	u.writing.Unlock()
	if err := u.failure(); err != nil {
		<-u.done
		u.folder.forget(u)
		return err
	}
	select {
	case <-u.done: // it never ends well by itself
		u.folder.forget(u)
		return u.err
	default:
	}
	u.mu.Lock()
	u.staged = Staged(u.name.Base())
	staged := u.staged
	u.mu.Unlock()
	if staged {
		return nil
	}
	return u.land(u.folder.ctx)
}

// land makes the report. When it returns nil the report is durable.
func (u *upload) land(ctx context.Context) error {
	if err := u.folder.Approve(ctx, u.client); err != nil {
		u.abort(err)
		<-u.done
		u.folder.forget(u)
		return err
	}
	_ = u.w.Close() // it never fails
	<-u.done
	if broken := u.failure(); broken != nil && u.err != nil {
		u.folder.forget(u)
		return broken
	}
	if u.err != nil {
		u.folder.forget(u)
		return u.err
	}
	u.folder.arrived(u)
	return nil
}
