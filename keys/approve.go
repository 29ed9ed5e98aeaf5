package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/keys/pgp"
)

// OwnImportError says that an operator wanted to approve what it has imported.
type OwnImportError struct {
	Key Key
	By  Operator // who imported it
}

func (e *OwnImportError) Error() string {
	return fmt.Sprintf("key %s was imported by %s, and approving takes somebody else", e.Key.Fingerprint, e.By.Actor)
}

// Hint says what an operator can do.
func (e *OwnImportError) Hint() string {
	return "operators are told apart by the user that logged in (audit login uid, as far as systemd-logind knows of it), else by the real user id of the process; " +
		"have a colleague compare the fingerprint with the client's word and run this under an account of their own"
}

// NothingPendingError says that there is nothing to approve or reject.
type NothingPendingError struct{ Key Key }

func (e *NothingPendingError) Error() string {
	return fmt.Sprintf("nothing of key %s waits for approval", e.Key.Fingerprint)
}

// Hint says what an operator can do.
func (e *NothingPendingError) Hint() string { return "`sealdrop key list --pending` shows what waits" }

// Proposal is something that waits for approval.
type Proposal struct {
	Key Key
	// New: the whole key waits; otherwise Changes of a registered one do.
	New     bool
	Changes []string
	At      time.Time
	By      Operator
}

// Pending returns what waits for approval: new keys first, by client, then changes.
func (r *Register) Pending(ctx context.Context) ([]Proposal, error) {
	rows, err := r.db.Read().ListPendingKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the keys that wait for approval: %w", err)
	}
	list, err := keysFromRows(rows)
	if err != nil {
		return nil, err
	}
	var found []Proposal
	for _, k := range list {
		if k.Revoked.IsZero() {
			found = append(found, Proposal{Key: k, New: true, At: k.Added, By: k.Importer})
		}
	}
	updates, err := r.db.Read().ListKeyUpdates(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the changes that wait for approval: %w", err)
	}
	for _, u := range updates {
		k, err := find(ctx, r.db.Read(), u.KeyID)
		if errors.Is(err, ErrUnknownKey) {
			continue // removed between the two look-ups
		}
		if err != nil {
			return nil, err
		}
		found = append(found, Proposal{Key: k, Changes: strings.Split(u.Changes, "\n"), At: database.Time(u.At), By: proposer(u)})
	}
	return found, nil
}

func proposer(u query.KeyUpdate) Operator {
	return Operator{Actor: u.ImportedBy, UID: u.ImportedUid, Login: u.ImportedLogin}
}

// Approve puts into effect what waits of a key, by somebody other than who imported
// it: a [*OwnImportError] says that it was the same. It returns the key first, and
// then the keys that it replaces.
func (r *Register) Approve(ctx context.Context, by Operator, ref string) ([]Imported, error) {
	var done []Imported
	err := r.db.Write(ctx, func(tx *database.Tx) error {
		im, k, update, err := r.waiting(tx, by, ref)
		if err != nil {
			return err
		}
		if update == nil {
			done, err = im.approveKey(k)
		} else {
			done, err = im.approveUpdate(k, *update)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// waiting finds what waits of a key. update is nil if that is the whole key.
func (r *Register) waiting(tx *database.Tx, by Operator, ref string) (im importing, k Key, update *query.KeyUpdate, err error) {
	if k, err = find(tx.Context(), tx.Queries, ref); err != nil {
		return im, k, nil, err
	}
	im = importing{r: r, tx: tx, by: by, client: k.Client}
	if !k.Revoked.IsZero() {
		return im, k, nil, &RevokedError{Key: k}
	}
	if k.Pending {
		return im, k, nil, nil
	}
	u, err := tx.GetKeyUpdate(tx.Context(), k.ID)
	if errors.Is(err, database.ErrNotFound) {
		return im, k, nil, &NothingPendingError{Key: k}
	}
	if err != nil {
		return im, k, nil, fmt.Errorf("looking up what waits of key %s: %w", k.Fingerprint, err)
	}
	return im, k, &u, nil
}

func (im importing) approveKey(k Key) ([]Imported, error) {
	if im.by.Same(k.Importer) {
		return nil, &OwnImportError{Key: k, By: k.Importer}
	}
	now := im.r.now().UTC()
	k.Pending, k.Approved, k.ApprovedBy = false, now, im.by.Actor
	err := im.tx.ApproveKey(im.tx.Context(), query.ApproveKeyParams{ID: k.ID, ApprovedAt: database.Micros(now), ApprovedBy: k.ApprovedBy})
	if err != nil {
		return nil, fmt.Errorf("approving key %s: %w", k.Fingerprint, err)
	}
	if err := im.record("key.approved", k, map[string]string{"imported_by": k.Importer.Actor}); err != nil {
		return nil, err
	}
	retired, err := im.retireReplaced(k)
	return append([]Imported{{Key: k, Action: ActionApproved}}, retired...), err
}

func (im importing) approveUpdate(k Key, u query.KeyUpdate) ([]Imported, error) {
	if by := proposer(u); im.by.Same(by) {
		return nil, &OwnImportError{Key: k, By: by}
	}
	if k.Kind == PGP && u.Material != k.Material {
		if err := im.mergeProposal(&k, u); err != nil {
			return nil, err
		}
	}
	if u.Renews != 0 {
		k.Retires = database.Time(0)
		if err := im.tx.RetireKey(im.tx.Context(), query.RetireKeyParams{ID: k.ID}); err != nil {
			return nil, err
		}
	}
	if err := im.tx.DeleteKeyUpdate(im.tx.Context(), k.ID); err != nil {
		return nil, err
	}
	changes := strings.Split(u.Changes, "\n")
	return []Imported{{Key: k, Action: ActionApproved, Changes: changes}},
		im.record("key.approved", k, map[string]string{"imported_by": u.ImportedBy, "changes": strings.Join(changes, "; ")})
}

// mergeProposal adds what waits to what the certificate has become meanwhile.
func (im importing) mergeProposal(k *Key, u query.KeyUpdate) error {
	proposed, err := oneCertificate(u.Material)
	if err != nil {
		return fmt.Errorf("reading what waits of key %s: %w", k.Fingerprint, err)
	}
	if current, err := im.r.certs.parse(*k); err == nil {
		if proposed, err = current.Merge(proposed, pgp.Everything); err != nil {
			return err
		}
	}
	return im.take(k, proposed)
}

// Reject drops what waits of a key. Who imported it may do that, too.
func (r *Register) Reject(ctx context.Context, by Operator, ref, reason string) (Imported, error) {
	var done Imported
	err := r.db.Write(ctx, func(tx *database.Tx) error {
		im, k, update, err := r.waiting(tx, by, ref)
		if err != nil {
			return err
		}
		detail := map[string]string{"reason": reason}
		if update == nil {
			err = tx.DeleteKey(tx.Context(), k.ID)
			detail["imported_by"] = k.Importer.Actor
		} else {
			err = tx.DeleteKeyUpdate(tx.Context(), k.ID)
			detail["imported_by"] = update.ImportedBy
		}
		if err != nil {
			return fmt.Errorf("rejecting key %s: %w", k.Fingerprint, err)
		}
		done = Imported{Key: k, Action: ActionRejected}
		return im.record("key.rejected", k, detail)
	})
	return done, err
}
