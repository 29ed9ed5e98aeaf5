package keys

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/internal/keytext"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/keys/sshkey"
)

// Public is a public key as [Read] found it in what a client sent.
type Public struct {
	Kind        Kind
	Fingerprint string
	Algorithm   string
	Label       string
	// Text is the key itself in the form that is stored.
	Text    string
	Expires time.Time // zero: never

	// Fault is why a certificate can't be sealed for. Only [ReadAll] returns such ones:
	// they can bring a registered certificate up to date, and can't be registered anew.
	Fault error
	// Revocation is a revocation certificate by itself, only from ReadAll. Everything
	// else is then zero but Kind, which is PGP.
	Revocation *pgp.Revocation
}

// PrivateKeyError says that a file holds a private key. Its text holds nothing
// of the key.
type PrivateKeyError struct{ What string }

func (e *PrivateKeyError) Error() string {
	return "this is " + e.What + ", not a public key; nothing of it was kept"
}

// Hint says what to do now.
func (e *PrivateKeyError) Hint() string {
	return "whoever can read this file can pose as its owner: have the client destroy this pair, make a new one, and send only the public half"
}

// NotKeyError says that a file holds no key that can be read.
type NotKeyError struct{}

func (*NotKeyError) Error() string { return "neither an SSH nor a PGP public key" }

// Hint says what a key looks like.
func (*NotKeyError) Hint() string {
	return "an SSH key begins with `ssh-rsa`, `ssh-ed25519` or `---- BEGIN SSH2 PUBLIC KEY ----`; a PGP key with `-----BEGIN PGP PUBLIC KEY BLOCK-----` (`gpg --export --armor NAME`)"
}

// Read finds out what a file holds, and reads it: one or several SSH public
// keys, or one or several PGP certificates, in any form that clients send. A
// private key of either kind is refused before anything else is tried.
//
// A certificate that can't be sealed for at the time now (expired, revoked,
// sign-only, weak) is refused with the reason.
func Read(data []byte, now time.Time) ([]Public, error) {
	list, err := ReadAll(data, now)
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		switch {
		case p.Fault != nil:
			return nil, p.Fault
		case p.Revocation != nil:
			return nil, &NotKeyError{}
		}
	}
	return list, nil
}

// ReadAll is [Read] for what is to be imported: it also takes certificates that can't
// be sealed for, with the reason, and revocation certificates.
func ReadAll(data []byte, now time.Time) ([]Public, error) {
	if what, found := keytext.Private(data); found {
		return nil, &PrivateKeyError{What: what}
	}
	if bytes.Contains(keytext.Normalize(data), []byte("-----BEGIN PGP ")) {
		return readPGP(data, now)
	}
	ssh, err := readSSH(data)
	if !errors.Is(err, sshkey.ErrNotSSHKey) {
		return ssh, err
	}
	certs, err := readPGP(data, now)
	if errors.Is(err, pgp.ErrNotPGP) {
		return nil, &NotKeyError{}
	}
	return certs, err
}

func readSSH(data []byte) ([]Public, error) {
	parsed, err := sshkey.Parse(data)
	if err != nil {
		return nil, err
	}
	var list []Public
	for _, k := range parsed {
		list = append(list, Public{
			Kind: SSH, Fingerprint: k.Fingerprint(), Label: k.Comment(), Text: k.Line(),
			Algorithm: fmt.Sprintf("%s %d", k.Algorithm(), k.Bits()),
		})
	}
	return list, nil
}

func readPGP(data []byte, now time.Time) ([]Public, error) {
	certs, revocations, err := pgp.ParseAll(data)
	if err != nil {
		return nil, err
	}
	var list []Public
	for _, c := range certs {
		p := publicOf(c)
		if err := c.Usable(now); err != nil {
			p.Fault = fmt.Errorf("PGP %w", err)
		} else if err := c.DesignatedRevocation(); err != nil {
			p.Fault = err
		}
		list = append(list, p)
	}
	for _, r := range revocations {
		list = append(list, Public{Kind: PGP, Revocation: &r})
	}
	return list, nil
}

func publicOf(c pgp.Certificate) Public {
	p := Public{
		Kind: PGP, Fingerprint: c.Fingerprint(), Algorithm: c.Algorithm(), Text: c.Armored(), Expires: c.Expires(),
	}
	if ids := c.UserIDs(); len(ids) > 0 {
		p.Label = ids[0]
	}
	return p
}
