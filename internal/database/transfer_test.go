package database_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// TestMoveTo takes a catalog to a server and back, and finds every row again.
func TestMoveTo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	back := filepath.Join(dir, "back")
	for _, d := range []string{there, back} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	filled(t, there)
	server := databasetest.Postgres.NewEmpty(t, "")
	if err := database.MoveTo(t.Context(), there, server.Place); err != nil {
		t.Fatal(err)
	}
	if err := server.Open(t).Snapshot(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dump(t, there), dump(t, back)); diff != "" {
		t.Errorf("(-there +back)\n%s", diff)
	}
	var full *database.NotEmptyError
	if err := database.MoveTo(t.Context(), there, server.Place); !errors.As(err, &full) {
		t.Errorf("a second time: %v", err)
	}
	if err := database.MoveTo(t.Context(), there, database.InFolder(t.TempDir())); err == nil {
		t.Error("it was moved into a folder")
	}
}

// An interrupted move leaves nothing: the schema at most, which is no hindrance.
func TestMoveThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	filled(t, dir)
	server := databasetest.Postgres.New(t, "")
	mend := server.Refuse(t, "marks")
	if err := database.MoveTo(t.Context(), dir, server.Place); err == nil {
		t.Error("it was moved")
	}
	mend()
	if err := database.MoveTo(t.Context(), dir, server.Place); err != nil {
		t.Error(err)
	}
}

// filled makes a catalog with rows in tables that refer to others, and with text
// that is hard to copy.
func filled(t *testing.T, dir string) {
	t.Helper()
	db, err := database.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), func(tx *database.Tx) error {
		for i, name := range []string{"", "é'\"\\\t\n", "\\N", "NULL", "日本語 🏦"} {
			id := fmt.Sprint("client", i)
			err := errors.Join(
				tx.InsertClient(tx.Context(), query.InsertClientParams{ID: id, Name: name, CreatedAt: 1 << 62}),
				tx.InsertNetwork(tx.Context(), query.InsertNetworkParams{ClientID: id, Prefix: "10.0.0.0/8"}),
				tx.InsertEntry(tx.Context(), query.InsertEntryParams{ID: id, ClientID: id, Name: name, Kind: "report", State: "published", PlainSize: -1}),
				tx.SetMark(tx.Context(), query.SetMarkParams{Name: name, N: -1 << 63}),
			)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// dump reads all rows of an embedded catalog's tables, without their order.
func dump(t *testing.T, dir string) map[string]int {
	t.Helper()
	raw := databasetest.Home{Engine: databasetest.SQLite, Place: database.InFolder(dir)}.Raw(t)
	names, err := raw.Query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'goose%'")
	if err != nil {
		t.Fatal(err)
	}
	defer names.Close()
	content := map[string]int{}
	for names.Next() {
		var name string
		if err := names.Scan(&name); err != nil {
			t.Fatal(err)
		}
		rows, err := raw.Query("SELECT * FROM " + name)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		content[name+": tables"]++
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			text := name + ":"
			for _, v := range values {
				text += fmt.Sprintf(" %#v", *v.(*any))
			}
			content[text]++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return content
}
