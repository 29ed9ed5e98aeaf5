package pgp_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

// edit drives gpg's dialogues: each line answers one question.
func (g *gnupg) edit(answers []string, args ...string) []byte {
	g.t.Helper()
	args = append([]string{"--homedir", g.home, "--yes", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", "", "--expert", "--command-fd", "0"}, args...)
	return g.interactive(strings.Join(answers, "\n")+"\n", args)
}

// revoke makes a revocation certificate as a user would; reason is gpg's number.
func (g *gnupg) revoke(fingerprint, reason, text string) []byte {
	g.t.Helper()
	answers := []string{"y", reason}
	if text != "" {
		answers = append(answers, text)
	}
	return g.edit(append(answers, "", "y"), "--armor", "--gen-revoke", fingerprint)
}

const acmeParameters = "Key-Type: eddsa\nKey-Curve: ed25519\nSubkey-Type: ecdh\nSubkey-Curve: cv25519\nName-Real: Acme\nExpire-Date: 60d"

func merge(tb testing.TB, a, b pgp.Certificate) (pgp.Certificate, pgp.Update) {
	tb.Helper()
	merged, err := a.Merge(b, pgp.Everything)
	if err != nil {
		tb.Fatal(err)
	}
	return merged, merged.Since(a)
}

func says(u pgp.Update, words string) bool {
	return slices.ContainsFunc(u.Changes, func(s string) bool { return strings.Contains(s, words) })
}

func TestCertificateThatItsOwnerExtended(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	id := g.generate(acmeParameters)
	before := g.certificate(id)
	g.run(nil, "--quick-set-expire", id, "3y")
	g.run(nil, "--quick-set-expire", id, "2y", "*")
	after, u := merge(t, before, g.certificate(id))
	if days := time.Until(after.Expires()).Hours() / 24; days < 725 || days > 735 || u.NewKeys || !says(u, "expires ") || len(u.Changes) != 1 {
		t.Errorf("expires in %.0f days, %+v", days, u)
	}
	if again, u := merge(t, after, before); len(u.Changes) != 0 || again.Armored() != after.Armored() {
		t.Errorf("a copy from before changed it: %v", u.Changes)
	}

	g.run(nil, "--quick-add-key", id, "cv25519", "encr", "1y")
	g.run(nil, "--quick-add-uid", id, "Acme Treasury <treasury@acme.example>")
	extended := g.certificate(id)
	merged, u := merge(t, after, extended)
	if !u.NewKeys || !says(u, "new encryption subkey ") || !says(u, `new user id "Acme Treasury <treasury@acme.example>"`) {
		t.Errorf("with a new subkey and user id: %+v", u)
	}
	known, err := after.Merge(extended, pgp.KnownKeys)
	if err != nil || known.Since(after).NewKeys || len(known.EncryptionKeyIDs()) != 1 {
		t.Errorf("known keys alone: %v, %v", known.EncryptionKeyIDs(), err)
	}
	// A stripped copy takes nothing away.
	stripped := parseOne(t, g.run(nil, "--armor", "--export-options", "export-minimal", "--export-filter", "drop-subkey=usage =~ e && key_created_d = none", "--export", id))
	if again, u := merge(t, merged, stripped); len(u.Changes) != 0 || len(again.EncryptionKeyIDs()) != 2 {
		t.Errorf("a stripped copy: %v", u.Changes)
	}
	// A shorter expiry is the owner's word, and told.
	g.run(nil, "--quick-set-expire", id, "10d")
	if _, u := merge(t, merged, g.certificate(id)); !says(u, "shortened by its owner") {
		t.Errorf("shortened: %v", u.Changes)
	}
	// gpg takes what was put together.
	other := newGnuPG(t)
	other.run([]byte(merged.Armored()), "--import")
	if out := string(other.run(nil, "--list-keys", id)); strings.Count(out, "sub ") != 2 || strings.Count(out, "uid ") != 2 {
		t.Errorf("gpg shows\n%s", out)
	}
}

// TestStrangersSubkeyIsNotMergedIn: anybody can append a subkey of its own to a copy
// of somebody's certificate.
func TestStrangersSubkeyIsNotMergedIn(t *testing.T) {
	t.Parallel()
	victim, stranger := newKey(t).Certificate(), newKey(t).Certificate()
	forged := dearmor(t, victim.Armored())
	entities, err := openpgp.ReadArmoredKeyRing(strings.NewReader(stranger.Armored()))
	if err != nil {
		t.Fatal(err)
	}
	var subkey bytes.Buffer
	if err := entities[0].Subkeys[0].Serialize(&subkey, false); err != nil {
		t.Fatal(err)
	}
	forged = append(forged, subkey.Bytes()...)
	copied := parseOne(t, forged)
	merged, u := merge(t, victim, copied)
	if u.NewKeys || len(u.Changes) != 0 || merged.Armored() != victim.Armored() {
		t.Errorf("it was taken: %+v", u)
	}
	if _, err := victim.Merge(stranger, pgp.Everything); err == nil {
		t.Error("two different certificates were merged")
	}
}

func TestRevocationByItself(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		reason string
		hard   bool
		why    string
	}{{"0", true, "no reason given: lost"}, {"1", true, "the key was compromised: lost"}, {"2", false, "the key is superseded: lost"}, {"3", false, "the key is retired: lost"}} {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			g := newGnuPG(t)
			id := g.generate(acmeParameters)
			cert := g.certificate(id)
			certs, list, err := pgp.ParseAll(g.revoke(id, test.reason, "lost"))
			if err != nil || len(certs) != 0 || len(list) != 1 || list[0].Issuer() != id {
				t.Fatalf("%d certificates, %d revocations, %v", len(certs), len(list), err)
			}
			if _, ok := cert.Revoked(); ok {
				t.Error("it is revoked before")
			}
			revoked, err := cert.Revoke(list[0])
			if err != nil {
				t.Fatal(err)
			}
			how, ok := revoked.Revoked()
			if !ok || how.Hard != test.hard || how.Why != test.why || revoked.Usable(time.Now()) == nil {
				t.Errorf("revoked %v: %+v", ok, how)
			}
			if u := revoked.Since(cert); !says(u, "revoked by its owner: "+test.why) || u.NewKeys {
				t.Errorf("%+v", u)
			}
			if again, err := revoked.Revoke(list[0]); err != nil || again.Armored() != revoked.Armored() {
				t.Errorf("twice: %v", err)
			}
			// A copy from before does not bring it back.
			if merged, _ := merge(t, revoked, cert); merged.Usable(time.Now()) == nil {
				t.Error("a copy from before brought it back")
			}
		})
	}
}

