// Package event is the closed list of what the gateway writes to its log.
//
// Every record has the attribute "event": a name that stays as it is from version to
// version, while the message beside it is for people and may be worded better one
// day. Rules for monitoring, fail2ban and the like match the name.
//
// Start with [Sections]. The names stand as literals in the calls of log/slog all over the
// code, so that no package needs to import this one. A test reads the code and holds
// that every call has a name that is in the list, that every name in the list is
// used, and that docs/events.md, which tells of level, messages and attributes too,
// is up to date; go test ./internal/event -update writes it.
//
// No record has a secret: no password, token, private key, hash of one, or content
// of a report. What a stranger sent (a user name, the name of a program) is cut to 200
// printable characters, and stands behind what the gateway knows by itself.
package event

// Event is one of the list.
type Event struct {
	Name    string
	Meaning string
	// Do is what an operator does about it, "" for nothing.
	Do string
}

// Section is what is about the same.
type Section struct {
	Title  string
	Events []Event
}
