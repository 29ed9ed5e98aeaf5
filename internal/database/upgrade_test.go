package database_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
)

var update = flag.Bool("update", false, "write the newest schema's fixtures anew, while it is not released")

const (
	schemasDir = "testdata/schemas"
	// releasedFile lists the migrations that catalogs in use have been through, each with
	// the SHA-256 of its file: they must never change again.
	releasedFile = schemasDir + "/released.txt"
)

// migrationFiles returns the migrations' file names in order.
func migrationFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d migrations: %v", len(files), err)
	}
	return files
}

// versionOf is "00001" for "migrations/00001_initial.sql".
func versionOf(file string) string {
	version, _, _ := strings.Cut(filepath.Base(file), "_")
	return version
}

// released returns the hashes of the released migrations by their versions.
func released(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(releasedFile)
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		version, hash, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("%s: %q", releasedFile, line)
		}
		hashes[version] = hash
	}
	return hashes
}

// TestReleasedMigrationsNeverChange: a catalog that has been through one would not be
// what the program takes it for.
func TestReleasedMigrationsNeverChange(t *testing.T) {
	t.Parallel()
	hashes := released(t)
	for _, file := range migrationFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, ok := hashes[versionOf(file)]
		if got := fmt.Sprintf("%x", sha256.Sum256(text)); ok && got != want {
			t.Errorf("%s was released with the SHA-256 %s and now has %s: write a further migration instead", file, want, got)
		}
		delete(hashes, versionOf(file))
	}
	if len(hashes) > 0 {
		t.Errorf("released migrations are gone: %v", hashes)
	}
}

// TestEveryEarlierSchemaIsBroughtUpToDate loads each kept catalog, opens it, and looks
// whether all that it held is there still, in a schema like that of a new one.
func TestEveryEarlierSchemaIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		fresh := e.NewEmpty(t, t.TempDir())
		if err := fresh.Open(t).Close(); err != nil {
			t.Fatal(err)
		}
		want := schema(t, fresh)
		files := migrationFiles(t)
		if newest := versionOf(files[len(files)-1]); *update && released(t)[newest] == "" {
			writeFixture(t, fresh, fixture(newest, e))
		}
		for _, file := range files {
			t.Run(versionOf(file), func(t *testing.T) {
				t.Parallel()
				home := keptCatalog(t, e, versionOf(file))
				before := rows(t, home)
				home.Open(t)
				if diff := cmp.Diff(want, schema(t, home)); diff != "" {
					t.Errorf("the schema is not that of a new catalog (for one that is not released, run this test with -update):\n%s", diff)
				}
				kept(t, before, rows(t, home))
			})
		}
	})
}

// keptCatalog is a catalog of a version, with a row in every table.
func keptCatalog(t *testing.T, e databasetest.Engine, version string) databasetest.Home {
	t.Helper()
	home := e.NewEmpty(t, t.TempDir())
	text, err := os.ReadFile(fixture(version, e))
	if err != nil {
		t.Fatalf("no catalog of this version was kept: %v", err)
	}
	raw := home.Raw(t)
	defer raw.Close()
	raw.SetMaxOpenConns(1) // a dump sets its connection up
	if _, err := raw.Exec(string(text)); err != nil {
		t.Fatal(err)
	}
	return home
}

// kept compares what a catalog held with what it holds, in the tables and columns that
// both have.
func kept(t *testing.T, before, after table) {
	t.Helper()
	if len(before) < 10 {
		t.Fatalf("only %d tables were filled", len(before))
	}
	for name, old := range before {
		now := after[name]
		if len(now) != len(old) {
			t.Errorf("table %s had %d rows and has %d", name, len(old), len(now))
			continue
		}
		for i, row := range old {
			for column, value := range row {
				if got, there := now[i][column]; there && fmt.Sprint(got) != fmt.Sprint(value) {
					t.Errorf("%s.%s was %v and is %v", name, column, value, got)
				}
			}
		}
	}
}

func fixture(version string, e databasetest.Engine) string {
	return filepath.Join(schemasDir, version+"."+string(e)+".sql")
}

// table is all rows of the tables by name, each by column.
type table map[string][]map[string]any

// tableNames are the catalog's own.
func tableNames(t *testing.T, h databasetest.Home, raw *sql.DB) []string {
	t.Helper()
	list := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
	if h.Engine == databasetest.Postgres {
		list = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY oid"
	}
	var names []string
	for _, row := range ask(t, raw, list) {
		for _, v := range row {
			if name := fmt.Sprint(v); name != "goose_db_version" {
				names = append(names, name)
			}
		}
	}
	return names
}

func rows(t *testing.T, h databasetest.Home) table {
	t.Helper()
	raw := h.Raw(t)
	defer raw.Close()
	all := table{}
	for _, name := range tableNames(t, h, raw) {
		all[name] = ask(t, raw, "SELECT * FROM "+name+" ORDER BY 1")
	}
	return all
}

