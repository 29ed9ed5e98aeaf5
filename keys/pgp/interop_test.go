package pgp_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

// keyKinds are what clients have, made by gpg itself.
var keyKinds = []struct {
	name       string
	parameters string
	algorithm  string
}{
	{"rsa2048", rsaParameters("2048"), "rsa2048"},
	{"rsa3072", rsaParameters("3072"), "rsa3072"},
	{"rsa4096", rsaParameters("4096"), "rsa4096"},
	{"curve25519", curve25519, "ed25519/cv25519"},
	{"nistp256", "Key-Type: ecdsa\nKey-Curve: nistp256\nKey-Usage: sign\nSubkey-Type: ecdh\nSubkey-Curve: nistp256\nSubkey-Usage: encrypt\nExpire-Date: 0\nName-Real: NIST", "nistp256"},
	{"one key for all", "Key-Type: RSA\nKey-Length: 2048\nKey-Usage: sign,encrypt\nExpire-Date: 0\nName-Real: Flagless", "rsa2048"},
}

// peers open a file with a secret key, each as its users call it.
var peers = []struct {
	program string
	open    func(secret, sealed, out string) *exec.Cmd
}{
	{"sq", func(secret, sealed, out string) *exec.Cmd {
		option := "--recipient-file"
		if help, err := exec.Command("sq", "decrypt", "--help").Output(); err == nil && bytes.Contains(help, []byte("--recipient-key")) {
			option = "--recipient-key" // before 0.29
		}
		return exec.Command("sq", "decrypt", option, secret, "--output", out, sealed)
	}},
	{"rnp", func(secret, sealed, out string) *exec.Cmd {
		return exec.Command("rnp", "--homedir", filepath.Dir(out), "--keyfile", secret, "--password", "", "--decrypt", sealed, "--output", out)
	}},
}

func TestRealPeersOpenEveryKindOfKey(t *testing.T) {
	t.Parallel()
	for _, kind := range keyKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			g := newGnuPG(t)
			fingerprint := g.generate(kind.parameters)
			cert := g.certificate(fingerprint)
			if cert.Fingerprint() != fingerprint || cert.Algorithm() != kind.algorithm {
				t.Errorf("read %s as %s, %s", fingerprint, cert.Fingerprint(), cert.Algorithm())
			}
			if err := cert.Usable(time.Now()); err != nil {
				t.Fatal(err)
			}
			content := statement(200_000)
			for _, compress := range []bool{false, true} {
				for _, size := range []int64{-1, int64(len(content))} {
					sealed := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{cert}, FileName: "a.csv", Compress: compress, Size: size})
					if got := g.run(sealed, "--decrypt"); !bytes.Equal(got, content) {
						t.Errorf("compress=%t size=%d: gpg gave other content", compress, size)
					}
				}
			}
			secret := writeFile(t, "secret.asc", g.run(nil, "--armor", "--export-secret-keys", fingerprint))
			sealed := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{cert}, FileName: "a.csv", Compress: true, Size: -1})
			for _, peer := range peers {
				openWithPeer(t, peer.program, peer.open, secret, sealed, content)
			}
		})
	}
}

func openWithPeer(t *testing.T, program string, open func(secret, sealed, out string) *exec.Cmd, secret string, sealed, want []byte) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Logf("%s is not installed", program)
		return
	}
	out := filepath.Join(t.TempDir(), "out")
	if messages, err := open(secret, writeFile(t, "a.csv.pgp", sealed), out).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", program, err, messages)
		return
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s gave other content (%v)", program, err)
	}
}

func TestGnuPGOpensEverySize(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	cert := g.certificate(g.generate(curve25519))
	for _, size := range []int{0, 1, 511, 512, 513, 64<<10 - 1, 64 << 10, 64<<10 + 1, 512<<10 - 1, 512 << 10, 512<<10 + 1, 5 << 20} {
		for _, compress := range []bool{false, true} {
			for name, content := range map[string][]byte{"text": statement(size), "noise": noise(size)} {
				for _, known := range []int64{-1, int64(size)} {
					sealed := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{cert}, Compress: compress, Size: known})
					if got := g.run(sealed, "--decrypt"); !bytes.Equal(got, content) {
						t.Errorf("%d octets of %s, compress=%t, size=%d: other content", size, name, compress, known)
					}
				}
			}
		}
	}
}

func TestGnuPGSeesNameAndTime(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	cert := g.certificate(g.generate(curve25519))
	modTime := time.Date(2026, 3, 1, 6, 30, 0, 0, time.UTC)
	for _, size := range []int64{-1, 5} {
		sealed := seal(t, []byte("hello"), pgp.Options{
			Recipients: []pgp.Certificate{cert}, FileName: "activity ü.csv", ModTime: modTime, Compress: true, Size: size,
		})
		listing := string(g.run(sealed, "--list-packets"))
		for _, want := range []string{
			":pubkey enc packet: version 3", "keyid " + cert.EncryptionKeyIDs()[0],
			"mdc_method: 2", ":compressed packet: algo=1",
			fmt.Sprintf("mode b (62), created %d, name=\"activity", modTime.Unix()),
		} {
			if !strings.Contains(listing, want) {
				t.Errorf("size %d: no %q in\n%s", size, want, listing)
			}
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "activity.csv.pgp")
		if err := os.WriteFile(file, sealed, 0o600); err != nil {
			t.Fatal(err)
		}
		g.run(nil, file) // as a double click does
		if got, err := os.ReadFile(filepath.Join(dir, "activity.csv")); err != nil || string(got) != "hello" {
			t.Errorf("gpg FILE left %q, %v", got, err)
		}
	}
}

