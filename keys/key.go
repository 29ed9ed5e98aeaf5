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
	Expired  State = "expired" // by what the key itself says
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

	Added         time.Time
	Expires       time.Time // zero: never
	Retires       time.Time // zero: not planned
	Revoked       time.Time // zero: not revoked
	RevokedReason string
	LastUsed      time.Time
}

// State returns the key's state at the time now.
func (k Key) State(now time.Time) State {
	switch {
	case !k.Revoked.IsZero():
		return Revoked
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
	return Key{
		ID: row.ID, Client: client, Kind: Kind(row.Kind), Fingerprint: row.Fingerprint, Algorithm: row.Algorithm,
		Label: row.Label, Material: row.Material, Added: database.Time(row.AddedAt), Expires: database.Time(row.ExpiresAt),
		Retires: database.Time(row.RetiresAt), Revoked: database.Time(row.RevokedAt), RevokedReason: row.RevokedReason,
		LastUsed: database.Time(row.LastUsedAt),
	}, nil
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
	rows, err := r.db.Read().FindKeys(ctx, ref)
	if err != nil {
		return Key{}, fmt.Errorf("looking up key %s: %w", ref, err)
	}
	if len(rows) != 1 {
		return Key{}, fmt.Errorf("%w: %s", ErrUnknownKey, ref)
	}
	return keyFromRow(rows[0])
}

// Retire lets a key end at a time, which may be now.
func (r *Register) Retire(ctx context.Context, actor, ref string, at time.Time) (Key, error) {
	return r.end(ctx, actor, ref, "key.retired", map[string]string{"at": at.UTC().Format(time.RFC3339)},
		func(tx *database.Tx, k *Key) error {
			k.Retires = at
			return tx.RetireKey(tx.Context(), query.RetireKeyParams{ID: k.ID, RetiresAt: database.Micros(at)})
		})
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
	k, err := r.Find(ctx, ref)
	if err != nil {
		return Key{}, err
	}
	if !k.Revoked.IsZero() {
		return Key{}, fmt.Errorf("key %s was revoked on %s", k.Fingerprint, k.Revoked.Format(time.DateTime))
	}
	detail["fingerprint"] = k.Fingerprint
	err = r.db.Write(ctx, func(tx *database.Tx) error {
		if err := write(tx, &k); err != nil {
			return err
		}
		return r.changed(tx, audit.Entry{Event: event, Actor: actor, Client: k.Client.String(), Subject: k.ID, Detail: detail})
	})
	return k, err
}
