package keys

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
)

// certificate brings a registered certificate up to date by a later copy. Its
// revocation and changes of what is known count at once; new keys may have to wait.
func (im importing) certificate(k Key, p Public) (Imported, error) {
	later, err := oneCertificate(p.Text)
	if err != nil {
		return Imported{}, fmt.Errorf("reading key %s: %w", k.Fingerprint, err)
	}
	before, err := im.r.certs.parse(k)
	if err != nil {
		// What is in the catalog can't be read, so there is nothing to compare with.
		return im.replaceUnreadable(k, later)
	}
	merged, err := before.Merge(later, pgp.Everything)
	if err != nil {
		return Imported{}, err
	}
	update := merged.Since(before)
	if _, revoked := merged.Revoked(); revoked {
		return im.revoked(k, merged, update.Changes)
	}
	switch {
	case len(update.Changes) == 0 && k.Pending:
		return Imported{Key: k, Action: ActionPending}, nil
	case len(update.Changes) == 0:
		return Imported{Key: k, Action: ActionUnchanged}, nil
	case k.Pending:
		return im.replacePending(k, later, p.Fault, update.Changes)
	case update.NewKeys && im.r.policy.TwoPerson:
		return im.proposeKeys(k, before, later, merged)
	}
	return im.updated(k, merged, update.Changes)
}

func oneCertificate(text string) (pgp.Certificate, error) {
	list, err := pgp.Parse([]byte(text))
	if err != nil {
		return pgp.Certificate{}, err
	}
	if len(list) != 1 {
		return pgp.Certificate{}, fmt.Errorf("there are %d certificates where one belongs", len(list))
	}
	return list[0], nil
}

func (im importing) updated(k Key, cert pgp.Certificate, changes []string) (Imported, error) {
	if err := im.take(&k, cert); err != nil {
		return Imported{}, err
	}
	return Imported{Key: k, Action: ActionUpdated, Changes: changes},
		im.record("key.updated", k, map[string]string{"action": string(ActionUpdated), "changes": strings.Join(changes, "; ")})
}

func (im importing) replaceUnreadable(k Key, cert pgp.Certificate) (Imported, error) {
	changes := []string{"the earlier copy could not be read"}
	if k.Pending || im.r.policy.TwoPerson {
		return im.propose(k, cert, false, changes)
	}
	return im.updated(k, cert, changes)
}

// replacePending is for a key that waits as a whole. What waits is then this copy
// alone, and who brought it can't approve it: the two copies put together would hold
// what only the first of the two operators has seen, and could then approve.
func (im importing) replacePending(k Key, cert pgp.Certificate, fault error, changes []string) (Imported, error) {
	if fault != nil {
		return Imported{}, fault
	}
	if err := im.take(&k, cert); err != nil {
		return Imported{}, err
	}
	k.Importer = im.by
	err := im.tx.SetKeyImporter(im.tx.Context(), query.SetKeyImporterParams{
		ID: k.ID, ImportedBy: im.by.Actor, ImportedUid: im.by.UID, ImportedLogin: im.by.Login,
	})
	if err != nil {
		return Imported{}, err
	}
	return Imported{Key: k, Action: ActionPending, Changes: changes},
		im.record("key.pending", k, map[string]string{"changes": strings.Join(changes, "; ")})
}

// proposeKeys takes at once what concerns keys that were approved, and has the rest
// wait.
func (im importing) proposeKeys(k Key, before, later, merged pgp.Certificate) (Imported, error) {
	known, err := before.Merge(later, pgp.KnownKeys)
	if err != nil {
		return Imported{}, err
	}
	// A key that was not for encryption can become one without being new.
	if now := known.Since(before); len(now.Changes) > 0 && !now.NewKeys {
		imported, err := im.updated(k, known, now.Changes)
		if err != nil {
			return Imported{}, err
		}
		k, before = imported.Key, known
	}
	return im.propose(k, merged, false, merged.Since(before).Changes)
}

