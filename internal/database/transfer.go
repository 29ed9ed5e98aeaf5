package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// What is kept is the same on both engines, down to the type of each column, so that
// a whole catalog goes from one to the other row by row.

// snapshotServer writes what a server keeps into an embedded catalog in dir.
func (db *DB) snapshotServer(ctx context.Context, dir string) (err error) {
	const op = "copying the catalog"
	path := filepath.Join(dir, FileName)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", op, errors.Join(fs.ErrExist, err))
	}
	copied, err := openSQLite(ctx, dir, migrate)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	err = copied.fill(ctx, db)
	if err := errors.Join(err, copied.Close()); err != nil {
		return fmt.Errorf("%s: %w", op, db.engine.explain(err))
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	defer f.Close() // synced below
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// fill copies all rows of a server's catalog, as they are at one moment, into the
// embedded one, which has none.
func (db *DB) fill(ctx context.Context, from *DB) error {
	tables, err := db.tables(ctx)
	if err != nil {
		return err
	}
	source, err := from.reader.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer source.Rollback() // it only reads
	target, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer target.Rollback() // nothing, after Commit
	for _, t := range tables {
		if err := t.copy(ctx, source, target); err != nil {
			return fmt.Errorf("the table %s: %w", t.name, err)
		}
	}
	return target.Commit()
}

// table is one of the catalog's.
type table struct {
	name    string
	columns []string
}

// tables lists the tables of an embedded catalog in the order in which they were
// made: after those that they refer to.
func (db *DB) tables(ctx context.Context) (list []table, err error) {
	rows, err := db.reader.QueryContext(ctx, `SELECT t.name, c.name FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND t.name NOT LIKE 'goose\_%' ESCAPE '\'
		ORDER BY t.rowid, c.cid`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // only read from
	for rows.Next() {
		var t, column string
		if err := rows.Scan(&t, &column); err != nil {
			return nil, err
		}
		if len(list) == 0 || list[len(list)-1].name != t {
			list = append(list, table{name: t})
		}
		last := &list[len(list)-1]
		last.columns = append(last.columns, column)
	}
	return list, rows.Err()
}

func (t table) query() string {
	return `SELECT "` + strings.Join(t.columns, `", "`) + `" FROM "` + t.name + `"`
}

func (t table) copy(ctx context.Context, source, target *sql.Tx) error {
	places := make([]string, len(t.columns))
	for i := range places {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	insert, err := target.PrepareContext(ctx, `INSERT INTO "`+t.name+`" ("`+strings.Join(t.columns, `", "`)+`") VALUES (`+strings.Join(places, ", ")+")")
	if err != nil {
		return err
	}
	defer insert.Close() // ends with the transaction anyhow
	rows, err := source.QueryContext(ctx, t.query())
	if err != nil {
		return err
	}
	for source := t.rows(rows); source.Next(); {
		values, err := source.Values()
		if err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return err
		}
	}
	return rows.Err()
}

// rowSource reads rows as pgx wants them.
type rowSource struct {
	*sql.Rows
	values, targets []any
}

func (t table) rows(rows *sql.Rows) *rowSource {
	s := &rowSource{Rows: rows, values: make([]any, len(t.columns)), targets: make([]any, len(t.columns))}
	for i := range s.values {
		s.targets[i] = &s.values[i]
	}
	return s
}

// Values returns the row that Next went to.
func (s *rowSource) Values() ([]any, error) {
	err := s.Scan(s.targets...)
	return s.values, err
}

// NotEmptyError says that there is a catalog where one was to be put.
type NotEmptyError struct{ Place Place }

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("there is a catalog in %s already", e.Place)
}

// Hint says what an operator can do.
func (*NotEmptyError) Hint() string {
	return "name an empty database: `CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`"
}

// MoveTo copies the embedded catalog of a folder into a server's database, which has
// none yet, in one transaction. When it returns nil the copy is durable there. A
// database with rows in it is refused with a [*NotEmptyError].
func MoveTo(ctx context.Context, dir string, to Place) (err error) {
	if to.server == nil {
		return errors.New("a catalog is moved to a server only")
	}
	op := fmt.Sprintf("copying the catalog to %s", to)
	from, err := openSQLite(ctx, dir, migrate)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	tables, err := from.tables(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if err := preparePostgres(ctx, to.server, migrate); err != nil {
		return postgresEngine{}.explain(fmt.Errorf("%s: %w", op, err))
	}
	conn, err := pgx.ConnectConfig(ctx, to.server)
	if err != nil {
		return postgresEngine{}.explain(fmt.Errorf("%s: %w", op, err))
	}
	defer conn.Close(context.WithoutCancel(ctx)) // what was to be done is committed
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, beginWriting, lockKey); err != nil {
			return err
		}
		for _, t := range tables {
			if err := t.send(ctx, from.reader, tx, to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return postgresEngine{}.explain(fmt.Errorf("%s: %w", op, err))
	}
	return nil
}

// send copies a table's rows to a server where it has none.
func (t table) send(ctx context.Context, source *sql.DB, target pgx.Tx, to Place) error {
	name := pgx.Identifier{t.name}
	var there bool
	if err := target.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+name.Sanitize()+")").Scan(&there); err != nil {
		return err
	}
	if there {
		return &NotEmptyError{to}
	}
	rows, err := source.QueryContext(ctx, t.query())
	if err != nil {
		return err
	}
	defer rows.Close() // only read from
	if _, err := target.CopyFrom(ctx, name, t.columns, t.rows(rows)); err != nil {
		return fmt.Errorf("the table %s: %w", t.name, err)
	}
	return nil
}
