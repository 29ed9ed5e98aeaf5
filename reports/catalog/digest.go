package catalog

import (
	"context"
	"fmt"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// Undigested is an entry that was published before its content's digest was
// known.
type Undigested struct {
	ID   string // of the entry
	Blob string
	Size int64 // in bytes
}

// Undigested returns up to limit entries without a digest in the order of their
// blobs, those after the blob after; "" begins a listing. What was removed is
// among them, since it can be restored.
func (c *Catalog) Undigested(ctx context.Context, after string, limit int) ([]Undigested, error) {
	rows, err := c.db.Read().ListUndigested(ctx, query.ListUndigestedParams{After: after, N: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("listing what has no digest: %w", err)
	}
	list := make([]Undigested, 0, len(rows))
	for _, row := range rows {
		list = append(list, Undigested(row))
	}
	return list, nil
}

// SetDigest completes an entry, and its receipts so far, with the SHA-256 of its
// content. Where the entry has been purged, has another blob, or has a digest
// already, nothing is changed.
func (c *Catalog) SetDigest(ctx context.Context, u Undigested, sha256 string) error {
	return c.write(ctx, func(tx *database.Tx) error {
		n, err := tx.SetDigest(tx.Context(), query.SetDigestParams{ID: u.ID, Blob: u.Blob, Sha256: sha256})
		if err != nil {
			return fmt.Errorf("storing the digest of report %s: %w", u.ID, err)
		}
		if n == 0 {
			return nil
		}
		if err := tx.SetReceiptDigests(tx.Context(), query.SetReceiptDigestsParams{EntryID: u.ID, Sha256: sha256}); err != nil {
			return fmt.Errorf("storing the digest of report %s in its receipts: %w", u.ID, err)
		}
		row, err := tx.GetEntry(tx.Context(), u.ID)
		if err != nil {
			return err
		}
		return audit.Append(tx, c.now(), audit.Entry{
			Event: "file.digested", Actor: "gateway", Client: row.ClientID, Subject: u.ID,
			Detail: map[string]string{"name": row.Name, "sha256": sha256},
		})
	})
}

// withDigest adds a digest to the details of an audit record, if it is known.
func withDigest(detail map[string]string, sha256 string) map[string]string {
	if sha256 != "" {
		detail["sha256"] = sha256
	}
	return detail
}