// propose has a change of a registered key wait for approval, in the place of what
// waited before, for the reason that replacePending tells.
func (im importing) propose(k Key, cert pgp.Certificate, renews bool, changes []string) (Imported, error) {
	material := k.Material
	if !cert.IsZero() {
		material = cert.Armored()
	}
	err := im.tx.PutKeyUpdate(im.tx.Context(), query.PutKeyUpdateParams{
		KeyID: k.ID, Material: material, Renews: flag(renews), Changes: strings.Join(changes, "\n"), At: database.Micros(im.r.now()),
		ImportedBy: im.by.Actor, ImportedUid: im.by.UID, ImportedLogin: im.by.Login,
	})
	if err != nil {
		return Imported{}, fmt.Errorf("noting what is to be approved of key %s: %w", k.Fingerprint, err)
	}
	return Imported{Key: k, Action: ActionPending, Changes: changes},
		im.record("key.pending", k, map[string]string{"changes": strings.Join(changes, "; ")})
}

// renew takes a retired or retiring key back into use.
func (im importing) renew(imported Imported) (Imported, error) {
	k := imported.Key
	if im.r.policy.TwoPerson {
		var cert pgp.Certificate
		if imported.Action == ActionPending { // its new text waits as well
			u, err := im.tx.GetKeyUpdate(im.tx.Context(), k.ID)
			if err != nil {
				return Imported{}, err
			}
			if cert, err = oneCertificate(u.Material); err != nil {
				return Imported{}, err
			}
		}
		return im.propose(k, cert, true, append(imported.Changes, "back in use"))
	}
	k.Retires = database.Time(0)
	if err := im.tx.RetireKey(im.tx.Context(), query.RetireKeyParams{ID: k.ID}); err != nil {
		return Imported{}, err
	}
	return Imported{Key: k, Action: ActionRenewed, Changes: imported.Changes},
		im.record("key.updated", k, map[string]string{"action": string(ActionRenewed)})
}

// UnmatchedRevocationError says that a revocation certificate is for none of a
// client's keys.
type UnmatchedRevocationError struct {
	Client reports.ClientID
	Issuer string
}

func (e *UnmatchedRevocationError) Error() string {
	return fmt.Sprintf("the revocation certificate, by key %s, is for none of client %s's PGP keys", e.Issuer, e.Client)
}

// Hint says what an operator can do.
func (e *UnmatchedRevocationError) Hint() string {
	return fmt.Sprintf("compare with `sealdrop key list --client %s`; it may be another client's, or for a key that was never imported here", e.Client)
}

// revocation ends the certificate of the client that a revocation certificate was
// made by.
func (im importing) revocation(r pgp.Revocation) (Imported, error) {
	rows, err := im.tx.ListKeys(im.tx.Context(), im.client.String())
	if err != nil {
		return Imported{}, fmt.Errorf("reading the keys of client %s: %w", im.client, err)
	}
	list, err := keysFromRows(rows)
	if err != nil {
		return Imported{}, err
	}
	var designated *pgp.RevocationError
	for _, k := range list {
		if k.Kind != PGP {
			continue
		}
		cert, err := im.r.certs.parse(k)
		if err != nil {
			continue // what can't be read can't be sealed to either
		}
		revoked, err := cert.Revoke(r)
		var foreign *pgp.RevocationError
		switch {
		case errors.As(err, &foreign):
			if foreign.Designated {
				designated = foreign
			}
			continue
		case err != nil:
			return Imported{}, err
		case !k.Revoked.IsZero():
			return Imported{Key: k, Action: ActionUnchanged}, nil
		}
		return im.revoked(k, revoked, revoked.Since(cert).Changes)
	}
	if designated != nil {
		return Imported{}, designated
	}
	return Imported{}, &UnmatchedRevocationError{Client: im.client, Issuer: r.Issuer()}
}

// revoked ends a certificate that its owner has revoked. What waits to be approved
// of it is moot.
func (im importing) revoked(k Key, cert pgp.Certificate, changes []string) (Imported, error) {
	if err := im.take(&k, cert); err != nil {
		return Imported{}, err
	}
	if err := im.tx.DeleteKeyUpdate(im.tx.Context(), k.ID); err != nil {
		return Imported{}, err
	}
	how, _ := cert.Revoked()
	k.Revoked, k.RevokedReason = im.r.now(), "by its owner: "+how.String()
	err := im.tx.RevokeKey(im.tx.Context(), query.RevokeKeyParams{ID: k.ID, RevokedAt: database.Micros(k.Revoked), RevokedReason: k.RevokedReason})
	if err != nil {
		return Imported{}, err
	}
	return Imported{Key: k, Action: ActionRevoked, Changes: changes},
		im.record("key.revoked", k, map[string]string{"reason": k.RevokedReason})
}
