package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// FTP is the section ftp. It is off if it listens nowhere.
type FTP struct {
	// Listen has addresses as [SFTP.Listen] has; it may be empty.
	Listen        []string
	PassivePorts  Ports
	PublicAddress []PublicAddress
	TLS           TLS
	Limits        FTPLimits
}

// Enabled reports whether FTP is served at all.
func (f FTP) Enabled() bool { return len(f.Listen)+len(f.TLS.ImplicitListen) > 0 }

// TLS is the section ftp.tls.
type TLS struct {
	Mode string // "required", "optional" or "off"
	// Certificate and Key are paths, both or neither.
	Certificate, Key    string
	ImplicitListen      []string
	RequireSessionReuse bool
}

// FTPLimits is the section ftp.limits. Every value is positive.
type FTPLimits struct {
	Connections           int
	ConnectionsPerAddress int
	Unauthenticated       int
	LoginTimeout          Duration
	IdleTimeout           Duration
	StallTimeout          Duration
	Tries                 int
}

// Ports is a range of ports, both ends included. The zero value stands for ports
// that the system picks.
type Ports struct{ First, Last uint16 }

// String prints p as it is written in the file: "30000-30199" or "any".
func (p Ports) String() string {
	if p == (Ports{}) {
		return "any"
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// maxPorts bounds a range of ports, each of which is listened on.
const maxPorts = 5000

func parsePorts(text string) (Ports, error) {
	if text == "any" {
		return Ports{}, nil
	}
	const form = `write the first and the last port, as in "30000-30199"`
	first, last, ok := strings.Cut(text, "-")
	a, errFirst := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	b, errLast := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	switch {
	case !ok || errFirst != nil || errLast != nil:
		return Ports{}, bad(text, "is not a range of ports", form)
	case a < 1024:
		return Ports{}, bad(text, "has ports below 1024", "choose higher ones, and below 32768, where the system's own begin")
	case b < a:
		return Ports{}, bad(text, "ends before it begins", form)
	case b-a >= maxPorts:
		return Ports{}, bad(text, fmt.Sprintf("has %d ports, %d at most", b-a+1, maxPorts), "200 are plenty: clients at different addresses share them")
	}
	return Ports{uint16(a), uint16(b)}, nil
}

// PublicAddress is what clients are told to connect to for data.
type PublicAddress struct {
	// Listen is the listener that it is for, as it is written in ftp.listen; "":
	// for every one.
	Listen  string
	Address netip.Addr // IPv4
}

// String prints p as it is written in the file.
func (p PublicAddress) String() string {
	if p.Listen == "" {
		return p.Address.String()
	}
	return p.Listen + "=" + p.Address.String()
}

func parsePublicAddress(text string) (PublicAddress, error) {
	const form = `write "203.0.113.9", or "192.0.2.7:21=203.0.113.9" for one listener`
	var p PublicAddress
	address := text
	if listen, after, ok := strings.Cut(text, "="); ok {
		l, err := parseListen(strings.TrimSpace(listen))
		if err != nil {
			return p, bad(text, "does not begin with a listener", form)
		}
		p.Listen, address = l, after
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(address))
	switch {
	case err != nil:
		return p, bad(text, "is not an IP address; names are not looked up", form)
	case !addr.Unmap().Is4():
		return p, bad(text, "is not an IPv4 address", "leave it out: over IPv6 the client connects to the address that it knows")
	case addr.IsUnspecified():
		return p, bad(text, "is no address that anybody could connect to", form)
	}
	p.Address = addr.Unmap()
	return p, nil
}

func parseTLSMode(text string) (string, error) {
	switch text {
	case "required", "optional", "off":
		return text, nil
	}
	return "", bad(text, "is not a mode of TLS", "write required, optional or off")
}

func ftpSettings() []field[Config] {
	return []field[Config]{{
		key: "ftp.listen", kind: "list of host:port", def: "",
		doc:   "Addresses to listen on for FTP, which the client may turn into FTP over TLS (explicit FTPS). Usually \":21\". Empty: no FTP.",
		value: many(func(c *Config) *[]string { return &c.FTP.Listen }, parseListen),
	}, {
		key: "ftp.passive_ports", kind: "range of ports", def: "30000-30199",
		doc:   "Ports for data connections, first and last. Let clients through to all of them in the firewall. Clients at different addresses share them. any: 64 that the system picks, where no firewall is.",
		value: one(func(c *Config) *Ports { return &c.FTP.PassivePorts }, parsePorts),
	}, {
		key: "ftp.public_address", kind: "list of addresses",
		doc: "IPv4 address that clients are told to connect to for data (PASV). Needed where the gateway is behind NAT: it sees its private address only, and the client can't reach that. " +
			"LISTENER=ADDRESS sets it for one listener, so that clients inside can use another. Empty: the address that the client has connected to. Over IPv6, and for clients that use EPSV, it plays no part.",
		value: many(func(c *Config) *[]PublicAddress { return &c.FTP.PublicAddress }, parsePublicAddress),
	}, {
		key: "ftp.tls.mode", kind: "word", def: "required",
		doc:   "required: nobody logs in without TLS. optional: clients marked with ftp: plain may; Windows Explorer knows no TLS. off: no TLS at all, and nobody but those clients gets in.",
		value: one(func(c *Config) *string { return &c.FTP.TLS.Mode }, parseTLSMode),
	}, {
		key: "ftp.tls.certificate", kind: "path", def: "",
		doc:   "File with the certificate and those between it and its authority (PEM). It is read again when it changes. Empty: a self-signed one is made in the folder tls of the data folder.",
		value: one(func(c *Config) *string { return &c.FTP.TLS.Certificate }, parseOptionalPath),
	}, {
		key: "ftp.tls.key", kind: "path", def: "",
		doc:   "File with the certificate's private key (PEM).",
		value: one(func(c *Config) *string { return &c.FTP.TLS.Key }, parseOptionalPath),
	}, {
		key: "ftp.tls.implicit_listen", kind: "list of host:port", def: "",
		doc:   "Addresses to listen on for FTP where TLS begins with the first byte (implicit FTPS). Usually \":990\".",
		value: many(func(c *Config) *[]string { return &c.FTP.TLS.ImplicitListen }, parseListen),
	}, {
		key: "ftp.tls.require_session_reuse", kind: "true or false", def: "false", rare: true,
		doc:   "Refuse data connections that do not resume the TLS session of their control connection. That keeps another program at the client's address from taking its data, and keeps out clients that can't, rclone and Python's ftplib among them.",
		value: one(func(c *Config) *bool { return &c.FTP.TLS.RequireSessionReuse }, parseBool),
	}}
}

func ftpLimitSettings() []field[Config] {
	limit := func(at func(*FTPLimits) *int) accessor[Config] {
		return one(func(c *Config) *int { return at(&c.FTP.Limits) }, parseCount)
	}
	wait := func(at func(*FTPLimits) *Duration) accessor[Config] {
		return one(func(c *Config) *Duration { return at(&c.FTP.Limits) }, parsePeriod)
	}
	return []field[Config]{{
		key: "ftp.limits.connections", kind: "number", def: "2000",
		doc:   "Control connections at one time, over all clients.",
		value: limit(func(l *FTPLimits) *int { return &l.Connections }),
	}, {
		key: "ftp.limits.connections_per_address", kind: "number", def: "50",
		doc:   "Control connections at one time from one IP address.",
		value: limit(func(l *FTPLimits) *int { return &l.ConnectionsPerAddress }),
	}, {
		key: "ftp.limits.unauthenticated", kind: "number", def: "200",
		doc:   "Control connections at one time that have not logged in yet. One network (IPv4 /24, IPv6 /48) may hold half of them.",
		value: limit(func(l *FTPLimits) *int { return &l.Unauthenticated }),
	}, {
		key: "ftp.limits.login_timeout", kind: "duration", def: "30s",
		doc:   "How long a connection may take to log in.",
		value: wait(func(l *FTPLimits) *Duration { return &l.LoginTimeout }),
	}, {
		key: "ftp.limits.idle_timeout", kind: "duration", def: "15m",
		doc:   "How long a session may be without a command and without a transfer before it is closed.",
		value: wait(func(l *FTPLimits) *Duration { return &l.IdleTimeout }),
	}, {
		key: "ftp.limits.stall_timeout", kind: "duration", def: "1m",
		doc:   "How long nothing may move in a transfer before it is ended.",
		value: wait(func(l *FTPLimits) *Duration { return &l.StallTimeout }),
	}, {
		key: "ftp.limits.tries", kind: "number", def: "3",
		doc:   "Logins that may fail on one connection.",
		value: limit(func(l *FTPLimits) *int { return &l.Tries }),
	}}
}

// checkFTP finds what is wrong between values of the section that are each good.
func (l *loader) checkFTP(c *Config, used map[string]setting) {
	at := func(key string) Fault {
		s := used[key]
		return Fault{File: s.file, Line: s.origin.line, Key: key}
	}
	fault := func(key, message, hint string) {
		f := at(key)
		f.Message, f.Hint = message, hint
		l.fault(f)
	}
	f := c.FTP
	switch {
	case f.TLS.Certificate != "" && f.TLS.Key == "":
		fault("ftp.tls.certificate", "has no key that belongs to it", "set ftp.tls.key")
	case f.TLS.Certificate == "" && f.TLS.Key != "":
		fault("ftp.tls.key", "has no certificate that belongs to it", "set ftp.tls.certificate")
	}
	if f.TLS.Mode == "off" {
		if len(f.TLS.ImplicitListen) > 0 {
			fault("ftp.tls.implicit_listen", "asks for TLS, which ftp.tls.mode turns off", "leave it empty, or set ftp.tls.mode to optional")
		}
		if f.TLS.RequireSessionReuse {
			fault("ftp.tls.require_session_reuse", "asks for TLS, which ftp.tls.mode turns off", "set it to false, or ftp.tls.mode to optional")
		}
	}
	for i, p := range f.PublicAddress {
		listeners := slices.Concat(f.Listen, f.TLS.ImplicitListen)
		if p.Listen != "" && !slices.Contains(listeners, p.Listen) {
			s := used["ftp.public_address"]
			l.fault(Fault{
				File: s.file, Line: s.items[i].line, Key: s.key, Message: quote(p.Listen) + " is no listener",
				Hint: "write it as it stands in ftp.listen",
			})
		}
	}
	for _, key := range []string{"sftp.listen", "ftp.listen", "ftp.tls.implicit_listen"} {
		for i, it := range used[key].items {
			_, text, _ := net.SplitHostPort(it.text)
			port, err := strconv.ParseUint(text, 10, 16)
			if err == nil && f.Enabled() && f.PassivePorts != (Ports{}) && uint16(port) >= f.PassivePorts.First && uint16(port) <= f.PassivePorts.Last {
				s := used[key]
				l.fault(Fault{
					File: s.file, Line: s.items[i].line, Key: key, Message: fmt.Sprintf("has the port %d, which is one of ftp.passive_ports", port),
					Hint: "choose another, or another range",
				})
			}
		}
	}
}

// warnFTP tells what is odd between the section and the clients.
func (l *loader) warnFTP(c *Config, used map[string]setting) {
	if !c.FTP.Enabled() {
		return
	}
	if c.FTP.TLS.Mode == "off" {
		s := used["ftp.tls.mode"]
		l.warn(Fault{
			File: s.file, Line: s.origin.line, Key: s.key, Message: "lets nobody use FTP but clients that are marked with ftp: plain",
			Hint: "set it to optional, so that the others can use it over TLS",
		})
	}
	if c.FTP.TLS.Mode != "required" {
		return
	}
	for i, w := range l.warnings {
		if strings.HasPrefix(w.Key, "clients[") && strings.HasSuffix(w.Key, "].ftp") {
			l.warnings[i].Message = "has no effect, since ftp.tls.mode lets nobody in without TLS"
			l.warnings[i].Hint = "set ftp.tls.mode to optional, or write tls here"
		}
	}
}
