package folder

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"

	"github.com/sealdrop/sealdrop/reports"
)

// digest computes the SHA-256 of a file while it is written, by several
// goroutines and slightly out of order. Bytes that arrive next in line are
// hashed from memory; those that came early are read back, while the kernel
// still has them, once their turn comes. A file that is written over from an
// earlier place is hashed anew at the end.
type digest struct {
	file io.ReaderAt

	mu     sync.Mutex
	h      hash.Hash
	next   int64 // hashed up to here
	early  reports.Coverage
	redo   bool
	buffer []byte
}

func newDigest(file io.ReaderAt) *digest { return &digest{file: file, h: sha256.New()} }

// wrote tells that p is now in the file at off.
func (d *digest) wrote(p []byte, off int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.redo:
	case off < d.next:
		d.redo = true
	case off > d.next:
		d.early.Add(off, off+int64(len(p)))
	case d.early.Overlaps(off, off+int64(len(p))):
		d.redo = true // which of the two came first in the file is not known here
	default:
		d.h.Write(p)
		d.next += int64(len(p))
		if end, ok := d.early.TakeFrom(d.next); ok {
			d.redo = d.catchUp(end) != nil
		}
	}
}

func (d *digest) invalidate() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.redo = true
}

// catchUp hashes what is in the file from next to end.
func (d *digest) catchUp(end int64) error {
	if d.buffer == nil {
		d.buffer = make([]byte, 256<<10)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{d.h}, struct{ io.Reader }{io.NewSectionReader(d.file, d.next, end-d.next)}, d.buffer)
	d.next += n
	return err
}

// sum returns the digest of the file's first size bytes, lower-case hex.
func (d *digest) sum(size int64) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.redo || d.next > size {
		d.h.Reset()
		d.next = 0
	}
	if err := d.catchUp(size); err != nil {
		return "", err
	}
	d.buffer = nil
	return hex.EncodeToString(d.h.Sum(nil)), nil
}
