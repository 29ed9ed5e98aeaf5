package database

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

// DB is an open catalog database. It is safe for concurrent use.
type DB struct {
	engine engine
	writer *sql.DB // one connection
	reader *sql.DB
	reads  *query.Queries
	kept   *writing // the writer's statements; nil where the driver keeps them

	observer atomic.Pointer[func(Committed)]

	jobs    chan *job
	later   chan *job    // that can wait
	waiting atomic.Int32 // those that wait for their job to be taken, and are not of later
	closing chan struct{}
	once    sync.Once
	done    sync.WaitGroup
}

// Open opens the embedded catalog of the folder dir, which must exist; see
// [Place.Open].
func Open(ctx context.Context, dir string) (*DB, error) { return InFolder(dir).Open(ctx) }

func start(e engine, writer, reader *sql.DB, reads *query.Queries, kept *writing) *DB {
	db := &DB{
		engine: e, writer: writer, reader: reader, reads: reads, kept: kept,
		jobs: make(chan *job), later: make(chan *job), closing: make(chan struct{}),
	}
	db.done.Go(db.commitLoop)
	return db
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
