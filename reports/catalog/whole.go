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

// Files returns up to limit reports and uploads in any state, in the order of
// their ids, those after the id after; "" begins a listing. A client that is not
// zero selects its files only.
func (c *Catalog) Files(ctx context.Context, client reports.ClientID, after string, limit int) ([]reports.Report, error) {
	rows, err := c.db.Read().ListFilesFrom(ctx, query.ListFilesFromParams{After: after, ClientID: client.String(), N: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("listing all files: %w", err)
	}
	return c.resolveAll(ctx, rows)
}

// Total returns how many files [Catalog.Files] lists, and how many bytes they
// have.
func (c *Catalog) Total(ctx context.Context, client reports.ClientID) (files, bytes int64, err error) {
	row, err := c.db.Read().TotalFiles(ctx, client.String())
	if err != nil {
		return 0, 0, fmt.Errorf("counting all files: %w", err)
	}
	return row.Files, row.Bytes, nil
}

// Partials returns up to limit interrupted uploads in the order of their blobs,
// those after the blob after; "" begins a listing. A client that is not zero
// selects its uploads only.
func (c *Catalog) Partials(ctx context.Context, client reports.ClientID, after string, limit int) ([]Partial, error) {
	rows, err := c.db.Read().ListPartialsFrom(ctx, query.ListPartialsFromParams{After: after, ClientID: client.String(), N: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("listing interrupted uploads: %w", err)
	}
	list := make([]Partial, 0, len(rows))
	for _, row := range rows {
		p, err := partialFromRow(row)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// CountGarbage returns how many blobs no row has shown since before a time.
func (c *Catalog) CountGarbage(ctx context.Context, before time.Time) (int64, error) {
	n, err := c.db.Read().CountGarbage(ctx, database.Micros(before))
	if err != nil {
		return 0, fmt.Errorf("counting garbage: %w", err)
	}
	return n, nil
}

// Forget takes whatever file stands on a blob out of the catalog, ahead of its time
// and for good; it returns false if none does. It is for a restored catalog that
// shows a file which the backup lacks, and why is for the record.
func (c *Catalog) Forget(ctx context.Context, actor, blob, why string) (found bool, err error) {
	err = c.write(ctx, func(tx *database.Tx) error {
		row, err := tx.GetEntryByBlob(tx.Context(), blob)
		if errors.Is(err, database.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking for the owner of a blob: %w", err)
		}
		if err := tx.DeleteEntry(tx.Context(), row.ID); err != nil {
			return fmt.Errorf("deleting report %s: %w", row.ID, err)
		}
		if reports.State(row.State) != reports.Removed { // what was removed counts against no quota
			if err := c.use(tx, row.ClientID, -fileCount(row), -row.Size); err != nil {
				return err
			}
		}
		found = true
		return audit.Append(tx, c.now(), audit.Entry{
			Event: "report.forgotten", Actor: actor, Client: row.ClientID, Subject: row.ID,
			Detail: withDigest(map[string]string{"name": row.Name, "state": row.State, "why": why}, row.Sha256),
		})
	})
	return found, err
}

func partialFromRow(row query.Partial) (Partial, error) {
	client, err := reports.ParseClientID(row.ClientID)
	if err != nil {
		return Partial{}, fmt.Errorf("reading an interrupted upload: %w", err)
	}
	name, err := reports.ParseName(row.Name)
	if err != nil {
		return Partial{}, fmt.Errorf("reading an interrupted upload: %w", err)
	}
	return Partial{Client: client, Name: name, Blob: row.Blob, Size: row.Size, Modified: database.Time(row.At)}, nil
}
