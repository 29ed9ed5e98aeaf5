// Package databasetest runs tests of what is built on the catalog's database on
// both of its engines. Start with [Each].
package databasetest

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/postgrestest"
)

// Engine is one that a catalog can be kept on.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Each runs a test once on each engine, as its parallel subtests "sqlite" and
// "postgres".
func Each(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Helper()
	for _, e := range []Engine{SQLite, Postgres} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			test(t, e)
		})
	}
}

// Home is where a test's catalog is.
type Home struct {
	Engine Engine
	Place  database.Place
	// Server is the catalog's database on the engine Postgres.
	Server postgrestest.Database
}

// New makes a place for a catalog of the test's own. A catalog need not be there
// yet. dir is where a file would be.
func (e Engine) New(tb testing.TB, dir string) Home {
	tb.Helper()
	if e == SQLite {
		return inFolder(tb, dir)
	}
	return atServer(tb, postgrestest.New(tb, postgrestest.Template{Name: "catalog", Fill: migrated}))
}

// NewEmpty is like New, for a test of how a catalog comes to be: there surely is
// none.
func (e Engine) NewEmpty(tb testing.TB, dir string) Home {
	tb.Helper()
	if e == SQLite {
		return Home{Engine: e, Place: database.InFolder(dir)}
	}
	return atServer(tb, postgrestest.New(tb, postgrestest.Template{}))
}

func atServer(tb testing.TB, server postgrestest.Database) Home {
	tb.Helper()
	place, err := database.AtServer(server.URL, "")
	if err != nil {
		tb.Fatal(err)
	}
	return Home{Engine: Postgres, Place: place, Server: server}
}

// inFolder copies an empty catalog into a folder that has none: migrating one costs
// more than most tests do with it.
func inFolder(tb testing.TB, dir string) Home {
	tb.Helper()
	h := Home{Engine: SQLite, Place: database.InFolder(dir)}
	data, err := emptyFile()
	if err != nil {
		tb.Fatal(err)
	}
	f, err := os.OpenFile(h.Place.File(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return h // it has one, or will be made
	}
	if err != nil {
		tb.Fatal(err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		tb.Fatal(err)
	}
	return h
}

// emptyFile returns the file of an empty catalog, which is made once in a process.
var emptyFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "catalog")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	place := database.InFolder(dir)
	db, err := place.Open(context.Background())
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(place.File())
})

// migrated makes a catalog that others can be copied from.
func migrated(url string) error {
	place, err := database.AtServer(url, "")
	if err != nil {
		return err
	}
	db, err := place.Open(context.Background())
	if err != nil {
		return err
	}
	return db.Close()
}

// Open opens a catalog of the test's own, and closes it when the test is over.
// dir is where a file would be.
func (e Engine) Open(tb testing.TB, dir string) (*database.DB, Home) {
	tb.Helper()
	h := e.New(tb, dir)
	return h.Open(tb), h
}

// Open opens the catalog, and closes it when the test is over.
func (h Home) Open(tb testing.TB) *database.DB {
	tb.Helper()
	db, err := h.Place.Open(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	return db
}

// Raw opens a way to the catalog behind the back of [database.DB], which is
// closed when the test is over.
func (h Home) Raw(tb testing.TB) *sql.DB {
	tb.Helper()
	if h.Engine == Postgres {
		return h.Server.Raw(tb)
	}
	raw, err := sql.Open("sqlite", h.Place.File()+"?_pragma=busy_timeout(5000)")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { raw.Close() })
	return raw
}

// Refuse makes every insertion into a table fail, until mend is called.
func (h Home) Refuse(tb testing.TB, table string) (mend func()) {
	tb.Helper()
	raw := h.Raw(tb)
	run := func(statements ...string) {
		for _, s := range statements {
			if _, err := raw.Exec(s); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if h.Engine == Postgres {
		run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$",
			"CREATE TRIGGER refused BEFORE INSERT ON "+table+" FOR EACH ROW EXECUTE FUNCTION refuse()")
		return func() { run("DROP TRIGGER refused ON "+table, "DROP FUNCTION refuse") }
	}
	run("CREATE TRIGGER refused BEFORE INSERT ON " + table + " BEGIN SELECT RAISE(ABORT, 'no'); END")
	return func() { run("DROP TRIGGER refused") }
}

// Plan returns how the engine would run a statement, in its own words, where
// looking through a whole table is what it does only if it has to. It needs no
// data, and no arguments but those that take part in choosing an index.
func (h Home) Plan(tb testing.TB, statement string, args ...any) string {
	tb.Helper()
	raw := h.Raw(tb)
	raw.SetMaxOpenConns(1)
	explain, columns := "EXPLAIN QUERY PLAN ", 4
	if h.Engine == Postgres {
		explain, columns = "EXPLAIN ", 1
		if _, err := raw.Exec("SET enable_seqscan = off"); err != nil {
			tb.Fatal(err)
		}
	}
	rows, err := raw.Query(explain+statement, args...)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		row := make([]any, columns)
		for i := range row {
			row[i] = new(any)
		}
		var detail string
		row[columns-1] = &detail
		if err := rows.Scan(row...); err != nil {
			tb.Fatal(err)
		}
		plan = append(plan, detail)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return strings.Join(plan, "\n")
}
