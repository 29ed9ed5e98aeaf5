package blob

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Writer fills one blob. It ends with Commit or Abort, and holds an open file
// until then; `defer w.Abort()` is right in every case.
//
// WriteAt and ReadAt may be called concurrently. Commit covers the writes that
// have returned before it is called. Errors for want of space, wherever the
// system reports them, wrap [reports.ErrNoSpace].
type Writer struct {
	dir  *Dir
	id   string
	f    *os.File
	size atomic.Int64
	// begun is up to where the disk was set to work.
	begun atomic.Int64

	appending sync.Mutex // one Write or ReadFrom at a time

	ending  sync.Mutex // guards the fields below
	ended   outcome
	failure error // what Commit returned, if ended is failed
}

// outcome is how a Writer ended, if it did.
type outcome int

const (
	open outcome = iota
	committed
	failed  // Commit failed; the file is closed but still there
	aborted // closed, and deleted or about to be
	gone    // closed and deleted
)

// ID returns the blob's id.
func (w *Writer) ID() string { return w.id }

// Size returns the blob's length in bytes so far, holes included. It is right
// after Commit, too.
func (w *Writer) Size() int64 { return w.size.Load() }

// Write appends p to the blob.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.append(func() (int64, error) {
		n, err := w.f.Write(p)
		return int64(n), err
	})
	if err != nil {
		err = w.dir.fault("writing blob "+w.id, err)
	}
	return int(n), err
}

// ReadFrom appends all of r to the blob. If r is a file or a socket the kernel
// copies (copy_file_range, splice). Errors of r are returned as they are.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.append(func() (int64, error) { return w.f.ReadFrom(r) })
	if err != nil && isNoSpace(err) {
		err = w.dir.fault("writing blob "+w.id, err)
	}
	return n, err
}

// append runs write with the file's offset at the blob's end.
func (w *Writer) append(write func() (int64, error)) (int64, error) {
	w.appending.Lock()
	defer w.appending.Unlock()
	end, err := w.f.Seek(w.size.Load(), io.SeekStart)
	if err != nil {
		return 0, err
	}
	n, err := write()
	w.grow(end + n)
	return n, err
}

// WriteAt writes p at an offset in bytes, in any order. What is left out reads
// as zeros.
func (w *Writer) WriteAt(p []byte, off int64) (int, error) {
	n, err := w.f.WriteAt(p, off)
	if err != nil {
		// os.File does not count what it wrote of p before the error (Go 1.26),
		// so the file has to be asked.
		if info, err := w.f.Stat(); err == nil {
			w.grow(info.Size())
		}
		return n, w.dir.fault("writing blob "+w.id, err)
	}
	if n > 0 {
		w.grow(off + int64(n))
	}
	return n, nil
}

// ReadAt reads what has been written, as [io.ReaderAt] says.
func (w *Writer) ReadAt(p []byte, off int64) (int, error) { return w.f.ReadAt(p, off) }

// Truncate sets the blob's length to n bytes: it cuts off the end, or adds zeros.
func (w *Writer) Truncate(n int64) error {
	if err := w.f.Truncate(n); err != nil {
		return w.dir.fault("truncating blob "+w.id, err)
	}
	w.size.Store(n)
	return nil
}

// grow raises the size to end, if it is less.
func (w *Writer) grow(end int64) {
	for {
		size := w.size.Load()
		if end <= size {
			return
		}
		if w.size.CompareAndSwap(size, end) {
			w.begin(end)
			return
		}
	}
}

// writeAhead is after how many bytes the disk is set to work on them.
const writeAhead = 8 << 20

// begin has the system begin to write what lies before end to the disk, so that Commit of a
// large blob waits for the last of it only. It waits for nothing, and that is what makes it
// safe: a call that waits would take the error that Commit's fsync must see. What it
// does not begin, fsync does.
func (w *Writer) begin(end int64) {
	begun := w.begun.Load()
	if end-begun < writeAhead || !w.begun.CompareAndSwap(begun, end) {
		return
	}
	conn, err := w.f.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), begun, end-begun, unix.SYNC_FILE_RANGE_WRITE)
	})
}

// Commit makes the blob durable and closes it: once nil is returned it survives
// a kill and a power loss. After an error the blob can't be committed any more
// and Abort should delete it. Calling Commit again returns the same result and
// does nothing; after Abort it returns an error that wraps [fs.ErrClosed].
func (w *Writer) Commit() error {
	w.ending.Lock()
	defer w.ending.Unlock()
	switch w.ended {
	case open:
		if err := w.commit(); err != nil {
			w.ended, w.failure = failed, w.dir.fault("committing blob "+w.id, err)
			return w.failure
		}
		w.ended = committed
		return nil
	case committed:
		return nil
	case failed:
		return w.failure
	default:
		return fmt.Errorf("committing blob %s: it was aborted: %w", w.id, fs.ErrClosed)
	}
}

// commit takes the steps in the order that the package comment promises. A crash
// in between leaves a file that no catalog row names. The file is closed before
// its folder is synced, because some file systems report a failed write only
// then.
func (w *Writer) commit() error {
	if err := w.f.Sync(); err != nil {
		w.f.Close() // the first error is the one that counts
		return err
	}
	if err := w.f.Close(); err != nil {
		return err
	}
	return w.dir.syncShard(shardOf(w.id))
}

// Abort closes and deletes the blob, unless it was committed: then it does
// nothing. It may be called any number of times; after an error it tries again
// to delete.
func (w *Writer) Abort() error {
	w.ending.Lock()
	defer w.ending.Unlock()
	switch w.ended {
	case committed, gone:
		return nil
	case open:
		w.ended = aborted
		w.f.Close() // what it might report is about to be deleted
	}
	if err := w.dir.Delete(w.id); err != nil {
		return fmt.Errorf("aborting: %w", err)
	}
	w.ended = gone
	return nil
}
