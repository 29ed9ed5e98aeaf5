package status

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/sealdrop/sealdrop/reports/expect"
)

// Snapshot is what is known at one moment.
type Snapshot struct {
	Now  time.Time
	Zone *time.Location // in which a day begins
	// Client is the id of the only client that was asked about, "" for all. Then
	// what concerns the gateway as a whole is missing.
	Client string
	Limits Limits

	Counts      Counts
	Expected    []Expected
	Held        []Held
	Uncollected []Uncollected
	Refusals    []Refusal
	LastLogins  map[string]time.Time // of the clients that were refused
	Credentials []Credential
	Approvals   []Approval
	Queue       []Queued
	Bans        []Ban
	Mail        Mail

	// The gateway as a whole.
	Running   Running
	Disk      Disk
	Audit     Audit
	Backup    Backup
	Strangers Strangers
	Faults    []Fault
}

// Limits are the thresholds that can be configured.
type Limits struct {
	BackupAge, AuditAge, UncollectedAfter time.Duration
}

// Counts are what happened since the day began.
type Counts struct{ Received, Sealed, Published, Collected int64 }

// Arrival is a report that came from a producer.
type Arrival struct {
	Name string // the last segment
	At   time.Time
}

// Expected is an expectation with what came for its client lately.
type Expected struct {
	Client string
	expect.Expectation
	Arrivals []Arrival
	// Young is when the client was added, if that was lately.
	Young time.Time
}

// Held is what waits for a key of a client.
type Held struct {
	Client string
	Count  int64
	Oldest time.Time
	Why
}

// Why is why a client's reports are held, in words, and the command that ends it.
type Why struct {
	Reason, Fix, Advice string
	// Usable: it has a key by now.
	Usable bool
}

// Uncollected is what a client has not fetched. What was handed over by email counts
// only once its purge is near: nothing proves that a mail arrived.
type Uncollected struct {
	Client string
	Count  int64     // not handed over by email either
	Oldest time.Time // when the oldest was published
	// Purging have more than half of their time behind them and are purged within
	// [PurgeAhead], the first of them at PurgedAt; also those handed over by email.
	Purging  int64
	PurgedAt time.Time
	// Delays are what the client took to fetch its last reports.
	Delays []time.Duration
}

// Refusal is a record of refused logins of one client for one reason.
type Refusal struct {
	At                                time.Time
	Client, Reason, Address, Protocol string
	Owner                             string // the client whose key it was, if another's
	Times                             int64
}

// Credential is something that a client or producer proves itself with, or that is
// sealed to, and which ends.
type Credential struct {
	Kind   Kind   // KindKey, KindPassword or KindToken
	Client string // a token's: the producer's name
	// Of a key: "pgp" or "ssh", its id and its fingerprint.
	Type, ID, Fingerprint string
	Ends                  time.Time
	Retired               bool // it was an operator who set the end
}

// Approval is a key that was imported and does nothing until somebody approves it.
type Approval struct {
	Client, Type, ID, Fingerprint string
	Since                         time.Time
}

// Queued is a file in a spool folder.
type Queued struct {
	Folder, Client, File string
	Since                time.Time
	Rejected             bool
	Reason, Hint         string
}

// Ban is what is locked out.
type Ban struct {
	// Name is what `sealdrop ban lift` takes.
	Name   string
	Client string // whose password, or whose address it is; "" for a stranger's
	Until  time.Time
}

// Mail is what becomes of notifications.
type Mail struct {
	Failed      int64 // given up
	FailedSince time.Time
	LastError   string
	LastFor     string    // the client that the last of them was for, or "the operators"
	Pending     int64     // to be sent
	Waiting     int64     // of these, what should have been sent by now
	Oldest      time.Time // of those that wait
}

// Running says whether a gateway serves the data folder.
type Running struct {
	Known   bool
	Running bool
	PID     int
	Start   string // the command that starts one here; "" where nothing else than the program itself does
}

func (r Running) start() string { return cmp.Or(r.Start, "sealdrop serve") }

// Disk is the file system of the data folder.
type Disk struct {
	Path                 string
	Total, Free, Reserve uint64
	// In is what was published in the time Over, and Out what is purged in the next
	// [DiskAhead].
	In, Out int64
	Over    time.Duration
}

// Audit is how far the chain of records was verified.
type Audit struct {
	Last       int64 // the newest record's number
	Began      time.Time
	Verified   int64 // up to which number; 0: never
	VerifiedAt time.Time
	Broken     int64 // the first record that did not fit; 0: all did
}

// Backup is the last backup.
type Backup struct {
	At     time.Time // zero: none
	Folder string    // where it lies
}

// Strangers are refused logins of nobody's.
type Strangers struct {
	Attempts  int64 `json:"attempts"`
	Addresses int   `json:"addresses"`
}

// Fault is something that should be looked at and could not be, or an operation
// that stands still.
type Fault struct {
	Kind      Kind
	What, Fix string
}

// owns reports whether an address that was counted, or its network, is in one of
// a client's networks.
func owns(networks []netip.Prefix, banned string) bool {
	prefix, err := netip.ParsePrefix(banned)
	if addr, addrErr := netip.ParseAddr(banned); addrErr == nil {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return false
	}
	for _, n := range networks {
		if n.Overlaps(prefix) {
			return true
		}
	}
	return false
}
