package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// Sealed returns up to limit reports that were ever published to a client, in the
// order in which they came, those after the report after, which is nil at the
// beginning. What was removed since is among them: it can be restored.
func (c *Catalog) Sealed(ctx context.Context, client reports.ClientID, after *reports.Report, limit int) ([]reports.Report, error) {
	p := query.ListSealedParams{ClientID: client.String(), N: int64(limit)}
	if after != nil {
		p.ReceivedAfter, p.IDAfter = database.Micros(after.Received), after.ID
	}
	rows, err := c.db.Read().ListSealed(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("listing published reports: %w", err)
	}
	return c.resolveAll(ctx, rows)
}

// CountSealed returns how many reports [Catalog.Sealed] lists.
func (c *Catalog) CountSealed(ctx context.Context, client reports.ClientID) (int64, error) {
	n, err := c.db.Read().CountSealed(ctx, client.String())
	if err != nil {
		return 0, fmt.Errorf("counting published reports: %w", err)
	}
	return n, nil
}

// Resealed is a published report that was readdressed to other recipients.
type Resealed struct {
	ID string
	// Was is the blob that was readdressed; Blob holds the outcome and is durable.
	Was, Blob string
	Size      int64
	SHA256    string
	SealedTo  []string
	Actor     string
}

// Reseal has a report stand for its readdressed blob, and lets the earlier one go.
// The report keeps its id, name, times and retention. One that was collected is
// published again: what a receipt vouches for are the bytes that went out, and
// those that stand here now have not. The receipts stay, with the digest of what
// they are about.
//
// done is false when the report was purged, put on legal hold or resealed by
// somebody else first; the new blob is then let go.
func (c *Catalog) Reseal(ctx context.Context, s Resealed) (r reports.Report, done bool, err error) {
	err = c.write(ctx, func(tx *database.Tx) error {
		row, err := entry(tx.Context(), tx.Queries, s.ID)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (row.Blob != s.Was || row.LegalHold != 0) {
			return c.discard(tx, s.Blob)
		}
		if err != nil {
			return err
		}
		before, err := resolve(tx.Context(), tx.Queries, row)
		if err != nil {
			return err
		}
		state := before.State
		if state == reports.Collected {
			state = reports.Published
		}
		if err := c.claim(tx, s.Blob); err != nil {
			return err
		}
		err = tx.ResealEntry(tx.Context(), query.ResealEntryParams{
			ID: s.ID, State: string(state), Size: s.Size, Sha256: s.SHA256, Blob: s.Blob, SealedTo: strings.Join(s.SealedTo, ","),
		})
		if err != nil {
			return fmt.Errorf("resealing %s: %w", before.Name, err)
		}
		if before.State != reports.Removed { // what was removed counts against no quota
			if err := c.use(tx, row.ClientID, 0, s.Size-row.Size); err != nil {
				return err
			}
		}
		if err := c.discard(tx, row.Blob); err != nil {
			return err
		}
		done = true
		if r, err = c.reread(tx, s.ID, before.Name); err != nil {
			return err
		}
		return audit.Append(tx, c.now(), audit.Entry{
			Event: "report.resealed", Actor: s.Actor, Client: row.ClientID, Subject: s.ID,
			Detail: map[string]string{
				"name": before.Name.String(), "sha256": s.SHA256, "size": strconv.FormatInt(s.Size, 10),
				"sealed_to": strings.Join(s.SealedTo, ","), "was_sealed_to": row.SealedTo, "was_sha256": row.Sha256,
				"was_state": row.State,
			},
		})
	})
	return r, done, err
}
