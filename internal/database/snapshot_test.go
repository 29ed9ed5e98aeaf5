package database_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// TestSnapshot: a copy is of one moment, is private, and holds up nobody.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, _ := e.Open(t, t.TempDir())
		testSnapshot(t, db)
	})
}

func testSnapshot(t *testing.T, db *database.DB) {
	set := func(n int64) error {
		return db.Write(t.Context(), func(tx *database.Tx) error {
			// Two rows that always agree.
			for _, name := range []string{"one", "two"} {
				if err := tx.SetMark(tx.Context(), query.SetMarkParams{Name: name, N: n}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := set(1); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for n := int64(2); err == nil; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
				err = set(n)
			}
		}
		stopped <- err
	}()
	for i := range 5 {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := db.Snapshot(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		if err := db.Snapshot(t.Context(), dir); !errors.Is(err, fs.ErrExist) {
			t.Errorf("over another: %v", err)
		}
		agree(t, dir)
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func agree(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, database.FileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	copied, err := database.InFolder(dir).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	one, err := copied.Read().GetMark(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	two, err := copied.Read().GetMark(t.Context(), "two")
	if err != nil || one != two {
		t.Errorf("%d and %d, %v", one, two, err)
	}
	if err := copied.Check(t.Context(), false); err != nil {
		t.Error(err)
	}
}

// TestCheckFindsDamage overwrites a page in the middle of a catalog.
func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := database.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		err := db.Write(t.Context(), func(tx *database.Tx) error {
			return tx.SetMark(tx.Context(), query.SetMarkParams{Name: fmt.Sprintf("a name of some length %d", i), N: 1})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.Check(t.Context(), false), db.Check(t.Context(), true), db.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, database.FileName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	for at := 8 * page; at < 14*page; at++ {
		data[at] = 0xa5
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err = database.Open(t.Context(), dir)
	if err == nil {
		defer db.Close()
		err = db.Check(t.Context(), true)
	}
	var fault *database.Error
	if !errors.As(err, &fault) {
		t.Errorf("error %v", err)
	}
}
