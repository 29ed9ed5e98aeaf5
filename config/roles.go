package config

import "slices"

// Role is a part of the gateway's work that a host may do without the others.
type Role string

// The roles.
const (
	// Edge serves clients: ciphertext, over sFTP and FTP.
	Edge Role = "edge"
	// Intake takes reports in, seals them, tells people, and purges.
	Intake Role = "intake"
	// All is both, on one host.
	All Role = "all"
)

// ParseRole reads a role as it is written.
func ParseRole(text string) (Role, error) {
	switch r := Role(text); r {
	case Edge, Intake, All:
		return r, nil
	}
	return "", bad(text, "is no role", "write edge for the host that clients reach, intake for the one inside, or all where one host is both")
}

// Serves reports whether this host has a role.
func (c *Config) Serves(r Role) bool {
	return slices.Contains(c.Roles, r) || slices.Contains(c.Roles, All)
}

// EdgeOnly reports whether this host only serves what others have sealed. It then
// has none of the gateway's own keys.
func (c *Config) EdgeOnly() bool { return c.Serves(Edge) && !c.Serves(Intake) }

func roleSettings() []field[Config] {
	return []field[Config]{{
		key: "roles", kind: "list of words", def: "all", rare: true,
		doc:   "What this host does: edge serves clients over sFTP and FTP and holds nothing but ciphertext; intake takes reports in, seals them, notifies and purges; all does both. An edge needs catalog.url and the intake's folder data/blobs; it uses none of the sections api, spool, sealing, retention.sweep and notify, nor the clients that its file declares.",
		value: many(func(c *Config) *[]Role { return &c.Roles }, ParseRole),
	}}
}

// checkRoles refuses a host that would do nothing, and an edge with a catalog of its
// own, in which nobody would ever publish anything.
func (l *loader) checkRoles(c *Config, used map[string]setting) {
	s, ok := used["roles"]
	if !ok {
		return // told already
	}
	switch {
	case len(c.Roles) == 0:
		l.fault(Fault{File: s.file, Line: s.origin.line, Key: s.key, Message: "is empty", Hint: "write all, or leave the key out"})
	case c.EdgeOnly() && c.Catalog.URL == "":
		l.fault(Fault{
			File: s.file, Line: s.origin.line, Key: s.key, Message: "is edge, but there is no catalog to share with the intake",
			Hint: "set catalog.url to the PostgreSQL database that the intake uses",
		})
	}
}
