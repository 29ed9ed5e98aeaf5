package sshkey_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/keys/sshkey"
)

func TestGenerateHostKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := sshkey.GenerateHostKeys(dir); err != nil {
		t.Fatal(err)
	}
	names := []string{sshkey.HostKeyEd25519, sshkey.HostKeyEd25519 + ".pub", sshkey.HostKeyRSA, sshkey.HostKeyRSA + ".pub"}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(names) {
		t.Errorf("the folder holds %v, want %v", entries, names)
	}
	before := map[string][]byte{}
	for _, name := range names {
		file := filepath.Join(dir, name)
		before[name] = read(t, file)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		want := fs.FileMode(0o600)
		if strings.HasSuffix(name, ".pub") {
			want = 0o644
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}

	t.Run("are OpenSSH's", func(t *testing.T) {
		for name, bits := range map[string]string{sshkey.HostKeyEd25519: "256", sshkey.HostKeyRSA: "3072"} {
			file := filepath.Join(dir, name)
			if !bytes.HasPrefix(before[name], []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n")) {
				t.Errorf("%s is not in OpenSSH's format", name)
			}
			if got, _ := shown(t, file); got != bits {
				t.Errorf("%s: ssh-keygen shows %s bits, want %s", name, got, bits)
			}
			if public := run(t, "ssh-keygen", "-y", "-f", file); strings.TrimSpace(public) != strings.TrimSpace(string(before[name+".pub"])) {
				t.Errorf("%s: ssh-keygen gives the public half %s, the file is %s", name, public, before[name+".pub"])
			}
		}
	})

	t.Run("load, Ed25519 first", func(t *testing.T) {
		signers, err := sshkey.LoadHostKeys(filepath.Join(dir, sshkey.HostKeyRSA), filepath.Join(dir, sshkey.HostKeyEd25519))
		if err != nil {
			t.Fatal(err)
		}
		var types []string
		for _, signer := range signers {
			types = append(types, signer.PublicKey().Type())
		}
		if !slices.Equal(types, []string{"ssh-ed25519", "ssh-rsa"}) {
			t.Fatalf("signers are %v", types)
		}
		multi, ok := signers[1].(ssh.MultiAlgorithmSigner)
		if !ok || !slices.Equal(multi.Algorithms(), []string{"rsa-sha2-512", "rsa-sha2-256"}) {
			t.Fatalf("the RSA key offers %v", multi.Algorithms())
		}
		if _, err := multi.SignWithAlgorithm(rand.Reader, []byte("x"), ssh.KeyAlgoRSA); err == nil {
			t.Error("the RSA key signs with SHA-1")
		}
		signature, err := multi.SignWithAlgorithm(rand.Reader, []byte("x"), ssh.KeyAlgoRSASHA512)
		if err != nil {
			t.Fatal(err)
		}
		if err := multi.PublicKey().Verify([]byte("x"), signature); err != nil {
			t.Error(err)
		}
	})

	t.Run("are never overwritten", func(t *testing.T) {
		lost := filepath.Join(dir, sshkey.HostKeyEd25519+".pub")
		if err := os.Remove(lost); err != nil {
			t.Fatal(err)
		}
		if err := sshkey.GenerateHostKeys(dir); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if got := read(t, filepath.Join(dir, name)); !bytes.Equal(got, before[name]) {
				t.Errorf("%s changed", name)
			}
		}
	})

	t.Run("a lost private half is not replaced", func(t *testing.T) {
		lost := filepath.Join(dir, sshkey.HostKeyRSA)
		if err := os.Remove(lost); err != nil {
			t.Fatal(err)
		}
		err := sshkey.GenerateHostKeys(dir)
		fault := new(sshkey.HostKeyError)
		if !errors.As(err, &fault) || fault.File != lost || !strings.Contains(fault.Hint(), "backup") {
			t.Errorf("GenerateHostKeys = %v", err)
		}
		if _, err := os.Lstat(lost); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a new key was made")
		}
	})
}

func TestGenerateHostKeysNeedsItsFolder(t *testing.T) {
	t.Parallel()
	if err := sshkey.GenerateHostKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("GenerateHostKeys = %v", err)
	}
}

// TestGenerateHostKeysKeepsWhatItCannotRead: a damaged host key is for its owner to
// restore, not for us to replace.
func TestGenerateHostKeysKeepsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, sshkey.HostKeyEd25519)
	if err := os.WriteFile(file, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sshkey.GenerateHostKeys(dir); !errors.As(err, new(*sshkey.HostKeyError)) {
		t.Errorf("GenerateHostKeys = %v", err)
	}
	if got := read(t, file); string(got) != "damaged" {
		t.Errorf("the file now holds %q", got)
	}
}

