// Package database opens the catalog's database, brings its schema up to date,
// and runs transactions on it. Start with [Place]; read with [DB.Read], write
// with [DB.Write].
//
// # Promises
//
// When [DB.Write] returns nil, what its function wrote has been committed and
// synced to disk: it survives kill -9 and power loss. When it returns an error,
// nothing of it is visible, except for one that is [ErrUnknownOutcome]: the
// commit itself failed, or the connection was lost during it, and whether it took
// effect can't be told from here. Whoever gets that one must not undo anything
// outside the database (such as deleting a blob) on its account.
//
// Among the writes of all processes, on all machines, there is an order: each
// sees all that those before it have committed, and nothing changes under it. So
// it may read and write what follows from that, without a retry. A function is
// run once, or not at all.
//
// # Group commit
//
// All writes of a process go through one goroutine. What arrives while a
// transaction is being synced is gathered into the next one, each function in a
// savepoint of its own, so that eight producers cost hardly more syncs than one
// and a failing function takes nobody else down. (On SQLite the first has none:
// its failure ends the transaction before anybody else is in it.) Other processes (the command
// line beside a running gateway, other gateways) take their turn through the
// engine's own lock. What can wait, as the batches of a purge can, is written by
// [DB.WriteLater]: it begins a transaction only when nobody else wants to, and
// can ask whether it should end it ([Tx.Awaited]).
//
// # Engines
//
// SQLite, in the data folder, by way of modernc.org/sqlite: it needs no cgo and
// binds $2, $1 by number as PostgreSQL does, so that the queries in package
// query, which sqlc checks for both engines, run unchanged. synchronous=FULL is
// not negotiable: with NORMAL, a power loss can roll back a purge whose blob is
// gone.
//
// PostgreSQL, from version 15 on, by way of pgx. Its database has to be in UTF8
// with the locale C, since names are listed in the order of their bytes; the role
// that the gateway logs in as owns it. A server with fsync = off is refused, and
// synchronous_commit = off is overruled. It keeps neither NUL nor bytes that are
// not UTF-8; a write with such text fails. A function that goes on after one of
// its statements has failed is failed as a whole, where SQLite would let it. A
// connection pooler has to pool sessions, not transactions.
//
// What else differs is in the files sqlite.go and postgres.go.
package database