func TestEachOfSeveralRecipientsOpens(t *testing.T) {
	t.Parallel()
	content := statement(100_000)
	var certs []pgp.Certificate
	var homes []*gnupg
	for _, parameters := range []string{curve25519, rsaParameters("2048"), curve25519} {
		g := newGnuPG(t)
		homes = append(homes, g)
		certs = append(certs, g.certificate(g.generate(parameters)))
	}
	certs = append(certs, certs[0]) // twice is once
	sealed := seal(t, content, pgp.Options{Recipients: certs, Compress: true, Size: -1})
	for i, g := range homes {
		if got := g.run(sealed, "--decrypt"); !bytes.Equal(got, content) {
			t.Errorf("recipient %d got other content", i)
		}
	}
	ids, err := pgp.Recipients(bytes.NewReader(sealed))
	if err != nil || len(ids) != 3 {
		t.Errorf("recipients: %v, %v", ids, err)
	}
	if _, _, err := newGnuPG(t).try(sealed, "--decrypt"); err == nil {
		t.Error("a stranger opened it")
	}
}

func TestGnuPGRefusesTampering(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	cert := g.certificate(g.generate(curve25519))
	for _, compress := range []bool{false, true} {
		whole := seal(t, statement(50_000), pgp.Options{Recipients: []pgp.Certificate{cert}, Compress: compress, Size: -1})
		for name, sealed := range map[string][]byte{
			"flipped bit":        flip(whole, len(whole)/2),
			"flipped last octet": flip(whole, len(whole)-1),
			"cut off":            whole[:len(whole)-1],
			"half":               whole[:len(whole)/2],
		} {
			if _, _, err := g.try(sealed, "--decrypt"); err == nil {
				t.Errorf("%s, compress=%t: gpg took it", name, compress)
			}
		}
	}
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

func TestUnclosedIsNoMessage(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	cert := g.certificate(g.generate(curve25519))
	for _, size := range []int64{-1, 300_000} {
		for _, compress := range []bool{false, true} {
			var sealed bytes.Buffer
			w, err := pgp.NewWriter(&sealed, pgp.Options{Recipients: []pgp.Certificate{cert}, Compress: compress, Size: size, Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(statement(300_000)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := g.try(sealed.Bytes(), "--decrypt"); err == nil {
				t.Errorf("size=%d compress=%t: gpg took it", size, compress)
			}
		}
	}
}

func TestGnuPGChecksTheSignature(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	cert := g.certificate(g.generate(curve25519))
	signer := newKey(t)
	g.run([]byte(signer.Certificate().Armored()), "--import")
	for _, size := range []int{0, 1, 1_000_000} {
		for _, compress := range []bool{false, true} {
			content := statement(size)
			sealed := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{cert}, Signer: &signer, Compress: compress, Size: int64(size)})
			got, messages, err := g.try(sealed, "--status-fd", "2", "--decrypt")
			if err != nil || !bytes.Equal(got, content) || !strings.Contains(messages, "VALIDSIG "+signer.Certificate().Fingerprint()) {
				t.Errorf("size=%d compress=%t: %v\n%s", size, compress, err, messages)
			}
		}
	}
}

func TestGnuPGUsesOurKeys(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	key := newKey(t)
	g.run([]byte(key.Armored()), "--import")
	sealed := g.run([]byte("hello"), "--trust-model", "always", "-r", key.Certificate().Fingerprint(), "--encrypt")
	if got := g.run(sealed, "--decrypt"); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
	if got := mustUnseal(t, sealed, key); string(got) != "hello" {
		t.Errorf("we got %q", got)
	}
	read, err := pgp.ReadPrivateKey(g.run(nil, "--export-secret-keys", key.Certificate().Fingerprint()))
	if err != nil || read.Certificate().Fingerprint() != key.Certificate().Fingerprint() {
		t.Errorf("reading gpg's export: %v", err)
	}
}

func TestResealedOpensWithGnuPG(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	hold := newKey(t)
	content := statement(700_000)
	for _, parameters := range []string{curve25519, rsaParameters("2048")} {
		cert := g.certificate(g.generate(parameters))
		for _, size := range []int64{-1, int64(len(content))} {
			held := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{hold.Certificate()}, FileName: "a.csv", Size: size})
			var released bytes.Buffer
			if err := pgp.Reseal(&released, bytes.NewReader(held), hold, []pgp.Certificate{cert}, time.Now()); err != nil {
				t.Fatal(err)
			}
			if got := g.run(released.Bytes(), "--decrypt"); !bytes.Equal(got, content) {
				t.Error("other content")
			}
			if _, _, err := unseal(released.Bytes(), hold); err == nil {
				t.Error("the hold key still opens it")
			}
		}
	}
}
