package access

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Reason is why a login was allowed or refused: one of a closed list that the
// log, the audit, `sealdrop why` and the documentation share.
type Reason string

// The reasons.
const (
	Allowed           Reason = "allowed"
	UnknownClient     Reason = "unknown-client"
	ClientDisabled    Reason = "client-disabled"
	AddressNotAllowed Reason = "address-not-allowed"
	KeyUnknown        Reason = "key-unknown"
	KeyRetired        Reason = "key-retired"
	KeyRevoked        Reason = "key-revoked"
	KeyExpired        Reason = "key-expired"
	KeyPending        Reason = "key-pending"
	KeyTooWeak        Reason = "key-too-weak"
	AlgorithmRefused  Reason = "algorithm-refused"
	SignatureInvalid  Reason = "signature-invalid"
	TooManyAttempts   Reason = "too-many-attempts"
	TooManySessions   Reason = "too-many-sessions"
	NoCommonAlgorithm Reason = "no-common-algorithm"
	ClosedBeforeLogin Reason = "closed-before-login"
	TimedOut          Reason = "login-timed-out"
	GatewayFault      Reason = "gateway-fault"
	WrongProtocol     Reason = "wrong-protocol"
	// TooManyConnections closes a connection at accept.
	TooManyConnections Reason = "too-many-connections"

	// Over FTP only.
	PasswordMissing    Reason = "password-missing"
	PasswordWrong      Reason = "password-wrong"
	PasswordExpired    Reason = "password-expired"
	ProtocolNotEnabled Reason = "protocol-not-enabled"
	TLSRequired        Reason = "tls-required"
	PlainNotAllowed    Reason = "plain-not-allowed"
	TLSFailed          Reason = "tls-failed"
	// These refuse no login, but what comes after it.
	PassivePortUnreachable Reason = "passive-port-unreachable"
	DataNotResumed         Reason = "data-not-resumed"
	DataTLSFailed          Reason = "data-tls-failed"
	DataInTheClear         Reason = "data-in-the-clear"
)

// Reasons lists all reasons in the order of the documentation.
func Reasons() []Reason {
	return []Reason{
		Allowed, UnknownClient, ClientDisabled, AddressNotAllowed, KeyUnknown, KeyRetired, KeyRevoked, KeyExpired, KeyPending,
		KeyTooWeak, AlgorithmRefused, SignatureInvalid, TooManyAttempts, TooManySessions, NoCommonAlgorithm,
		ClosedBeforeLogin, TimedOut, GatewayFault, WrongProtocol, TooManyConnections,
		PasswordMissing, PasswordWrong, PasswordExpired, ProtocolNotEnabled, TLSRequired, PlainNotAllowed, TLSFailed,
		PassivePortUnreachable, DataNotResumed, DataTLSFailed, DataInTheClear,
	}
}

// facts is what the texts of a decision are filled in with.
type facts struct {
	user, address string
	keys          string // the fingerprints that were offered or proved
	owner         string // the client that the key does belong to
	when          time.Time
	detail        string
	by, keyID     string // who imported a key that waits for approval, and its id
	policy        bool   // this gateway's limit on age has ended the key
	age           string // that limit
	stranger      bool   // the address is on nobody's list
	producer      bool   // the client hands in reports
	elsewhere     bool   // another host of the gateway serves the likes of it
	proved        bool   // the client has shown who it is, and may not come in all the same

	ftp       bool
	tls       bool           // over FTP: encrypted
	unknown   bool           // there is no such client
	password  bool           // what is locked out is the client's password
	announced netip.AddrPort // the data port that the client was told of
}

// name is how the user is spoken of.
func (f facts) name() string {
	if f.producer {
		return "producer " + f.user
	}
	return "client " + f.user
}

