package cfbsha1

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"errors"
	"math/rand/v2"
	"testing"
)

// textbook is what a Stream has to give: CFB an octet at a time, and SHA-1 at the end.
func textbook(t testing.TB, key, message []byte, from int) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(message[:from])
	return cfb(block, append(bytes.Clone(message[:from]), sum[:]...))
}

func cfb(block cipher.Block, plain []byte) []byte {
	out := make([]byte, len(plain))
	var register, pad [aes.BlockSize]byte
	for at := range plain {
		if at%aes.BlockSize == 0 {
			if at > 0 {
				copy(register[:], out[at-aes.BlockSize:])
			}
			block.Encrypt(pad[:], register[:])
		}
		out[at] = plain[at] ^ pad[at%aes.BlockSize]
	}
	return out
}

// encrypt does it in pieces of cut octets, as far as these are whole units.
func encrypt(t testing.TB, s *Stream, key, message []byte, cut int, fast bool) []byte {
	t.Helper()
	if err := s.reset(key, fast); err != nil {
		t.Fatal(err)
	}
	whole := len(message) / Unit * Unit
	out := make([]byte, whole, len(message)+Overhead)
	for at := 0; at < whole; at += cut {
		end := min(at+cut, whole)
		s.Encrypt(out[at:end], message[at:end])
	}
	return s.Finish(out, message[whole:])
}

// paths are the ways that this processor has. The plain one is there always.
func paths() map[string]bool {
	p := map[string]bool{"plain": false}
	if haveStitched {
		p["stitched"] = true
	}
	return p
}

func random(seed uint64, n int) []byte {
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	out := make([]byte, n)
	rand.NewChaCha8(s).Read(out)
	return out
}

// One stream after the other, however the message is cut, must be what the textbook has.
func TestStream(t *testing.T) {
	t.Parallel()
	message := random(1, 200<<10+5)
	for path, fast := range paths() {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			var s Stream
			for i, size := range []int{0, 1, 15, 16, 17, 63, 64, 65, 127, 128, step - 1, step, step + 1, 64<<10 + 64, len(message)} {
				key := random(uint64(i), keySize)
				want := textbook(t, key, message, size)
				for _, cut := range []int{Unit, 3 * Unit, step, beside, 64 << 10, 1 << 20} {
					if got := encrypt(t, &s, key, message[:size], cut, fast); !bytes.Equal(got, want) {
						t.Errorf("%d octets by %d differ", size, cut)
					}
				}
			}
		})
	}
}

// The test vectors of SHA-1 and AES cover each octet of a key; this covers the keys of the rounds.
func TestEveryBitOfTheKey(t *testing.T) {
	t.Parallel()
	message := random(2, 3*Unit)
	for path, fast := range paths() {
		var s Stream
		for bit := range 8 * keySize {
			key := make([]byte, keySize)
			key[bit/8] = 1 << (bit % 8)
			if !bytes.Equal(encrypt(t, &s, key, message, Unit, fast), textbook(t, key, message, len(message))) {
				t.Errorf("%s: bit %d", path, bit)
			}
		}
	}
}

// The assembly writes what it is told to and nothing beside it, wherever that lies in memory.
func TestNothingBesideIsWritten(t *testing.T) {
	t.Parallel()
	const room = 48
	key := random(3, keySize)
	for path, fast := range paths() {
		var s Stream
		for shift := range 33 {
			message := random(4, shift+2*Unit)[shift:]
			out := bytes.Repeat([]byte{0xaa}, 2*room+2*Unit)
			if err := s.reset(key, fast); err != nil {
				t.Fatal(err)
			}
			s.Encrypt(out[shift:], message)
			want := bytes.Repeat([]byte{0xaa}, len(out))
			copy(want[shift:], textbook(t, key, message, len(message))[:len(message)])
			if !bytes.Equal(out, want) {
				t.Errorf("%s, shifted by %d: differs", path, shift)
			}
		}
	}
}

func TestKeysOfAnotherLengthAreRefused(t *testing.T) {
	t.Parallel()
	var s Stream
	for _, n := range []int{0, 16, 24, 31, 33} {
		var size aes.KeySizeError
		if err := s.Reset(make([]byte, n)); !errors.As(err, &size) || int(size) != n {
			t.Errorf("%d octets: %v", n, err)
		}
	}
}

func TestHalfAUnitPanics(t *testing.T) {
	t.Parallel()
	for path, fast := range paths() {
		for _, c := range []struct{ dst, src int }{{Unit, Unit - 1}, {Unit - 1, Unit}} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s took %d octets with room for %d", path, c.src, c.dst)
					}
				}()
				var s Stream
				if err := s.reset(make([]byte, keySize), fast); err != nil {
					t.Fatal(err)
				}
				s.Encrypt(make([]byte, c.dst), make([]byte, c.src))
			}()
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add(make([]byte, keySize), []byte("a message"), uint16(1))
	f.Add(random(7, keySize), random(8, 5*Unit+3), uint16(2))
	f.Add(random(9, keySize), random(10, beside+1), uint16(600))
	f.Fuzz(func(t *testing.T, key, message []byte, units uint16) {
		key = append(key, make([]byte, keySize)...)[:keySize]
		want := textbook(t, key, message, len(message))
		for path, fast := range paths() {
			var s Stream
			if !bytes.Equal(encrypt(t, &s, key, message, Unit*max(int(units), 1), fast), want) {
				t.Errorf("%s differs", path)
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	src, dst := make([]byte, 64<<10), make([]byte, 64<<10)
	for path, fast := range paths() {
		b.Run(path, func(b *testing.B) {
			var s Stream
			if err := s.reset(make([]byte, keySize), fast); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				s.Encrypt(dst, src)
			}
		})
	}
}
