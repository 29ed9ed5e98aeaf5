package pgp_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

func reasonOf(t *testing.T, err error) pgp.Reason {
	t.Helper()
	var unusable *pgp.UnusableError
	if !errors.As(err, &unusable) {
		t.Fatalf("got %v", err)
	}
	if unusable.Hint() == "" || unusable.Error() == "" {
		t.Errorf("nothing to tell the operator: %#v", unusable)
	}
	return unusable.Reason
}

// runHint does what the hint tells the client to do, and returns the new public key.
func runHint(t *testing.T, g *gnupg, err error) pgp.Certificate {
	t.Helper()
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) {
		t.Fatalf("%v has no hint", err)
	}
	parts := strings.Split(hinted.Hint(), "`")
	var out []byte
	for i := 1; i < len(parts); i += 2 {
		args := strings.Fields(parts[i])
		if args[0] != "gpg" {
			t.Fatalf("hint runs %q", args)
		}
		out = g.run(nil, args[1:]...)
	}
	return parseOne(t, out)
}

func TestExpired(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	fingerprint := g.generate(strings.Replace(curve25519, "Expire-Date: 0", "Expire-Date: 2020-06-01", 1), "--faked-system-time", "20200101T000000")
	cert := g.certificate(fingerprint)
	err := cert.Usable(time.Now())
	if got := reasonOf(t, err); got != pgp.ReasonExpired {
		t.Fatalf("reason %s", got)
	}
	for _, want := range []string{fingerprint, "2020-06-01"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %q", want, err)
		}
	}
	if got := cert.Expires().Format(time.DateOnly); got != "2020-06-01" {
		t.Errorf("expires %s", got)
	}
	if err := cert.Usable(time.Date(2020, 3, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Errorf("while it was valid: %v", err)
	}
	if got := reasonOf(t, cert.Usable(time.Date(2019, 3, 1, 0, 0, 0, 0, time.UTC))); got != pgp.ReasonNotYetValid {
		t.Errorf("before: %s", got)
	}
	if err := runHint(t, g, err).Usable(time.Now()); err != nil {
		t.Errorf("after what the hint says: %v", err)
	}
}

