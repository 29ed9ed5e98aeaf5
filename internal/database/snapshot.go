package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Snapshot writes a copy of the whole catalog, as it is at one moment, into the
// folder dir, which must hold none yet; [InFolder] opens it. It is on disk when
// Snapshot returns. Reads and writes go on meanwhile. The copy of a server's catalog
// is an embedded one, too, and [MoveTo] is the way back.
func (db *DB) Snapshot(ctx context.Context, dir string) error {
	if _, embedded := db.engine.(sqliteEngine); !embedded {
		return db.snapshotServer(ctx, dir)
	}
	const op = "copying the catalog"
	source, err := db.file(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite takes an empty file for a new one
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	defer f.Close() // synced below
	// A connection of its own: the copy must hold up neither readers nor writers.
	pool, err := connectSQLite(source, "", 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.ExecContext(ctx, "VACUUM INTO $1", path); err != nil {
		return fmt.Errorf("%s: %w", op, db.engine.explain(err))
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// file asks SQLite for the path of the database.
func (db *DB) file(ctx context.Context) (path string, err error) {
	err = db.reader.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path)
	return path, err
}

// Check has the engine look through its own structures, as far as it can; quick
// leaves out the indexes. What it finds is an [*Error].
func (db *DB) Check(ctx context.Context, quick bool) error {
	if _, embedded := db.engine.(sqliteEngine); !embedded {
		return nil // a server checks itself (checksums, amcheck)
	}
	pragma := "PRAGMA integrity_check(1)"
	if quick {
		pragma = "PRAGMA quick_check(1)"
	}
	var found sql.NullString
	if err := db.reader.QueryRowContext(ctx, pragma).Scan(&found); err != nil {
		return fmt.Errorf("checking the catalog: %w", db.engine.explain(err))
	}
	if found.String != "ok" {
		return &Error{
			Message: "the catalog is damaged", Err: errors.New(found.String),
			Advice: "stop the gateway, keep a copy of the data folder, and restore it from a backup",
		}
	}
	return nil
}
