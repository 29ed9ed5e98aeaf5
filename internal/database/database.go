package database

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/pressly/goose/v3"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is an open catalog database. It is safe for concurrent use.
type DB struct {
	engine engine
	writer *sql.DB // one connection
	reader *sql.DB
	reads  *query.Queries

	observer atomic.Pointer[func(Committed)]

	jobs    chan *job
	closing chan struct{}
	once    sync.Once
	done    sync.WaitGroup
}

// Open opens the embedded catalog of the folder dir, which must exist; see
// [Place.Open].
func Open(ctx context.Context, dir string) (*DB, error) { return InFolder(dir).Open(ctx) }

func start(e engine, writer, reader *sql.DB, reads *query.Queries) *DB {
	db := &DB{
		engine: e, writer: writer, reader: reader, reads: reads,
		jobs: make(chan *job), closing: make(chan struct{}),
	}
	db.done.Go(db.commitLoop)
	return db
}

func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(dialect, db, files)
	if err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return &NewerSchemaError{Found: current, Known: target}
	}
	if current == target {
		return nil
	}
	_, err = provider.Up(ctx)
	return err
}

// Read returns the queries that only read. They see what was committed before
// each of them began.
func (db *DB) Read() *query.Queries { return db.reads }

// Close waits for the writes under way and closes the database. Writes that
// come later fail with [ErrClosed].
func (db *DB) Close() error {
	db.once.Do(func() { close(db.closing) })
	db.done.Wait()
	return errors.Join(db.reader.Close(), db.writer.Close())
}
