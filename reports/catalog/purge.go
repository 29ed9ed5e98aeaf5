package catalog

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// Counts is what a sweep would find at a time.
type Counts struct {
	Files int64 // everything that has a time to expire at
	Due   int64 // what is due by then
}

// Counts returns how much is due at a time, of how much.
func (c *Catalog) Counts(ctx context.Context, at time.Time) (Counts, error) {
	files, err := c.db.Read().CountFiles(ctx)
	if err != nil {
		return Counts{}, fmt.Errorf("counting reports: %w", err)
	}
	due, err := c.db.Read().CountDue(ctx, database.Micros(at))
	if err != nil {
		return Counts{}, fmt.Errorf("counting what is due: %w", err)
	}
	return Counts{Files: files, Due: due}, nil
}

// Due returns up to limit reports that are due at a time, the earliest first,
// those after the report after, which is nil at the beginning.
func (c *Catalog) Due(ctx context.Context, at time.Time, after *reports.Report, limit int) ([]reports.Report, error) {
	p := query.ListDueAfterParams{Now: database.Micros(at), N: int64(limit)}
	if after != nil {
		p.ExpiresAfter, p.IDAfter = database.Micros(after.Expires), after.ID
	}
	rows, err := c.db.Read().ListDueAfter(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("listing what is due: %w", err)
	}
	return c.resolveAll(ctx, rows)
}

// PurgeDue purges up to a batch of what is due at a time, and returns how much
// it was; 0 means that nothing is left. The rows go now, the blobs once the
// grace of the garbage collection is over. Whoever else writes goes first, and
// waits for some milliseconds at most.
func (c *Catalog) PurgeDue(ctx context.Context, actor string, at time.Time) (int, error) {
	n := 0
	err := c.writeLater(ctx, c.purging, func(tx *database.Tx, room int) (int, error) {
		rows, err := tx.DeleteDue(tx.Context(), query.DeleteDueParams{Now: database.Micros(at), N: int64(room)})
		if err != nil {
			return 0, err
		}
		n = len(rows)
		return n, c.letGo(tx, actor, "report.purged", rows)
	})
	if err != nil {
		return 0, fmt.Errorf("purging: %w", err)
	}
	return n, nil
}

// letGo does what follows from rows that were deleted: their blobs become garbage, they
// count no more, and each has its record.
func (c *Catalog) letGo(tx *database.Tx, actor string, event audit.Event, rows []query.Entry) error {
	slices.SortFunc(rows, func(a, b query.Entry) int {
		return cmp.Or(cmp.Compare(a.ExpiresAt, b.ExpiresAt), cmp.Compare(a.ID, b.ID))
	})
	now := c.now()
	blobs := make([]string, 0, len(rows))
	used := make(map[string]reports.Usage)
	entries := make([]audit.Entry, 0, len(rows))
	for _, row := range rows {
		if row.Blob != "" {
			blobs = append(blobs, row.Blob)
		}
		if reports.State(row.State) != reports.Removed {
			u := used[row.ClientID]
			used[row.ClientID] = reports.Usage{Files: u.Files + fileCount(row), Bytes: u.Bytes + row.Size}
		}
		detail := withDigest(map[string]string{"name": row.Name, "state": row.State}, row.Sha256)
		if row.ExpiresAt != 0 {
			detail["expired"] = database.Time(row.ExpiresAt).Format(time.RFC3339)
		}
		entries = append(entries, audit.Entry{Event: event, Actor: actor, Client: row.ClientID, Subject: row.ID, Detail: detail})
	}
	if err := tx.InsertGarbages(blobs, database.Micros(now)); err != nil {
		return fmt.Errorf("letting go of blobs: %w", err)
	}
	fewer := make([]query.AddUsageParams, 0, len(used))
	for _, client := range slices.Sorted(maps.Keys(used)) {
		fewer = append(fewer, query.AddUsageParams{ClientID: client, Files: -used[client].Files, Bytes: -used[client].Bytes})
	}
	if err := tx.AddUsages(fewer); err != nil {
		return fmt.Errorf("counting what clients have: %w", err)
	}
	return audit.AppendAll(tx, now, entries)
}

