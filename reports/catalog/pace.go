package catalog

import (
	"context"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
)

const (
	// chunk is how many rows are purged between two looks whether somebody waits.
	chunk = 32
	// mostRows and batchTime bound what one transaction purges while nobody waits. Each takes a sync, and writes
	// pages of all indexes anew; but who comes during its commit waits for as many pages as it has changed.
	mostRows, batchTime = 1000, 16 * time.Millisecond
)

// writeLater runs fn in a transaction that others go before, again and again with room for a chunk of
// rows, until it fills one no more, the transaction is long enough, or somebody waits for its end. It
// returns how many rows fn did, and whether there are no more.
func (c *Catalog) writeLater(ctx context.Context, fn func(tx *database.Tx, room int) (rows int, err error)) (done int, last bool, err error) {
	err = c.db.WriteLater(ctx, func(tx *database.Tx) error {
		for started := c.now(); ; {
			room := min(chunk, mostRows-done)
			rows, err := fn(tx, room)
			if err != nil {
				return err
			}
			done, last = done+rows, rows < room
			if last || done == mostRows || c.now().Sub(started) >= batchTime || tx.Awaited() {
				return nil
			}
		}
	})
	if err != nil {
		return 0, false, outOfSpace(err)
	}
	return done, last, nil
}
