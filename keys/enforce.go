package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// approvalMark is 1 while the catalog asks for two people.
const approvalMark = "keys.two_person"

// Enforce has [Policy.TwoPerson], or that there is no such rule, hold for everybody
// who changes keys in this catalog, whatever policy they come with. It is for the
// gateway itself: a command reads the configuration that its caller names, and the
// rule would be the caller's choice.
func (r *Register) Enforce(ctx context.Context) error {
	return r.db.Write(ctx, func(tx *database.Tx) error { return r.setRule(tx, r.policy.TwoPerson) })
}

func (r *Register) setRule(tx *database.Tx, on bool) error {
	was, err := ruled(tx)
	if err != nil || was == on {
		return err
	}
	if err := tx.SetMark(tx.Context(), query.SetMarkParams{Name: approvalMark, N: flag(on)}); err != nil {
		return fmt.Errorf("noting keys.approval: %w", err)
	}
	rule := map[bool]string{true: "two-person", false: "none"}
	return audit.Append(tx, r.now(), audit.Entry{
		Event: "keys.approval-set", Actor: "gateway", Detail: map[string]string{"approval": rule[was] + " → " + rule[on]},
	})
}

// ruled reports whether the catalog asks for two people.
func ruled(tx *database.Tx) (bool, error) {
	n, err := tx.GetMark(tx.Context(), approvalMark)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return false, fmt.Errorf("looking up keys.approval: %w", err)
	}
	return n != 0, nil
}

// under returns r with the policy that holds in the catalog: a stricter one of r's own
// is noted there, and a laxer one counts for nothing.
func (r *Register) under(tx *database.Tx) (*Register, error) {
	if r.policy.TwoPerson {
		return r, r.setRule(tx, true)
	}
	on, err := ruled(tx)
	if err != nil || !on {
		return r, err
	}
	with := r.policy
	with.TwoPerson = true
	return r.WithPolicy(with), nil
}
