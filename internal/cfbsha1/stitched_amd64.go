package cfbsha1

import (
	"crypto/aes"
	"crypto/sha1"
	"encoding"
	"encoding/binary"
	"math/bits"

	"golang.org/x/sys/cpu"
)

// haveStitched says that this processor has what the assembly needs.
var haveStitched = cpu.X86.HasAES && cpu.X86.HasAVX && cpu.X86.HasSSE41 && cpu.X86.HasSSSE3 && hasSHA()

const (
	rounds   = 14 // of AES-256
	keyWords = keySize / 4

	// most is how much the assembly does in one call: no goroutine can be stopped
	// within it.
	most = 64 << 10
)

// stitched is the path by assembly.
type stitched struct {
	keys [(rounds + 1) * aes.BlockSize]byte // of the rounds
	last [aes.BlockSize]byte                // the block of ciphertext before
	hash [sha1.Size / 4]uint32              // the SHA-1 of what came so far
	size uint64                             // of it, in octets
}

//go:noescape
func encryptUnits(keys *byte, last *byte, hash *uint32, dst, src *byte, n int)

// hasSHA asks the processor for the SHA extensions.
func hasSHA() bool

// subWord is that of FIPS 197, section 5.2.
func subWord(w uint32) uint32

func (s *stitched) reset(key []byte) {
	s.expand(key)
	clear(s.last[:])
	s.hash = [...]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0} // FIPS 180-4, section 5.3.1
	s.size = 0
}

// expand computes the keys of the rounds, FIPS 197, section 5.2.
func (s *stitched) expand(key []byte) {
	copy(s.keys[:], key)
	word := func(i int) []byte { return s.keys[4*i:][:4] }
	constant := uint32(1)
	for i := keyWords; i < 4*(rounds+1); i++ {
		w := binary.LittleEndian.Uint32(word(i - 1))
		switch i % keyWords {
		case 0:
			w = bits.RotateLeft32(subWord(w), -8) ^ constant
			constant <<= 1
		case keyWords / 2:
			w = subWord(w)
		}
		binary.LittleEndian.PutUint32(word(i), w^binary.LittleEndian.Uint32(word(i-keyWords)))
	}
}

// encrypt is for whole units, and for slices of one length.
func (s *stitched) encrypt(dst, src []byte) {
	s.size += uint64(len(src))
	for len(src) > 0 {
		n := min(len(src), most)
		encryptUnits(&s.keys[0], &s.last[0], &s.hash[0], &dst[0], &src[0], n)
		dst, src = dst[n:], src[n:]
	}
}

// handOver has the other path go on. What it needs of SHA-1 has the form that the standard
// library saves it in, which it promises to read for ever.
func (s *stitched) handOver(to *plain) {
	state := []byte("sha\x01")
	for _, w := range s.hash {
		state = binary.BigEndian.AppendUint32(state, w)
	}
	state = append(state, make([]byte, sha1.BlockSize)...) // nothing is left over
	state = binary.BigEndian.AppendUint64(state, s.size)
	hashed := sha1.New()
	if err := hashed.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		panic(err) // the form is fixed
	}
	block, err := aes.NewCipher(s.keys[:keySize])
	if err != nil {
		panic(err) // the length is fixed
	}
	clear(s.keys[:])
	to.resume(block, s.last, hashed)
}