func ask(t *testing.T, raw *sql.DB, statement string) (list []map[string]any) {
	t.Helper()
	found, err := raw.Query(statement)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for found.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := found.Scan(values...); err != nil {
			t.Fatal(err)
		}
		row := map[string]any{}
		for i, c := range columns {
			row[c] = *values[i].(*any)
		}
		list = append(list, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// schema describes a catalog's tables and indexes: the columns sorted, since a
// migration can add one only behind the others.
func schema(t *testing.T, h databasetest.Home) []string {
	t.Helper()
	raw := h.Raw(t)
	defer raw.Close()
	columns := `SELECT m.name || '.' || c.name || ' ' || c.type || ' notnull=' || c."notnull" || ' default=' || COALESCE(c.dflt_value, '') || ' pk=' || c.pk
		FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`
	indexes := "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
	if h.Engine == databasetest.Postgres {
		columns = `SELECT table_name || '.' || column_name || ' ' || data_type || ' null=' || is_nullable || ' default=' || COALESCE(column_default, '')
			FROM information_schema.columns WHERE table_schema = 'public'`
		indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
	}
	var list []string
	for _, row := range append(ask(t, raw, columns), ask(t, raw, indexes)...) {
		for _, v := range row {
			list = append(list, strings.Join(strings.Fields(fmt.Sprint(v)), " "))
		}
	}
	slices.Sort(list)
	return list
}

// writeFixture puts a row into every table and keeps the whole.
func writeFixture(t *testing.T, h databasetest.Home, file string) {
	t.Helper()
	raw := h.Raw(t)
	defer raw.Close()
	for _, name := range tableNames(t, h, raw) {
		fill(t, h, raw, name)
	}
	text := dumpSQLite(t, h, raw)
	if h.Engine == databasetest.Postgres {
		out, err := exec.Command("pg_dump", "--no-owner", "--no-privileges", "--inserts", h.Server.URL).Output()
		if err != nil {
			t.Fatal(err)
		}
		var kept bytes.Buffer
		for line := range bytes.Lines(out) {
			if !bytes.HasPrefix(line, []byte(`\`)) && !bytes.HasPrefix(line, []byte("--")) && len(bytes.TrimSpace(line)) > 0 {
				kept.Write(line) // without what only psql understands
			}
		}
		text = kept.String()
	}
	if err := os.MkdirAll(schemasDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fill adds a row in which every column says what it is.
func fill(t *testing.T, h databasetest.Home, raw *sql.DB, name string) {
	t.Helper()
	types := "SELECT name, type FROM pragma_table_info('" + name + "')"
	if h.Engine == databasetest.Postgres {
		types = "SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '" + name + "'"
	}
	values := map[string]string{}
	for i, column := range ask(t, raw, types) {
		switch c := fmt.Sprint(column["name"]); {
		case !strings.EqualFold(fmt.Sprint(column["type"]), "TEXT"):
			values[c] = fmt.Sprint(1_700_000_000_000_000 + i)
		case c == "client_id", name == "clients" && c == "id":
			values[c] = "'acme'"
		case c == "key_id", name == "keys" && c == "id":
			values[c] = "'key'"
		default:
			values[c] = fmt.Sprintf("'%s of %s: it''s äß'", c, name)
		}
	}
	columns := slices.Sorted(maps.Keys(values))
	var list []string
	for _, c := range columns {
		list = append(list, values[c])
	}
	statement := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", name, strings.Join(columns, ", "), strings.Join(list, ", "))
	if _, err := raw.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// dumpSQLite writes what sqlite3's .dump would.
func dumpSQLite(t *testing.T, h databasetest.Home, raw *sql.DB) string {
	t.Helper()
	if h.Engine != databasetest.SQLite {
		return ""
	}
	var b strings.Builder
	for _, row := range ask(t, raw, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid") {
		fmt.Fprintf(&b, "%s;\n", row["sql"])
	}
	for _, name := range append(tableNames(t, h, raw), "goose_db_version") {
		for _, row := range ask(t, raw, "SELECT * FROM "+name) {
			columns := slices.Sorted(maps.Keys(row))
			var values []string
			for _, c := range columns {
				switch v := row[c].(type) {
				case int64:
					values = append(values, fmt.Sprint(v))
				default:
					values = append(values, "'"+strings.ReplaceAll(fmt.Sprint(v), "'", "''")+"'")
				}
			}
			fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES (%s);\n", name, strings.Join(columns, ", "), strings.Join(values, ", "))
		}
	}
	return b.String()
}

// TestOpenAsIsMigratesNothing: an edge has not the right to, and the intake may still be
// of the earlier version.
func TestOpenAsIsMigratesNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		home := e.New(t, t.TempDir())
		if err := home.Open(t).Close(); err != nil {
			t.Fatal(err)
		}
		db, err := home.Place.OpenAsIs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		db.Close()
		for _, test := range []struct {
			change string
			want   any
		}{
			{"DELETE FROM goose_db_version WHERE version_id > 0", new(*database.OlderSchemaError)},
			{"INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)", new(*database.NewerSchemaError)},
		} {
			raw := home.Raw(t)
			if _, err := raw.Exec(test.change); err != nil {
				t.Fatal(err)
			}
			before := ask(t, raw, "SELECT * FROM goose_db_version ORDER BY id")
			if _, err := home.Place.OpenAsIs(t.Context()); !errors.As(err, test.want) {
				t.Errorf("after %s: %v", test.change, err)
			}
			if diff := cmp.Diff(before, ask(t, raw, "SELECT * FROM goose_db_version ORDER BY id")); diff != "" {
				t.Errorf("it changed the catalog:\n%s", diff)
			}
		}
	})
}
