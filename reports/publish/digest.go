package publish

import (
	"hash"
	"io"
)

// digest hashes large pieces beside what else is done with them. It is not for concurrent
// use, and leaves no goroutine behind once a method other than add has returned.
type digest struct {
	hash    hash.Hash
	hashed  chan struct{} // has room for the word of the goroutine that hashes
	hashing bool
}

func newDigest(h hash.Hash) *digest {
	return &digest{hash: h, hashed: make(chan struct{}, 1)}
}

// worthIt is from how many bytes on a piece is worth a goroutine.
const worthIt = 32 << 10

// add takes in a piece of content, which must not be changed before the next call of
// a method has returned.
func (d *digest) add(piece []byte) {
	d.wait()
	if len(piece) < worthIt {
		d.hash.Write(piece)
		return
	}
	d.hashing = true
	go func() {
		d.hash.Write(piece)
		d.hashed <- struct{}{}
	}()
}

// wait returns when the last piece is taken in.
func (d *digest) wait() {
	if d.hashing {
		<-d.hashed
		d.hashing = false
	}
}

// sum returns the hash of what was added.
func (d *digest) sum() []byte {
	d.wait()
	return d.hash.Sum(nil)
}

// digestWriter hashes what it writes.
type digestWriter struct {
	io.Writer
	digest *digest
}

func (w *digestWriter) Write(p []byte) (int, error) {
	w.digest.add(p)
	defer w.digest.wait() // p is the caller's again
	return w.Writer.Write(p)
}
