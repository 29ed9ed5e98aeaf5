package database

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the database/sql driver named "sqlite"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

//go:embed migrations/*.sql
var migrations embed.FS

// FileName is the name of the database's file in the data folder.
const FileName = "catalog.db"

// DB is an open catalog database. It is safe for concurrent use.
type DB struct {
	writer *sql.DB // one connection
	reader *sql.DB
	reads  *query.Queries

	jobs    chan *job
	closing chan struct{}
	once    sync.Once
	done    sync.WaitGroup
}

// Open opens the database in the folder dir, which must exist, creating it if
// it is not there and migrating it if it is of an earlier version. A database
// of a later version than this program knows is refused.
func Open(ctx context.Context, dir string) (*DB, error) {
	path := filepath.Join(dir, FileName)
	if err := ensurePrivate(path); err != nil {
		return nil, err
	}
	writer, err := connect(path, "&_txlock=immediate", 1)
	if err != nil {
		return nil, err
	}
	if err := migrateAlone(ctx, dir, writer); err != nil {
		writer.Close()
		return nil, explain(fmt.Errorf("opening the catalog %s: %w", path, err))
	}
	reader, err := connect(path, "&_pragma=query_only(1)", max(4, runtime.NumCPU()))
	if err != nil {
		writer.Close()
		return nil, err
	}
	db := &DB{
		writer: writer, reader: reader, reads: query.New(reader),
		jobs: make(chan *job), closing: make(chan struct{}),
	}
	db.done.Go(db.commitLoop)
	return db, nil
}

// Exists reports whether the folder dir holds a database. An empty file is none:
// it is what a full disk or a slip of the hand leaves of one.
func Exists(dir string) (bool, error) {
	info, err := os.Stat(filepath.Join(dir, FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the catalog: %w", err)
	}
	return info.Size() > 0, nil
}

// ensurePrivate creates the file with mode 0600 before SQLite would create it
// with the umask's. The journal files take the database's mode.
func ensurePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil // opening and closing it would drop the locks that SQLite may hold
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the data folder %s is not there: %w", filepath.Dir(path), err)
	case err != nil:
		return fmt.Errorf("opening the catalog: %w", err)
	}
	return f.Close()
}

func connect(path, extra string, conns int) (*sql.DB, error) {
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path)}).String() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=foreign_keys(1)&_dqs=0" + extra
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("opening the catalog %s: %w", path, err)
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return pool, nil
}

// migrateAlone keeps the first start of two programs at once (the gateway, and a
// command beside it) from creating the same tables twice. The lock is the
// system's own on the open folder, and goes with the process.
func migrateAlone(ctx context.Context, dir string, db *sql.DB) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close() // and with it the lock
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", dir, err)
	}
	return migrate(ctx, db)
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
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
