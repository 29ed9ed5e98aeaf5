package access

import (
	"fmt"
	"net/netip"
)

// overTLS is what to do where a login in the clear is refused.
const overTLS = `have it use FTP over TLS: in FileZilla "Require explicit FTP over TLS", in WinSCP "TLS/SSL Explicit encryption", in curl --ssl-reqd, in lftp ftps:// or ftp:ssl-force`

// explanationFTP is [explanation] for what is said otherwise of an attempt over FTP;
// what is "" if nothing is.
func explanationFTP(r Reason, f facts) (what, remedy string) {
	switch r {
	case Allowed:
		how := "in the clear"
		if f.tls {
			how = "over TLS"
		}
		return fmt.Sprintf("%s gets in over FTP from %s with its password, %s", f.name(), f.address, how),
			"nothing needs to be done; if it still can't connect, have it check that its own firewall lets it out to this gateway's FTP port and passive ports"
	case TooManyAttempts:
		if !f.password {
			return "", ""
		}
		return fmt.Sprintf("the password of %s is locked out after too many wrong ones from its own addresses, until %s; its SSH keys are not", f.name(), minute(f.when)),
			fmt.Sprintf("find out who tries with `sealdrop attempts --client %s`; `sealdrop ban lift client:%s` lets it try again at once", f.user, f.user)
	case ClosedBeforeLogin:
		return fmt.Sprintf("the client at %s hung up before it gave a password", f.address),
			"have it accept the gateway's certificate when asked, and check the user name and the password that its program keeps"
	case TimedOut:
		return fmt.Sprintf("the client at %s did not log in in time", f.address),
			"have it try again; a question about the certificate that waits behind another window is the usual cause"
	case PasswordMissing:
		return fmt.Sprintf("%s has no password, which FTP needs", f.name()),
			fmt.Sprintf("set one with `sealdrop password set --client %s --generate`, or have the client use sFTP with its SSH key", f.user)
	case PasswordWrong:
		return fmt.Sprintf("the password that %s gave from %s is not the one that is set", f.name(), f.address),
			fmt.Sprintf("have the client type it anew, for its program may keep an old one; or set another with `sealdrop password set --client %s --generate`", f.user)
	case PasswordExpired:
		return fmt.Sprintf("the password of %s expired on %s", f.name(), day(f.when)),
			fmt.Sprintf("set another with `sealdrop password set --client %s --generate`", f.user)
	case ProtocolNotEnabled:
		if f.elsewhere {
			return elsewhere(f)
		}
		return fmt.Sprintf("%s may not use FTP", f.name()),
			useSFTP(f)
	case TLSFailed:
		return fmt.Sprintf("the client at %s and the gateway could not agree on TLS: %s", f.address, orNothing(f.detail)),
			"have it accept the gateway's certificate, and use a program that knows TLS 1.2: FileZilla 3.5, WinSCP 5.5, curl 7.34, lftp 4.4, or later"
	case TLSRequired, PlainNotAllowed:
		return inTheClear(r, f)
	case PassivePortUnreachable:
		return unreachable(f)
	case DataNotResumed:
		return fmt.Sprintf("a data connection of %s from %s did not resume the TLS session of the control connection", f.name(), f.address),
			"have the client use a program that resumes TLS sessions, such as FileZilla, WinSCP, lftp or curl, or set ftp.tls.require_session_reuse to false"
	case DataTLSFailed:
		return fmt.Sprintf("TLS could not be set up on a data connection of %s from %s", f.name(), f.address),
			"have the client accept the gateway's certificate for data connections, too"
	case DataInTheClear:
		return fmt.Sprintf("%s from %s wanted to send or get data in the clear, which it may not", f.name(), f.address),
			"have the client encrypt its data connections: PROT P, which WinSCP and FileZilla send by themselves"
	}
	return "", ""
}

// useSFTP is what to do where FTP is not to be had. A producer can't be given it.
func useSFTP(f facts) string {
	if f.producer {
		return "have it use sFTP with its SSH key, as producers do"
	}
	return fmt.Sprintf("have it use sFTP, or let it in with `sealdrop client set %s --ftp tls`", f.user)
}

func orNothing(detail string) string {
	if detail == "" {
		return "the connection broke off"
	}
	return detail
}

func inTheClear(r Reason, f facts) (what, remedy string) {
	who := f.name()
	if f.unknown {
		who = fmt.Sprintf("%q, who is no client,", f.user)
	}
	if r == TLSRequired {
		return fmt.Sprintf("%s tried FTP in the clear, which this gateway allows nobody", who),
			overTLS + fmt.Sprintf("; Windows Explorer can't: where it must be, set ftp.tls.mode to optional and `sealdrop client set %s --ftp plain`", f.user)
	}
	if f.unknown {
		return who + " tried FTP in the clear", "have the client check its user name against `sealdrop client list`, and use FTP over TLS"
	}
	return fmt.Sprintf("%s tried FTP in the clear, and may use it over TLS only", who),
		overTLS + fmt.Sprintf("; Windows Explorer can't: where it must be, `sealdrop client set %s --ftp plain`", f.user)
}

// unreachable tells of a data port. An address that is only good within the
// gateway's own network is the likeliest mistake.
func unreachable(f facts) (what, remedy string) {
	what = fmt.Sprintf("client %s gets in over FTP from %s, but never opened the data port that it was told of: address %s, port %d",
		f.user, f.address, f.announced.Addr(), f.announced.Port())
	firewall := "open the passive ports (ftp.passive_ports) in the firewalls before the gateway, and have the client's own let it out to them"
	inside := f.announced.Addr().IsPrivate() || f.announced.Addr().IsLoopback()
	if client, err := netip.ParseAddr(f.address); err == nil && inside && !client.IsPrivate() && !client.IsLoopback() {
		return what, fmt.Sprintf("%s is no address that the client can reach: set ftp.public_address to the one that the NAT before the gateway shows to the world; and %s", f.announced.Addr(), firewall)
	}
	return what, firewall + "; if the gateway is behind NAT, set ftp.public_address to the address that clients connect to"
}
