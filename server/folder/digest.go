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
// earlier place is hashed anew at the end. Whoever appends to the file and does
// without the digest, or has it computed at the end, tells so by appended.
//
// It also knows which bytes were written at all. A file with gaps is not whole,
// and hashing the zeros in them would be work out of all proportion to what was
// sent: one byte written at an offset of terabytes makes a file of that size.
type digest struct {
	file io.ReaderAt

	mu     sync.Mutex
	whole  reports.Coverage // what was written, and what was there before
	h      hash.Hash
	next   int64 // hashed up to here
	early  reports.Coverage
	redo   bool
	buffer []byte
}

// newDigest begins with a file that has size bytes already.
func newDigest(file io.ReaderAt, size int64) *digest {
	d := &digest{file: file, h: sha256.New()}
	d.whole.Add(0, size)
	return d
}

// wrote tells that p is now in the file at off.
func (d *digest) wrote(p []byte, off int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.whole.Add(off, off+int64(len(p)))
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

// gaps reports whether anything before size was not written.
func (d *digest) gaps(size int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.whole.Whole(size)
}

// appended tells that a file without gaps was continued up to end. Nothing is
// hashed.
func (d *digest) appended(end int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.whole.Add(0, end)
}

// truncated tells that the file now ends at size.
func (d *digest) truncated(size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.whole = reports.Coverage{}
	d.whole.Add(0, size)
	d.redo = d.redo || d.next > size
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

// sum returns the digest of the file, lower-case hex, whose length is size. A
// file with gaps has none: [reports.ErrIncomplete].
func (d *digest) sum(size int64) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.whole.Whole(size) {
		return "", reports.ErrIncomplete
	}
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
