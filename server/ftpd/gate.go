package ftpd

import (
	"context"
	"net/netip"

	"github.com/sealdrop/sealdrop/server/folder"
)

// Attempt is one try to log in.
type Attempt struct {
	Address netip.Addr
	// User is what the client gave as its user name, a stranger's text.
	User string
	// Software is how the client introduced itself, printable; "" if it did not.
	Software string
	// TLS says that the control connection is encrypted.
	TLS bool
	// Cause is why the connection ended without a login, "" for a login.
	Cause Cause
	// Detail says more, printable.
	Detail string
}

// Cause is why a connection ended before anybody logged in.
type Cause string

// The causes, a closed list.
const (
	ClosedBeforeLogin Cause = "closed-before-login"
	TimedOut          Cause = "timeout"
	TLSFailed         Cause = "tls-failed"
	NotTLS            Cause = "not-tls" // FTP in the clear, or nothing, where TLS comes first
)

// DataFault is why a data connection was refused.
type DataFault string

// The faults, a closed list.
const (
	NotResumed    DataFault = "not-resumed" // the TLS session of the control connection
	DataTLSFailed DataFault = "tls-failed"
	InTheClear    DataFault = "in-the-clear" // which the client may not use
)

// Gate decides who logs in. Its methods are called by many goroutines at once,
// for one connection by one at a time.
type Gate interface {
	// Ask says whether the client may be asked for its password: nil if so. It is
	// called before a password is sent, so that one is never read from a
	// connection that it must not go over. Where TLS is to be had and not in use,
	// the client is told to use it, whatever the error says.
	Ask(ctx context.Context, a Attempt) error

	// Login decides about a user and password, and records its decision. An error
	// refuses; as a [*Refusal] it may carry a text for the client. end is for the
	// gate to call when the session must die; it returns at once and may be called
	// at any time, also before Login returns, and more than once.
	Login(ctx context.Context, a Attempt, password string, end func(reason string)) (Session, error)

	// Refused records a connection that ended without Login having been called.
	Refused(ctx context.Context, a Attempt)

	// Admits says whether an address may connect at all. It is asked about each
	// data connection.
	Admits(addr netip.Addr) bool
}

// Session is a client that has logged in.
type Session interface {
	// Folder is the client's own folder.
	Folder() Folder
	// Client is the client's id.
	Client() string
	// Plain says whether its data may go in the clear.
	Plain() bool
	// Unreachable tells that the client was told to connect to an address for
	// data and did not; Reached tells that it did.
	Unreachable(announced netip.AddrPort)
	Reached()
	// DataRefused tells that a data connection was refused for how it is protected.
	DataRefused(why DataFault)
	// Close is called once, after everything the session had open is closed.
	Close()
}

// Refusal is an error of [Gate] with a text for the client.
type Refusal struct {
	Reason string // for the log
	// Text is for the client; empty for none. Only who has proved its password
	// is told more than that it was refused.
	Text string
}

func (r *Refusal) Error() string { return r.Reason }

// Folder is a client's own folder; [*folder.FS] is one.
type Folder = folder.Folder
