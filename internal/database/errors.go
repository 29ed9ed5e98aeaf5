package database

import (
	"database/sql"
	"errors"
	"fmt"
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
	// ErrBusy: somebody else held the catalog's lock for too long.
	ErrBusy = errors.New("the catalog is locked")
)

// Error is a fault of the database itself, with what to do about it.
type Error struct {
	Message string
	Advice  string
	Err     error
	Busy    bool // it is [ErrBusy]
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Message, e.Err) }

// Unwrap returns the engine's own error.
func (e *Error) Unwrap() error { return e.Err }

// Is implements what [errors.Is] asks for.
func (e *Error) Is(target error) bool { return e.Busy && target == ErrBusy }

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

// OlderSchemaError is returned for a catalog that has to be migrated first, by
// somebody else.
type OlderSchemaError struct{ Found, Needed int64 }

func (e *OlderSchemaError) Error() string {
	return fmt.Sprintf("the catalog has schema version %d, and this program needs %d", e.Found, e.Needed)
}

// Hint says what an operator can do.
func (e *OlderSchemaError) Hint() string {
	return "start this version of sealdrop on the intake host first: it brings the catalog up to date"
}
