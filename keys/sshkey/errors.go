package sshkey

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotSSHKey says that a text holds no SSH key of any form. It may well be a key
// of another kind.
var ErrNotSSHKey = errors.New("not an SSH public key")

// The commands that make a good pair, as a client would type them.
const (
	makePair = "make a new pair with `ssh-keygen -t ed25519 -f sealdrop`, or with PuTTY's generator, RSA with 3072 bits " +
		"(`puttygen -t rsa -b 3072 -o sealdrop.ppk`)"
	sendPublic = ", and send only the public half: the file sealdrop.pub, or what `puttygen -L sealdrop.ppk` prints"
)

// PrivateKeyError says that somebody gave a private key away. It holds nothing of
// the key.
type PrivateKeyError struct {
	What string // such as "an OpenSSH private key"
}

func (e *PrivateKeyError) Error() string {
	return "this is " + e.What + ", not a public key: whoever has seen it can log in as its owner, " +
		"so destroy it and make a new pair"
}

// Hint says what to do next.
func (e *PrivateKeyError) Hint() string {
	return "delete the file and the message it came in; have its owner " + makePair + sendPublic
}

// WeakKeyError says that a key is of a known kind, but not strong enough, or so
// large that checking its signatures would cost too much.
type WeakKeyError struct {
	Line      int // where the key begins in its file; 0 if it came from no file
	Algorithm string
	Bits      int // 0 if unknown
	Reason    string
}

func (e *WeakKeyError) Error() string { return atLine(e.Line, e.Reason) }

// Hint says what to do next.
func (e *WeakKeyError) Hint() string { return makePair + sendPublic }

// UnsupportedKeyError says that a key or certificate is of a kind that the gateway
// doesn't take.
type UnsupportedKeyError struct {
	Line      int    // where the key begins in its file; 0 if it came from no file
	Algorithm string // as it calls itself
}

func (e *UnsupportedKeyError) Error() string {
	if e.certificate() {
		return atLine(e.Line, fmt.Sprintf("%s is a certificate: only plain public keys are taken", e.Algorithm))
	}
	return atLine(e.Line, fmt.Sprintf("keys of type %s are not supported: only Ed25519, RSA and ECDSA (P-256, P-384, P-521)", e.Algorithm))
}

// Hint says what to do next.
func (e *UnsupportedKeyError) Hint() string {
	if e.certificate() {
		return "send the public key that was certified: the .pub file without -cert in its name"
	}
	return makePair + sendPublic
}

func (e *UnsupportedKeyError) certificate() bool {
	return strings.HasSuffix(e.Algorithm, certSuffix) || e.Algorithm == x509Certificate || e.Algorithm == certAuthority
}

// SyntaxError says that a text holds an SSH key, but one that can't be read: it is
// damaged, cut off, or mixed with something else.
type SyntaxError struct {
	Line    int // counted from 1 in the text as it came
	Problem string
}

func (e *SyntaxError) Error() string { return atLine(e.Line, e.Problem) }

// Hint says what to do next.
func (e *SyntaxError) Hint() string {
	return "ask for the public key file itself as an attachment, not for its text in a mail; " +
		"`ssh-keygen -l -f FILE` shows whether it is whole"
}

func atLine(line int, text string) string {
	if line == 0 {
		return text
	}
	return fmt.Sprintf("line %d: %s", line, text)
}
