package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/id"
	"github.com/sealdrop/sealdrop/reports"
)

// Imported tells what became of one key.
type Imported struct {
	Key
	Action string // added, updated, renewed or unchanged
}

// TakenError says that another client has registered the key.
type TakenError struct {
	Fingerprint string
	Owner       reports.ClientID
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("key %s is registered for client %s already", e.Fingerprint, e.Owner)
}

// Hint says what an operator can do.
func (e *TakenError) Hint() string {
	return "a key stands for one client only: ask for a key of its own, made for this client"
}

// RevokedError says that the key was revoked, which is for good.
type RevokedError struct{ Key Key }

func (e *RevokedError) Error() string {
	return fmt.Sprintf("key %s was revoked on %s", e.Key.Fingerprint, e.Key.Revoked.Format("2006-01-02 15:04 MST"))
}

// Hint says what an operator can do.
func (e *RevokedError) Hint() string {
	return "a revoked key stays revoked: ask the client for a new one"
}

// Import registers public keys for a client, all of them or none. A key that is
// registered already is brought up to date: a certificate with a later expiry
// replaces the earlier copy, and a retired key is taken back into use.
func (r *Register) Import(ctx context.Context, actor string, client reports.ClientID, list []Public) ([]Imported, error) {
	var done []Imported
	err := r.db.Write(ctx, func(tx *database.Tx) error {
		if _, err := readClient(tx.Context(), tx.Queries, client); err != nil {
			return err
		}
		for _, p := range list {
			imported, err := r.importOne(tx, actor, client, p)
			if err != nil {
				return err
			}
			done = append(done, imported)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

func (r *Register) importOne(tx *database.Tx, actor string, client reports.ClientID, p Public) (Imported, error) {
	row, err := tx.GetKey(tx.Context(), query.GetKeyParams{Kind: string(p.Kind), Fingerprint: p.Fingerprint})
	if errors.Is(err, database.ErrNotFound) {
		return r.addKey(tx, actor, client, p)
	}
	if err != nil {
		return Imported{}, fmt.Errorf("looking up key %s: %w", p.Fingerprint, err)
	}
	k, err := keyFromRow(row)
	switch {
	case err != nil:
		return Imported{}, err
	case k.Client != client:
		return Imported{}, &TakenError{Fingerprint: k.Fingerprint, Owner: k.Client}
	case !k.Revoked.IsZero():
		return Imported{}, &RevokedError{Key: k}
	}
	action := "unchanged"
	if k.Material != p.Text && !expiresEarlier(p, k) {
		action = "updated"
		k.Material, k.Label, k.Algorithm, k.Expires = p.Text, p.Label, p.Algorithm, p.Expires
		err := tx.UpdateKeyMaterial(tx.Context(), query.UpdateKeyMaterialParams{
			ID: k.ID, Material: k.Material, Label: k.Label, Algorithm: k.Algorithm, ExpiresAt: database.Micros(k.Expires),
		})
		if err != nil {
			return Imported{}, err
		}
	}
	if !k.Retires.IsZero() {
		action = "renewed"
		k.Retires = database.Time(0)
		if err := tx.RetireKey(tx.Context(), query.RetireKeyParams{ID: k.ID}); err != nil {
			return Imported{}, err
		}
	}
	if action == "unchanged" {
		return Imported{k, action}, nil
	}
	return Imported{k, action}, r.changed(tx, audit.Entry{
		Event: "key.updated", Actor: actor, Client: client.String(), Subject: k.ID,
		Detail: map[string]string{"fingerprint": k.Fingerprint, "action": action},
	})
}

// expiresEarlier reports whether p is a copy of k from before its expiry was
// extended.
func expiresEarlier(p Public, k Key) bool {
	return !p.Expires.IsZero() && (k.Expires.IsZero() || p.Expires.Before(k.Expires))
}

func (r *Register) addKey(tx *database.Tx, actor string, client reports.ClientID, p Public) (Imported, error) {
	k := Key{
		ID: id.New(), Client: client, Kind: p.Kind, Fingerprint: p.Fingerprint, Algorithm: p.Algorithm,
		Label: p.Label, Material: p.Text, Added: r.now().UTC(), Expires: p.Expires,
	}
	err := tx.InsertKey(tx.Context(), query.InsertKeyParams{
		ID: k.ID, ClientID: client.String(), Kind: string(k.Kind), Fingerprint: k.Fingerprint, Algorithm: k.Algorithm,
		Label: k.Label, Material: k.Material, AddedAt: database.Micros(k.Added), ExpiresAt: database.Micros(k.Expires),
	})
	if err != nil {
		return Imported{}, fmt.Errorf("registering key %s: %w", p.Fingerprint, err)
	}
	return Imported{k, "added"}, r.changed(tx, audit.Entry{
		Event: "key.imported", Actor: actor, Client: client.String(), Subject: k.ID,
		Detail: map[string]string{"kind": string(k.Kind), "fingerprint": k.Fingerprint, "algorithm": k.Algorithm},
	})
}