// Garbage returns up to limit blobs that no row has shown since before a time.
func (c *Catalog) Garbage(ctx context.Context, before time.Time, limit int) ([]string, error) {
	rows, err := c.db.Read().ListGarbage(ctx, query.ListGarbageParams{Before: database.Micros(before), N: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("listing garbage: %w", err)
	}
	blobs := make([]string, 0, len(rows))
	for _, row := range rows {
		blobs = append(blobs, row.Blob)
	}
	return blobs, nil
}

// ForgetGarbage drops blobs from the garbage table once they are deleted.
func (c *Catalog) ForgetGarbage(ctx context.Context, blobs []string) error {
	for len(blobs) > 0 {
		n := 0
		err := c.writeLater(ctx, c.forgetting, func(tx *database.Tx, room int) (int, error) {
			n = min(room, len(blobs))
			return n, tx.DeleteGarbages(blobs[:n])
		})
		if err != nil {
			return fmt.Errorf("collecting garbage: %w", err)
		}
		blobs = blobs[n:]
	}
	return nil
}

// BlobKnown reports whether any row knows the blob.
func (c *Catalog) BlobKnown(ctx context.Context, blob string) (bool, error) {
	known, err := c.db.Read().BlobKnown(ctx, blob)
	if err != nil {
		return true, fmt.Errorf("looking for the owner of a blob: %w", err)
	}
	return known != 0, nil
}

// Unknown returns those of the blobs, which are in order, that no row knows.
func (c *Catalog) Unknown(ctx context.Context, blobs []string) ([]string, error) {
	if len(blobs) == 0 {
		return nil, nil
	}
	most := 4 * len(blobs) // there are more only where blobs were lost
	known, err := c.db.Read().ListKnownBlobs(ctx, query.ListKnownBlobsParams{First: blobs[0], Last: blobs[len(blobs)-1], N: int64(most)})
	if err != nil {
		return nil, fmt.Errorf("looking for the owners of blobs: %w", err)
	}
	all := len(known) < most
	slices.Sort(known)
	var unknown []string
	for _, blob := range blobs {
		if _, found := slices.BinarySearch(known, blob); found {
			continue
		}
		if !all {
			if found, err := c.BlobKnown(ctx, blob); found || err != nil {
				if err != nil {
					return nil, err
				}
				continue
			}
		}
		unknown = append(unknown, blob)
	}
	return unknown, nil
}

// Disown hands those of the blobs that no row knows to the garbage collection,
// and returns how many. They are not deleted at once, because one may be an
// upload that was resumed, or stood still, for longer than expected: when it
// is committed after all, that takes it back.
func (c *Catalog) Disown(ctx context.Context, blobs []string) (int, error) {
	n := 0
	err := c.write(ctx, func(tx *database.Tx) error {
		for _, blob := range blobs {
			known, err := tx.BlobKnown(tx.Context(), blob)
			if err != nil {
				return fmt.Errorf("looking for the owner of a blob: %w", err)
			}
			if known != 0 {
				continue
			}
			if err := c.discard(tx, blob); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Tidy drops folders that were removed and hold nothing restorable any more,
// and deliveries that were remembered since before a time and whose report is
// gone.
func (c *Catalog) Tidy(ctx context.Context, forgetBefore time.Time) error {
	return c.write(ctx, func(tx *database.Tx) error {
		for {
			n, err := tx.DeleteEmptyRemovedFolders(tx.Context())
			if err != nil {
				return fmt.Errorf("dropping removed folders: %w", err)
			}
			if n == 0 {
				break
			}
		}
		_, err := tx.ForgetSources(tx.Context(), database.Micros(forgetBefore))
		return err
	})
}

// sweepMark is the mark that holds the time of the last sweep.
const sweepMark = "last-sweep"

// LastSweep returns when the last sweep was, zero if there was none.
func (c *Catalog) LastSweep(ctx context.Context) (time.Time, error) {
	at, err := mark(ctx, c.db.Read(), sweepMark)
	return database.Time(at), err
}

// SetLastSweep notes the time of a sweep.
func (c *Catalog) SetLastSweep(ctx context.Context, at time.Time) error {
	return c.write(ctx, func(tx *database.Tx) error {
		return tx.SetMark(tx.Context(), query.SetMarkParams{Name: sweepMark, N: database.Micros(at)})
	})
}
