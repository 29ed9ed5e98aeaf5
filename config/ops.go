package config

import (
	"net/netip"
	"strings"
)

// Ops is the section ops: what tells a machine how the gateway does. It is off if
// it listens nowhere.
type Ops struct {
	// Listen has absolute paths of unix sockets after "unix:", and loopback
	// addresses with their ports.
	Listen []string
	Pprof  bool
}

// Enabled reports whether there is an admin listener at all.
func (o Ops) Enabled() bool { return len(o.Listen) > 0 }

// Addresses returns what of Listen is host:port.
func (o Ops) Addresses() []string { return API{Listen: o.Listen}.Addresses() }

// Sockets returns the paths of the unix sockets of Listen.
func (o Ops) Sockets() []string { return API{Listen: o.Listen}.Sockets() }

// parseOpsListen refuses whatever another machine could reach: nobody proves
// anything to the admin listener.
func parseOpsListen(text string) (string, error) {
	const form = `write "unix:/run/sealdrop/ops.sock", "127.0.0.1:9320" or "[::1]:9320"`
	listen, err := parseAPIListen(text)
	if err != nil || strings.HasPrefix(listen, unixPrefix) {
		return listen, err
	}
	at, err := netip.ParseAddrPort(listen)
	if err != nil || !at.Addr().IsLoopback() {
		return "", bad(text, "can be reached from other machines; the admin listener asks nobody who they are", form)
	}
	return listen, nil
}

func opsSettings() []field[Config] {
	return []field[Config]{{
		key: "ops.listen", kind: "list of unix:/path or loopback host:port", def: "",
		doc:   "Where /metrics (for Prometheus), /healthz and /readyz are served: unix sockets, which the members of their group may use, and addresses of this machine's loopback, which every user of the machine can reach. Anything that other machines could reach is refused. Empty: nowhere.",
		value: many(func(c *Config) *[]string { return &c.Ops.Listen }, parseOpsListen),
	}, {
		key: "ops.pprof", kind: "true or false", def: "false", rare: true,
		doc:   "Serve Go's profiles under /debug/pprof on the same listeners. They can hold parts of the memory, so that it is best switched on for as long as somebody looks.",
		value: one(func(c *Config) *bool { return &c.Ops.Pprof }, parseBool),
	}}
}
