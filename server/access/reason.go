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
	KeyTooWeak        Reason = "key-too-weak"
	AlgorithmRefused  Reason = "algorithm-refused"
	SignatureInvalid  Reason = "signature-invalid"
	TooManyAttempts   Reason = "too-many-attempts"
	TooManySessions   Reason = "too-many-sessions"
	NoCommonAlgorithm Reason = "no-common-algorithm"
	ClosedBeforeLogin Reason = "closed-before-login"
	TimedOut          Reason = "login-timed-out"
	GatewayFault      Reason = "gateway-fault"

	// Over FTP only.
	PasswordMissing        Reason = "password-missing"
	PasswordWrong          Reason = "password-wrong"
	PasswordExpired        Reason = "password-expired"
	ProtocolNotEnabled     Reason = "protocol-not-enabled"
	TLSRequired            Reason = "tls-required"
	PlainNotAllowed        Reason = "plain-not-allowed"
	TLSFailed              Reason = "tls-failed"
	PassivePortUnreachable Reason = "passive-port-unreachable" // of [Gate.Diagnose] alone
)

// Reasons lists all reasons in the order of the documentation.
func Reasons() []Reason {
	return []Reason{
		Allowed, UnknownClient, ClientDisabled, AddressNotAllowed, KeyUnknown, KeyRetired, KeyRevoked, KeyExpired,
		KeyTooWeak, AlgorithmRefused, SignatureInvalid, TooManyAttempts, TooManySessions, NoCommonAlgorithm,
		ClosedBeforeLogin, TimedOut, GatewayFault,
		PasswordMissing, PasswordWrong, PasswordExpired, ProtocolNotEnabled, TLSRequired, PlainNotAllowed, TLSFailed,
		PassivePortUnreachable,
	}
}

// facts is what the texts of a decision are filled in with.
type facts struct {
	user, address string
	keys          string // the fingerprints that were offered or proved
	owner         string // the client that the key does belong to
	when          time.Time
	detail        string
	stranger      bool // the address is on nobody's list

	ftp       bool
	tls       bool           // over FTP: encrypted
	unknown   bool           // there is no such client
	password  bool           // what is locked out is the client's password
	announced netip.AddrPort // the data port that the client was told of
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
		return fmt.Sprintf("client %s gets in from %s with %s", f.user, f.address, key),
			"nothing needs to be done; if it still can't connect, have it check that its own firewall lets it out to this gateway's port"
	case UnknownClient:
		if f.owner != "" {
			return fmt.Sprintf("there is no client %q; the key %s is %s's", f.user, f.keys, f.owner),
				fmt.Sprintf("have the client log in with the user name %s", f.owner)
		}
		return fmt.Sprintf("there is no client %q", f.user),
			"have the client check its user name against `sealdrop client list`, or add it with `sealdrop client add`"
	case ClientDisabled:
		return fmt.Sprintf("client %s is disabled", f.user), fmt.Sprintf("if it should get in, `sealdrop client enable %s`", f.user)
	case AddressNotAllowed:
		if f.stranger {
			return fmt.Sprintf("client %s may not connect from %s, and nor may anybody else: the connection is closed before it begins", f.user, f.address),
				fmt.Sprintf("if the address is the client's, `sealdrop client set %s --allow-add %s`", f.user, f.address)
		}
		return fmt.Sprintf("client %s may not connect from %s", f.user, f.address),
			fmt.Sprintf("if the address is the client's, `sealdrop client set %s --allow-add %s`", f.user, f.address)
	case KeyUnknown:
		return keyUnknown(f)
	case KeyRetired:
		return fmt.Sprintf("%s of client %s was retired on %s", key, f.user, day(f.when)),
			"have the client use its current key, or import this one again with `sealdrop key import`"
	case KeyRevoked:
		return fmt.Sprintf("%s of client %s was revoked on %s", key, f.user, day(f.when)),
			"a revoked key stays revoked: have the client make a new pair and send the public half"
	case KeyExpired:
		return fmt.Sprintf("%s of client %s expired on %s", key, f.user, day(f.when)),
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
			fmt.Sprintf("find out what it tried with `sealdrop audit list`; `sealdrop ban lift %s` lets it try again at once", f.address)
	case TooManySessions:
		return fmt.Sprintf("client %s has as many sessions open as it may", f.user),
			"have it close some, or raise sftp.limits.sessions_per_client"
	case NoCommonAlgorithm:
		return fmt.Sprintf("the client at %s knows no algorithm that is safe: %s", f.address, f.detail),
			"have it update its program, or undo its own choice of algorithms: FileZilla 3.54, PuTTY 0.75, WinSCP 5.19, OpenSSH 7.2, curl with libssh2 1.11, or later"
	case ClosedBeforeLogin:
		return fmt.Sprintf("the client at %s hung up before it offered a key", f.address),
			"have it set the logon type to a key file, and accept the gateway's host key when asked"
	case TimedOut:
		return fmt.Sprintf("the client at %s did not log in in time", f.address),
			"have it try again; a passphrase prompt that waits behind another window is the usual cause"
	case GatewayFault:
		return "the gateway could not decide, and so refused", "see the gateway's log for the fault"
	}
	return string(r), ""
}

func keyUnknown(f facts) (what, remedy string) {
	switch {
	case f.owner != "":
		return fmt.Sprintf("the key %s is not registered for client %s but for %s", f.keys, f.user, f.owner),
			fmt.Sprintf("have the client log in with the user name %s, or use a key of its own", f.owner)
	case f.keys == "":
		return fmt.Sprintf("client %s has no SSH key registered that could let it in", f.user),
			fmt.Sprintf("import one with `sealdrop key import --client %s FILE`", f.user)
	}
	return fmt.Sprintf("no key registered for client %s is the one that was offered (%s)", f.user, f.keys),
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
