package pgp_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

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
	f.Add(revocationOf(f, key))
	f.Add(append(revocationOf(f, key), body...))
	f.Add(append(bytes.Clone(body), revocationOf(f, key)...))
	now := time.Now()
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzUpdate(t, key.Certificate(), data)
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

// revocationOf makes a revocation certificate by itself.
func revocationOf(tb testing.TB, key pgp.PrivateKey) []byte {
	tb.Helper()
	entities, err := openpgp.ReadArmoredKeyRing(strings.NewReader(key.Armored()))
	if err != nil {
		tb.Fatal(err)
	}
	if err := entities[0].Revoke(packet.KeyCompromised, "lost", nil); err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	if err := entities[0].Revocations[0].Packet.Serialize(&out); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// fuzzUpdate: nothing that is sent makes ParseAll, Merge or Revoke panic, takes a
// key from a certificate, or adds one that its owner has not signed.
func fuzzUpdate(t *testing.T, known pgp.Certificate, data []byte) {
	certs, revocations, err := pgp.ParseAll(data)
	if err == nil && len(certs)+len(revocations) == 0 {
		t.Fatal("nothing was read, and no error told so")
	}
	for _, r := range revocations {
		if revoked, err := known.Revoke(r); err == nil {
			if _, ok := revoked.Revoked(); !ok {
				t.Fatal("it was revoked, and is not")
			}
		}
	}
	for _, cert := range certs {
		if merged, err := known.Merge(cert, pgp.Everything); err == nil && len(merged.EncryptionKeyIDs()) != len(known.EncryptionKeyIDs()) {
			t.Fatalf("it has the keys %v", merged.EncryptionKeyIDs())
		}
		if cert.DesignatedRevocation() != nil {
			continue
		}
		if again, err := cert.Merge(cert, pgp.Everything); err != nil || len(again.Since(cert).Changes) != 0 {
			t.Fatalf("merged with itself: %v, %v", again.Since(cert).Changes, err)
		}
	}
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
