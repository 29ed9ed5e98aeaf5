package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/password"
	"github.com/sealdrop/sealdrop/reports"
)

// Key is an SSH key as a client presented it.
type Key struct {
	Fingerprint string // "SHA256:…"
	Algorithm   string
	Bits        int
}

// The protocols.
const (
	SFTP = "sftp" // clients prove themselves with an SSH key
	FTP  = "ftp"  // with a password
)

// Attempt is one try to log in.
type Attempt struct {
	Protocol string // SFTP or FTP
	Address  netip.Addr
	// User is what the client gave as its user name. It is a stranger's text
	// until it has been parsed.
	User string
	// Software is how the client's program introduced itself.
	Software string
	// Proved is the key whose signature was verified, nil if none was.
	Proved *Key
	// Offered are the keys that the client showed, proved or not.
	Offered []Key
	// TLS: over FTP, the control connection is encrypted.
	TLS bool
	// Password is what the client gave as its password, nil if it gave none. It is
	// forgotten as soon as the attempt is decided on.
	Password *string
	// Failure is what the protocol itself found, "" if it found nothing.
	Failure Reason
	// Detail tells more about Failure.
	Detail string
	// Supposed: nothing of it happened. It is asked what would if it did.
	Supposed bool

	// proof is, for an attempt that became a session, the hash that its password
	// was right for.
	proof *password.Hash
	// known is what is known of its user and its key already, nil if that is to be
	// looked up.
	known *found
}

