// Package database opens the catalog's database, brings its schema up to date,
// and runs transactions on it. Start with [Open]; read with [DB.Read], write
// with [DB.Write].
//
// # Promises
//
// When [DB.Write] returns nil, what its function wrote has been committed and
// synced to disk: it survives kill -9 and power loss. When it returns an error,
// nothing of it is visible, except for one that is [ErrUnknownOutcome]: the
// commit itself failed, and whether it took effect is only known after the
// next start. Whoever gets that one must not undo anything outside the
// database (such as deleting a blob) on its account.
//
// # Group commit
//
// All writes of a process go through one goroutine. What arrives while a
// transaction is being synced is gathered into the next one, each function in a
// savepoint of its own, so that eight producers cost hardly more syncs than one
// and a failing function takes nobody else down. Other processes (the command
// line beside a running gateway) take their turn through SQLite's own lock.
//
// # Engines
//
// SQLite, by way of modernc.org/sqlite: it needs no cgo and binds $2, $1 by
// number as PostgreSQL does, so that the queries in package query, which sqlc
// checks for both engines, run unchanged. synchronous=FULL is not negotiable:
// with NORMAL, a power loss can roll back a purge whose blob is gone.
package database
