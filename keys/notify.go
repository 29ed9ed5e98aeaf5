package keys

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/outbox"
	"github.com/sealdrop/sealdrop/reports"
)

// tell has the client told of a change to what lets it in, within the change's own
// transaction.
func (r *Register) tell(tx *database.Tx, e audit.Entry) error {
	changes := map[audit.Event]string{
		"key.imported": "key-imported", "key.approved": "key-approved", "key.updated": "key-imported",
		"key.retired": "key-retired", "key.revoked": "key-revoked",
		"password.set": "password-set", "password.expired": "password-expired", "password.removed": "password-removed",
	}
	change, tells := changes[e.Event]
	if !tells {
		return nil
	}
	detail := map[string]string{outbox.Change: change}
	if until := cmp.Or(e.Detail["expires"], e.Detail["at"]); until != "" {
		detail[outbox.Until] = until
	}
	if e.Event == "password.removed" {
		detail[outbox.Until] = r.now().UTC().Format(time.RFC3339)
	}
	if strings.HasPrefix(string(e.Event), "password.") {
		detail[outbox.Credential] = "password"
	} else if row, found, err := findByID(tx, e.Subject); err != nil {
		return err
	} else if found {
		detail[outbox.Credential], detail[outbox.Fingerprint], detail[outbox.Label] = row.Kind, row.Fingerprint, row.Label
	}
	return outbox.Add(tx, r.now(), outbox.Event{Kind: outbox.AccessChanged, Client: e.Client, Subject: e.Subject, Detail: detail})
}

func findByID(tx *database.Tx, id string) (row query.Key, found bool, err error) {
	rows, err := tx.FindKeys(tx.Context(), id)
	if err != nil || len(rows) != 1 {
		return row, false, err
	}
	return rows[0], true, nil
}

// tellNetworks has the client told which networks it may connect from now, and
// which no longer.
func (r *Register) tellNetworks(tx *database.Tx, client reports.ClientID, before, after []netip.Prefix) error {
	var errs []error
	tell := func(change string, list, other []netip.Prefix) {
		for _, p := range list {
			if !slices.Contains(other, p) {
				errs = append(errs, outbox.Add(tx, r.now(), outbox.Event{
					Kind: outbox.AccessChanged, Client: client.String(),
					Detail: map[string]string{outbox.Change: change, outbox.Network: p.String()},
				}))
			}
		}
	}
	tell("network-allowed", after, before)
	tell("network-denied", before, after)
	return errors.Join(errs...)
}
