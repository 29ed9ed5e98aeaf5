package catalog

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

// What entries.legal_hold is the sum of.
const (
	ownHold    = 1
	clientHold = 2
)

// Hold is a legal hold on everything that a client has, and will have.
type Hold struct {
	Client reports.ClientID
	Reason string
	Since  time.Time
	By     string // who set it, as in the audit
}

// ClientHoldError says that a report is on hold because its client is.
type ClientHoldError struct{ Report reports.Report }

func (e *ClientHoldError) Error() string {
	return fmt.Sprintf("report %s (%s) has no hold of its own; it is on legal hold with everything of client %s", e.Report.ID, e.Report.Name, e.Report.Client)
}

// Hint says what an operator can do.
func (e *ClientHoldError) Hint() string {
	return fmt.Sprintf("`sealdrop retention release --client %s --reason …` lifts the client's hold", e.Report.Client)
}

// SetLegalHold is [Catalog.HoldReport] or [Catalog.LiftHold] without a reason.
func (c *Catalog) SetLegalHold(ctx context.Context, actor, id string, hold bool) (reports.Report, error) {
	if hold {
		return c.HoldReport(ctx, actor, id, "")
	}
	return c.LiftHold(ctx, actor, id, "")
}

// HoldReport puts a report or upload on legal hold: nobody can remove or replace it,
// and retention passes it by. Doing it again changes the reason.
func (c *Catalog) HoldReport(ctx context.Context, actor, id, reason string) (reports.Report, error) {
	return c.setHold(ctx, actor, id, "report.hold-set", reason, func(row query.Entry, _ reports.Report) (int64, string, error) {
		return row.LegalHold | ownHold, reason, nil
	})
}

// LiftHold takes a report's own legal hold off. That of its client stays, and if it is
// the only one the error is a [*ClientHoldError].
func (c *Catalog) LiftHold(ctx context.Context, actor, id, reason string) (reports.Report, error) {
	return c.setHold(ctx, actor, id, "report.hold-lifted", reason, func(row query.Entry, r reports.Report) (int64, string, error) {
		if row.LegalHold == clientHold {
			return 0, "", &ClientHoldError{Report: r}
		}
		return row.LegalHold &^ ownHold, "", nil
	})
}

func (c *Catalog) setHold(ctx context.Context, actor, id string, event audit.Event, reason string, next func(query.Entry, reports.Report) (int64, string, error)) (reports.Report, error) {
	return c.change(ctx, id, func(tx *database.Tx, row query.Entry, r reports.Report) (reports.Name, error) {
		if r.Kind == reports.KindFolder {
			return r.Name, fmt.Errorf("%s: %w", r.Name, reports.ErrIsFolder)
		}
		hold, why, err := next(row, r)
		if err != nil {
			return r.Name, err
		}
		if err := tx.SetLegalHold(tx.Context(), query.SetLegalHoldParams{ID: id, LegalHold: hold, HoldReason: why}); err != nil {
			return r.Name, err
		}
		detail := map[string]string{"name": r.Name.String()}
		if reason != "" {
			detail["reason"] = reason
		}
		return r.Name, audit.Append(tx, c.now(), audit.Entry{Event: event, Actor: actor, Client: row.ClientID, Subject: id, Detail: detail})
	})
}

// HoldClient puts everything that a client has on legal hold, and what it gets from
// now on, and tells how many files that is now. Doing it again changes the reason.
func (c *Catalog) HoldClient(ctx context.Context, actor string, client reports.ClientID, reason string) (files int64, err error) {
	err = c.write(ctx, func(tx *database.Tx) error {
		now := c.now()
		err := tx.PutLegalHold(tx.Context(), query.PutLegalHoldParams{ClientID: client.String(), Reason: reason, Since: database.Micros(now), SetBy: actor})
		if err != nil {
			return fmt.Errorf("putting client %s on hold: %w", client, err)
		}
		if files, err = tx.HoldClientEntries(tx.Context(), client.String()); err != nil {
			return fmt.Errorf("putting what client %s has on hold: %w", client, err)
		}
		return audit.Append(tx, now, audit.Entry{
			Event: "client.hold-set", Actor: actor, Client: client.String(),
			Detail: map[string]string{"reason": reason, "files": fmt.Sprint(files)},
		})
	})
	return files, err
}

