package cfbsha1

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
	"hash"
)

const (
	// step is how many octets the plain path encrypts at once: a multiple of the block
	// size that stays in the first-level cache.
	step = 8 << 10
	// beside is from how many octets on it is worth it to hash in another goroutine.
	beside = 32 << 10
)

// plain is the path that is there everywhere.
//
// CFB is C[i] = P[i] ^ E(C[i-1]), and the standard library computes it slowly: a
// block at a time, in Go. But with Y[i] = E(C[i]) it is
//
//	Y[i] = E(P[i] ^ Y[i-1])    with Y[-1] = E(0)
//	C[i] = P[i] ^ Y[i-1]
//
// where the first line is CBC with Y[-1] as its initial value, for which the library
// has assembly, and the second is one long XOR. It costs one block operation more.
type plain struct {
	cbc  cipher.BlockMode
	last [aes.BlockSize]byte // Y[i-1]
	y    [step]byte
	sha1 hash.Hash
}

// reset starts a new message.
func (s *plain) reset(key []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	s.resume(block, [aes.BlockSize]byte{}, sha1.New())
	return nil
}

// resume goes on behind a block of ciphertext, and what was hashed.
func (s *plain) resume(block cipher.Block, before [aes.BlockSize]byte, hashed hash.Hash) {
	block.Encrypt(s.last[:], before[:])
	s.cbc = cipher.NewCBCEncrypter(block, s.last[:])
	s.sha1 = hashed
}

func (s *plain) encrypt(dst, src []byte) {
	if len(src) < beside {
		s.sha1.Write(src)
		s.cfb(dst, src)
		return
	}
	hashed := make(chan struct{})
	go func() {
		s.sha1.Write(src)
		close(hashed)
	}()
	s.cfb(dst, src)
	<-hashed
}

// cfb writes len(src) octets to dst. Only the last call may be for a length that is no
// multiple of the block size.
func (s *plain) cfb(dst, src []byte) {
	for len(src) >= aes.BlockSize {
		n := min(len(src), step) &^ (aes.BlockSize - 1)
		y := s.y[:n]
		s.cbc.CryptBlocks(y, src[:n])
		subtle.XORBytes(dst, src[:aes.BlockSize], s.last[:])
		subtle.XORBytes(dst[aes.BlockSize:n], src[aes.BlockSize:n], y)
		copy(s.last[:], y[n-aes.BlockSize:])
		dst, src = dst[n:], src[n:]
	}
	subtle.XORBytes(dst, src, s.last[:])
}

func (s *plain) finish(dst, end []byte) []byte {
	s.sha1.Write(end)
	all := s.sha1.Sum(append(make([]byte, 0, len(end)+sha1.Size), end...))
	at := len(dst)
	dst = append(dst, all...)
	s.cfb(dst[at:], all)
	s.cbc, s.sha1 = nil, nil
	return dst
}
