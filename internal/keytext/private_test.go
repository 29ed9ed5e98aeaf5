package keytext_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/keytext"
)

// tool runs a key tool, or skips the test where it isn't installed.
func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func wantPrivate(t *testing.T, data []byte, want string) {
	t.Helper()
	if what, found := keytext.Private(data); !found || what != want {
		t.Errorf("Private = %q, %v; want %q", what, found, want)
	}
}

func TestPrivateKnowsWhatToolsWrite(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want string
		run  func(t *testing.T, file string)
	}{
		"ssh-keygen": {"an OpenSSH private key", func(t *testing.T, file string) {
			tool(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file)
		}},
		"ssh-keygen, encrypted": {"an OpenSSH private key", func(t *testing.T, file string) {
			tool(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "secret phrase", "-f", file)
		}},
		"ssh-keygen -m PEM": {"a PEM private key", func(t *testing.T, file string) {
			tool(t, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", file)
		}},
		"ssh-keygen -m PKCS8, encrypted": {"a PEM private key", func(t *testing.T, file string) {
			tool(t, "ssh-keygen", "-q", "-t", "ecdsa", "-m", "PKCS8", "-N", "secret phrase", "-f", file)
		}},
	}
	for _, form := range []string{"private", "private-openssh", "private-openssh-new", "private-sshcom"} {
		want := map[string]string{
			"private": "a PuTTY private key (.ppk)", "private-openssh": "a PEM private key",
			"private-openssh-new": "an OpenSSH private key", "private-sshcom": "an SSH2 private key",
		}[form]
		for _, version := range []string{"2", "3"} {
			tests["puttygen "+form+" "+version] = struct {
				want string
				run  func(t *testing.T, file string)
			}{want, func(t *testing.T, file string) {
				tool(t, "puttygen", "-q", "-t", "rsa", "-b", "2048", "--new-passphrase", os.DevNull,
					"--ppk-param", "version="+version, "-O", form, "-o", file)
			}}
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "key")
			test.run(t, file)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := string(data)
			wantPrivate(t, data, test.want)
			wantPrivate(t, []byte(toUTF16(text, false)), test.want)
			wantPrivate(t, []byte(eachLine(text, "<p>&gt; ", "</p>")), test.want)
			wantPrivate(t, []byte(text[:len(text)/2]), test.want)
			wantPrivate(t, []byte("here it is\n"+text[len(text)/8:]), test.want)
		})
	}
}

func TestPrivateKnowsGnuPG(t *testing.T) {
	t.Parallel()
	home, err := os.MkdirTemp("/tmp", "kt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run(); err != nil {
			t.Log(err)
		}
		os.RemoveAll(home)
	})
	gpg := func(args ...string) {
		tool(t, "gpg", append([]string{"--homedir", home, "--batch", "--passphrase", ""}, args...)...)
	}
	gpg("--quick-generate-key", "Jane <jane@example.com>", "ed25519")
	gpg("--armor", "--output", home+"/secret.asc", "--export-secret-keys")
	gpg("--armor", "--output", home+"/public.asc", "--export")
	secret, err := os.ReadFile(home + "/secret.asc")
	if err != nil {
		t.Fatal(err)
	}
	wantPrivate(t, secret, "a PGP private key")
	public, err := os.ReadFile(home + "/public.asc")
	if err != nil {
		t.Fatal(err)
	}
	if what, found := keytext.Private(public); found {
		t.Errorf("Private finds %s in a public key", what)
	}
	wantPrivate(t, append(public, secret...), "a PGP private key")
	stored, err := filepath.Glob(home + "/private-keys-v1.d/*.key")
	if err != nil || len(stored) == 0 {
		t.Fatalf("gpg stored no keys: %v", err)
	}
	data, err := os.ReadFile(stored[0])
	if err != nil {
		t.Fatal(err)
	}
	wantPrivate(t, data, "a GnuPG private key file")
}

func TestPrivateKnowsDER(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	must := func(der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for _, der := range [][]byte{
		x509.MarshalPKCS1PrivateKey(rsaKey),
		must(x509.MarshalPKCS8PrivateKey(rsaKey)),
		must(x509.MarshalECPrivateKey(ecKey)),
		must(x509.MarshalPKCS8PrivateKey(edKey)),
	} {
		wantPrivate(t, der, "a private key (DER)")
	}
	block, err := ssh.MarshalPrivateKey(edKey, "")
	if err != nil {
		t.Fatal(err)
	}
	wantPrivate(t, block.Bytes, "an OpenSSH private key")
	wantPrivate(t, []byte(strings.Split(string(pem.EncodeToMemory(block)), "\n")[1]), "an OpenSSH private key")

	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(rsaKey))}), 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, "openssl", "pkcs8", "-topk8", "-in", file, "-outform", "DER", "-passout", "pass:secret", "-out", file+".der")
	encrypted, err := os.ReadFile(file + ".der")
	if err != nil {
		t.Fatal(err)
	}
	wantPrivate(t, encrypted, "an encrypted private key (DER)")

	for _, der := range [][]byte{
		x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey),
		must(x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)),
		must(x509.MarshalPKIXPublicKey(&ecKey.PublicKey)),
	} {
		if what, found := keytext.Private(der); found {
			t.Errorf("Private finds %s in a public key", what)
		}
	}
}

func TestPrivateTakesNoPublicTextForPrivate(t *testing.T) {
	t.Parallel()
	for name, text := range samples() {
		if what, found := keytext.Private([]byte(text)); found {
			t.Errorf("Private finds %s in %s", what, name)
		}
	}
	for _, text := range []string{"", "this is not my private key, of course", "ssh-rsa AAAA keep your PRIVATE KEY safe"} {
		if what, found := keytext.Private([]byte(text)); found {
			t.Errorf("Private finds %s in %q", what, text)
		}
	}
}

func TestPrivateKnowsFormsNoLongerWritten(t *testing.T) {
	t.Parallel()
	wantPrivate(t, []byte("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n"), "an SSH2 private key")
	wantPrivate(t, []byte("SSH PRIVATE KEY FILE FORMAT 1.1\n\x00"), "an SSH1 private key")
	wantPrivate(t, []byte("-----BEGIN PGP SECRET KEY BLOCK-----"), "a PGP private key")
	wantPrivate(t, []byte("PuTTY-User-Key-File-1: ssh-rsa"), "a PuTTY private key (.ppk)")
	wantPrivate(t, []byte("Private-Lines: 14\nAAAA"), "a PuTTY private key (.ppk)")
}
