package pgp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The way by CBC must be CFB, however the input is cut.
func TestCFBIsCFB(t *testing.T) {
	t.Parallel()
	block, err := aes.NewCipher(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	plain := make([]byte, 3*cfbStep+5)
	for i := range plain {
		plain[i] = byte(i * i >> 3)
	}
	for _, size := range []int{0, 1, 15, 16, 17, 31, 32, cfbStep - 1, cfbStep, cfbStep + 1, len(plain)} {
		want := plainCFB(block, plain[:size])
		for _, cut := range []int{16, 48, cfbStep, 4 * cfbStep} {
			var s cfb
			s.reset(block)
			got := make([]byte, size)
			for at := 0; at < size; at += cut {
				end := min(at+cut, size)
				s.encrypt(got[at:end], plain[at:end])
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d octets by %d differ", size, cut)
			}
		}
	}
}

// plainCFB is CFB as the textbook has it.
func plainCFB(block cipher.Block, plain []byte) []byte {
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

func TestHeaderRoundTrip(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{0, 1, 191, 192, 193, 8383, 8384, 65536, maxLength} {
		raw := appendHeader(nil, tagSealedData, length)
		got, err := readHeader(bytes.NewReader(raw))
		want := header{tag: tagSealedData, length: length, raw: raw}
		if err != nil || !cmp.Equal(got, want, cmp.AllowUnexported(header{})) {
			t.Errorf("length %d: %+v, %v", length, got, err)
		}
		for cut := 1; cut < len(raw); cut++ {
			if _, err := readHeader(bytes.NewReader(raw[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("length %d cut to %d: %v", length, cut, err)
			}
		}
	}
	for raw, want := range map[string]header{
		"\x99\x01\x0d": {tag: tagPublicKey, length: 269},
		"\x84\x05":     {tag: tagEncryptedKey, length: 5},
		"\xd2\xf0":     {tag: tagSealedData, length: 65536, partial: true},
	} {
		want.raw = []byte(raw)
		got, err := readHeader(bytes.NewReader([]byte(raw)))
		if err != nil || !cmp.Equal(got, want, cmp.AllowUnexported(header{})) {
			t.Errorf("%x: %+v, %v", raw, got, err)
		}
	}
}

// A body of unknown length ends in a definite length, and short ones are definite
// from the start.
func TestBodyWriterFrames(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 191, 192, 8383, 8384, partSize - 1, partSize, partSize + 1, 3 * partSize} {
		for _, length := range []int64{unknownLength, int64(size)} {
			content := bytes.Repeat([]byte{'x'}, size)
			var out bytes.Buffer
			w, err := newBody(&out, tagLiteral, length)
			if err != nil {
				t.Fatal(err)
			}
			for rest := content; len(rest) > 0; {
				n := min(len(rest), 1000)
				if _, err := w.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, parts := readBody(t, &out)
			if !bytes.Equal(got, content) || parts != (length == unknownLength && size > partSize) {
				t.Errorf("%d octets, length %d: got %d, in parts %t", size, length, len(got), parts)
			}
		}
	}
}

func readBody(t *testing.T, in *bytes.Buffer) (content []byte, parts bool) {
	t.Helper()
	h, err := readHeader(in)
	if err != nil || h.tag != tagLiteral {
		t.Fatalf("%+v, %v", h, err)
	}
	parts = h.partial
	for {
		content = append(content, in.Next(int(h.length))...)
		if !h.partial {
			break
		}
		if h.length, h.partial, _, err = readLength(in, nil); err != nil {
			t.Fatal(err)
		}
	}
	if in.Len() > 0 {
		t.Errorf("%d octets behind the packet", in.Len())
	}
	return content, parts
}

// The check of RFC 9580, section 6.1.1, against a value made by gpg.
func TestArmorChecksum(t *testing.T) {
	t.Parallel()
	if got := appendCRC(nil, nil); !bytes.Equal(got, []byte{0xb7, 0x04, 0xce}) {
		t.Errorf("of nothing: %x", got)
	}
	if got := appendCRC(nil, []byte("123456789")); !bytes.Equal(got, []byte{0x21, 0xcf, 0x02}) {
		t.Errorf("of the check string: %x", got)
	}
}

func TestGuardTurnsPanicsIntoErrors(t *testing.T) {
	t.Parallel()
	err := guard(func() error { panic("secret bytes") })
	if err == nil || bytes.Contains([]byte(err.Error()), []byte("secret")) {
		t.Errorf("got %v", err)
	}
}
