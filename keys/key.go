package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// Kind tells what a key is for.
type Kind string

// The kinds of keys.
const (
	SSH Kind = "ssh" // to log in
	PGP Kind = "pgp" // to seal for
)

// State is where a key stands in its life at a given time.
type State string

// The states of keys. Only Active and Retiring ones are any good.
const (
	Active   State = "active"
	Retiring State = "retiring" // good until a time that an operator set
	Retired  State = "retired"
	Revoked  State = "revoked"
	Expired  State = "expired" // by what the key itself says, or this gateway's limit on its age
	Pending  State = "pending" // imported by one operator, and not approved by another yet
)

// Key is a registered public key.
type Key struct {
	ID          string
	Client      reports.ClientID
	Kind        Kind
	Fingerprint string // as ssh-keygen -l or gpg shows it
	Algorithm   string
	Label       string // an SSH key's comment, a PGP key's user id
	Material    string // the public key itself, in its text form

	Added time.Time
	// Expires is the earlier of what the key itself says and, for an SSH key, what
	// this gateway's policy said when it was imported. Zero: never.
	Expires time.Time
	// MaxAge is what that policy said, counted from Added; 0: nothing.
	MaxAge        time.Duration
	Retires       time.Time // zero: not planned
	Revoked       time.Time // zero: not revoked
	RevokedReason string
	LastUsed      time.Time

	// Pending: it was imported under the rule that another operator approves it, and
	// does nothing until then.
	Pending bool
	// Importer is who imported it, or last added to what waits for approval.
	Importer   Operator
	ApprovedBy string    // "" if no approval was asked for
	Approved   time.Time // or imported, where none was

	ownExpiry time.Time // what the key itself says
	replaces  string    // ids of the keys that retire once it is approved
	overlap   time.Duration
}

// ByPolicy reports whether it is this gateway's limit on a key's age that ends k
// first.
func (k Key) ByPolicy() bool { return k.MaxAge > 0 && k.Expires.Equal(k.Added.Add(k.MaxAge)) }

// limit sets MaxAge, and Expires by it.
func (k *Key) limit(age time.Duration) {
	k.MaxAge, k.Expires = age, k.ownExpiry
	if limit := k.Added.Add(age); age > 0 && (k.Expires.IsZero() || limit.Before(k.Expires)) {
		k.Expires = limit
	}
}

// State returns the key's state at the time now.
func (k Key) State(now time.Time) State {
	switch {
	case !k.Revoked.IsZero():
		return Revoked
	case k.Pending:
		return Pending
	case !k.Expires.IsZero() && !now.Before(k.Expires):
		return Expired
	case !k.Retires.IsZero() && !now.Before(k.Retires):
		return Retired
	case !k.Retires.IsZero():
		return Retiring
	}
	return Active
}

// Usable reports whether the key may be used at the time now.
func (k Key) Usable(now time.Time) bool {
	s := k.State(now)
	return s == Active || s == Retiring
}

func keyFromRow(row query.Key) (Key, error) {
	client, err := reports.ParseClientID(row.ClientID)
	if err != nil {
		return Key{}, fmt.Errorf("reading the catalog: %w", err)
	}
	k := Key{
		ID: row.ID, Client: client, Kind: Kind(row.Kind), Fingerprint: row.Fingerprint, Algorithm: row.Algorithm,
		Label: row.Label, Material: row.Material, Added: database.Time(row.AddedAt), ownExpiry: database.Time(row.ExpiresAt),
		Retires: database.Time(row.RetiresAt), Revoked: database.Time(row.RevokedAt), RevokedReason: row.RevokedReason,
		LastUsed: database.Time(row.LastUsedAt), Pending: row.ApprovedAt == 0,
		Importer:   Operator{Actor: row.ImportedBy, UID: row.ImportedUid, Login: row.ImportedLogin},
		ApprovedBy: row.ApprovedBy, Approved: database.Time(row.ApprovedAt),
		replaces: row.Replaces, overlap: time.Duration(row.Overlap) * time.Microsecond,
	}
	k.limit(time.Duration(row.MaxAge) * time.Microsecond)
	return k, nil
}

