package blob

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Reader reads one blob. It goes on working when the blob is deleted. Its methods
// may be called concurrently, Close once when the others are done.
type Reader struct {
	f      *os.File
	packed bool
	base   int64 // where it begins in f
	size   int64
}

// ReadAt reads as [io.ReaderAt] says.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if !r.packed {
		return r.f.ReadAt(p, off)
	}
	return io.NewSectionReader(r.f, r.base, r.size).ReadAt(p, off)
}

// Size returns the blob's length in bytes when it was opened.
func (r *Reader) Size() int64 { return r.size }

// From returns a reader from an offset on that the kernel can copy from (sendfile). All that
// a Reader gives share one place in the file, so there is one at a time.
func (r *Reader) From(off int64) (io.Reader, error) {
	off = min(off, r.size)
	if _, err := r.f.Seek(r.base+off, io.SeekStart); err != nil {
		return nil, err
	}
	// A limited reader of a file is what net.TCPConn hands to sendfile.
	return io.LimitReader(r.f, r.size-off), nil
}

// Close closes the blob.
func (r *Reader) Close() error {
	if r.packed {
		// A process that is just being started may have the file, too, and with it the lock.
		_ = lock(r.f, unix.LOCK_UN)
	}
	return r.f.Close()
}
