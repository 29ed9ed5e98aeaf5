package config

import (
	"net/netip"
	"path/filepath"
	"strings"
)

// API is the section api. It is off if it listens nowhere.
type API struct {
	// Listen has addresses as [SFTP.Listen] has, and absolute paths of unix sockets
	// after "unix:".
	Listen []string
	Allow  []netip.Prefix
	TLS    APITLS
	Limits APILimits
}

// Enabled reports whether the API is served at all.
func (a API) Enabled() bool { return len(a.Listen) > 0 }

// Addresses returns what of Listen is host:port.
func (a API) Addresses() (list []string) {
	for _, l := range a.Listen {
		if !strings.HasPrefix(l, unixPrefix) {
			list = append(list, l)
		}
	}
	return list
}

// Sockets returns the paths of the unix sockets of Listen.
func (a API) Sockets() (list []string) {
	for _, l := range a.Listen {
		if path, ok := strings.CutPrefix(l, unixPrefix); ok {
			list = append(list, path)
		}
	}
	return list
}

// APITLS is the section api.tls.
type APITLS struct {
	// Certificate and Key are paths, both or neither.
	Certificate, Key string
	ClientCA         string // a path, or "": certificates are not asked for
}

// APILimits is the section api.limits. Every value is positive.
type APILimits struct {
	Connections           int
	ConnectionsPerAddress int
	Uploads               int
	UploadsPerProducer    int
	ReportSize            Size // or [Unlimited]
	MinRate               Size // in a second
	HeaderTimeout         Duration
	IdleTimeout           Duration
	StallTimeout          Duration
}

const unixPrefix = "unix:"

// maxSocketPath is what the kernel has room for.
const maxSocketPath = 107

func parseAPIListen(text string) (string, error) {
	path, ok := strings.CutPrefix(text, unixPrefix)
	if !ok {
		return parseListen(text)
	}
	if _, err := parsePath(path); err != nil {
		return "", bad(text, "does not name a socket", `write "unix:" and its path, as in "unix:/run/sealdrop/api.sock"`)
	}
	if !filepath.IsAbs(path) || len(path) > maxSocketPath {
		return "", bad(text, "is not a socket's whole path", "begin it with /, and keep it to 107 bytes")
	}
	return unixPrefix + filepath.Clean(path), nil
}

func apiSettings() []field[Config] {
	limit := func(at func(*APILimits) *int) accessor[Config] {
		return one(func(c *Config) *int { return at(&c.API.Limits) }, parseCount)
	}
	wait := func(at func(*APILimits) *Duration) accessor[Config] {
		return one(func(c *Config) *Duration { return at(&c.API.Limits) }, parsePeriod)
	}
	path := func(at func(*APITLS) *string) accessor[Config] {
		return one(func(c *Config) *string { return at(&c.API.TLS) }, parseOptionalPath)
	}
	return []field[Config]{{
		key: "api.listen", kind: "list of host:port or unix:/path", def: "",
		doc:   "Where programs hand in reports over HTTP: addresses, where TLS is always on, and unix sockets, to which the members of their group may deliver for all clients. Empty: no API.",
		value: many(func(c *Config) *[]string { return &c.API.Listen }, parseAPIListen),
	}, {
		key: "api.allow", kind: "list of networks", def: "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
		doc:   "Networks that producers may connect from; others are turned away before a byte is read.",
		value: many(func(c *Config) *[]netip.Prefix { return &c.API.Allow }, ParseAllow),
	}, {
		key: "api.tls.certificate", kind: "path", def: "",
		doc:   "File with the certificate and those between it and its authority (PEM). It is read again when it changes. Empty: a self-signed one is made in the folder tls of the data folder.",
		value: path(func(t *APITLS) *string { return &t.Certificate }),
	}, {
		key: "api.tls.key", kind: "path", def: "",
		doc:   "File with the certificate's private key (PEM).",
		value: path(func(t *APITLS) *string { return &t.Key }),
	}, {
		key: "api.tls.client_ca", kind: "path", def: "",
		doc:   "File with the authorities (PEM) whose client certificates prove who a producer is: by the common name or a URI, which `sealdrop token add --certificate` must know. It is read again when it changes. Empty: tokens only.",
		value: path(func(t *APITLS) *string { return &t.ClientCA }),
	}, {
		key: "api.limits.connections", kind: "number", def: "200",
		doc:   "Connections at one time over TLS. Half of them may be without a proof of who it is.",
		value: limit(func(l *APILimits) *int { return &l.Connections }),
	}, {
		key: "api.limits.connections_per_address", kind: "number", def: "50",
		doc:   "Connections at one time from one IP address.",
		value: limit(func(l *APILimits) *int { return &l.ConnectionsPerAddress }),
	}, {
		key: "api.limits.uploads", kind: "number", def: "32",
		doc:   "Reports on their way in at one time; more are asked to come again.",
		value: limit(func(l *APILimits) *int { return &l.Uploads }),
	}, {
		key: "api.limits.uploads_per_producer", kind: "number", def: "16",
		doc:   "Of these, reports of one producer.",
		value: limit(func(l *APILimits) *int { return &l.UploadsPerProducer }),
	}, {
		key: "api.limits.report_size", kind: "size", def: "64GiB",
		doc:   "The largest report that is taken, before sealing. Or unlimited.",
		value: one(func(c *Config) *Size { return &c.API.Limits.ReportSize }, ParseSize),
	}, {
		key: "api.limits.header_timeout", kind: "duration", def: "10s",
		doc:   "How long a connection may take to shake hands, and then each request for its headers.",
		value: wait(func(l *APILimits) *Duration { return &l.HeaderTimeout }),
	}, {
		key: "api.limits.idle_timeout", kind: "duration", def: "1m",
		doc:   "How long a connection may be without a request.",
		value: wait(func(l *APILimits) *Duration { return &l.IdleTimeout }),
	}, {
		key: "api.limits.stall_timeout", kind: "duration", def: "1m",
		doc:   "How long no byte of a report may come before it is given up.",
		value: wait(func(l *APILimits) *Duration { return &l.StallTimeout }),
	}, {
		key: "api.limits.min_rate", kind: "size", def: "1KiB",
		doc:   "How much of a report must come in a second, on the average of each half minute that the gateway spends waiting for it.",
		value: one(func(c *Config) *Size { return &c.API.Limits.MinRate }, parseSomeSize),
	}}
}

// checkAPI finds what is wrong between values of the section that are each good.
func (l *loader) checkAPI(c *Config, used map[string]setting) {
	fault := func(key, message, hint string) {
		s := used[key]
		l.fault(Fault{File: s.file, Line: s.origin.line, Key: key, Message: message, Hint: hint})
	}
	switch tls := c.API.TLS; {
	case tls.Certificate != "" && tls.Key == "":
		fault("api.tls.certificate", "has no key that belongs to it", "set api.tls.key")
	case tls.Certificate == "" && tls.Key != "":
		fault("api.tls.key", "has no certificate that belongs to it", "set api.tls.certificate")
	}
	if c.API.Enabled() && len(c.API.Addresses()) > 0 && len(c.API.Allow) == 0 {
		fault("api.allow", "is empty, so that nobody could connect", "name the producers' networks, or leave the key out")
	}
}
