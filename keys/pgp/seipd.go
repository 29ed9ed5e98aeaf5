package pgp

import (
	"crypto/aes"
	"crypto/rand"
	"crypto/sha1"
	"io"
	"sync"

	"github.com/sealdrop/sealdrop/internal/cfbsha1"
)

// Parts of a SEIPD version 1 packet, RFC 9580, section 5.13.1.
const (
	sealVersion  = 1
	prefixSize   = aes.BlockSize + 2 // random octets, the last two repeated
	mdcSize      = 2 + sha1.Size     // the integrity code, as a packet of its own
	sealOverhead = 1 + prefixSize + mdcSize
	mdcTag       = 0xd3
)

const (
	// sealChunk is how many octets are sent on at once: a whole number of units.
	sealChunk = 256 << 10
	// sendBeside is the encryption of how many octets is worth a goroutine beside it.
	sendBeside = 32 << 10
)

// sealBuffers are what an encrypting writer needs besides its key.
type sealBuffers struct {
	// plain is what is no whole unit yet, and at the end the head of the integrity code.
	plain  [cfbsha1.Unit + mdcSize]byte
	cipher [2][sealChunk + cfbsha1.Unit + mdcSize]byte // one is filled while the other is sent
	stream cfbsha1.Stream
}

var sealBufferPool = sync.Pool{New: func() any { return new(sealBuffers) }}

// sealer writes a packet of integrity-protected data, SEIPD version 1: what is
// written to it is hashed for the integrity code, encrypted and sent on.
//
// A chunk is sent on beside the encryption of the next one, by a goroutine that ends
// before the method does. So a sealer that is dropped half-way leaves nothing behind.
type sealer struct {
	body    *bodyWriter
	buffers *sealBuffers
	held    int        // octets in plain
	current int        // the buffer that is being filled
	filled  int        // octets in it
	ready   []byte     // the other one, if it is to be sent
	sent    chan error // of ready
}

// newSealer starts a packet whose content has that length, or unknownLength.
func newSealer(dst io.Writer, key []byte, length int64) (*sealer, error) {
	if length != unknownLength {
		length += sealOverhead
	}
	w := &sealer{buffers: sealBufferPool.Get().(*sealBuffers), sent: make(chan error, 1)}
	if err := w.buffers.stream.Reset(key); err != nil {
		return nil, err
	}
	var err error
	if w.body, err = newBody(dst, tagSealedData, length); err != nil {
		return nil, err
	}
	if _, err := w.body.Write([]byte{sealVersion}); err != nil {
		return nil, err
	}
	prefix := make([]byte, prefixSize)
	if _, err := rand.Read(prefix[:aes.BlockSize]); err != nil {
		return nil, err
	}
	copy(prefix[aes.BlockSize:], prefix[aes.BlockSize-2:])
	_, err = w.Write(prefix)
	return w, err
}

func (w *sealer) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		rest := p[n:]
		if w.held == 0 && len(rest) >= cfbsha1.Unit {
			whole := min(len(rest), sealChunk-w.filled) &^ (cfbsha1.Unit - 1)
			err = w.encrypt(rest[:whole])
			n += whole
			continue
		}
		copied := copy(w.buffers.plain[w.held:cfbsha1.Unit], rest)
		w.held += copied
		n += copied
		if w.held == cfbsha1.Unit {
			err = w.encrypt(w.buffers.plain[:cfbsha1.Unit])
			w.held = 0
		}
	}
	return n, err
}

// encrypt takes whole units, no more than the present chunk has room for.
func (w *sealer) encrypt(plain []byte) (err error) {
	chunk := w.buffers.cipher[w.current][:w.filled+len(plain)]
	out := chunk[w.filled:]
	if len(w.ready) > 0 && len(plain) >= sendBeside {
		go func() { w.sent <- w.send() }()
		w.buffers.stream.Encrypt(out, plain)
		err = <-w.sent
	} else {
		w.buffers.stream.Encrypt(out, plain)
	}
	w.filled = len(chunk)
	if w.filled == sealChunk {
		if err == nil {
			err = w.send()
		}
		w.ready, w.current, w.filled = chunk, 1-w.current, 0
	}
	return err
}

// send sends on what is ready, if anything is.
func (w *sealer) send() error {
	if len(w.ready) == 0 {
		return nil
	}
	_, err := w.body.Write(w.ready)
	w.ready = nil
	return err
}

// Close writes the integrity code and ends the packet.
func (w *sealer) Close() error {
	if err := w.send(); err != nil {
		return err
	}
	end := append(w.buffers.plain[:w.held], mdcTag, sha1.Size)
	out := w.buffers.stream.Finish(w.buffers.cipher[w.current][:w.filled], end)
	if _, err := w.body.Write(out); err != nil {
		return err
	}
	sealBufferPool.Put(w.buffers)
	w.buffers = nil
	return w.body.Close()
}
