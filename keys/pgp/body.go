package pgp

import (
	"fmt"
	"io"
	"sync"
)

const (
	// partSize is the length of the parts of a body whose length is not known: a
	// power of two, not under 512 (RFC 9580, section 4.2.1.4).
	partSize   = 1 << partBits
	partBits   = 16
	headerRoom = 6 // packet type, then a length of up to five octets
)

// unknownLength stands for a body whose length is only known at its end.
const unknownLength = -1

// partBuffers holds buffers of headerRoom+partSize octets.
var partBuffers = sync.Pool{New: func() any { return new([headerRoom + partSize]byte) }}

// bodyWriter writes one packet: a header, then the body, which comes piece by piece.
// If its length is known, that is what the header states; if not, the body goes out
// in parts, or under a definite length after all if it is shorter than one part.
type bodyWriter struct {
	dst     io.Writer
	tag     int
	length  int64 // or unknownLength
	written int64
	buf     *[headerRoom + partSize]byte // nil if the length is known
	n       int                          // octets of body in buf
	parts   bool                         // a part went out, and the packet type with it
}

// newBody returns a writer for a packet. For a known length it writes the header at
// once.
func newBody(dst io.Writer, tag int, length int64) (*bodyWriter, error) {
	w := &bodyWriter{dst: dst, tag: tag, length: length}
	if length > maxLength {
		w.length = unknownLength
	}
	if w.length == unknownLength {
		w.buf = partBuffers.Get().(*[headerRoom + partSize]byte)
		return w, nil
	}
	_, err := dst.Write(appendHeader(nil, tag, length))
	return w, err
}

func (w *bodyWriter) Write(p []byte) (int, error) {
	if w.length != unknownLength {
		n, err := w.dst.Write(p)
		w.written += int64(n)
		return n, err
	}
	total := len(p)
	for len(p) > 0 {
		if w.n == partSize {
			if err := w.flushPart(); err != nil {
				return total - len(p), err
			}
		}
		n := copy(w.buf[headerRoom+w.n:], p)
		w.n += n
		p = p[n:]
	}
	return total, nil
}

func (w *bodyWriter) flushPart() error {
	return w.flush(headerRoom-1, func(b []byte) []byte { return append(b, 0xe0|partBits) })
}

// flush writes the length right before the body in the buffer, and the packet type
// before that if it has not been written.
func (w *bodyWriter) flush(at int, length func([]byte) []byte) error {
	if !w.parts {
		at--
		w.buf[at] = 0xc0 | byte(w.tag)
		length(w.buf[:at+1])
	} else {
		length(w.buf[:at])
	}
	_, err := w.dst.Write(w.buf[at : headerRoom+w.n])
	w.parts, w.n = true, 0
	return err
}

// Close ends the packet, not what it is written to. Without it the packet is
// incomplete.
func (w *bodyWriter) Close() error {
	if w.length != unknownLength {
		if w.written != w.length {
			return fmt.Errorf("packet %d of %d octets got %d", w.tag, w.length, w.written)
		}
		return nil
	}
	size := len(appendLength(nil, int64(w.n)))
	err := w.flush(headerRoom-size, func(b []byte) []byte { return appendLength(b, int64(w.n)) })
	partBuffers.Put(w.buf)
	w.buf = nil
	return err
}
