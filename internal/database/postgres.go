package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

// lockKey is the advisory lock that makes the writers of one catalog take turns;
// it spells "sealdrop".
const lockKey int64 = 0x7365616c64726f70

// beginWriting prepares a write transaction, in one trip to the server. Whatever
// the server's or the role's settings are, the transaction is on disk when
// COMMIT returns, gives up on a lock after ten seconds, and is ended by the
// server if its gateway falls silent in the middle of it (a machine that lost
// power says no goodbye): before the others give up waiting.
const beginWriting = `SELECT
	set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true),
	set_config('idle_in_transaction_session_timeout', '8s', true),
	set_config('lock_timeout', '10s', true),
	pg_advisory_xact_lock($1)`

// beginTries is how often a transaction is begun anew, on a new connection, when
// the old one turns out to be dead: the server may have been restarted.
const beginTries = 3

// postgresEngine is PostgreSQL. Its writers take turns by an advisory lock, so
// that a function in a transaction may read and then write what follows from it
// (the next number of the audit's chain, a free name) as it may on SQLite. The
// lock is let go after the commit is visible, and READ COMMITTED gives each
// statement a snapshot of its own, so whoever gets the lock sees all that went
// before; there is nothing to serialize, and nothing that would have to be
// run twice.
type postgresEngine struct{}

func (e postgresEngine) begin(ctx context.Context, writer *sql.DB) (*sql.Tx, error) {
	for try := 1; ; try++ {
		tx, err := e.beginOnce(ctx, writer)
		if err == nil || !connectionLost(err) || try == beginTries {
			return tx, err
		}
	}
}

func (postgresEngine) beginOnce(ctx context.Context, writer *sql.DB) (*sql.Tx, error) {
	tx, err := writer.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, beginWriting, lockKey); err != nil {
		_ = tx.Rollback() // why the lock was not had is what to tell
		return nil, err
	}
	return tx, nil
}

// giveWay has nothing to do: the server keeps those who wait in a queue.
func (postgresEngine) giveWay(context.Context) {}

// lookForWaiters finds who waits for the advisory lock of $1 in the same database.
const lookForWaiters = `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objsubid = 1
	AND classid = ($1::bigint >> 32)::oid AND objid = ($1::bigint & 4294967295)::oid
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`

// awaited leaves it to the next statement to fail where this one does.
func (postgresEngine) awaited(ctx context.Context, tx query.DBTX) (waits bool) {
	err := tx.QueryRowContext(ctx, lookForWaiters, lockKey).Scan(&waits)
	return waits || err != nil
}

// bare is false: a statement that fails fails all that come after it.
func (postgresEngine) bare() bool { return false }

// patience keeps a network that swallows everything from stopping all writes for
// as long as the system goes on trying.
func (postgresEngine) patience() time.Duration { return time.Minute }

func openPostgres(ctx context.Context, p Place, prepare preparation) (*DB, error) {
	if err := preparePostgres(ctx, p.server, prepare); err != nil {
		return nil, postgresEngine{}.explain(fmt.Errorf("opening the catalog %s: %w", p, err))
	}
	writer := stdlib.OpenDB(*p.server)
	writer.SetMaxOpenConns(1)
	writer.SetMaxIdleConns(1)
	readOnly := p.server.Copy()
	readOnly.RuntimeParams["default_transaction_read_only"] = "on"
	reader := stdlib.OpenDB(*readOnly)
	conns := max(4, runtime.NumCPU())
	reader.SetMaxOpenConns(conns)
	reader.SetMaxIdleConns(conns)
	return start(postgresEngine{}, writer, reader, query.New(rereader{reader}), nil), nil
}

// preparePostgres checks the server and brings the schema up to date, or looks
// whether it is. The lock
// is the writers' own, held by the one connection of the pool that migrates, and
// goes with it.
func preparePostgres(ctx context.Context, server *pgx.ConnConfig, prepare preparation) error {
	pool := stdlib.OpenDB(*server)
	pool.SetMaxOpenConns(1)
	defer pool.Close()
	if err := checkPostgres(ctx, pool); err != nil {
		return err
	}
	if _, err := pool.ExecContext(ctx, "SELECT set_config('lock_timeout', '10s', false), pg_advisory_lock($1)", lockKey); err != nil {
		return err
	}
	return prepare(ctx, goose.DialectPostgres, pool)
}

// checkPostgres refuses a server on which the catalog would not be what it
// promises to be.
func checkPostgres(ctx context.Context, pool *sql.DB) error {
	var encoding, fsync string
	var bytewise, standby bool
	err := pool.QueryRowContext(ctx, `SELECT current_setting('server_encoding'), current_setting('fsync'), pg_is_in_recovery(),
		'B' < 'a' AND 'a b' < 'aa' AND 'a-c' < 'ab' AND 'z' < 'é' AND 'a' < 'a '`).Scan(&encoding, &fsync, &standby, &bytewise)
	switch {
	case err != nil:
		return err
	case encoding != "UTF8" || !bytewise:
		return &Error{
			Message: "the catalog's database does not keep text as it must", Err: errors.New("its encoding has to be UTF8, and its locale C"),
			Advice: "make another with `CREATE DATABASE sealdrop OWNER sealdrop TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`",
		}
	case fsync == "off":
		return &Error{
			Message: "the catalog's server may lose what it has acknowledged", Err: errors.New("it runs with fsync = off"),
			Advice: "set fsync = on in postgresql.conf, and reload",
		}
	case standby:
		return &Error{
			Message: "the catalog can't be written", Err: errors.New("its server is a standby"),
			Advice: "name the primary in catalog.url, or all servers with target_session_attrs=read-write",
		}
	}
	return nil
}

func existsPostgres(ctx context.Context, p Place) (there bool, err error) {
	pool := stdlib.OpenDB(*p.server)
	defer pool.Close()
	err = pool.QueryRowContext(ctx, "SELECT to_regclass('clients') IS NOT NULL").Scan(&there)
	if err != nil {
		return false, postgresEngine{}.explain(fmt.Errorf("looking for the catalog %s: %w", p, err))
	}
	return there, nil
}

// rereader repeats a query once whose connection turned out to be dead, as all of
// a pool's are after the server was restarted. What it runs only reads.
type rereader struct{ *sql.DB }

func (r rereader) QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	rows, err := r.DB.QueryContext(ctx, statement, args...)
	if err != nil && ctx.Err() == nil && connectionLost(err) {
		return r.DB.QueryContext(ctx, statement, args...)
	}
	return rows, err
}

func (r rereader) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	row := r.DB.QueryRowContext(ctx, statement, args...)
	if err := row.Err(); err != nil && ctx.Err() == nil && connectionLost(err) {
		return r.DB.QueryRowContext(ctx, statement, args...)
	}
	return row
}
