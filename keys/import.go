package keys

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/id"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
)

// Action is what became of one key.
type Action string

// The actions.
const (
	ActionAdded     Action = "added"
	ActionUpdated   Action = "updated"   // a certificate has changed, or a comment
	ActionRenewed   Action = "renewed"   // a retired key is back in use
	ActionUnchanged Action = "unchanged" // nothing was new
	ActionPending   Action = "pending"   // something waits for another operator's approval
	ActionRevoked   Action = "revoked"   // by its owner
	ActionRetiring  Action = "retiring"  // replaced, and good until the overlap is over
	ActionApproved  Action = "approved"
	ActionRejected  Action = "rejected"
)

// Imported tells what became of one key.
type Imported struct {
	Key
	Action Action
	// Changes says what is different, or will be once it is approved, for people.
	Changes []string
}

// ImportOptions says how keys are imported.
type ImportOptions struct {
	// Replaces names keys of the client, by id or fingerprint, that retire once the
	// new ones are in use.
	Replaces []string
	// Overlap is how long these are good from then on.
	Overlap time.Duration
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

// TooOldError says that an SSH key has passed this gateway's limit on age.
type TooOldError struct{ Key Key }

func (e *TooOldError) Error() string {
	return fmt.Sprintf("key %s was imported on %s and has expired by this gateway's policy (keys.ssh_max_age)", e.Key.Fingerprint, e.Key.Added.Format(time.DateOnly))
}

// Hint says what an operator can do.
func (e *TooOldError) Hint() string {
	return "importing it again gives it no more time: ask the client for a new pair's public half; after a change of the policy, `sealdrop key policy` shows what would change"
}

// ReplaceError says that a key can't be replaced by what was imported.
type ReplaceError struct {
	Key    Key
	Client reports.ClientID // that was imported for
}

func (e *ReplaceError) Error() string {
	if e.Key.Client != e.Client {
		return fmt.Sprintf("key %s is client %s's and can't be replaced by a key of client %s", e.Key.Fingerprint, e.Key.Client, e.Client)
	}
	return fmt.Sprintf("key %s can't be replaced: there is no other %s key among those that were imported", e.Key.Fingerprint, e.Key.Kind)
}

// Hint says what an operator can do.
func (e *ReplaceError) Hint() string {
	return fmt.Sprintf("`sealdrop key list --client %s` shows the client's keys; `sealdrop key retire %s` ends one without a successor", e.Client, e.Key.Fingerprint)
}

// Import is [Register.ImportAs] for an actor of whom nothing else is known.
func (r *Register) Import(ctx context.Context, actor string, client reports.ClientID, list []Public) ([]Imported, error) {
	return r.ImportAs(ctx, Operator{Actor: actor, UID: NoUID, Login: NoUID}, client, list, ImportOptions{})
}

// ImportAs registers what [Read] or [ReadAny] found for a client, all of it or
// nothing. What is registered already is brought up to date: a certificate by what
// its owner has signed since, and a retired key is taken back into use. Revocations
// by the owner end a certificate at once and for good.
//
// Under [Policy.TwoPerson], whatever would let somebody in or have reports sealed to
// another key waits for [Register.Approve]: new keys, new encryption subkeys, retired
// keys. Longer and shorter expiries and revocations of what was approved count at
// once: the approved key itself has signed them, and waiting would only hold reports.
func (r *Register) ImportAs(ctx context.Context, by Operator, client reports.ClientID, list []Public, o ImportOptions) ([]Imported, error) {
	var done []Imported
	err := r.db.Write(ctx, func(tx *database.Tx) error {
		if _, err := readClient(tx.Context(), tx.Queries, client); err != nil {
			return err
		}
		r, err := r.under(tx)
		if err != nil {
			return err
		}
		im := importing{r: r, tx: tx, by: by, client: client, options: o}
		replaced, err := im.replaced()
		if err != nil {
			return err
		}
		for _, p := range list {
			imported, err := im.one(p, replaced)
			if err != nil {
				return err
			}
			done = append(done, imported)
		}
		retired, err := im.retire(replaced, done)
		done = append(done, retired...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// importing is one import, within its transaction.
type importing struct {
	r       *Register
	tx      *database.Tx
	by      Operator
	client  reports.ClientID
	options ImportOptions
}

func (im importing) record(event audit.Event, k Key, detail map[string]string) error {
	detail["fingerprint"] = k.Fingerprint
	if im.by.UID != NoUID {
		detail["uid"] = strconv.FormatInt(im.by.UID, 10)
	}
	if im.by.Login != NoUID {
		detail["login_uid"] = strconv.FormatInt(im.by.Login, 10)
	}
	return im.r.changed(im.tx, audit.Entry{Event: event, Actor: im.by.Actor, Client: k.Client.String(), Subject: k.ID, Detail: detail})
}

func (im importing) one(p Public, replaced []Key) (Imported, error) {
	if p.Revocation != nil {
		return im.revocation(*p.Revocation)
	}
	row, err := im.tx.GetKey(im.tx.Context(), query.GetKeyParams{Kind: string(p.Kind), Fingerprint: p.Fingerprint})
	if errors.Is(err, database.ErrNotFound) {
		if p.Fault != nil {
			return Imported{}, p.Fault
		}
		return im.add(p, replaced)
	}
	if err != nil {
		return Imported{}, fmt.Errorf("looking up key %s: %w", p.Fingerprint, err)
	}
	k, err := keyFromRow(row)
	switch {
	case err != nil:
		return Imported{}, err
	case k.Client != im.client:
		return Imported{}, &TakenError{Fingerprint: k.Fingerprint, Owner: k.Client}
	case !k.Revoked.IsZero():
		return Imported{}, &RevokedError{Key: k}
	case k.ByPolicy() && !im.r.now().Before(k.Expires):
		return Imported{}, &TooOldError{Key: k}
	}
	imported, err := im.update(k, p)
	if err != nil || k.Retires.IsZero() || k.Pending || imported.Action == ActionRevoked {
		return imported, err
	}
	return im.renew(imported)
}

func (im importing) add(p Public, replaced []Key) (Imported, error) {
	now := im.r.now().UTC()
	k := Key{
		ID: id.New(), Client: im.client, Kind: p.Kind, Fingerprint: p.Fingerprint, Algorithm: p.Algorithm,
		Label: p.Label, Material: p.Text, Added: now, ownExpiry: p.Expires, Importer: im.by, Pending: im.r.policy.TwoPerson,
	}
	k.limit(0)
	if k.Kind == SSH {
		k.limit(im.r.policy.SSHMaxAge)
	}
	action, event := ActionAdded, audit.Event("key.imported")
	if k.Pending {
		action, event = ActionPending, "key.pending"
		k.replaces, k.overlap = idsOf(replaced, k.Kind), im.options.Overlap
	} else {
		k.Approved = now
	}
	err := im.tx.InsertKey(im.tx.Context(), query.InsertKeyParams{
		ID: k.ID, ClientID: im.client.String(), Kind: string(k.Kind), Fingerprint: k.Fingerprint, Algorithm: k.Algorithm,
		Label: k.Label, Material: k.Material, AddedAt: database.Micros(k.Added), ExpiresAt: database.Micros(k.ownExpiry),
		MaxAge: k.MaxAge.Microseconds(), ImportedBy: im.by.Actor, ImportedUid: im.by.UID, ImportedLogin: im.by.Login,
		ApprovedAt: database.Micros(k.Approved), Replaces: k.replaces, Overlap: k.overlap.Microseconds(),
	})
	if err != nil {
		return Imported{}, fmt.Errorf("registering key %s: %w", p.Fingerprint, err)
	}
	detail := map[string]string{"kind": string(k.Kind), "algorithm": k.Algorithm}
	if !k.Expires.IsZero() {
		detail["expires"] = k.Expires.UTC().Format(time.RFC3339)
	}
	return Imported{Key: k, Action: action}, im.record(event, k, detail)
}

// idsOf joins the ids of those keys that are of a kind.
func idsOf(list []Key, kind Kind) string {
	var ids []string
	for _, k := range list {
		if k.Kind == kind {
			ids = append(ids, k.ID)
		}
	}
	return strings.Join(ids, ",")
}

// update brings a registered key up to date.
func (im importing) update(k Key, p Public) (Imported, error) {
	same := Imported{Key: k, Action: ActionUnchanged}
	if k.Pending {
		same.Action = ActionPending
	}
	if k.Material == p.Text {
		return same, p.Fault
	}
	if k.Kind == SSH { // the same key with another comment
		k.Material, k.Label = p.Text, p.Label
		if err := im.writeMaterial(&k); err != nil {
			return Imported{}, err
		}
		same.Key = k
		if k.Pending {
			return same, nil
		}
		return Imported{Key: k, Action: ActionUpdated}, im.record("key.updated", k, map[string]string{"action": string(ActionUpdated)})
	}
	imported, err := im.certificate(k, p)
	if err == nil && imported.Action == same.Action && len(imported.Changes) == 0 {
		return imported, p.Fault // nothing new, and no good
	}
	return imported, err
}

func (im importing) writeMaterial(k *Key) error {
	k.limit(k.MaxAge)
	err := im.tx.UpdateKeyMaterial(im.tx.Context(), query.UpdateKeyMaterialParams{
		ID: k.ID, Material: k.Material, Label: k.Label, Algorithm: k.Algorithm, ExpiresAt: database.Micros(k.ownExpiry),
	})
	if err != nil {
		return fmt.Errorf("bringing key %s up to date: %w", k.Fingerprint, err)
	}
	return nil
}

// take puts a certificate in the place of a key's earlier copy.
func (im importing) take(k *Key, cert pgp.Certificate) error {
	p := publicOf(cert)
	k.Material, k.Label, k.Algorithm, k.ownExpiry = p.Text, p.Label, p.Algorithm, p.Expires
	return im.writeMaterial(k)
}
