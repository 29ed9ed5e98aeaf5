package sshkey

import (
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/durable"
	"github.com/sealdrop/sealdrop/internal/keytext"
)

// The names of the files that [GenerateHostKeys] writes; the public halves have
// ".pub" added.
const (
	HostKeyEd25519 = "ssh_host_ed25519_key"
	HostKeyRSA     = "ssh_host_rsa_key"
)

const (
	hostKeyRSABits = 3072 // the size that NIST and ssh-audit ask for beyond 2030
	hostKeyComment = "sealdrop"
)

// HostKeyError says why a host key's file can't be used or made.
type HostKeyError struct {
	File    string
	Mode    fs.FileMode // of the file, 0 if unknown
	Problem string
	hint    string
	err     error
}

func (e *HostKeyError) Error() string {
	if e.Mode != 0 {
		return fmt.Sprintf("host key %s (mode %04o): %s", e.File, e.Mode.Perm(), e.Problem)
	}
	return fmt.Sprintf("host key %s: %s", e.File, e.Problem)
}

// Hint says what to do next.
func (e *HostKeyError) Hint() string { return e.hint }

// Unwrap returns the operating system's error, if there was one.
func (e *HostKeyError) Unwrap() error { return e.err }

// GenerateHostKeys makes the gateway's host keys in a folder that exists: Ed25519
// and RSA with 3072 bits, in OpenSSH's private format, mode 0600, and the public
// halves beside them, mode 0644.
//
// It never overwrites. A host key that is there already is kept, because clients
// refuse to connect to a gateway whose key changed; its public half is written if
// it is missing. So it can be called again after a crash, which leaves at worst a
// stray file whose name begins with a dot. When it returns nil, everything is on the disk.
func GenerateHostKeys(dir string) error {
	generators := []struct {
		name string
		make func() (crypto.Signer, error)
	}{
		{HostKeyEd25519, func() (crypto.Signer, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return key, err
		}},
		{HostKeyRSA, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, hostKeyRSABits) }},
	}
	for _, g := range generators {
		if err := generateHostKey(filepath.Join(dir, g.name), g.make); err != nil {
			return fmt.Errorf("making host keys: %w", err)
		}
	}
	return nil
}