// Decision is the gate's answer.
type Decision struct {
	Reason Reason `json:"reason"`
	// Client is the client that the attempt is for, "" if there is none of that
	// name.
	Client string `json:"client,omitempty"`
	// KeyID is the registered key's id, "" if the key is not registered.
	KeyID       string `json:"key_id,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	// What says what happens, in a sentence for the operator.
	What string `json:"what"`
	// Remedy says what to do about it.
	Remedy string `json:"remedy"`

	client keys.Client
	facts  facts
	// proved: the client has shown who it is, whatever the answer.
	proved bool
	// hash is the hash that the attempt's password was compared with, nil if it was
	// not looked at.
	hash *password.Hash
}

// conclude fills in the answer and its words.
func (d *Decision) conclude(r Reason, f facts) {
	d.Reason, d.facts = r, f
	d.What, d.Remedy = explanation(r, f)
}

// Proved reports whether the client has shown that it is who it says, with a key
// that could let it in, or with its password over TLS. It may then be told what
// stands in its way.
func (d Decision) Proved() bool { return d.proved }

// Allowed reports whether the answer is yes.
func (d Decision) Allowed() bool { return d.Reason == Allowed }

// actor is who logs in, for the record.
func (d Decision) actor() string {
	if d.client.Producer() {
		return "producer:" + d.Client
	}
	return "client:" + d.Client
}

// Explain finds out what happens to an attempt, without recording anything. Over
// FTP, an attempt without a password is taken for one with the right password.
//
// Faults on the client's own side come before what an operator can mend: an
// unknown user before its address, the address before its key or password.
func (g *Gate) Explain(ctx context.Context, a Attempt) (Decision, error) {
	until, err := g.bannedUntil(ctx, bucket(a.Address))
	if err != nil {
		return Decision{}, err
	}
	d, err := g.judge(ctx, a, until)
	if err != nil || a.Password == nil || d.hash != nil || !until.IsZero() || d.probe(a) {
		return d, err
	}
	// Whatever stood in the way, a password has cost the time of one that was
	// looked at.
	return d, g.compareWithDecoy(ctx, *a.Password)
}

// judge is [Gate.Explain] for an address that is locked out until a time, the
// zero time if it is not.
func (g *Gate) judge(ctx context.Context, a Attempt, banned time.Time) (Decision, error) {
	a.Address = a.Address.Unmap()
	f := facts{user: printable(a.User), address: a.Address.String(), detail: printable(a.Detail), ftp: a.Protocol == FTP, tls: a.TLS}
	presented := a.Offered
	if a.Proved != nil {
		presented = []Key{*a.Proved}
	}
	f.keys = fingerprints(presented)
	d := Decision{}
	if a.Proved != nil {
		d.Fingerprint = a.Proved.Fingerprint
	}
	conclude := func(r Reason) (Decision, error) {
		d.conclude(r, f)
		return d, nil
	}

	if !banned.IsZero() {
		f.when = banned
		return conclude(TooManyAttempts)
	}
	if a.Failure == NoCommonAlgorithm || a.User == "" {
		return conclude(failureOr(a.Failure, ClosedBeforeLogin))
	}
	found, err := g.lookUp(ctx, a, presented)
	if err != nil {
		return d, err
	}
	f.owner = found.owner
	if found.client == nil {
		return conclude(UnknownClient)
	}
	d.client, d.Client = *found.client, found.client.ID.String()
	f.producer = d.client.Producer()
	switch {
	case d.client.Disabled:
		return conclude(ClientDisabled)
	case !allows(d.client, a.Address):
		if err := g.proveAnyway(ctx, a, found, &d); err != nil {
			return d, err
		}
		f.proved = d.proved && !a.Supposed
		f.stranger = !g.Learn && !g.Admit(ctx, a.Address)
		return conclude(AddressNotAllowed)
	case g.Serves.without(d.client):
		f.elsewhere = true
		return conclude(ProtocolNotEnabled)
	case a.Protocol == FTP:
		reason, when, err := g.judgePassword(ctx, a, found, &d)
		f.when, f.password = when, reason == TooManyAttempts
		if err != nil {
			return d, err
		}
		return conclude(reason)
	case a.Proved == nil && a.Failure != "" && (len(presented) == 0 || aboutKeys(a.Failure)):
		return conclude(a.Failure)
	case found.key == nil:
		return conclude(KeyUnknown)
	}
	d.KeyID, d.Fingerprint, f.keys = found.key.ID, found.key.Fingerprint, found.key.Fingerprint
	reason, when := keyReason(*found.key, g.now())
	f.when = when
	f.by, f.keyID, f.policy = found.key.Importer.Actor, found.key.ID, found.key.ByPolicy()
	f.age = fmt.Sprintf("%d days", found.key.MaxAge/(24*time.Hour))
	if reason == Allowed && a.Proved == nil {
		reason = failureOr(a.Failure, SignatureInvalid)
	}
	return conclude(reason)
}

// proveAnyway finds out whether a client that may not connect from where it does has
// proved who it is all the same: then its address is one to let in, most likely.
// Nothing of the answer goes over the wire before that.
func (g *Gate) proveAnyway(ctx context.Context, a Attempt, f found, d *Decision) error {
	now := g.now()
	switch {
	case a.Proved != nil && f.key != nil && f.key.Usable(now):
		d.proved, d.KeyID = true, f.key.ID
	case a.Password == nil || !a.TLS || f.client.FTP == keys.FTPOff || f.password == nil || !f.locked.IsZero():
	case g.elsewhere.add(bucket(a.Address), now, g.Window) > g.Failures,
		g.elsewhere.add(f.client.ID.String(), now, g.Window) > manyAddresses*g.Failures:
		// Guesses from elsewhere lock nobody out, or anybody could; but they come to
		// nothing, and nobody can tell which do.
	default:
		// It takes the place of the comparison that every password costs. Whether it
		// was right is not looked up in what is remembered, for that takes less time.
		right, err := g.checks.compare(ctx, f.password.Hash, *a.Password)
		if err != nil {
			return err
		}
		d.hash, d.Fingerprint = &f.password.Hash, ByPassword
		d.proved = right && f.password.State(now) != keys.Expired
	}
	return nil
}

// aboutKeys reports whether a failure says more about the keys that were offered
// than that none of them is registered.
func aboutKeys(r Reason) bool {
	return r == SignatureInvalid || r == AlgorithmRefused || r == KeyTooWeak
}

func failureOr(failure, otherwise Reason) Reason {
	if failure != "" {
		return failure
	}
	return otherwise
}

// keyReason judges a key that is the client's own.
func keyReason(k keys.Key, now time.Time) (Reason, time.Time) {
	switch k.State(now) {
	case keys.Revoked:
		return KeyRevoked, k.Revoked
	case keys.Pending:
		return KeyPending, k.Added
	case keys.Expired:
		return KeyExpired, k.Expires
	case keys.Retired:
		return KeyRetired, k.Retires
	}
	return Allowed, time.Time{}
}

// found is what the catalog knows of the user, the keys and the password of an
// attempt.
type found struct {
	client   *keys.Client
	key      *keys.Key      // the client's own among those presented, a usable one if there is one
	owner    string         // another client that one of the keys belongs to
	password *keys.Password // nil if the client has none
	// locked is until when the client's password is locked out, zero if it is not.
	locked time.Time
}

// lookUp makes the same look-ups whether or not the user exists, so that the
// time they take tells a stranger nothing.
func (g *Gate) lookUp(ctx context.Context, a Attempt, presented []Key) (found, error) {
	if a.known != nil {
		return *a.known, nil
	}
	var f found
	id, parseErr := reports.ParseClientID(a.User)
	client, err := g.register.Client(ctx, id)
	switch {
	case errors.Is(err, reports.ErrUnknownClient) || parseErr != nil:
	case err != nil:
		return f, err
	default:
		f.client = &client
	}
	if a.Protocol == FTP {
		if err := g.lookUpPassword(ctx, id, &f); err != nil {
			return f, err
		}
	}
	for _, p := range presented {
		k, ok, err := g.register.SSHKey(ctx, p.Fingerprint)
		if err != nil {
			return f, err
		}
		switch {
		case !ok:
		case f.client == nil || k.Client != f.client.ID:
			f.owner = k.Client.String()
		case f.key == nil || !f.key.Usable(g.now()):
			f.key = &k
		}
	}
	return f, nil
}

// allows reports whether the client may connect from addr, which is unmapped.
// An address that is none is on no list.
func allows(c keys.Client, addr netip.Addr) bool {
	for _, p := range c.Allow {
		if p.Contains(addr.WithZone("")) {
			return true
		}
	}
	return false
}

// printable makes a stranger's text safe to show.
func printable(s string) string {
	const most = 200
	out := make([]rune, 0, min(len(s), most))
	for _, r := range s {
		if len(out) == most {
			return string(out) + "…"
		}
		if r < 0x20 || r == 0x7f || r > 0x7e {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}
