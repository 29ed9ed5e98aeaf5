package database_test

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
)

// What a later version of the program would bring: it adds a column and a table, and
// fills the table from what is there.
const laterMigration = `-- +goose Up
ALTER TABLE clients ADD COLUMN trial TEXT NOT NULL DEFAULT 'as before';
CREATE TABLE trial (client_id TEXT NOT NULL, started BIGINT NOT NULL);
INSERT INTO trial (client_id, started) SELECT id, 42 FROM clients;
`

const laterVersion = 90001

// laterProgram is this program's migrations, and one after them.
func laterProgram(t *testing.T, migration string) fs.FS {
	t.Helper()
	files := fstest.MapFS{"migrations/90001_trial.sql": {Data: []byte(migration)}}
	for _, name := range migrationFiles(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	return files
}

// newestCatalog is one of this program's version, with a row in every table.
func newestCatalog(t *testing.T, e databasetest.Engine) databasetest.Home {
	t.Helper()
	files := migrationFiles(t)
	return keptCatalog(t, e, versionOf(files[len(files)-1]))
}

// TestLaterMigrationKeepsWhatIsThere goes the way of an upgrade that changes the
// schema, and of going back without the backup: several programs start at once, as the
// gateway and a command beside it do; one migrates, nothing is lost, and the earlier
// program then refuses the catalog without touching it.
func TestLaterMigrationKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		home := newestCatalog(t, e)
		before := rows(t, home)
		later := laterProgram(t, laterMigration)
		errs := make([]error, 3)
		var starts sync.WaitGroup
		for i := range errs {
			starts.Go(func() {
				db, err := home.Place.OpenBy(t.Context(), later)
				if errs[i] = err; err == nil {
					errs[i] = db.Close()
				}
			})
		}
		starts.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		after := rows(t, home)
		if got := after["trial"]; len(got) != 1 {
			t.Errorf("the migration ran another number of times than once: %v", got)
		}
		delete(after, "trial")
		kept(t, before, after)

		_, err := home.Place.Open(t.Context())
		var newer *database.NewerSchemaError
		if !errors.As(err, &newer) || newer.Found != laterVersion {
			t.Errorf("the earlier program says %v", err)
		}
		untouched := rows(t, home)
		delete(untouched, "trial")
		if diff := cmp.Diff(after, untouched); diff != "" {
			t.Errorf("the earlier program changed what it refused:\n%s", diff)
		}
	})
}

// TestFailedMigrationChangesNothing: what its first statements did is undone, and the
// earlier program goes on with the catalog.
func TestFailedMigrationChangesNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		home := newestCatalog(t, e)
		before, columns := rows(t, home), schema(t, home)
		db, err := home.Place.OpenBy(t.Context(), laterProgram(t, laterMigration+"INSERT INTO no_such_table VALUES (1);\n"))
		if err == nil {
			db.Close()
			t.Fatal("a migration that can't work did")
		}
		home.Open(t)
		if diff := cmp.Diff(columns, schema(t, home)); diff != "" {
			t.Errorf("half a migration is left of %v:\n%s", err, diff)
		}
		if diff := cmp.Diff(before, rows(t, home)); diff != "" {
			t.Errorf("the rows were changed:\n%s", diff)
		}
	})
}
