package pgp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// cfbStep is how many octets are encrypted at once: a multiple of the block size
// that stays in the first-level cache.
const cfbStep = 8 << 10

// cfb encrypts in CFB mode with an initial value of zero, as SEIPD version 1 wants
// it (RFC 9580, section 5.13.1), without resynchronisation.
//
// CFB is C[i] = P[i] ^ E(C[i-1]), and the standard library computes it slowly: a
// block at a time, in Go. But with Y[i] = E(C[i]) it is
//
//	Y[i] = E(P[i] ^ Y[i-1])    with Y[-1] = E(0)
//	C[i] = P[i] ^ Y[i-1]
//
// where the first line is CBC with Y[-1] as its initial value, for which the library
// has assembly, and the second is one long XOR. It costs one block operation more.
type cfb struct {
	cbc  cipher.BlockMode
	last [aes.BlockSize]byte // Y[i-1]
	y    [cfbStep]byte
}

// reset starts a new message.
func (s *cfb) reset(block cipher.Block) {
	clear(s.last[:])
	block.Encrypt(s.last[:], s.last[:])
	s.cbc = cipher.NewCBCEncrypter(block, s.last[:])
}

// encrypt writes len(src) octets to dst, which must not overlap src. Only the last
// call may be for a length that is no multiple of the block size.
func (s *cfb) encrypt(dst, src []byte) {
	for len(src) >= aes.BlockSize {
		n := min(len(src), cfbStep) &^ (aes.BlockSize - 1)
		y := s.y[:n]
		s.cbc.CryptBlocks(y, src[:n])
		subtle.XORBytes(dst, src[:aes.BlockSize], s.last[:])
		subtle.XORBytes(dst[aes.BlockSize:n], src[aes.BlockSize:n], y)
		copy(s.last[:], y[n-aes.BlockSize:])
		dst, src = dst[n:], src[n:]
	}
	subtle.XORBytes(dst, src, s.last[:])
}
