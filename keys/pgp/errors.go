package pgp

import (
	"errors"
	"fmt"
	"io"
)

var (
	// ErrNotPGP says that the data is not OpenPGP at all. It may be a key of another
	// kind, such as SSH.
	ErrNotPGP = errors.New("this is not an openpgp key")

	// ErrNotSealed says that the data is not an OpenPGP encrypted message.
	ErrNotSealed = errors.New("this is not a sealed file")

	// ErrNotRecipient says that a sealed file is not addressed to the key that was
	// to open it.
	ErrNotRecipient = errors.New("the file is not sealed to this key")

	// ErrNoRecipients says that there is nobody to seal to.
	ErrNoRecipients = errors.New("there is no key to seal to")

	// ErrClosed is returned by a [Writer] that was closed.
	ErrClosed = errors.New("the sealed file is already closed")
)

// ParseError says what is wrong with a file that was meant to hold public keys.
type ParseError struct {
	Problem string // in the operator's terms
	next    string
	cause   error
}

func (e *ParseError) Error() string { return e.Problem }

// Hint says what to do next.
func (e *ParseError) Hint() string { return e.next }

func (e *ParseError) Unwrap() error { return e.cause }

const hintExport = "ask the client to send the file that `gpg --armor --export ADDRESS > key.asc` makes, as an attachment"

var (
	errArmorCut       = &ParseError{Problem: "the key is cut off: its END line is missing", next: hintExport, cause: io.ErrUnexpectedEOF}
	errArmorDamaged   = &ParseError{Problem: "the key's text is damaged: what stands between BEGIN and END is not base64", next: hintExport}
	errArmorChecksum  = &ParseError{Problem: "the key's text is damaged: its checksum is wrong", next: hintExport}
	errRevocationKept = &ParseError{
		Problem: "this is a revocation certificate as gpg keeps it for a bad day, marked with a colon against being used by accident",
		next:    "if the client means it to be used, remove the colon before the five dashes of its BEGIN line and import it again",
	}
	errEmpty = &ParseError{Problem: "the file is empty", next: hintExport}
)

// PrivateKeyError says that a private key was sent where a public one was meant.
// It carries nothing of the key.
type PrivateKeyError struct {
	What string // the kind of key, such as "a PGP private key"
}

func (e *PrivateKeyError) Error() string {
	return "this is " + e.What + ": it must never leave its owner; nothing of it was kept"
}

// Hint says what to do next.
func (*PrivateKeyError) Hint() string {
	return "the key counts as exposed: delete this file, ask the client to destroy the key, " +
		"to make a new pair (`gpg --full-generate-key`) and to send only the public half (`gpg --armor --export ADDRESS`)"
}

// guard runs a call into the OpenPGP library on bytes that a stranger made, and
// turns a panic into an error.
func guard(call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			// The value may quote the input, which may be a secret.
			err = fmt.Errorf("malformed openpgp data (%T)", v)
		}
	}()
	return call()
}
