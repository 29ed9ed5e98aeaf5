package message

import "time"

// Kind says what a message tells of. Those of events bear the name that the event
// has in the outbox.
type Kind string

// The kinds of messages.
const (
	ReportReady       Kind = "report.ready"       // reports can be fetched
	ReportHeld        Kind = "report.held"        // reports wait for a usable PGP key
	ReportUncollected Kind = "report.uncollected" // reports will be purged soon and nobody has fetched them
	KeyExpiring       Kind = "key.expiring"       // a key or password will soon be good for nothing
	AccessChanged     Kind = "access.changed"     // what lets the client in is not what it was
	AccessRefused     Kind = "access.refused"     // the client tries in vain, again and again

	Digest         Kind = "digest"          // several of the above for one client
	OperatorDigest Kind = "digest.operator" // several of the above for the gateway's operators
	Test           Kind = "test"            // nothing but that messages arrive

	// MessageDead is an item of an [OperatorDigest] only: messages were given up.
	MessageDead Kind = "message.dead"
)

// Kinds lists all kinds of messages.
func Kinds() []Kind {
	return []Kind{
		ReportReady, ReportHeld, ReportUncollected, KeyExpiring, AccessChanged, AccessRefused,
		Digest, OperatorDigest, Test,
	}
}

// Message is what is to be said, without a word of any language. The zero value of
// a field leaves out what would be said of it.
type Message struct {
	Kind       Kind
	Client     string // the client's id, which is its user name
	ClientName string // as the operators call it; the id if empty
	Gateway    string // the gateway's name, or that of whoever runs it; Host if empty
	Host       string // where clients connect to
	Contact    string // whom to ask, an address or a telephone number; the gateway if empty

	Count int       // how many reports, or attempts if Kind is AccessRefused; 0 counts as one
	Bytes int64     // the reports' sealed size altogether
	Names []string  // the reports' names; empty unless the client allowed them in messages
	Until time.Time // the first of the reports is purged then, or the key expires; in the zone to show
	Days  int       // from now until then; 0: today

	Credential Credential // KeyExpiring, AccessChanged
	Reason     string     // ReportHeld, AccessRefused: why, one of [Reasons]
	Remedy     string     // what an operator said to do; a sentence, said as it is
	Change     Change     // AccessChanged
	Network    string     // AccessChanged: the network that was allowed or denied
	Attached   bool       // ReportReady: the report comes with this very mail
	TooLarge   bool       // ReportReady: it would have, were it not too large

	Items []Message // Digest and OperatorDigest: what there is to tell, none of them a digest
}

// Credential is what a client proves itself with, or what is sealed for.
type Credential struct {
	Kind        CredentialKind
	Fingerprint string
	Label       string
}

// CredentialKind is a kind of [Credential].
type CredentialKind string

// The kinds of credentials.
const (
	SSHKey   CredentialKind = "ssh"
	PGPKey   CredentialKind = "pgp"
	Password CredentialKind = "password"
)

// Change says how a client's access changed.
type Change string

// The changes. The first four are of keys.
const (
	KeyImported    Change = "key-imported"
	KeyRetired     Change = "key-retired"
	KeyRevoked     Change = "key-revoked"
	KeyApproved    Change = "key-approved"
	PasswordSet    Change = "password-set"
	NetworkAllowed Change = "network-allowed"
	NetworkDenied  Change = "network-denied"
)

// Text is a message in words.
type Text struct {
	Subject string // one line
	Body    string // plain text; lines end in \n, as does the last
	Short   string // one line of at most [ShortLength] characters
}

// ShortLength bounds [Text.Short], in characters: what a text message holds with a
// few to spare for the gateway that sends it.
const ShortLength = 140
