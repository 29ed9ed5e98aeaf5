package database

import (
	"context"
	"database/sql"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

// engine is what SQLite and PostgreSQL do differently once they are open.
type engine interface {
	// begin starts the transaction that a batch of writes shares. Once it
	// returns, no other process can write to the catalog until the transaction
	// ends, and all that others have committed is visible in it.
	begin(ctx context.Context, writer *sql.DB) (*sql.Tx, error)
	// giveWay waits, for a moment at most, while others wait to begin.
	giveWay(ctx context.Context)
	// awaited reports whether another program waits for the transaction, which
	// it may be asked in, to end.
	awaited(ctx context.Context, tx query.DBTX) bool
	// patience bounds a transaction as a whole; 0 is no bound.
	patience() time.Duration
	// bare reports whether a function that has a transaction to itself needs no
	// savepoint, since it is told of each statement that fails and the transaction
	// goes on.
	bare() bool
	// swallowed reports whether err, from releasing a savepoint, says that one
	// of its statements failed earlier and that its function went on regardless.
	swallowed(err error) bool
	// own returns the engine's own error in err's chain, nil if there is none.
	own(err error) error
	// explain puts the engine's error into an operator's terms.
	explain(err error) error
}
