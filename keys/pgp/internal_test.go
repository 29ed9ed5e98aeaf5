package pgp

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"
)

// However a message is cut, and wherever it ends, the sealed packet opens to it and its
// integrity code is right. The library is the judge.
func TestSealedDataOpens(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{7}, packet.CipherAES256.KeySize())
	content := make([]byte, 2*sealChunk+100)
	for i := range content {
		content[i] = byte(i * i >> 3)
	}
	const first = sealChunk - prefixSize // what fills a chunk
	for _, size := range []int{0, 1, 45, 46, 47, first - 1, first, first + 1, first + 46, sealChunk, first + sealChunk, len(content)} {
		for _, cut := range []int{1000, sendBeside, sealChunk - 1, sealChunk, len(content)} {
			for _, length := range []int64{unknownLength, int64(size)} {
				var sealed bytes.Buffer
				w, err := newSealer(&sealed, key, length)
				if err != nil {
					t.Fatal(err)
				}
				for at := 0; at < size; at += cut {
					if n, err := w.Write(content[at:min(at+cut, size)]); err != nil || n != min(cut, size-at) {
						t.Fatalf("wrote %d, %v", n, err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if got, err := open(&sealed, key); err != nil || !bytes.Equal(got, content[:size]) {
					t.Errorf("%d octets by %d: opens to %d, %v", size, cut, len(got), err)
				}
			}
		}
	}
}

func open(sealed io.Reader, key []byte) ([]byte, error) {
	p, err := packet.Read(sealed)
	if err != nil {
		return nil, err
	}
	r, err := p.(*packet.SymmetricallyEncrypted).Decrypt(packet.CipherAES256, key)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return content, errors.Join(err, r.Close())
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