// Explanation says what a reason means: what happens, for the operator, and
// what to do, for the client or on its behalf.
func explanation(r Reason, f facts) (what, remedy string) {
	if f.ftp {
		if what, remedy := explanationFTP(r, f); what != "" {
			return what, remedy
		}
	}
	key := "the key"
	if f.keys != "" {
		key = "the key " + f.keys
	}
	switch r {
	case Allowed:
		return fmt.Sprintf("%s gets in from %s with %s", f.name(), f.address, key),
			"nothing needs to be done; if it still can't connect, have it check that its own firewall lets it out to this gateway's port"
	case UnknownClient:
		if f.owner != "" {
			return fmt.Sprintf("there is no client %q; the key %s is %s's", f.user, f.keys, f.owner),
				fmt.Sprintf("have the client log in with the user name %s", f.owner)
		}
		return fmt.Sprintf("there is no client %q", f.user),
			"have the client check its user name against `sealdrop client list`, or add it with `sealdrop client add`"
	case ClientDisabled:
		return fmt.Sprintf("%s is disabled", f.name()), fmt.Sprintf("if it should get in, `sealdrop client enable %s`", f.user)
	case AddressNotAllowed:
		return addressNotAllowed(f)
	case KeyUnknown:
		return keyUnknown(f)
	case KeyRetired:
		return fmt.Sprintf("%s of %s was retired on %s", key, f.name(), day(f.when)),
			"have the client use its current key, or import this one again with `sealdrop key import`"
	case KeyRevoked:
		return fmt.Sprintf("%s of %s was revoked on %s", key, f.name(), day(f.when)),
			"a revoked key stays revoked: have the client make a new pair and send the public half"
	case KeyPending:
		return fmt.Sprintf("%s of %s was imported on %s by %s, and nobody else has approved it yet", key, f.name(), day(f.when), f.by),
			fmt.Sprintf("have another operator compare the fingerprint with the client's word, and then `sealdrop key approve %s`", f.keyID)
	case KeyExpired:
		if f.policy {
			return fmt.Sprintf("%s of %s expired on %s by this gateway's policy (keys.ssh_max_age): it was imported %s before", key, f.name(), day(f.when), f.age),
				fmt.Sprintf("have the client make a new pair and send the public half: `sealdrop key import --client %s --replaces %s FILE`", f.user, f.keys)
		}
		return fmt.Sprintf("%s of %s expired on %s", key, f.name(), day(f.when)),
			"have the client make a new pair and send the public half"
	case KeyTooWeak:
		return fmt.Sprintf("%s is too weak: %s", key, f.detail),
			"have the client make an Ed25519 key, or an RSA key of 3072 bits, and send the public half"
	case AlgorithmRefused:
		return fmt.Sprintf("the client at %s signs in a way that is not safe: %s", f.address, f.detail),
			"have it make an Ed25519 key, or update its program: FileZilla 3.54, PuTTY 0.75, WinSCP 5.19, OpenSSH 7.2, curl with libssh2 1.11, or later"
	case SignatureInvalid:
		return fmt.Sprintf("the client at %s offered a key and could not prove that it has the private half", f.address),
			"have the client check that the key pair it has loaded belongs together"
	case TooManyAttempts:
		return fmt.Sprintf("%s is locked out after too many failed logins, until %s", f.address, minute(f.when)),
			fmt.Sprintf("find out what it tried with `sealdrop attempts --address %s`; `sealdrop ban lift %s` lets it try again at once", f.address, f.address)
	case TooManySessions:
		return fmt.Sprintf("%s has as many sessions open as it may", f.name()),
			"have it close some, or raise sftp.limits.sessions_per_client"
	case NoCommonAlgorithm:
		return fmt.Sprintf("the client at %s knows no algorithm that is safe: %s", f.address, f.detail),
			"have it update its program, or undo its own choice of algorithms: FileZilla 3.54, PuTTY 0.75, WinSCP 5.19, OpenSSH 7.2, curl with libssh2 1.11, or later"
	case ClosedBeforeLogin:
		if f.keys != "" {
			return fmt.Sprintf("the client at %s offered its registered key %s, which would be accepted, and hung up before it proved it", f.address, f.keys),
				"most likely the key's passphrase was not given: have the client type it, or load the key into an agent where nobody is there to type"
		}
		return fmt.Sprintf("the client at %s hung up before it offered a key", f.address),
			"have it set the logon type to a key file, and accept the gateway's host key when asked"
	case TimedOut:
		return fmt.Sprintf("the client at %s did not log in in time", f.address),
			"have it try again; a passphrase prompt that waits behind another window is the usual cause"
	case WrongProtocol:
		return wrongProtocol(f)
	case ProtocolNotEnabled:
		return elsewhere(f)
	case TooManyConnections:
		return fmt.Sprintf("a connection from %s was closed at once: it was one more than %s allows", f.address, f.detail),
			"have the client open fewer at a time, or raise " + f.detail
	case GatewayFault:
		return "the gateway could not decide, and so refused", "see the gateway's log for the fault"
	}
	return string(r), ""
}

