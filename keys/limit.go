package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// Limit is a change of an SSH key's limit on age.
type Limit struct {
	Key Key           // with the new limit
	Was time.Duration // the limit that it had; 0: none
}

var errShown = errors.New("shown only")

// ApplyLimit has the policy's limit on the age of SSH keys hold for those that were
// imported under another one, and tells what changed. With dryRun it only tells.
func (r *Register) ApplyLimit(ctx context.Context, by Operator, dryRun bool) ([]Limit, error) {
	var list []Limit
	var clients []Client
	if err := r.Clients(ctx, func(c Client) bool { clients = append(clients, c); return true }); err != nil {
		return nil, err
	}
	err := r.db.Write(ctx, func(tx *database.Tx) error {
		for _, c := range clients {
			changes, err := importing{r: r, tx: tx, by: by, client: c.ID}.applyLimit()
			if err != nil {
				return err
			}
			list = append(list, changes...)
		}
		if dryRun {
			return errShown
		}
		return nil
	})
	if err != nil && !errors.Is(err, errShown) {
		return nil, err
	}
	return list, nil
}

func (im importing) applyLimit() ([]Limit, error) {
	rows, err := im.tx.ListKeys(im.tx.Context(), im.client.String())
	if err != nil {
		return nil, fmt.Errorf("reading the keys of client %s: %w", im.client, err)
	}
	all, err := keysFromRows(rows)
	if err != nil {
		return nil, err
	}
	var list []Limit
	for _, k := range all {
		if k.Kind != SSH || !k.Revoked.IsZero() || k.MaxAge == im.r.policy.SSHMaxAge {
			continue
		}
		change := Limit{Was: k.MaxAge}
		k.limit(im.r.policy.SSHMaxAge)
		change.Key = k
		if err := im.tx.SetKeyMaxAge(im.tx.Context(), query.SetKeyMaxAgeParams{ID: k.ID, MaxAge: k.MaxAge.Microseconds()}); err != nil {
			return nil, fmt.Errorf("limiting the age of key %s: %w", k.Fingerprint, err)
		}
		if err := im.record("key.limited", k, map[string]string{"was": change.Was.String(), "max_age": k.MaxAge.String()}); err != nil {
			return nil, err
		}
		list = append(list, change)
	}
	return list, nil
}
