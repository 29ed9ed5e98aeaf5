package pgp

import (
	"crypto/aes"
	"crypto/rand"
	"crypto/sha1"
	"hash"
	"io"
	"sync"
)

// Parts of a SEIPD version 1 packet, RFC 9580, section 5.13.1.
const (
	sealVersion   = 1
	prefixSize    = aes.BlockSize + 2 // random octets, the last two repeated
	mdcSize       = 2 + sha1.Size     // the integrity code, as a packet of its own
	sealOverhead  = 1 + prefixSize + mdcSize
	mdcTag        = 0xd3
	sealChunk     = 64 << 10 // octets hashed and encrypted at once
	sealChunkRoom = sealChunk + mdcSize
)

// sealBuffers are what an encrypting writer needs besides its key.
type sealBuffers struct {
	plain  [2][sealChunkRoom]byte // one is filled while the other is hashed
	cipher [sealChunkRoom]byte
	stream cfb
}

var sealBufferPool = sync.Pool{New: func() any { return new(sealBuffers) }}

// sealer writes a packet of integrity-protected data, SEIPD version 1: what is
// written to it is hashed for the integrity code, encrypted and sent on.
type sealer struct {
	body    *bodyWriter
	buffers *sealBuffers
	n       int // octets in plain[current]
	current int

	// Large messages are hashed beside the encryption. A goroutine lives for one
	// chunk only, and hashed, which has room for its word, never keeps it waiting:
	// a sealer that is dropped half-way leaves nothing behind.
	mdc     hash.Hash
	hashed  chan struct{}
	hashing bool
}

// newSealer starts a packet whose content has that length, or unknownLength.
func newSealer(dst io.Writer, key []byte, length int64) (*sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if length != unknownLength {
		length += sealOverhead
	}
	body, err := newBody(dst, tagSealedData, length)
	if err != nil {
		return nil, err
	}
	if _, err := body.Write([]byte{sealVersion}); err != nil {
		return nil, err
	}
	w := &sealer{
		body:    body,
		buffers: sealBufferPool.Get().(*sealBuffers),
		mdc:     sha1.New(),
		hashed:  make(chan struct{}, 1),
	}
	w.buffers.stream.reset(block)
	prefix := make([]byte, prefixSize)
	if _, err := rand.Read(prefix[:aes.BlockSize]); err != nil {
		return nil, err
	}
	copy(prefix[aes.BlockSize:], prefix[aes.BlockSize-2:])
	_, err = w.Write(prefix)
	return w, err
}

func (w *sealer) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if w.n == sealChunk {
			if err := w.flush(); err != nil {
				return total - len(p), err
			}
		}
		n := copy(w.buffers.plain[w.current][w.n:sealChunk], p)
		w.n += n
		p = p[n:]
	}
	return total, nil
}

// flush sends a full chunk on its way, and turns to the other buffer.
func (w *sealer) flush() error {
	w.await()
	w.hashing = true
	plain := w.buffers.plain[w.current][:w.n]
	go func() {
		w.mdc.Write(plain)
		w.hashed <- struct{}{}
	}()
	w.current, w.n = 1-w.current, 0
	return w.encrypt(plain)
}

// await returns when no goroutine is hashing, so that the buffer that it read may be
// filled again.
func (w *sealer) await() {
	if w.hashing {
		<-w.hashed
		w.hashing = false
	}
}

func (w *sealer) encrypt(plain []byte) error {
	out := w.buffers.cipher[:len(plain)]
	w.buffers.stream.encrypt(out, plain)
	_, err := w.body.Write(out)
	return err
}

// Close writes the integrity code and ends the packet.
func (w *sealer) Close() error {
	w.await()
	plain := append(w.buffers.plain[w.current][:w.n], mdcTag, sha1.Size)
	w.mdc.Write(plain)
	if err := w.encrypt(w.mdc.Sum(plain)); err != nil {
		return err
	}
	sealBufferPool.Put(w.buffers)
	w.buffers = nil
	return w.body.Close()
}