// elsewhere tells of who came to a host that serves others.
func elsewhere(f facts) (what, remedy string) {
	if f.producer {
		return fmt.Sprintf("%s came to the edge, which serves clients only", f.name()),
			"have it connect to the intake host, where reports are handed in"
	}
	return fmt.Sprintf("%s came to the intake host, which serves producers only", f.name()),
		"have it connect to the edge, which has the clients' folders"
}

// addressNotAllowed tells of a client, or of a connection that was closed before
// anybody could say who it is.
func addressNotAllowed(f facts) (what, remedy string) {
	allow := fmt.Sprintf("`sealdrop client allow %s %s`", f.user, f.address)
	switch {
	case f.user == "":
		return fmt.Sprintf("a connection from %s was closed before it began: that address is on no client's list", f.address),
			fmt.Sprintf("if it is a client's, `sealdrop client allow ID %s`", f.address)
	case f.proved && f.ftp:
		return fmt.Sprintf("%s gave its right password, but from %s, which is not on its list", f.name(), f.address), "to let it in from there, " + allow
	case f.proved:
		return fmt.Sprintf("%s proved its key %s, but from %s, which is not on its list", f.name(), f.keys, f.address), "to let it in from there, " + allow
	case f.stranger:
		return fmt.Sprintf("%s may not connect from %s, and nor may anybody else: the connection is closed before it begins", f.name(), f.address),
			"if the address is the client's, " + allow
	}
	return fmt.Sprintf("%s may not connect from %s", f.name(), f.address), "if the address is the client's, " + allow
}

// What a client may speak where it should not.
const (
	SpeaksHTTP    = "HTTP"
	SpeaksTLS     = "TLS"
	SpeaksFTP     = "FTP"
	SpeaksNothing = "nothing" // waits to be spoken to, as FTP clients do
)

// wrongProtocol tells of a client that speaks another protocol than the port.
func wrongProtocol(f facts) (what, remedy string) {
	const tail = "; if it is a health check or a scanner, leave it alone"
	if f.ftp {
		what = fmt.Sprintf("the client at %s speaks FTP in the clear on the port for implicit TLS", f.address)
		if f.detail == SpeaksNothing {
			what = fmt.Sprintf("the client at %s opened the port for implicit TLS and said nothing, as a program does that expects FTP in the clear", f.address)
		}
		return what, `have it choose "implicit FTP over TLS" for this port (FileZilla, WinSCP; ftps:// in curl and lftp), or use the other FTP port (ftp.listen), where TLS is asked for` + tail
	}
	what = fmt.Sprintf("the client at %s speaks %s, not SSH, on the port for sFTP", f.address, f.detail)
	switch f.detail {
	case SpeaksHTTP:
		remedy = "have it use an sFTP program (sftp, FileZilla, WinSCP) and not a browser, with sftp:// and this port" + tail
	case SpeaksTLS:
		remedy = "have it set its protocol to SFTP: FTPS and https are others, and have other ports" + tail
	case SpeaksFTP:
		remedy = `have it set its protocol to SFTP (in FileZilla "SFTP - SSH File Transfer Protocol"), or use the FTP port` + tail
	default:
		remedy = "have it set its protocol to SFTP, and check the port" + tail
	}
	return what, remedy
}

func keyUnknown(f facts) (what, remedy string) {
	switch {
	case f.owner != "":
		return fmt.Sprintf("the key %s is not registered for %s but for %s", f.keys, f.name(), f.owner),
			fmt.Sprintf("have the client log in with the user name %s, or use a key of its own", f.owner)
	case f.keys == "":
		return fmt.Sprintf("%s has no SSH key registered that could let it in", f.name()),
			fmt.Sprintf("import one with `sealdrop key import --client %s FILE`", f.user)
	}
	return fmt.Sprintf("no key registered for %s is the one that was offered (%s)", f.name(), f.keys),
		fmt.Sprintf("compare with `sealdrop key list --client %s`; if the key is the client's, import its public half with `sealdrop key import`", f.user)
}

func minute(t time.Time) string { return t.UTC().Format("15:04 MST on 2 Jan") }

func day(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 MST") }

func fingerprints(keys []Key) string {
	var list []string
	for _, k := range keys {
		list = append(list, k.Fingerprint)
	}
	return strings.Join(list, ", ")
}