func generateHostKey(file string, generate func() (crypto.Signer, error)) error {
	if _, err := os.Lstat(file); err == nil {
		signer, err := loadHostKey(file)
		if err != nil {
			return err
		}
		return writePublic(file+".pub", signer.PublicKey())
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Lstat(file + ".pub"); err == nil {
		return &HostKeyError{
			File: file, Problem: "its public half is there, but the key itself is missing",
			hint: fmt.Sprintf("put the key back from a backup, or remove %s.pub to have a new one made: clients will have to accept it", file),
		}
	}
	key, err := generate()
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(key, hostKeyComment)
	if err != nil {
		return err
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := durable.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return err
	}
	return writePublic(file+".pub", pub)
}

// writePublic writes the public half of a host key, unless there is one.
func writePublic(file string, pub ssh.PublicKey) error {
	err := durable.WriteFile(file, []byte(line(pub, hostKeyComment)+"\n"), 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// LoadHostKeys loads private keys for the server to prove itself with, sorted for
// it to prefer Ed25519, then ECDSA, then RSA. RSA keys sign with SHA-2 only.
//
// Every file that can't be used has its [*HostKeyError] in the error, which joins
// them all: missing, unreadable, encrypted, damaged, too weak, a second key of the
// same type, or accessible to group or others.
func LoadHostKeys(files ...string) ([]ssh.Signer, error) {
	if len(files) == 0 {
		return nil, errors.New("loading host keys: no file is configured")
	}
	var signers []ssh.Signer
	var faults []error
	byType := map[string]string{}
	for _, file := range files {
		signer, err := loadHostKey(file)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		kind := signer.PublicKey().Type()
		if other, ok := byType[kind]; ok {
			faults = append(faults, &HostKeyError{
				File: file, Problem: fmt.Sprintf("%s is of the same type, %s, and a server can have only one of each", other, kind),
				hint: "leave one of the two out of the configuration",
			})
		}
		byType[kind] = file
		signers = append(signers, signer)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	slices.SortStableFunc(signers, func(a, b ssh.Signer) int {
		return cmp.Compare(preference(a.PublicKey().Type()), preference(b.PublicKey().Type()))
	})
	return signers, nil
}

// preference orders host keys by what a signature costs: 21 µs with Ed25519, 2.8 ms
// with RSA-3072.
func preference(algorithm string) int {
	switch algorithm {
	case ssh.KeyAlgoED25519:
		return 0
	case ssh.KeyAlgoRSA:
		return 2
	}
	return 1
}

func loadHostKey(file string) (ssh.Signer, error) {
	data, mode, err := readHostKey(file)
	if err != nil {
		return nil, err
	}
	fault := func(problem, hint string) error {
		return &HostKeyError{File: file, Mode: mode, Problem: problem, hint: hint}
	}
	key, err := ssh.ParseRawPrivateKey(data)
	if encrypted := new(ssh.PassphraseMissingError); errors.As(err, &encrypted) {
		return nil, fault("it is encrypted, and the gateway has nobody to ask for the passphrase",
			fmt.Sprintf("ssh-keygen -p -N '' -f %s", quoteFile(file)))
	}
	if err != nil {
		return nil, unreadableKey(file, data, fault)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, fault("a server can't use a key of this type", remakeHint)
	}
	if err := Check(signer.PublicKey()); err != nil {
		return nil, fault(err.Error(), remakeHint)
	}
	if signer.PublicKey().Type() != ssh.KeyAlgoRSA {
		return signer, nil
	}
	algorithmSigner, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fault("it can't sign with SHA-2", remakeHint)
	}
	return ssh.NewSignerWithAlgorithms(algorithmSigner, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
}

const remakeHint = "move it away and run `sealdrop init` to have new host keys made: clients will have to accept them"

// unreadableKey says what a file holds that is no private key that a server can
// read. It repeats nothing of it.
func unreadableKey(file string, data []byte, fault func(problem, hint string) error) error {
	if _, err := Parse(data); err == nil {
		return fault("it holds a public key, but the gateway needs the private one",
			"name the file without .pub")
	}
	if what, found := keytext.Private(data); found && strings.Contains(what, "PuTTY") {
		return fault("it is in PuTTY's format", fmt.Sprintf("puttygen %s -O private-openssh-new -o %s", quoteFile(file), HostKeyRSA))
	}
	return fault("it can't be read as a private key: it is damaged or something else", "put it back from a backup, or "+remakeHint)
}

// readHostKey reads the file, and refuses it unread if others could read it: who
// has a host key can pass for the gateway. The mode is that of the file opened, not
// of one that may have been put in its place since.
func readHostKey(file string) (data []byte, mode fs.FileMode, err error) {
	handle, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not block
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, &HostKeyError{File: file, Problem: "there is no such file", err: err, hint: missingHint(file)}
	case err != nil:
		return nil, 0, unreadableFile(file, err)
	}
	defer handle.Close()
	info, err := handle.Stat()
	if err != nil {
		return nil, 0, unreadableFile(file, err)
	}
	mode = info.Mode()
	if !mode.IsRegular() {
		return nil, 0, &HostKeyError{File: file, Problem: "it is no regular file", hint: "name the key's file itself"}
	}
	if mode.Perm()&0o077 != 0 {
		return nil, 0, &HostKeyError{
			File: file, Mode: mode, Problem: "other users of this machine have access to it",
			hint: "chmod 600 " + quoteFile(file),
		}
	}
	if data, err = keytext.Read(handle); err != nil {
		return nil, 0, unreadableFile(file, err)
	}
	return data, mode, nil
}

// missingHint does not send an operator to `sealdrop init` for a file that it would not make.
func missingHint(file string) string {
	dir, name := filepath.Split(file)
	if filepath.Base(dir) == "hostkeys" && (name == HostKeyEd25519 || name == HostKeyRSA) {
		return "`sealdrop init` makes the host keys"
	}
	return "correct the path in the configuration, or make the key: ssh-keygen -t ed25519 -N '' -f " + quoteFile(file)
}

func unreadableFile(file string, err error) error {
	fault := &HostKeyError{File: file, Problem: err.Error(), err: err, hint: "check the path in the configuration"}
	if pathError := new(fs.PathError); errors.As(err, &pathError) {
		fault.Problem = "it can't be read: " + pathError.Err.Error()
	}
	if info, statErr := os.Stat(file); statErr == nil {
		fault.Mode = info.Mode()
	}
	if errors.Is(err, fs.ErrPermission) {
		fault.hint = fmt.Sprintf("run the gateway as the file's owner, or give the file to its user: chown USER %s", quoteFile(file))
	}
	return fault
}

// quoteFile makes a file's name safe to paste into a shell.
func quoteFile(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./") == "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
