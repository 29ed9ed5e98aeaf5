package database

import (
	"context"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

// auditEnd is the end of the audit's chain as the transaction under way has left it. Nobody
// else writes until it ends, so that it has to be read once for all the writes that share the
// transaction. What is taken back takes the knowledge with it.
type auditEnd struct {
	row   query.LastAuditRow
	known bool
}

// LastAudit is [query.Queries.LastAudit].
func (tx *Tx) LastAudit(ctx context.Context) (query.LastAuditRow, error) {
	if tx.end.known {
		return tx.end.row, nil
	}
	row, err := tx.Queries.LastAudit(ctx)
	if err == nil {
		*tx.end = auditEnd{row, true}
	}
	return row, err
}

// InsertAudit is [query.Queries.InsertAudit].
func (tx *Tx) InsertAudit(ctx context.Context, r query.InsertAuditParams) error {
	err := tx.Queries.InsertAudit(ctx, r)
	tx.ends(query.Audit(r), err)
	return err
}

// ends notes the last record that was inserted, or that an attempt has failed.
func (tx *Tx) ends(last query.Audit, err error) {
	*tx.end = auditEnd{query.LastAuditRow{Seq: last.Seq, At: last.At, Hash: last.Hash}, err == nil}
}
