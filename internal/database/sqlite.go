package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

// FileName is the name of the embedded database's file in the data folder.
const FileName = "catalog.db"

// sqliteEngine is SQLite. Its transactions begin as writers (_txlock=immediate),
// and there is one writer to a file.
type sqliteEngine struct{ dir string }

// turnTime is how long a writer waits for another program's transactions.
const turnTime = 10 * time.Second

// begin waits for its turn. SQLite itself looks less and less often, up to every
// tenth of a second, and then hardly ever meets the moment between two transactions
// of a program that writes a great deal: a purge kept logins out as long as it ran.
// The writer's own time-out is short, therefore, and it begins to look anew; that it
// waits it shows to who can let it go first.
func (e sqliteEngine) begin(ctx context.Context, writer *sql.DB) (*sql.Tx, error) {
	tx, err := writer.BeginTx(ctx, nil)
	if !e.busy(err) {
		return tx, err
	}
	waiting := enqueue(e.dir)
	defer waiting.leave()
	for deadline := time.Now().Add(turnTime); ; {
		waiting.show()
		tx, err := writer.BeginTx(ctx, nil)
		if !e.busy(err) || ctx.Err() != nil || time.Now().After(deadline) {
			return tx, err
		}
	}
}

func (e sqliteEngine) giveWay(ctx context.Context) { giveWay(ctx, e.dir) }

func (e sqliteEngine) awaited(context.Context, query.DBTX) bool {
	look := enqueue(e.dir)
	defer look.leave()
	return look.others()
}

func (sqliteEngine) busy(err error) bool {
	var engine *sqlite.Error
	return errors.As(err, &engine) && engine.Code()&0xff == sqlite3.SQLITE_BUSY
}

func (sqliteEngine) patience() time.Duration { return 0 }

func (sqliteEngine) bare() bool { return true }

// swallowed is always false: a statement that fails takes back its own effect
// only, and the transaction goes on.
func (sqliteEngine) swallowed(error) bool { return false }

func (sqliteEngine) own(err error) error {
	var engine *sqlite.Error
	if errors.As(err, &engine) {
		return engine
	}
	return nil
}

func openSQLite(ctx context.Context, dir string, prepare preparation) (*DB, error) {
	path := filepath.Join(dir, FileName)
	if err := ensurePrivate(path); err != nil {
		return nil, err
	}
	writer, err := connectSQLite(path, "&_txlock=immediate", 1)
	if err != nil {
		return nil, err
	}
	if err := prepareAlone(ctx, dir, writer, prepare); err != nil {
		writer.Close()
		return nil, sqliteEngine{}.explain(fmt.Errorf("opening the catalog %s: %w", path, err))
	}
	if _, err := writer.ExecContext(ctx, writerPragmas); err != nil {
		writer.Close()
		return nil, sqliteEngine{}.explain(fmt.Errorf("opening the catalog %s: %w", path, err))
	}
	reader, err := connectSQLite(path, "&_pragma=query_only(1)", max(4, runtime.NumCPU()))
	if err != nil {
		writer.Close()
		return nil, err
	}
	return start(sqliteEngine{dir}, writer, reader, query.New(newPrepared(reader)), keepStatements(writer)), nil
}

// writerPragmas are for once the schema is there. The time-out: see begin. A savepoint
// notes what the pages that it changes were, which beyond 64 KiB goes into a file of its
// own: for each write of a batch that was more than the write itself. A purge touches
// thousands of pages, again and again: with a cache (in KiB) and a log (in pages) for some of
// them it reads and writes a third less.
const writerPragmas = "PRAGMA busy_timeout = 1; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32000; PRAGMA wal_autocheckpoint = 4000"

// existsSQLite takes an empty file for none: it is what a full disk or a slip of
// the hand leaves of one.
func existsSQLite(dir string) (bool, error) {
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

func connectSQLite(path, extra string, conns int) (*sql.DB, error) {
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

// prepareAlone keeps the first start of two programs at once (the gateway, and a
// command beside it) from creating the same tables twice. The lock is the
// system's own on the open folder, and goes with the process.
func prepareAlone(ctx context.Context, dir string, db *sql.DB, prepare preparation) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close() // and with it the lock
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", dir, err)
	}
	return prepare(ctx, goose.DialectSQLite3, db)
}

func (sqliteEngine) explain(err error) error {
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
			Message: "the catalog is locked by another program (waited 10 s)", Err: err, Busy: true,
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
