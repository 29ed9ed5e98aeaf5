package reports

import "time"

// State is where a report stands in its life:
//
//	received → held → published → collected → expired
//
// with removed (hidden by the client, restorable by an operator) beside
// published and collected. A report is purged from any state but held-on-legal-
// hold; its row is then gone and only the audit record tells of it.
type State string

// The states that a catalog row can be in.
const (
	// Held: sealed to the gateway's hold key, because the client had no usable
	// key; not visible to the client.
	Held State = "held"
	// Published: whole, and visible in the client's folder.
	Published State = "published"
	// Collected: published, and every byte of it went out in one or several
	// transfers that ended well.
	Collected State = "collected"
	// Removed: hidden by the client or an operator; restorable until it expires.
	Removed State = "removed"
	// Expired: purged by retention. No row has this state; it is what a second
	// delivery of a purged report is answered with.
	Expired State = "expired"
)

// Visible reports whether the client sees what is in this state.
func (s State) Visible() bool { return s == Published || s == Collected }

// Kind tells what a name in a client's folder stands for.
type Kind string

// The kinds of entries.
const (
	KindReport Kind = "report" // delivered by the operator, sealed
	KindUpload Kind = "upload" // put there by the client, stored as it came
	KindFolder Kind = "folder"
)

// Report is one entry of a client's folder as the catalog knows it, be it a
// report, an upload or a folder.
type Report struct {
	ID     string
	Client ClientID
	Kind   Kind
	Name   Name
	State  State

	// Size is the length in bytes of the stored (sealed) content.
	Size int64
	// SHA256 is the digest of the stored content, lower-case hex; "" while that of
	// an upload is not known yet.
	SHA256 string
	// PlainSize is the length in bytes of the report before sealing, -1 for
	// uploads.
	PlainSize int64
	// Blob is the id of the content in the blob store.
	Blob string
	// SealedTo lists the fingerprints of the certificates it was sealed to.
	SealedTo []string

	Received  time.Time
	Published time.Time // zero while held
	Modified  time.Time // what the client sees as the file's time
	Expires   time.Time // zero: never (folders)
	Collected time.Time // zero until collected
	Removed   time.Time // zero unless removed
	LegalHold bool
	// HoldReason is why it has a legal hold of its own.
	HoldReason string
	// HeldWithClient: everything of its client is on legal hold.
	HeldWithClient bool
}
