package main

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// keyring is a folder of keys that clients' own programs made, once for all
// scripts, which find it at $KEYS:
//
//	acme, globex, spare   Ed25519 pairs, with .pub
//	rsa                   RSA-2048, with .pub, .rfc4716, .pkcs1, .pkcs8, .putty, .windows; private as .pem, .p8, .ppk
//	weak.pub              RSA-1024
//	acme.asc, acme.gpg    a PGP key, armored and binary; globex.asc another, both.asc both of them
//	short.asc, longer.asc a PGP key that expires, and the same after its owner extended it
//	expired.asc, revoked.asc, signonly.asc, weak.asc
//	acme-secret.asc, acme-secret.gpg
type keyring struct {
	dir   string
	gnupg string // gpg's home
}

func makeKeyring(t *testing.T) *keyring {
	t.Helper()
	for _, program := range []string{"gpg", "gpgconf", "ssh-keygen", "puttygen", "sftp", "sqlite3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	gnupg, err := os.MkdirTemp("/tmp", "sd-gpg-") // a short path: the agent's socket is in it
	if err != nil {
		t.Fatal(err)
	}
	k := &keyring{dir: t.TempDir(), gnupg: gnupg}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", gnupg, "--kill", "all").Run()
		_ = os.RemoveAll(gnupg)
	})
	ssh := make(chan error, 1)
	go func() { ssh <- k.makeSSH() }()
	if err := k.makePGP(); err != nil {
		t.Fatal(err)
	}
	if err := <-ssh; err != nil {
		t.Fatal(err)
	}
	return k
}

// tool runs a program in the keyring's folder and returns what it printed.
func (k *keyring) tool(program string, args ...string) ([]byte, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = k.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, &stderr)
	}
	return out, err
}

// steps runs one thing after the other until one fails.
type steps struct{ err error }

func (s *steps) do(fn func() error) {
	if s.err == nil {
		s.err = fn()
	}
}

func (k *keyring) run(s *steps, program string, args ...string) (out []byte) {
	s.do(func() (err error) {
		out, err = k.tool(program, args...)
		return err
	})
	return out
}

func (k *keyring) save(s *steps, name string, data []byte) {
	s.do(func() error { return os.WriteFile(filepath.Join(k.dir, name), data, 0o600) })
}

func (k *keyring) makeSSH() error {
	var s steps
	for _, name := range []string{"acme", "globex", "spare"} {
		k.run(&s, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name+"@example.com", "-f", name)
	}
	k.run(&s, "ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", "weak")
	k.run(&s, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "old one", "-f", "rsa")
	for name, form := range map[string]string{"rsa.rfc4716": "RFC4716", "rsa.pkcs1": "PEM", "rsa.pkcs8": "PKCS8"} {
		k.save(&s, name, k.run(&s, "ssh-keygen", "-e", "-m", form, "-f", "rsa.pub"))
	}
	k.run(&s, "puttygen", "rsa", "-o", "rsa.ppk", "-O", "private")
	k.run(&s, "puttygen", "rsa.ppk", "-o", "rsa.putty", "-O", "public")
	for name, form := range map[string]string{"rsa.pem": "PEM", "rsa.p8": "PKCS8"} {
		k.run(&s, "cp", "rsa", name)
		k.run(&s, "ssh-keygen", "-q", "-p", "-N", "", "-m", form, "-f", name)
	}
	s.do(func() error {
		text, err := os.ReadFile(filepath.Join(k.dir, "rsa.rfc4716"))
		if err != nil {
			return err
		}
		windows := "\ufeff\r\n\r\n" + strings.ReplaceAll(string(text), "\n", "\r\n")
		return os.WriteFile(filepath.Join(k.dir, "rsa.windows"), []byte(windows), 0o600)
	})
	return s.err
}

// gpg runs gpg with the keyring's own home.
func (k *keyring) gpg(s *steps, args ...string) []byte {
	return k.run(s, "gpg", append(k.gpgOptions(), args...)...)
}

func (k *keyring) gpgOptions() []string {
	return []string{
		"--homedir", k.gnupg, "--batch", "--yes", "--no-tty", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "",
		"--trust-model", "always", "--no-auto-check-trustdb",
	}
}

// generate makes a PGP key and returns its fingerprint.
func (k *keyring) generate(s *steps, args ...string) string {
	out := k.gpg(s, append([]string{"--status-fd", "1"}, args...)...)
	_, rest, _ := strings.Cut(string(out), "KEY_CREATED ")
	fields := strings.Fields(rest)
	s.do(func() error {
		if len(fields) < 2 {
			return fmt.Errorf("gpg made no key: %s", out)
		}
		return nil
	})
	if s.err != nil {
		return ""
	}
	return fields[1]
}

