package database

import (
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors that callers tell apart.
var (
	// ErrNotFound: a query for one row found none.
	ErrNotFound = sql.ErrNoRows
	// ErrClosed: the database was closed.
	ErrClosed = errors.New("the catalog is closed")
	// ErrUnknownOutcome: a commit failed in a way that leaves open whether it
	// took effect.
	ErrUnknownOutcome = errors.New("committing to the catalog failed")
	// ErrConflict: a row broke a uniqueness rule.
	ErrConflict = errors.New("conflicts with what the catalog holds")
	// ErrFull: the disk has no room for the catalog.
	ErrFull = errors.New("no space left for the catalog")
)

// Error is a fault of the database itself, with what to do about it.
type Error struct {
	Message string
	Advice  string
	Err     error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Message, e.Err) }

// Unwrap returns the engine's own error.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what an operator can do.
func (e *Error) Hint() string { return e.Advice }

// NewerSchemaError is returned for a catalog that a later version of the
// program has migrated.
type NewerSchemaError struct{ Found, Known int64 }

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the catalog has schema version %d, and this program knows up to %d", e.Found, e.Known)
}

// Hint says what an operator can do.
func (e *NewerSchemaError) Hint() string {
	return "run the newer version of sealdrop that last used this catalog, or restore a backup from before the upgrade"
}

// explain puts the engine's error into an operator's terms.
func explain(err error) error {
	var engine *sqlite.Error
	if !errors.As(err, &engine) {
		return err
	}
	if engine.Code() == sqlite3.SQLITE_IOERR_SHMSIZE { // a full disk, by another name
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	switch engine.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &Error{
			Message: "the catalog is locked by another program (waited 10 s)", Err: err,
			Advice: "find the program with `fuser catalog.db`; a backup tool or a stopped process may hold it",
		}
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return &Error{
			Message: "the catalog is damaged", Err: err,
			Advice: "stop the gateway, keep a copy of the data folder, and restore the catalog from a backup",
		}
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case sqlite3.SQLITE_IOERR:
		return &Error{
			Message: "the catalog's disk fails", Err: err,
			Advice: "look whether it is full (`df -h`) and at what the kernel says of it (`dmesg`)",
		}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return &Error{
			Message: "the catalog can't be written", Err: err,
			Advice: "check who owns the data folder and whether its disk is mounted read-only",
		}
	case sqlite3.SQLITE_CONSTRAINT:
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}
