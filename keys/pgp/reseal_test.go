package pgp_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

func TestResealKeepsTheDataAsItIs(t *testing.T) {
	t.Parallel()
	hold, client, second := newKey(t), newKey(t), newKey(t)
	for _, size := range []int{0, 1, 100_000, 1_000_000} {
		for _, known := range []int64{-1, int64(size)} {
			content := statement(size)
			held := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{hold.Certificate()}, FileName: "a.csv", Size: known, Compress: true})
			var released bytes.Buffer
			to := []pgp.Certificate{client.Certificate(), second.Certificate()}
			if err := pgp.Reseal(&released, iotest.OneByteReader(bytes.NewReader(held)), hold, to, time.Now()); err != nil {
				t.Fatal(err)
			}
			for _, key := range []pgp.PrivateKey{client, second} {
				if !bytes.Equal(mustUnseal(t, released.Bytes(), key), content) {
					t.Error("other content")
				}
			}
			data := 2 + int(held[1]) // behind the one session key
			if !bytes.HasSuffix(released.Bytes(), held[data:]) {
				t.Error("the encrypted data was changed")
			}
			ids, err := pgp.Recipients(&released)
			want := append(client.Certificate().EncryptionKeyIDs(), second.Certificate().EncryptionKeyIDs()...)
			if err != nil || len(ids) != 2 || ids[0] != want[0] || ids[1] != want[1] {
				t.Errorf("recipients %v, %v", ids, err)
			}
		}
	}
}

func TestResealRefuses(t *testing.T) {
	t.Parallel()
	hold, stranger := newKey(t), newKey(t)
	client := newKey(t).Certificate()
	for _, known := range []int64{-1, 200_000} {
		held := seal(t, noise(200_000), pgp.Options{Recipients: []pgp.Certificate{hold.Certificate()}, Size: known})
		for name, test := range map[string]struct {
			src  []byte
			key  pgp.PrivateKey
			to   []pgp.Certificate
			want error // nil: any
		}{
			"another key":          {held, stranger, []pgp.Certificate{client}, pgp.ErrNotRecipient},
			"no key":               {held, pgp.PrivateKey{}, []pgp.Certificate{client}, pgp.ErrNotRecipient},
			"nobody":               {held, hold, nil, pgp.ErrNoRecipients},
			"empty":                {nil, hold, []pgp.Certificate{client}, pgp.ErrNotSealed},
			"text":                 {statement(1000), hold, []pgp.Certificate{client}, pgp.ErrNotSealed},
			"a key":                {dearmor(t, client.Armored()), hold, []pgp.Certificate{client}, pgp.ErrNotSealed},
			"cut in the key":       {held[:50], hold, []pgp.Certificate{client}, io.ErrUnexpectedEOF},
			"cut in the head":      {held[:120], hold, []pgp.Certificate{client}, io.ErrUnexpectedEOF},
			"cut in the data":      {held[:150_000], hold, []pgp.Certificate{client}, io.ErrUnexpectedEOF},
			"cut by one":           {held[:len(held)-1], hold, []pgp.Certificate{client}, io.ErrUnexpectedEOF},
			"something behind":     {append(bytes.Clone(held), 'x'), hold, []pgp.Certificate{client}, nil},
			"damaged session key":  {flip(held, int(held[1])), hold, []pgp.Certificate{client}, nil},
			"damaged data version": {flip(held, 2+int(held[1])+2), hold, []pgp.Certificate{client}, nil},
		} {
			var out bytes.Buffer
			err := pgp.Reseal(&out, bytes.NewReader(test.src), test.key, test.to, time.Now())
			if name == "damaged data version" && known != -1 {
				continue // it is a length there
			}
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s, size %d: %v", name, known, err)
			}
			if test.want != nil && !errors.Is(test.want, io.ErrUnexpectedEOF) && out.Len() > 0 {
				t.Errorf("%s: wrote %d octets", name, out.Len())
			}
		}
		failing := io.MultiReader(bytes.NewReader(held[:100_000]), iotest.ErrReader(errFull))
		if err := pgp.Reseal(io.Discard, failing, hold, []pgp.Certificate{client}, time.Now()); !errors.Is(err, errFull) {
			t.Errorf("read error: %v", err)
		}
		if err := pgp.Reseal(&limited{1000}, bytes.NewReader(held), hold, []pgp.Certificate{client}, time.Now()); !errors.Is(err, errFull) {
			t.Errorf("write error: %v", err)
		}
	}
}

func TestRecipientsOfNothing(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "hello", "\xd2\x20\x01"} {
		if ids, err := pgp.Recipients(bytes.NewReader([]byte(data))); !errors.Is(err, pgp.ErrNotSealed) {
			t.Errorf("%q: %v, %v", data, ids, err)
		}
	}
}