func (k *keyring) export(s *steps, name string, fingerprints ...string) {
	k.save(s, name, k.gpg(s, append([]string{"--armor", "--export"}, fingerprints...)...))
}

func (k *keyring) makePGP() error {
	var s steps
	whole := func(name, expires string, options ...string) string {
		return k.generate(&s, append(options, "--quick-generate-key", name, "future-default", "default", expires)...)
	}
	acme := whole("Acme Capital <ops@acme.example>", "0")
	globex := whole("Globex <it@globex.example>", "0")
	k.export(&s, "acme.asc", acme)
	k.export(&s, "globex.asc", globex)
	k.export(&s, "both.asc", acme, globex)
	k.save(&s, "acme.gpg", k.gpg(&s, "--export", acme))
	k.save(&s, "acme-secret.asc", k.gpg(&s, "--armor", "--export-secret-keys", acme))
	k.save(&s, "acme-secret.gpg", k.gpg(&s, "--export-secret-keys", acme))

	short := whole("Short <short@example.com>", "1y")
	k.export(&s, "short.asc", short)
	k.gpg(&s, "--quick-set-expire", short, "3y")
	k.gpg(&s, "--quick-set-expire", short, "3y", "*")
	k.export(&s, "longer.asc", short)

	k.export(&s, "expired.asc", whole("Expired <expired@example.com>", "1d", "--faked-system-time", "20200101T000000"))
	revoked := whole("Revoked <revoked@example.com>", "0")
	k.revoke(&s, revoked)
	k.export(&s, "revoked.asc", revoked)
	k.export(&s, "signonly.asc", k.generate(&s, "--quick-generate-key", "Sign Only", "ed25519", "sign", "0"))
	weak := k.generate(&s, "--quick-generate-key", "Weak", "rsa1024", "sign", "0")
	k.gpg(&s, "--quick-add-key", weak, "rsa1024", "encrypt", "0")
	k.export(&s, "weak.asc", weak)
	return s.err
}

// revoke imports the revocation that gpg prepares with each key. A colon keeps it
// from being imported by mistake.
func (k *keyring) revoke(s *steps, fingerprint string) {
	prepared := filepath.Join(k.gnupg, "openpgp-revocs.d", fingerprint+".rev")
	s.do(func() error {
		text, err := os.ReadFile(prepared)
		if err != nil {
			return err
		}
		return os.WriteFile(prepared, bytes.Replace(text, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1), 0o600)
	})
	k.gpg(s, "--import", prepared)
}

func (k *keyring) decrypt(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: decrypt FILE OUT")
	}
	err := ts.Exec("gpg", append(k.gpgOptions(), "--output", ts.MkAbs(args[1]), "--decrypt", ts.MkAbs(args[0]))...)
	if neg != (err != nil) {
		ts.Fatalf("gpg: %v", err)
	}
}

// keyPieces are what betrays that something of a key file was kept: a line from
// its middle, and the bytes that the line stands for.
func keyPieces(data []byte) [][]byte {
	const length = 24
	if bytes.HasPrefix(data, []byte("PuTTY-User-Key-File")) {
		_, data, _ = bytes.Cut(data, []byte("Private-Lines"))
	} else if !bytes.Contains(data, []byte("-----BEGIN")) {
		middle := data[len(data)/2:][:length]
		return [][]byte{middle, []byte(base64.StdEncoding.EncodeToString(middle)[:length])}
	} else if block, _ := pem.Decode(data); block != nil {
		_, data, _ = bytes.Cut(data, []byte("-----\n"))
	}
	lines := bytes.Split(data, []byte("\n"))
	line := lines[len(lines)/2]
	pieces := [][]byte{line[:length]}
	if raw, err := base64.StdEncoding.DecodeString(string(line)); err == nil {
		pieces = append(pieces, raw[:length])
	}
	return pieces
}

// growing appends to a file until the script ends.
func growing(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		defer f.Close()
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_, _ = f.WriteString("one more line\n") // the command under test tells what came of it
			}
		}
	}()
	ts.Defer(func() {
		close(stop)
		<-stopped
	})
}

// lockDatabase has the sqlite3 program hold a database.
func lockDatabase(ts *testscript.TestScript, _ bool, args []string) {
	p := start(ts, "sqlite3", "sqlite3", ts.MkAbs(args[0]))
	p.say(ts, "BEGIN EXCLUSIVE;")
	p.say(ts, "SELECT 'locked';")
	p.await(ts, "locked")
}
