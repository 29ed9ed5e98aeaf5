package sftpd

import (
	"context"
	"net/netip"

	"github.com/sealdrop/sealdrop/server/folder"
)

// Offer is a key that a client offered. Nothing shows yet that it has the
// private half.
type Offer struct {
	Address netip.Addr
	// User is the user name the client gave, made printable; at most 256 bytes.
	User string
	// Fingerprint is the key's, in the form "SHA256:…" that ssh-keygen -l shows.
	Fingerprint string
	// Algorithm is the type of the key, such as "ssh-rsa" or "ssh-ed25519".
	Algorithm string
	// Bits is the length of an RSA modulus or the size of the curve, 0 where it
	// is unknown.
	Bits int
	// ClientVersion is how the client's software introduced itself, printable.
	ClientVersion string
}

// Attempt is one connection's whole login as far as it came.
type Attempt struct {
	Address             netip.Addr
	User, ClientVersion string

	// Fingerprint, Algorithm and Bits tell of the proved key, the one whose
	// signature was verified; they are empty if there is none. Algorithm is that
	// of the signature, such as "rsa-sha2-512".
	Fingerprint, Algorithm string
	Bits                   int

	// Offered are the keys the client offered in their order, the first
	// Config.MaxTries of them.
	Offered []Offer

	// Cause is why the connection ended without a login, "" for a login.
	Cause Cause
	// Detail says more, printable and at most 512 bytes: with
	// NoCommonAlgorithm what the client offered.
	Detail string
}

// Cause is why a connection ended before anybody logged in.
type Cause string

// The causes, a closed list.
const (
	NoCommonAlgorithm Cause = "no-common-algorithm"
	AlgorithmRefused  Cause = "algorithm-refused"   // the key's type, or how it signs
	KeyTooWeak        Cause = "key-too-weak"        // by Config.CheckKey
	SignatureInvalid  Cause = "signature-invalid"   // the client does not have the private half
	ClosedBeforeLogin Cause = "closed-before-login" // by the client
	NotSSH            Cause = "not-ssh"             // what it sent is none; Detail says what it is, if that can be told
	TooManyTries      Cause = "too-many-tries"
	TimedOut          Cause = "timeout"
)

// Gate decides who logs in. Its methods are called by many goroutines at once,
// for one connection by one at a time.
type Gate interface {
	// Offered says whether a key is worth proving: nil if it is registered and
	// active for the user. It is called for keys that nobody has proved, so it
	// must cost the same whether or not the user exists, and change nothing.
	Offered(ctx context.Context, o Offer) error

	// Login decides after the key's signature was verified, and records its
	// decision. An error refuses; as a [*Refusal] it may carry a text for the
	// client. end is for the gate to call when the session must die (its key
	// revoked, its address removed): it returns at once and may be called at any
	// time, also before Login returns, and more than once.
	Login(ctx context.Context, a Attempt, end func(reason string)) (Session, error)

	// Refused records a connection that ended without Login having been called.
	Refused(ctx context.Context, a Attempt)
}

// Session is a client that has logged in.
type Session interface {
	// Folder is the client's own folder.
	Folder() Folder
	// Client is the client's id.
	Client() string
	// Close is called once, after everything the session had open is closed.
	Close()
}

// Refusal is an error of [Gate.Login] with a text for the client, who has proved
// its key by then.
type Refusal struct {
	Reason string // for the log
	Banner string // for the client; empty for none
}

func (r *Refusal) Error() string { return r.Reason }

// Folder is a client's own folder; [*folder.FS] is one.
type Folder = folder.Folder