func keysFromRows(rows []query.Key) ([]Key, error) {
	list := make([]Key, 0, len(rows))
	for _, row := range rows {
		k, err := keyFromRow(row)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}

// Keys returns all keys of a client, in whatever state, SSH before PGP.
func (r *Register) Keys(ctx context.Context, client reports.ClientID) ([]Key, error) {
	rows, err := r.db.Read().ListKeys(ctx, client.String())
	if err != nil {
		return nil, fmt.Errorf("reading the keys of client %s: %w", client, err)
	}
	return keysFromRows(rows)
}

// SSHKey looks a key up by its fingerprint, by index. found is false if no
// client has registered it.
func (r *Register) SSHKey(ctx context.Context, fingerprint string) (k Key, found bool, err error) {
	row, err := r.db.Read().GetKey(ctx, query.GetKeyParams{Kind: string(SSH), Fingerprint: fingerprint})
	if errors.Is(err, database.ErrNotFound) {
		return Key{}, false, nil
	}
	if err != nil {
		return Key{}, false, fmt.Errorf("looking up a key: %w", err)
	}
	k, err = keyFromRow(row)
	return k, err == nil, err
}

// ErrUnknownKey says that there is no key of that id or fingerprint.
var ErrUnknownKey = errors.New("no key has that id or fingerprint")

// Find looks a key up by its id or its whole fingerprint.
func (r *Register) Find(ctx context.Context, ref string) (Key, error) {
	return find(ctx, r.db.Read(), ref)
}

func find(ctx context.Context, q *query.Queries, ref string) (Key, error) {
	rows, err := q.FindKeys(ctx, ref)
	if err != nil {
		return Key{}, fmt.Errorf("looking up key %s: %w", ref, err)
	}
	if len(rows) != 1 {
		return Key{}, fmt.Errorf("%w: %s", ErrUnknownKey, ref)
	}
	return keyFromRow(rows[0])
}

// EndedError says that a key has ended, or is to end and would take another operator's
// approval to last longer.
type EndedError struct {
	Key   Key
	State State
}

func (e *EndedError) Error() string {
	return fmt.Sprintf("key %s is %s; it can't be given more time", e.Key.Fingerprint, e.State)
}

// Hint says what an operator can do.
func (e *EndedError) Hint() string {
	return fmt.Sprintf("to have it in use again, import it again: `sealdrop key import --client %s FILE`", e.Key.Client)
}

// Retire lets a key end at a time, which may be now. A key that has ended is not
// brought back by a later time, and under [Policy.TwoPerson] the end of one that is
// retiring is not put off: see [EndedError].
func (r *Register) Retire(ctx context.Context, actor, ref string, at time.Time) (Key, error) {
	return r.end(ctx, actor, ref, "key.retired", map[string]string{"at": at.UTC().Format(time.RFC3339)},
		func(tx *database.Tx, k *Key) error {
			r, err := r.under(tx)
			if err != nil {
				return err
			}
			return r.retire(tx, k, at)
		})
}

func (r *Register) retire(tx *database.Tx, k *Key, at time.Time) error {
	now := r.now()
	s := k.State(now)
	longer := r.policy.TwoPerson && s == Retiring && at.After(k.Retires)
	if s == Retired && at.After(now) || longer {
		return &EndedError{Key: *k, State: s}
	}
	k.Retires = at
	return tx.RetireKey(tx.Context(), query.RetireKeyParams{ID: k.ID, RetiresAt: database.Micros(at)})
}

// Revoke ends a key at once and for good: no import brings it back.
func (r *Register) Revoke(ctx context.Context, actor, ref, reason string) (Key, error) {
	return r.end(ctx, actor, ref, "key.revoked", map[string]string{"reason": reason},
		func(tx *database.Tx, k *Key) error {
			k.Revoked, k.RevokedReason = r.now(), reason
			return tx.RevokeKey(tx.Context(), query.RevokeKeyParams{ID: k.ID, RevokedAt: database.Micros(k.Revoked), RevokedReason: reason})
		})
}

func (r *Register) end(ctx context.Context, actor, ref string, event audit.Event, detail map[string]string, write func(*database.Tx, *Key) error) (Key, error) {
	var k Key
	err := r.db.Write(ctx, func(tx *database.Tx) (err error) {
		if k, err = find(tx.Context(), tx.Queries, ref); err != nil {
			return err
		}
		if !k.Revoked.IsZero() {
			return fmt.Errorf("key %s was revoked on %s", k.Fingerprint, k.Revoked.Format(time.DateTime))
		}
		detail["fingerprint"] = k.Fingerprint
		if err := write(tx, &k); err != nil {
			return err
		}
		return r.changed(tx, audit.Entry{Event: event, Actor: actor, Client: k.Client.String(), Subject: k.ID, Detail: detail})
	})
	return k, err
}
