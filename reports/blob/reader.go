package blob

import "os"

// Reader reads one blob. It goes on working when the blob is deleted. Its methods
// may be called concurrently, Close once when the others are done.
type Reader struct {
	f    *os.File
	size int64
}

// ReadAt reads as [io.ReaderAt] says.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) { return r.f.ReadAt(p, off) }

// Size returns the blob's length in bytes when it was opened.
func (r *Reader) Size() int64 { return r.size }

// File returns the open file itself, for the kernel to copy from (sendfile). It
// belongs to the Reader and shares one offset among all its users.
func (r *Reader) File() *os.File { return r.f }

// Close closes the blob.
func (r *Reader) Close() error { return r.f.Close() }
