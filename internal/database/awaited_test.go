package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
)

// TestAwaited: a transaction is told of who waits for its end, here or in another program, and of
// nobody who can wait.
func TestAwaited(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, home := e.Open(t, t.TempDir())
		other, err := home.Place.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		for _, from := range []*database.DB{db, other} {
			wrote := make(chan error, 2)
			err := db.WriteLater(t.Context(), func(tx *database.Tx) error {
				if tx.Awaited() {
					t.Error("nobody waits, and it looks like it")
				}
				go func() { wrote <- db.WriteLater(context.Background(), setMark("later", 1)) }()
				for tx.Awaited() { // while that one looks whether anybody waits
					time.Sleep(time.Millisecond)
				}
				go func() { wrote <- from.Write(context.Background(), setMark("now", 1)) }()
				for !tx.Awaited() {
					time.Sleep(time.Millisecond)
				}
				return nil
			})
			for _, err := range []error{err, <-wrote, <-wrote} {
				if err != nil {
					t.Error(err)
				}
			}
			err = db.WriteLater(t.Context(), func(tx *database.Tx) error {
				if tx.Awaited() {
					t.Error("nobody waits any more, and it still looks like it")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}
