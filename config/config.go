package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/expect"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// Config is a whole, valid configuration. Its fields have the meaning, unit and
// default that [Reference] prints for the key of the same name.
type Config struct {
	// File is the path that was loaded, as it was given.
	File string

	// Roles is not empty.
	Roles []Role
	Data  string
	// PublicName is what clients connect to, fit to stand in a command; "": not told.
	PublicName string
	Catalog    Catalog
	Log        Log
	SFTP       SFTP
	FTP        FTP
	API        API
	Sealing    Sealing
	Keys       Keys
	Retention  Retention
	Access     Access
	Quota      Quota
	Spool      Spool
	Ops        Ops
	Status     Status
	Notify     Notify
	Shutdown   Shutdown

	// ClientsFrom are the patterns of clients_from, with absolute folders.
	ClientsFrom []string
	// Clients are the declared clients of all files, in the order read. No two
	// have the same ID.
	Clients []Client

	// Warnings are about what is allowed but seldom meant.
	Warnings []Fault

	origins map[string]string
}

// Log is the section log.
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"
}

// SFTP is the section sftp.
type SFTP struct {
	// Listen has at least one address, each "host:port" with an IP address or
	// nothing for the host, and none of them twice.
	Listen []string
	// HostKeys has at least one path; NextHostKeys may have none.
	HostKeys        []string
	NextHostKeys    []string
	Limits          Limits
	KeepInterrupted Duration
}

// Limits is the section sftp.limits. Every value is positive.
type Limits struct {
	Connections           int
	ConnectionsPerAddress int
	Unauthenticated       int
	LoginTimeout          Duration
	IdleTimeout           Duration
	Tries                 int
	SessionsPerClient     int
	HandlesPerSession     int
}

// Sealing is the section sealing.
type Sealing struct {
	Compress bool
	// Escrow is the path of a PGP public key, or "" for none. Load does not open
	// it.
	Escrow string
	Sign   bool
}

// Retention is the section retention. Every duration is at least a second.
type Retention struct {
	After    Duration
	Sweep    Duration
	MaxShare Percent
	MaxGap   Duration
	Grace    Duration
}

// Access is the section access.
type Access struct {
	Failures int
	Window   Duration
	Ban      Duration
	Learn    bool
}

// Quota is the section quota: what a client may have that has no quota of its own.
type Quota struct {
	Bytes Size
	Files Count
}

// Client is a client as a file declares it. A field that the file leaves out is
// zero and missing from Declared; it is then the catalog's, not "empty".
type Client struct {
	ID   reports.ClientID
	Name string
	// Allow has IPv4 networks as such, never mapped into IPv6, and no bits
	// beyond the mask.
	Allow []netip.Prefix
	// DeliversTo has client ids, or the one text [EveryClient], for a producer.
	DeliversTo []string
	Retention  Duration
	Disabled   bool
	FTP        string // "tls", "plain", "off", or "" where it is not declared
	// Quota and QuotaFiles are how much it may have.
	Quota      Size
	QuotaFiles Count
	// Expects are the reports that its producer owes it. They are not kept in the
	// catalog: who asks for them reads the configuration.
	Expects []expect.Expectation
	// Notify is who is told of what.
	Notify contact.Preferences

	// Declared maps each key that the file declares (id, name, allow, retention,
	// disabled, ftp, quota, quota_files) to its place: "clients.d/acme.yaml:7".
	Declared map[string]string
}

// defaultPaths is where [Find] looks, in this order.
func defaultPaths() []string { return []string{"config.yaml", "/etc/sealdrop/config.yaml"} }

// Find returns the configuration file to use when none is named: config.yaml in
// the working directory, else /etc/sealdrop/config.yaml. A file that is there
// but can't be read is returned too, so that [Load] says why; a working directory
// that can't be looked into, as that of the operator who runs sealdrop as its own user,
// is passed over. If there is none,
// the error is an [fs.ErrNotExist] with a method Hint() string.
func Find() (path string, err error) { return find(defaultPaths()) }

func find(paths []string) (string, error) {
	for _, path := range paths {
		_, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && !filepath.IsAbs(path) {
			continue
		}
		return path, nil
	}
	return "", &notFoundError{paths}
}

type notFoundError struct{ paths []string }

func (e *notFoundError) Error() string {
	text := "no configuration: there is neither "
	for i, path := range e.paths {
		if i > 0 {
			text += " nor "
		}
		text += path
	}
	return text
}

// Hint says how to get a configuration.
func (e *notFoundError) Hint() string {
	return "run `sealdrop init` to make one, or name one with --config FILE"
}

// Is makes the error an [fs.ErrNotExist].
func (e *notFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Origins returns, for each key but the clients', where its value comes from:
// "default", a place like "config.yaml:12", or the name of a variable.
func (c *Config) Origins() map[string]string { return maps.Clone(c.origins) }
