package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// DeclaredError says that a field is declared in the configuration and can't be
// changed elsewhere, or that the client is, and can't be removed.
type DeclaredError struct {
	Client reports.ClientID
	Field  string // "" for the client as a whole
	Place  string
}

func (e *DeclaredError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("client %s is declared at %s", e.Client, e.Place)
	}
	return fmt.Sprintf("%s of client %s is declared at %s", e.Field, e.Client, e.Place)
}

// Hint says what an operator can do.
func (e *DeclaredError) Hint() string {
	if e.Field == "" {
		return "take it out there and reload the gateway (systemctl reload sealdrop, or kill -HUP), which locks it out; then remove it"
	}
	return "change it there, then reload the gateway (systemctl reload sealdrop, or kill -HUP)"
}

// Declaration is a client as a file declares it. Fields that the file leaves
// out are nil in Change.
type Declaration struct {
	ID     reports.ClientID
	Change Change
	// Places maps each declared field to its place, "config.yaml:12".
	Places map[string]string
}

// Planned is what [Register.Apply] did, or would do, to one client.
type Planned struct {
	Client reports.ClientID  `json:"client"`
	Action string            `json:"action"` // add, change, disable, or none
	Detail map[string]string `json:"detail,omitempty"`
}

// ApplyOptions says how declarations are taken.
type ApplyOptions struct {
	// Own makes the declared fields unchangeable by commands, and disables
	// clients that were declared before and no longer are: who is taken out of
	// the configuration has lost its access, and nothing else.
	Own bool
	// DryRun finds out what would be done, and does nothing.
	DryRun bool
}

var errDryRun = errors.New("dry run")

// Apply brings the catalog in line with declarations, all of them in one
// transaction or none.
func (r *Register) Apply(ctx context.Context, actor string, declarations []Declaration, o ApplyOptions) ([]Planned, error) {
	var plan []Planned
	err := r.db.Write(ctx, func(tx *database.Tx) error {
		declared := map[reports.ClientID]bool{}
		for _, d := range producersLast(declarations) {
			declared[d.ID] = true
			done, err := r.applyOne(tx, actor, d, o)
			if err != nil {
				return err
			}
			plan = append(plan, done)
		}
		if o.Own {
			dropped, err := r.disableUndeclared(tx, actor, declared)
			if err != nil {
				return err
			}
			plan = append(plan, dropped...)
		}
		if o.DryRun {
			return errDryRun
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, err
	}
	return plan, nil
}

// producersLast lets a file name a producer before the clients that it delivers to.
func producersLast(list []Declaration) []Declaration {
	ordered := slices.Clone(list)
	slices.SortStableFunc(ordered, func(a, b Declaration) int { return cmp.Compare(a.role(), b.role()) })
	return ordered
}

func (d Declaration) role() int {
	if d.Change.DeliversTo != nil {
		return 1
	}
	return 0
}

// checkRole returns an error if d turns a client into a producer, the other way
// round, or lets a producer reach who is no client. before is nil for a new one.
func (d Declaration) checkRole(tx *database.Tx, before *Client, after Client) error {
	if before != nil && before.Producer() != after.Producer() {
		return &RoleError{*before}
	}
	if after.Producer() && before != nil && after.FTP != FTPOff {
		return fmt.Errorf("%s is a producer, which is let in over sFTP only", d.ID)
	}
	if d.Change.DeliversTo == nil {
		return nil
	}
	if err := knownReach(tx, after.DeliversTo); err != nil {
		return fmt.Errorf("%s: whom %s delivers to: %w", d.Places[FieldDeliversTo], d.ID, err)
	}
	return nil
}

func (r *Register) applyOne(tx *database.Tx, actor string, d Declaration, o ApplyOptions) (Planned, error) {
	before, err := readClient(tx.Context(), tx.Queries, d.ID)
	if errors.Is(err, reports.ErrUnknownClient) {
		c, _ := d.Change.apply(Client{ID: d.ID, Name: d.ID.String()})
		if o.Own {
			c.Declared = d.Places
		}
		if err := d.checkRole(tx, nil, c); err != nil {
			return Planned{}, err
		}
		return Planned{Client: d.ID, Action: "add", Detail: map[string]string{"allow": prefixText(c.Allow)}}, r.insert(tx, actor, c)
	}
	if err != nil {
		return Planned{}, err
	}
	after, fields := d.Change.apply(before)
	if err := d.checkRole(tx, &before, after); err != nil {
		return Planned{}, err
	}
	if o.Own {
		after.Declared = d.Places
		if before.dropped() && d.Change.Disabled == nil {
			after.Disabled = false // it is declared again
		}
	} else if err := before.checkUndeclared(fields); err != nil {
		return Planned{}, err
	}
	p := Planned{Client: d.ID, Action: "none", Detail: difference(before, after)}
	if len(p.Detail) > 0 {
		p.Action = "change"
	}
	return p, r.update(tx, actor, before, after)
}

// undeclared stands in the place of FieldDisabled's declaration for a client
// that was disabled because its declaration went away.
const undeclared = "removed from the configuration"

// dropped reports whether the client was disabled because its declaration went
// away. It can then be changed by commands like any other.
func (c Client) dropped() bool { return c.Declared[FieldDisabled] == undeclared }

// checkUndeclared returns a [*DeclaredError] for the first of fields that the
// configuration declares.
func (c Client) checkUndeclared(fields []string) error {
	if c.dropped() {
		return nil
	}
	for _, field := range fields {
		if place := c.Declared[field]; place != "" {
			return &DeclaredError{Client: c.ID, Field: field, Place: place}
		}
	}
	return nil
}

// WouldDisable returns the clients that [Register.Apply] would lock out as its own,
// because none of the declarations is theirs any more.
func (r *Register) WouldDisable(ctx context.Context, declarations []Declaration) ([]reports.ClientID, error) {
	declared := map[reports.ClientID]bool{}
	for _, d := range declarations {
		declared[d.ID] = true
	}
	list, err := noLongerDeclared(ctx, r.db.Read(), declared)
	var ids []reports.ClientID
	for _, c := range list {
		if !c.Disabled {
			ids = append(ids, c.ID)
		}
	}
	return ids, err
}

// noLongerDeclared returns the clients that were declared, and are not in declared.
func noLongerDeclared(ctx context.Context, q *query.Queries, declared map[reports.ClientID]bool) ([]Client, error) {
	rows, err := q.ListDeclaredClients(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the declared clients: %w", err)
	}
	var list []Client
	for _, row := range rows {
		id, err := reports.ParseClientID(row.ID)
		if err != nil {
			return nil, fmt.Errorf("reading the catalog: %w", err)
		}
		if declared[id] {
			continue
		}
		c, err := readClient(ctx, q, id)
		if err != nil {
			return nil, err
		}
		if !c.dropped() {
			list = append(list, c)
		}
	}
	return list, nil
}

func (r *Register) disableUndeclared(tx *database.Tx, actor string, declared map[reports.ClientID]bool) ([]Planned, error) {
	list, err := noLongerDeclared(tx.Context(), tx.Queries, declared)
	if err != nil {
		return nil, err
	}
	var plan []Planned
	for _, before := range list {
		after := before
		after.Declared = map[string]string{FieldDisabled: undeclared}
		if before.Disabled {
			// Somebody locked it out before its declaration went away: then a
			// declaration that comes back must not let it in.
			after.Declared = nil
		}
		after.Disabled = true
		if err := r.update(tx, actor, before, after); err != nil {
			return nil, err
		}
		plan = append(plan, Planned{Client: before.ID, Action: "disable", Detail: difference(before, after)})
	}
	return plan, nil
}
