package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// Partial is what an interrupted upload left: durable, and invisible but to the
// client that asks for it by name in order to resume.
type Partial struct {
	Client   reports.ClientID
	Name     reports.Name
	Blob     string
	Size     int64
	Modified time.Time
}

// MaxPartials bounds how many interrupted uploads are kept for a client. The
// oldest goes first.
const MaxPartials = 64

// SavePartial keeps an interrupted upload, in the place of an earlier one of the
// same name. What is kept does not count against the client's quota, and is kept
// only as far as there is room in it: the oldest go first, and what does not fit
// at all is refused with a [*reports.QuotaError].
func (c *Catalog) SavePartial(ctx context.Context, p Partial) error {
	return c.write(ctx, func(tx *database.Tx) error {
		if err := c.dropPartial(tx, p.Client, p.Name, p.Blob); err != nil {
			return err
		}
		if err := c.claim(tx, p.Blob); err != nil {
			return err
		}
		if err := c.makePartialRoom(tx, p); err != nil {
			return err
		}
		err := tx.PutPartial(tx.Context(), query.PutPartialParams{
			ClientID: p.Client.String(), Name: p.Name.String(), Blob: p.Blob, Size: p.Size, At: database.Micros(c.now()),
		})
		if err != nil {
			return fmt.Errorf("keeping the interrupted upload of %s: %w", p.Name, err)
		}
		return nil
	})
}

// makePartialRoom lets go of interrupted uploads until p can be kept beside them.
func (c *Catalog) makePartialRoom(tx *database.Tx, p Partial) error {
	left, err := c.left(tx.Context(), tx.Queries, p.Client)
	if err != nil {
		return err
	}
	if p.Size > left.room.Bytes {
		return &reports.QuotaError{Client: p.Client, Used: left.used, Quota: left.quota}
	}
	kept, err := tx.ListClientPartials(tx.Context(), p.Client.String())
	if err != nil {
		return err
	}
	slices.SortFunc(kept, func(a, b query.Partial) int { return cmp.Compare(b.At, a.At) })
	room := left.room.Bytes - p.Size
	for i, row := range kept { // the newest first
		if room -= row.Size; room >= 0 && i < MaxPartials-1 {
			continue
		}
		if err := c.deletePartial(tx, row, ""); err != nil {
			return err
		}
	}
	return nil
}

// Partial returns the interrupted upload of a name, if there is one.
func (c *Catalog) Partial(ctx context.Context, client reports.ClientID, name reports.Name) (p Partial, found bool, err error) {
	row, err := c.db.Read().GetPartial(ctx, query.GetPartialParams{ClientID: client.String(), Name: name.String()})
	if errors.Is(err, database.ErrNotFound) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("looking for an interrupted upload of %s: %w", name, err)
	}
	return Partial{Client: client, Name: name, Blob: row.Blob, Size: row.Size, Modified: database.Time(row.At)}, true, nil
}

// TakePartial hands an interrupted upload to whoever resumes it: the row goes,
// the blob stays, so that two sessions can't write to it at once.
func (c *Catalog) TakePartial(ctx context.Context, client reports.ClientID, name reports.Name) (p Partial, found bool, err error) {
	err = c.write(ctx, func(tx *database.Tx) error {
		row, err := tx.GetPartial(tx.Context(), query.GetPartialParams{ClientID: client.String(), Name: name.String()})
		if errors.Is(err, database.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		p, found = Partial{Client: client, Name: name, Blob: row.Blob, Size: row.Size, Modified: database.Time(row.At)}, true
		return tx.DeletePartial(tx.Context(), query.DeletePartialParams{ClientID: client.String(), Name: name.String()})
	})
	return p, found, err
}

// dropPartial lets an interrupted upload go. keep is a blob that is still in
// use.
func (c *Catalog) dropPartial(tx *database.Tx, client reports.ClientID, name reports.Name, keep string) error {
	row, err := tx.GetPartial(tx.Context(), query.GetPartialParams{ClientID: client.String(), Name: name.String()})
	if errors.Is(err, database.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.deletePartial(tx, row, keep)
}

func (c *Catalog) deletePartial(tx *database.Tx, row query.Partial, keep string) error {
	if row.Blob != keep {
		if err := c.discard(tx, row.Blob); err != nil {
			return err
		}
	}
	return tx.DeletePartial(tx.Context(), query.DeletePartialParams{ClientID: row.ClientID, Name: row.Name})
}

// DropStalePartials lets go of interrupted uploads from before a time, up to
// limit of them, and returns how many.
func (c *Catalog) DropStalePartials(ctx context.Context, before time.Time, limit int) (int, error) {
	n := 0
	err := c.write(ctx, func(tx *database.Tx) error {
		rows, err := tx.ListStalePartials(tx.Context(), query.ListStalePartialsParams{Before: database.Micros(before), N: int64(limit)})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := c.deletePartial(tx, row, ""); err != nil {
				return err
			}
		}
		n = len(rows)
		return nil
	})
	return n, err
}

// DropPartial lets the interrupted upload of a name go, if there is one.
func (c *Catalog) DropPartial(ctx context.Context, client reports.ClientID, name reports.Name) (dropped bool, err error) {
	if _, found, err := c.Partial(ctx, client, name); !found || err != nil {
		return false, err
	}
	err = c.write(ctx, func(tx *database.Tx) error { return c.dropPartial(tx, client, name, "") })
	return err == nil, err
}
