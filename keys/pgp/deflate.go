package pgp

import (
	"bytes"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	deflateLevel  = 2         // output some 10 % over gzip -6, in a tenth of the time
	deflateBlock  = 512 << 10 // octets compressed by one goroutine at a time
	deflateWindow = 32 << 10  // how far back deflate looks, RFC 1951, section 2
)

var (
	deflateBlocks = sync.Pool{New: func() any {
		return &block{buf: make([]byte, deflateWindow+deflateBlock), done: make(chan error, 1)}
	}}
	flateWriters = sync.Pool{New: func() any {
		w, err := flate.NewWriter(nil, deflateLevel)
		if err != nil {
			panic(err) // the level is a constant
		}
		return w
	}}
)

// deflater compresses what is written to it to raw deflate. Blocks are compressed
// side by side, as many as there are processors, and go out in order. Each is primed
// with the end of the one before it and ends on an octet's boundary (a sync flush), so
// that together they are one deflate stream. A message of a single block is
// compressed by the goroutine that writes it.
type deflater struct {
	dst   io.Writer
	cur   *block   // being filled
	queue []*block // being compressed, oldest first
	limit int
}

// block is a piece of input with the window before it, and its compressed form. Its
// goroutine ends when the block is done, whether or not someone still waits for it.
type block struct {
	buf    []byte // the window, right-aligned in deflateWindow octets, then the data
	window int
	n      int
	last   bool
	out    bytes.Buffer
	done   chan error
}

func newDeflater(dst io.Writer) *deflater {
	return &deflater{dst: dst, cur: newBlock(nil), limit: runtime.GOMAXPROCS(0)}
}

// newBlock returns an empty block that follows the data of another one, or nothing.
func newBlock(before *block) *block {
	b := deflateBlocks.Get().(*block)
	b.n, b.window, b.last = 0, 0, false
	b.out.Reset()
	if before != nil {
		b.window = min(before.n, deflateWindow)
		copy(b.buf[deflateWindow-b.window:], before.data()[before.n-b.window:])
	}
	return b
}

func (b *block) data() []byte { return b.buf[deflateWindow : deflateWindow+b.n] }

func (b *block) compress() error {
	w := flateWriters.Get().(*flate.Writer)
	w.ResetDict(&b.out, b.buf[deflateWindow-b.window:deflateWindow])
	_, err := w.Write(b.data())
	switch {
	case err != nil:
	case b.last:
		err = w.Close()
	default:
		err = w.Flush()
	}
	w.ResetDict(nil, nil) // it must not hold on to the block
	flateWriters.Put(w)
	return err
}

func (d *deflater) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if d.cur.n == deflateBlock {
			if err := d.dispatch(); err != nil {
				return total - len(p), err
			}
		}
		n := copy(d.cur.buf[deflateWindow+d.cur.n:], p)
		d.cur.n += n
		p = p[n:]
	}
	return total, nil
}

// dispatch hands the current block to a goroutine, after making room for it.
func (d *deflater) dispatch() error {
	if len(d.queue) == d.limit {
		if err := d.collect(); err != nil {
			return err
		}
	}
	full := d.cur
	d.cur = newBlock(full) // copies the window before the other goroutine owns it
	d.queue = append(d.queue, full)
	go func() { full.done <- full.compress() }()
	return nil
}

// collect waits for the oldest block and sends it on.
func (d *deflater) collect() error {
	oldest := d.queue[0]
	d.queue = append(d.queue[:0], d.queue[1:]...)
	if err := <-oldest.done; err != nil {
		return err
	}
	_, err := d.dst.Write(oldest.out.Bytes())
	deflateBlocks.Put(oldest)
	return err
}

// Close writes what is left and ends the stream.
func (d *deflater) Close() error {
	last := d.cur
	d.cur, last.last = nil, true
	err := last.compress()
	for err == nil && len(d.queue) > 0 {
		err = d.collect()
	}
	if err == nil {
		_, err = d.dst.Write(last.out.Bytes())
	}
	deflateBlocks.Put(last)
	return err
}
