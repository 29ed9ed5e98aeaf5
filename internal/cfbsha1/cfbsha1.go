// Package cfbsha1 encrypts a message with AES-256 in CFB mode and computes its SHA-1 in
// the same pass. That is what the body of an OpenPGP message with an integrity code
// needs (SEIPD version 1, RFC 9580, section 5.13.1), and what bounds the sealing of a
// large report that is not compressed.
//
//	var s cfbsha1.Stream
//	err := s.Reset(key)
//	s.Encrypt(dst, src)              // any number of times, by whole units of [Unit]
//	sealed := s.Finish(dst[:0], end) // what is left, and the SHA-1 of it all
//
// # Why a package of its own
//
// CFB is serial: a block can't begin before the one before it has left the cipher, and
// so the processor's AES unit, which could have a handful of blocks under way, waits
// most of the time. SHA-1 is serial too, on another unit. In one instruction stream the
// processor fits the one into the other's waits by itself: both together take the time
// of the cipher alone. That needs instructions that Go can't be told to use, hence the
// assembly for amd64 processors with AES-NI, AVX and the SHA extensions.
//
// # What it promises
//
//   - Everywhere else, and wherever Go's FIPS 140-3 mode is on, the standard library does
//     the work: CFB by way of CBC (see plain). Both give the same octets: the
//     tests compare them, and both with CFB as the textbook has it.
//   - The assembly has neither branches nor table look-ups that depend on the key or the
//     message.
//   - After Finish nothing of the key is left in the stream.
//
// It is no general cipher: the initial value is zero, as the RFC wants it, so that a key
// must not encrypt twice, and the message must begin with a block of random octets.
package cfbsha1

import (
	"crypto/aes"
	"crypto/fips140"
	"crypto/sha1"
	"fmt"
)

const (
	// Unit is what a message is encrypted by until its end, in octets: a block of SHA-1.
	Unit = sha1.BlockSize
	// Overhead is by how many octets what Finish appends is longer than what it gets.
	Overhead = sha1.Size

	keySize = 32
)

// Stream encrypts one message after the other. It is not for concurrent use.
type Stream struct {
	fast bool // which of the two is at work
	stitched
	plain plain
}

// Reset starts a message. The key is one of AES-256.
func (s *Stream) Reset(key []byte) error {
	return s.reset(key, haveStitched && !fips140.Enabled())
}

func (s *Stream) reset(key []byte, fast bool) error {
	if len(key) != keySize {
		return fmt.Errorf("cfbsha1: %w", aes.KeySizeError(len(key)))
	}
	s.fast = fast
	if fast {
		s.stitched.reset(key)
		return nil
	}
	return s.plain.reset(key)
}

// Encrypt encrypts src to dst, which is at least as long and must not overlap it. It
// panics unless src is whole units.
func (s *Stream) Encrypt(dst, src []byte) {
	if len(src)%Unit != 0 {
		panic(fmt.Sprintf("cfbsha1: %d octets are no whole units", len(src)))
	}
	if s.fast {
		s.stitched.encrypt(dst[:len(src)], src)
		return
	}
	s.plain.encrypt(dst[:len(src)], src)
}

// Finish ends the message with end, which may have any length, and the SHA-1 of the
// whole message. It appends both, encrypted, to dst, which must not overlap end.
func (s *Stream) Finish(dst, end []byte) []byte {
	if s.fast {
		s.stitched.handOver(&s.plain)
	}
	return s.plain.finish(dst, end)
}
