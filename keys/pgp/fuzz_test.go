package pgp_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

// FuzzParse: no input makes Parse panic; what it takes can be asked anything and
// stored; what holds a secret packet is not taken.
func FuzzParse(f *testing.F) {
	key := newKey(f)
	body := dearmor(f, key.Certificate().Armored())
	f.Add([]byte(key.Certificate().Armored()))
	f.Add(body)
	f.Add(append(bytes.Clone(body), 0xcd, 1, 'x'))
	f.Add(dearmor(f, key.Armored()))
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxA==\n-----END PGP PUBLIC KEY BLOCK-----\n"))
	f.Add([]byte("\x99\x00\x06\x05\x00\x00\x00\x00\x16"))
	now := time.Now()
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := pgp.Parse(data)
		if (err == nil) != (len(certs) > 0) {
			t.Fatalf("%d certificates and %v", len(certs), err)
		}
		for _, cert := range certs {
			_, _, _, _ = cert.UserIDs(), cert.Expires(), cert.Created(), cert.EncryptionKeyIDs()
			again, err := pgp.Parse([]byte(cert.Armored()))
			if err != nil || len(again) != 1 || again[0].Fingerprint() != cert.Fingerprint() {
				t.Fatalf("stored form: %v", err)
			}
			var unusable *pgp.UnusableError
			if err := cert.Usable(now); err != nil && !errors.As(err, &unusable) {
				t.Fatalf("usable: %v", err)
			}
		}
	})
}

// FuzzReseal: no sealed file makes Reseal panic, and what it writes is again a sealed
// file with the same data.
func FuzzReseal(f *testing.F) {
	secret, err := os.ReadFile(filepath.Join("testdata", "hold.asc"))
	if err != nil {
		f.Fatal(err)
	}
	hold, err := pgp.ReadPrivateKey(secret)
	if err != nil {
		f.Fatal(err)
	}
	client := newKey(f)
	for _, size := range []int64{-1, 300} {
		sealed := seal(f, statement(300), pgp.Options{Recipients: []pgp.Certificate{hold.Certificate()}, Size: size})
		f.Add(sealed)
		f.Add(sealed[:len(sealed)-5])
		f.Add(append(bytes.Clone(sealed), sealed...))
	}
	f.Add([]byte("\xc1\x03\x03\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = pgp.Recipients(bytes.NewReader(data))
		var out bytes.Buffer
		if err := pgp.Reseal(&out, bytes.NewReader(data), hold, []pgp.Certificate{client.Certificate()}, time.Now()); err != nil {
			return
		}
		ids, err := pgp.Recipients(&out)
		if err != nil || len(ids) != 1 || ids[0] != client.Certificate().EncryptionKeyIDs()[0] {
			t.Fatalf("resealed to %v, %v", ids, err)
		}
	})
}
