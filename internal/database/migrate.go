package database

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// preparation makes a catalog's schema what this program needs, or refuses. It runs
// while no other program does so on the same catalog.
type preparation func(ctx context.Context, dialect goose.Dialect, db *sql.DB) error

// migrate brings a catalog up to date. There is no way back: a migration is not
// undone, and who wants the earlier version restores the backup from before.
func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB) error {
	return migrateBy(migrations)(ctx, dialect, db)
}

// migrateBy brings a catalog up to date with the migrations in a folder of files. Each
// is one transaction: where one fails, the catalog is as the one before has left it.
func migrateBy(files fs.FS) preparation {
	return func(ctx context.Context, dialect goose.Dialect, db *sql.DB) error {
		provider, current, target, err := versions(ctx, dialect, db, files)
		if err != nil || current == target {
			return err
		}
		_, err = provider.Up(ctx)
		return err
	}
}

// checkVersion refuses a catalog that is not up to date.
func checkVersion(ctx context.Context, dialect goose.Dialect, db *sql.DB) error {
	_, current, target, err := versions(ctx, dialect, db, migrations)
	if err == nil && current < target {
		err = &OlderSchemaError{Found: current, Needed: target}
	}
	return err
}

// versions returns the catalog's version and the program's. A later one than the
// program knows is an error.
func versions(ctx context.Context, dialect goose.Dialect, db *sql.DB, files fs.FS) (p *goose.Provider, current, target int64, err error) {
	files, err = fs.Sub(files, "migrations")
	if err != nil {
		return nil, 0, 0, err
	}
	if p, err = goose.NewProvider(dialect, db, files); err != nil {
		return nil, 0, 0, err
	}
	if current, target, err = p.GetVersions(ctx); err != nil {
		return nil, 0, 0, err
	}
	if current > target {
		return nil, 0, 0, &NewerSchemaError{Found: current, Known: target}
	}
	return p, current, target, nil
}