// NoHoldError says that a client is not on legal hold.
type NoHoldError struct{ Client reports.ClientID }

func (e *NoHoldError) Error() string { return fmt.Sprintf("client %s is not on legal hold", e.Client) }

// Hint says what an operator can do.
func (e *NoHoldError) Hint() string {
	return "`sealdrop retention plan` shows all holds; a report's own is lifted with `sealdrop retention release REPORT --reason …`"
}

// LiftClientHold takes a client's legal hold off. Holds that reports have of their own
// stay.
func (c *Catalog) LiftClientHold(ctx context.Context, actor string, client reports.ClientID, reason string) (files int64, err error) {
	err = c.write(ctx, func(tx *database.Tx) error {
		n, err := tx.DeleteLegalHold(tx.Context(), client.String())
		if err != nil {
			return fmt.Errorf("lifting the hold of client %s: %w", client, err)
		}
		if n == 0 {
			return &NoHoldError{Client: client}
		}
		if files, err = tx.ReleaseClientEntries(tx.Context(), client.String()); err != nil {
			return fmt.Errorf("lifting the hold of what client %s has: %w", client, err)
		}
		return audit.Append(tx, c.now(), audit.Entry{
			Event: "client.hold-lifted", Actor: actor, Client: client.String(),
			Detail: map[string]string{"reason": reason, "files": fmt.Sprint(files)},
		})
	})
	return files, err
}

// ClientHold returns the hold that a client is on; found is false if it is on none.
func (c *Catalog) ClientHold(ctx context.Context, client reports.ClientID) (h Hold, found bool, err error) {
	row, err := c.db.Read().GetLegalHold(ctx, client.String())
	if errors.Is(err, database.ErrNotFound) {
		return Hold{}, false, nil
	}
	if err != nil {
		return Hold{}, false, fmt.Errorf("looking up the hold of client %s: %w", client, err)
	}
	return Hold{Client: client, Reason: row.Reason, Since: database.Time(row.Since), By: row.SetBy}, true, nil
}

// ClientHolds returns the holds of all clients that are on one.
func (c *Catalog) ClientHolds(ctx context.Context) ([]Hold, error) {
	rows, err := c.db.Read().ListLegalHolds(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the clients on hold: %w", err)
	}
	list := make([]Hold, 0, len(rows))
	for _, row := range rows {
		client, err := reports.ParseClientID(row.ClientID)
		if err != nil {
			return nil, fmt.Errorf("reading the catalog: %w", err)
		}
		list = append(list, Hold{Client: client, Reason: row.Reason, Since: database.Time(row.Since), By: row.SetBy})
	}
	return list, nil
}

// OnHold returns up to limit reports and uploads that are on legal hold, by client
// and arrival, those after the report after, which is nil at the beginning.
func (c *Catalog) OnHold(ctx context.Context, after *reports.Report, limit int) ([]reports.Report, error) {
	p := query.ListOnHoldParams{N: int64(limit)}
	if after != nil {
		p.ClientAfter, p.ReceivedAfter, p.IDAfter = after.Client.String(), database.Micros(after.Received), after.ID
	}
	rows, err := c.db.Read().ListOnHold(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("listing what is on legal hold: %w", err)
	}
	list := make([]reports.Report, 0, len(rows))
	for _, row := range rows {
		r, err := resolve(ctx, c.db.Read(), row)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// CountOnHold tells how much is on legal hold, and how much of that would be due at a
// time if it were not.
func (c *Catalog) CountOnHold(ctx context.Context, at time.Time) (files, due int64, err error) {
	row, err := c.db.Read().CountOnHold(ctx, database.Micros(at))
	if err != nil {
		return 0, 0, fmt.Errorf("counting what is on legal hold: %w", err)
	}
	return row.Files, row.Due, nil
}