func TestLoadHostKeysReportsEveryFault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tests := []struct {
		name, problem, hint string
		make                func(file string)
	}{
		{"missing", "there is no such file", "ssh-keygen -t ed25519 ", func(string) {}},
		{"next/ssh_host_rsa_key", "there is no such file", "correct the path", func(string) {}},
		{"hostkeys/ssh_host_rsa_key", "there is no such file", "sealdrop init", func(string) {}},
		{"world", "(mode 0644): other users", "chmod 600 ", func(file string) {
			copyKey(t, sshKeygen(t, "-t", "ecdsa"), file, 0o644)
		}},
		{"group", "(mode 0640): other users", "chmod 600 ", func(file string) {
			copyKey(t, sshKeygen(t, "-t", "ecdsa"), file, 0o640)
		}},
		{"it's", "(mode 0604): other users", `it'\''s'`, func(file string) {
			copyKey(t, sshKeygen(t, "-t", "ecdsa"), file, 0o604)
		}},
		{"encrypted", "it is encrypted", "ssh-keygen -p -N '' -f ", func(file string) {
			run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "a phrase", "-f", file)
		}},
		{"public", "it holds a public key", ".pub", func(file string) {
			copyKey(t, sshKeygen(t, "-t", "ecdsa")+".pub", file, 0o600)
		}},
		{"ppk", "it is in PuTTY's format", "puttygen ", func(file string) {
			run(t, "puttygen", "-q", "-t", "ed25519", "--new-passphrase", os.DevNull, "-o", file)
		}},
		{"weak", "an RSA key of 1024 bits is too weak", "sealdrop init", func(file string) {
			copyKey(t, sshKeygen(t, "-t", "rsa", "-b", "1024"), file, 0o600)
		}},
		{"damaged", "can't be read as a private key", "backup", func(file string) {
			write(t, file, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n"), 0o600)
		}},
		{"empty", "can't be read as a private key", "backup", func(file string) { write(t, file, nil, 0o600) }},
		{"large", "is larger than any key", "", func(file string) { write(t, file, make([]byte, 2<<20), 0o600) }},
		{"folder", "no regular file", "", func(file string) {
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"pipe", "no regular file", "", func(file string) {
			if err := syscall.Mkfifo(file, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"empty/below-a-file", "it can't be read: not a directory", "", func(string) {}},
	}
	var files []string
	for _, test := range tests {
		file := filepath.Join(dir, test.name)
		test.make(file)
		files = append(files, file)
	}
	signers, err := sshkey.LoadHostKeys(files...)
	if err == nil || signers != nil {
		t.Fatalf("LoadHostKeys = %v, %v", signers, err)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != len(tests) {
		t.Fatalf("LoadHostKeys gives not all %d faults: %v", len(tests), err)
	}
	for i, test := range tests {
		fault := new(sshkey.HostKeyError)
		err := joined.Unwrap()[i]
		if !errors.As(err, &fault) || fault.File != files[i] || !strings.Contains(err.Error(), files[i]) ||
			!strings.Contains(err.Error(), test.problem) || !strings.Contains(fault.Hint(), test.hint) || fault.Hint() == "" {
			t.Errorf("%s: %v\nhint: %s", test.name, err, fault.Hint())
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the missing file is not fs.ErrNotExist")
	}
	if strings.Contains(err.Error(), "c2VjcmV0") {
		t.Error("the error holds a part of the key")
	}
}

func TestLoadHostKeysTakesOneOfEachType(t *testing.T) {
	t.Parallel()
	ecdsa, ed := sshKeygen(t, "-t", "ecdsa"), sshKeygen(t, "-t", "ed25519")
	signers, err := sshkey.LoadHostKeys(ecdsa, ed)
	if err != nil || signers[0].PublicKey().Type() != "ssh-ed25519" {
		t.Errorf("LoadHostKeys = %v, %v", signers, err)
	}
	if _, err := sshkey.LoadHostKeys(ed, ecdsa, ed); err == nil || !strings.Contains(err.Error(), "only one of each") {
		t.Errorf("LoadHostKeys of a type twice = %v", err)
	}
	if _, err := sshkey.LoadHostKeys(); err == nil {
		t.Error("LoadHostKeys of nothing gives no error")
	}
}

func copyKey(t *testing.T, from, to string, mode fs.FileMode) {
	t.Helper()
	write(t, to, read(t, from), mode)
}

// write sets the mode whatever the umask is.
func write(t *testing.T, file string, data []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}