func TestRevocationOfAnotherKey(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	id := g.generate(acmeParameters)
	_, list, err := pgp.ParseAll(g.revoke(id, "1", ""))
	if err != nil {
		t.Fatal(err)
	}
	var foreign *pgp.RevocationError
	if _, err := newKey(t).Certificate().Revoke(list[0]); !errors.As(err, &foreign) || foreign.Designated || foreign.Issuer != id || foreign.Hint() == "" {
		t.Errorf("error is %v", err)
	}
}

// TestRevocationAsGnuPGKeepsIt: gpg writes one with every new key, with a colon
// before it so that nobody uses it by accident.
func TestRevocationAsGnuPGKeepsIt(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	id := g.generate(acmeParameters)
	kept, err := os.ReadFile(filepath.Join(g.home, "openpgp-revocs.d", id+".rev"))
	if err != nil {
		t.Fatal(err)
	}
	var parse *pgp.ParseError
	if _, _, err := pgp.ParseAll(kept); !errors.As(err, &parse) || !strings.Contains(parse.Hint(), "colon") {
		t.Errorf("with the colon: %v", err)
	}
	_, list, err := pgp.ParseAll([]byte(strings.Replace(string(kept), ":-----BEGIN", "-----BEGIN", 1)))
	if err != nil || len(list) != 1 {
		t.Fatalf("without: %d, %v", len(list), err)
	}
	if _, err := g.certificate(id).Revoke(list[0]); err != nil {
		t.Error(err)
	}
}

func TestRevokedSubkeyWithASuccessor(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	id := g.generate(acmeParameters)
	before := g.certificate(id)
	g.run(nil, "--quick-add-key", id, "cv25519", "encr", "1y")
	g.edit([]string{"key 1", "revkey", "y", "1", "lost", "", "y", "save"}, "--edit-key", id)
	merged, u := merge(t, before, g.certificate(id))
	if !u.NewKeys || !says(u, "is revoked by its owner: the key was compromised: lost (hard)") || merged.Usable(time.Now()) != nil {
		t.Errorf("%+v, %v", u, merged.Usable(time.Now()))
	}
	known, err := before.Merge(g.certificate(id), pgp.KnownKeys)
	if err != nil || known.Usable(time.Now()) == nil {
		t.Errorf("with known keys alone there is nothing to seal to: %v, %v", err, known.Usable(time.Now()))
	}
}

// TestDesignatedRevoker: the owner has named another key to revoke its own.
func TestDesignatedRevoker(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	id := g.generate(acmeParameters)
	revoker := g.generate(strings.Replace(acmeParameters, "Acme", "Trustee", 1))
	g.edit([]string{"addrevoker", revoker, "y", "save"}, "--edit-key", id)
	data := g.edit([]string{"y", "1", "", "y"}, "--armor", "--desig-revoke", id)
	list, err := pgp.Parse(data)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d, %v", len(list), err)
	}
	refused := func(what string, err error) {
		t.Helper()
		var foreign *pgp.RevocationError
		if !errors.As(err, &foreign) || !foreign.Designated || foreign.Issuer != revoker || !strings.Contains(foreign.Hint(), "key revoke "+id) {
			t.Errorf("%s: %v", what, err)
		}
	}
	cert := g.certificate(id)
	if err := cert.DesignatedRevocation(); err != nil {
		t.Errorf("before: %v", err)
	}
	refused("the copy", list[0].DesignatedRevocation())
	_, err = cert.Merge(list[0], pgp.Everything)
	refused("merging it", err)
}

// TestRevocationBySequoia comes as a signature, not as a key.
func TestRevocationBySequoia(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sq"); err != nil {
		t.Skip("sq is not installed")
	}
	dir := t.TempDir()
	sq := func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command("sq", args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("sq %v: %v", args, err)
		}
		return out
	}
	sq("key", "generate", "--userid", "Acme <ops@acme.example>", "--export", "key.pgp")
	cert := parseOne(t, sq("key", "extract-cert", "key.pgp"))
	made, err := os.ReadFile(filepath.Join(dir, "key.pgp.rev"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"made with the key": made, "made by hand": sq("revoke", "certificate", "--certificate", "key.pgp", "retired", "gone"),
	} {
		certs, list, err := pgp.ParseAll(data)
		if err != nil || len(list) != 1 || len(certs) != 0 {
			t.Errorf("%s: %d revocations, %d certificates, %v", name, len(list), len(certs), err)
			continue
		}
		revoked, err := cert.Revoke(list[0])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, ok := revoked.Revoked(); !ok {
			t.Errorf("%s: it is not revoked", name)
		}
	}
}