func TestExpiredSubkey(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	fingerprint := g.generate(signOnly, "--faked-system-time", "20200101T000000")
	g.run(nil, "--faked-system-time", "20200102T000000", "--quick-add-key", fingerprint, "cv25519", "encr", "2020-06-01")
	cert := g.certificate(fingerprint)
	err := cert.Usable(time.Now())
	if got := reasonOf(t, err); got != pgp.ReasonExpired {
		t.Fatalf("reason %s", got)
	}
	if err := runHint(t, g, err).Usable(time.Now()); err != nil {
		t.Errorf("after what the hint says: %v", err)
	}

	// One that has expired does not stand in the way of one that has not.
	g.run(nil, "--quick-add-key", fingerprint, "cv25519", "encr", "never")
	cert = g.certificate(fingerprint)
	if ids := cert.EncryptionKeyIDs(); len(ids) != 2 || !cert.Expires().IsZero() {
		t.Errorf("keys %v, expires %s", ids, cert.Expires())
	}
	sealed := seal(t, []byte("hello"), pgp.Options{Recipients: []pgp.Certificate{cert}, Size: 5})
	if got := g.run(sealed, "--decrypt"); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestNewestOfSeveralSubkeysIsUsed(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	fingerprint := g.generate(signOnly, "--faked-system-time", "20200101T000000")
	for _, at := range []string{"20200102T000000", "20210102T000000", "20220102T000000"} {
		g.run(nil, "--faked-system-time", at, "--quick-add-key", fingerprint, "cv25519", "encr", "never")
	}
	cert := g.certificate(fingerprint)
	ids := cert.EncryptionKeyIDs()
	if len(ids) != 3 {
		t.Fatalf("keys %v", ids)
	}
	sealed := seal(t, []byte("hello"), pgp.Options{Recipients: []pgp.Certificate{cert}, Size: -1})
	got, err := pgp.Recipients(strings.NewReader(string(sealed)))
	if err != nil || len(got) != 1 || got[0] != ids[2] {
		t.Errorf("sealed to %v of %v (%v)", got, ids, err)
	}
	if got := g.run(sealed, "--decrypt"); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestSignOnly(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	cert := g.certificate(g.generate(signOnly))
	err := cert.Usable(time.Now())
	if got := reasonOf(t, err); got != pgp.ReasonSignOnly {
		t.Fatalf("reason %s", got)
	}
	if err := runHint(t, g, err).Usable(time.Now()); err != nil {
		t.Errorf("after what the hint says: %v", err)
	}
}

func TestRevoked(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	fingerprint := g.generate(curve25519)
	certificate := g.run(nil, "--export", fingerprint)
	revocation, err := os.ReadFile(filepath.Join(g.home, "openpgp-revocs.d", fingerprint+".rev"))
	if err != nil {
		t.Fatal(err)
	}
	revocation = []byte(strings.Replace(string(revocation), ":-----BEGIN", "-----BEGIN", 1))

	var parseError *pgp.ParseError
	if _, err := pgp.Parse(revocation); !errors.As(err, &parseError) || !strings.Contains(err.Error(), "revocation") {
		t.Errorf("the revocation alone: %v", err)
	}
	g.run(revocation, "--import")
	if got := reasonOf(t, g.certificate(fingerprint).Usable(time.Now())); got != pgp.ReasonRevoked {
		t.Errorf("reason %s", got)
	}
	if err := parseOne(t, certificate).Usable(time.Now()); err != nil {
		t.Errorf("before: %v", err)
	}
}

func TestWeak(t *testing.T) {
	t.Parallel()
	for name, parameters := range map[string]string{
		"rsa1024":         rsaParameters("1024"),
		"rsa1024 subkey":  "Key-Type: RSA\nKey-Length: 2048\nKey-Usage: sign\nSubkey-Type: RSA\nSubkey-Length: 1024\nSubkey-Usage: encrypt\nName-Real: Weak",
		"dsa and elgamal": "Key-Type: DSA\nKey-Length: 2048\nSubkey-Type: ELG\nSubkey-Length: 2048\nName-Real: Old",
		"elgamal subkey":  "Key-Type: RSA\nKey-Length: 2048\nKey-Usage: sign\nSubkey-Type: ELG\nSubkey-Length: 2048\nName-Real: Old",
		"secp256k1":       "Key-Type: ecdsa\nKey-Curve: secp256k1\nKey-Usage: sign\nSubkey-Type: ecdh\nSubkey-Curve: secp256k1\nSubkey-Usage: encrypt\nName-Real: Coin",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGnuPG(t)
			cert := g.certificate(g.generate(parameters))
			err := cert.Usable(time.Now())
			if got := reasonOf(t, err); got != pgp.ReasonWeak {
				t.Errorf("reason %s: %v", got, err)
			}
			t.Logf("%s: %v", cert.Algorithm(), err)
			if _, err := pgp.NewWriter(nil, pgp.Options{Recipients: []pgp.Certificate{cert}, Now: time.Now()}); err == nil {
				t.Error("sealed to it")
			}
		})
	}
}

// A name that someone else added to a certificate has no signature of the owner.
func TestForeignUserIDIsNotShown(t *testing.T) {
	t.Parallel()
	cert := newKey(t).Certificate()
	forged := append(dearmor(t, cert.Armored()), 0xcd, 7)
	forged = append(forged, "mallory"...)
	got := parseOne(t, forged)
	if ids := got.UserIDs(); len(ids) != 1 || ids[0] != "Sealdrop hold key" {
		t.Errorf("user ids %q", ids)
	}
}

func TestUserIDsAreFitForATerminal(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	fingerprint := g.generate(signOnly)
	g.run(nil, "--allow-freeform-uid", "--quick-add-uid", fingerprint, "Zoë \u202eevil <z@x.example>")
	ids := g.certificate(fingerprint).UserIDs()
	if !strings.Contains(strings.Join(ids, "|"), "Zoë \ufffdevil <z@x.example>") {
		t.Errorf("user ids %q", ids)
	}
}
