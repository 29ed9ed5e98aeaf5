package access

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

// Key is an SSH key as a client presented it.
type Key struct {
	Fingerprint string // "SHA256:…"
	Algorithm   string
	Bits        int
}

// Attempt is one try to log in.
type Attempt struct {
	Protocol string // "sftp"
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
	// Failure is what the protocol itself found, "" if it found nothing.
	Failure Reason
	// Detail tells more about Failure.
	Detail string
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
}

// Allowed reports whether the answer is yes.
func (d Decision) Allowed() bool { return d.Reason == Allowed }

// Explain finds out what happens to an attempt, without recording anything.
//
// Faults on the client's own side come before what an operator can mend: an
// unknown user before its address, the address before its key.
func (g *Gate) Explain(ctx context.Context, a Attempt) (Decision, error) {
	until, err := g.bannedUntil(ctx, a.Address.Unmap())
	if err != nil {
		return Decision{}, err
	}
	return g.judge(ctx, a, until)
}

// judge is [Gate.Explain] for an address that is locked out until a time, the
// zero time if it is not.
func (g *Gate) judge(ctx context.Context, a Attempt, banned time.Time) (Decision, error) {
	a.Address = a.Address.Unmap()
	f := facts{user: printable(a.User), address: a.Address.String(), detail: printable(a.Detail)}
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
		d.Reason = r
		d.What, d.Remedy = explanation(r, f)
		return d, nil
	}

	if !banned.IsZero() {
		f.when = banned
		return conclude(TooManyAttempts)
	}
	if a.Failure == NoCommonAlgorithm || a.User == "" {
		return conclude(failureOr(a.Failure, ClosedBeforeLogin))
	}
	found, err := g.lookUp(ctx, a.User, presented)
	if err != nil {
		return d, err
	}
	f.owner = found.owner
	if found.client == nil {
		return conclude(UnknownClient)
	}
	d.client, d.Client = *found.client, found.client.ID.String()
	switch {
	case d.client.Disabled:
		return conclude(ClientDisabled)
	case !allows(d.client, a.Address):
		f.stranger = !g.Admit(ctx, a.Address)
		return conclude(AddressNotAllowed)
	case a.Proved == nil && a.Failure != "" && (len(presented) == 0 || aboutKeys(a.Failure)):
		return conclude(a.Failure)
	case found.key == nil:
		return conclude(KeyUnknown)
	}
	d.KeyID, d.Fingerprint, f.keys = found.key.ID, found.key.Fingerprint, found.key.Fingerprint
	reason, when := keyReason(*found.key, g.now())
	f.when = when
	if reason == Allowed && a.Proved == nil {
		reason = failureOr(a.Failure, SignatureInvalid)
	}
	return conclude(reason)
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
	case keys.Expired:
		return KeyExpired, k.Expires
	case keys.Retired:
		return KeyRetired, k.Retires
	}
	return Allowed, time.Time{}
}

// found is what the catalog knows of the user and the keys of an attempt.
type found struct {
	client *keys.Client
	key    *keys.Key // the client's own among those presented, a usable one if there is one
	owner  string    // another client that one of the keys belongs to
}

// lookUp makes the same look-ups whether or not the user exists, so that the
// time they take tells a stranger nothing.
func (g *Gate) lookUp(ctx context.Context, user string, presented []Key) (found, error) {
	var f found
	id, parseErr := reports.ParseClientID(user)
	client, err := g.register.Client(ctx, id)
	switch {
	case errors.Is(err, reports.ErrUnknownClient) || parseErr != nil:
	case err != nil:
		return f, err
	default:
		f.client = &client
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
