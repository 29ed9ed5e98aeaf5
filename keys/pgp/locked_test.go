package pgp_test

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

// TestLockedPrivateKey reads keys as gpg exports them, with a passphrase and
// without.
func TestLockedPrivateKey(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	export := func(name, passphrase string) []byte {
		t.Helper()
		var out []byte
		for _, args := range [][]string{
			{"--quick-generate-key", name, "future-default", "default", "0"},
			{"--armor", "--export-secret-keys", name},
		} {
			all := append([]string{"--homedir", g.home, "--batch", "--yes", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", passphrase}, args...)
			var err error
			if out, err = exec.Command("gpg", all...).Output(); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	for name, passphrase := range map[string]string{"Open <open@x.example>": "", "Locked <locked@x.example>": "a secret"} {
		secret := export(name, passphrase)
		asked := 0
		key, err := pgp.ReadLockedPrivateKey(secret, func() ([]byte, error) {
			asked++
			return []byte(passphrase), nil
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := min(len(passphrase), 1); asked != want {
			t.Errorf("%s: asked %d times, want %d", name, asked, want)
		}
		to := newKey(t)
		sealed := seal(t, []byte("content"), pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, Size: -1})
		var resealed bytes.Buffer
		if err := pgp.Reseal(&resealed, bytes.NewReader(sealed), key, []pgp.Certificate{to.Certificate()}, time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if passphrase == "" {
			continue
		}
		_, err = pgp.ReadLockedPrivateKey(secret, func() ([]byte, error) { return []byte("another"), nil })
		if !errors.Is(err, pgp.ErrWrongPassphrase) || strings.Contains(err.Error(), "another") {
			t.Errorf("%s: with another passphrase: %v", name, err)
		}
		gaveUp := errors.New("gave up")
		if _, err = pgp.ReadLockedPrivateKey(secret, func() ([]byte, error) { return nil, gaveUp }); !errors.Is(err, gaveUp) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := pgp.ReadPrivateKey(secret); err == nil {
			t.Error("the gateway's own key must have no passphrase")
		}
	}
	public := g.export("Open <open@x.example>")
	if _, err := pgp.ReadLockedPrivateKey(public, func() ([]byte, error) { return nil, nil }); err == nil {
		t.Error("a public key was taken for a private one")
	}
}
