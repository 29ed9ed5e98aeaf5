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
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
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
	n, _, err := c.writeLater(ctx, func(tx *database.Tx, room int) (int, error) {
		rows, err := tx.DeleteDue(tx.Context(), query.DeleteDueParams{Now: database.Micros(at), N: int64(room)})
		if err != nil {
			return 0, err
		}
		return len(rows), c.letGo(tx, actor, "report.purged", rows)
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
	var files []string
	seen := make(map[string]bool) // of a pack, many go at once
	used := make(map[string]reports.Usage)
	entries := make([]audit.Entry, 0, len(rows))
	for _, row := range rows {
		if file := blobid.File(row.Blob); file != "" && !seen[file] {
			seen[file] = true
			files = append(files, file)
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
	if err := tx.InsertGarbages(files, database.Micros(now)); err != nil {
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

// Garbage returns up to limit files, packs among them, of which something was let go, and nothing
// since a time; those first that wait longest.
func (c *Catalog) Garbage(ctx context.Context, before time.Time, limit int) ([]string, error) {
	rows, err := c.db.Read().ListGarbage(ctx, query.ListGarbageParams{Before: database.Micros(before), N: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("listing garbage: %w", err)
	}
	files := make([]string, 0, len(rows))
	for _, row := range rows {
		files = append(files, row.Blob)
	}
	return files, nil
}

// ForgetGarbage drops files that [Catalog.Garbage] returned for a time from the garbage table,
// once they are collected. One of which more was let go meanwhile stays.
func (c *Catalog) ForgetGarbage(ctx context.Context, files []string, before time.Time) error {
	for len(files) > 0 {
		left := files
		_, _, err := c.writeLater(ctx, func(tx *database.Tx, room int) (int, error) {
			n := min(room, len(left))
			some := left[:n]
			left = left[n:]
			return n, tx.DeleteGarbages(some, database.Micros(before))
		})
		if err != nil {
			return fmt.Errorf("collecting garbage: %w", err)
		}
		files = left
	}
	return nil
}

// Blobs returns the blobs in a file that rows show, in ascending order. due tells that what
// else was in it is garbage, and nothing of it was let go since a time: not while they were looked
// for either.
func (c *Catalog) Blobs(ctx context.Context, file string, before time.Time) (all []string, due bool, err error) {
	for first := file; ; {
		page, err := c.db.Read().ListBlobsFrom(ctx, query.ListBlobsFromParams{First: first, Last: blobid.Last(file), N: blobsPage})
		if err != nil {
			return nil, false, fmt.Errorf("looking for the owners of blobs: %w", err)
		}
		all = append(all, page...)
		if len(page) < blobsPage {
			break
		}
		first = page[len(page)-1] + "0" // right after it
	}
	n, err := c.db.Read().GarbageDue(ctx, query.GarbageDueParams{Blob: file, Before: database.Micros(before)})
	if err != nil {
		return nil, false, fmt.Errorf("looking at garbage: %w", err)
	}
	return all, n != 0, nil
}

// blobsPage is how many blobs are listed at a time.
const blobsPage = 1024

// BlobKnown reports whether any row knows the file, or a blob that is packed into it.
func (c *Catalog) BlobKnown(ctx context.Context, file string) (bool, error) {
	found, err := c.db.Read().BlobKnown(ctx, known(file))
	if err != nil {
		return true, fmt.Errorf("looking for the owner of a blob: %w", err)
	}
	return found != 0, nil
}

// known asks for a file and what is in it.
func known(file string) query.BlobKnownParams {
	return query.BlobKnownParams{Blob: file, Last: blobid.Last(file)}
}

// Unknown returns those of the files, which are in order, of which no row knows.
func (c *Catalog) Unknown(ctx context.Context, files []string) ([]string, error) {
	if len(files) == 0 {
		return nil, nil
	}
	most := 4 * len(files) // there are more only where files were lost, or are packs
	known, err := c.db.Read().ListKnownBlobs(ctx, query.ListKnownBlobsParams{
		First: files[0], Last: blobid.Last(files[len(files)-1]), N: int64(most),
	})
	if err != nil {
		return nil, fmt.Errorf("looking for the owners of blobs: %w", err)
	}
	all := len(known) < most
	for i, blob := range known {
		known[i] = blobid.File(blob)
	}
	slices.Sort(known)
	var unknown []string
	for _, file := range files {
		if _, found := slices.BinarySearch(known, file); found {
			continue
		}
		if !all {
			if found, err := c.BlobKnown(ctx, file); found || err != nil {
				if err != nil {
					return nil, err
				}
				continue
			}
		}
		unknown = append(unknown, file)
	}
	return unknown, nil
}

// Disown hands those of the files of which no row knows to the garbage collection,
// and returns how many. They are not deleted at once, because one may be an
// upload that was resumed, or stood still, for longer than expected: when it
// is committed after all, that takes it back.
func (c *Catalog) Disown(ctx context.Context, files []string) (int, error) {
	n := 0
	err := c.write(ctx, func(tx *database.Tx) error {
		for _, file := range files {
			found, err := tx.BlobKnown(tx.Context(), known(file))
			if err != nil {
				return fmt.Errorf("looking for the owner of a blob: %w", err)
			}
			if found != 0 {
				continue
			}
			if err := c.discard(tx, file); err != nil {
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
