package database_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// TestStatementsAreUsedAgain: a query's first run parses it, the second prepares it, the
// third finds it prepared; and whatever became of one run, the next is as if it were the
// first.
func TestStatementsAreUsedAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := openOn(t, e)
		refused := errors.New("refused")
		for i := range int64(5) {
			// One that is rolled back, one that fails in the engine, one that is committed.
			if err := db.Write(t.Context(), func(tx *database.Tx) error {
				return errors.Join(setMark("a", -1)(tx), refused)
			}); !errors.Is(err, refused) {
				t.Fatal(err)
			}
			err := db.Write(t.Context(), func(tx *database.Tx) error {
				return tx.InsertClient(tx.Context(), query.InsertClientParams{ID: "same"})
			})
			if want := i > 0; errors.Is(err, database.ErrConflict) != want {
				t.Fatalf("run %d: adding the same client: %v", i, err)
			}
			if err := db.Write(t.Context(), func(tx *database.Tx) error {
				if err := setMark("a", i)(tx); err != nil {
					return err
				}
				if n, err := tx.GetMark(tx.Context(), "a"); err != nil || n != i {
					return fmt.Errorf("within the transaction it is %d, %w", n, err)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if got := marked(t, db, "a"); got != i {
				t.Fatalf("run %d: it is %d", i, got)
			}
			if got := marked(t, db, "nobody's"); got != 0 {
				t.Fatalf("run %d: what is not there is %d", i, got)
			}
		}
	})
}

// TestStatementsInParallel has readers on all connections and writers share one query.
func TestStatementsInParallel(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			name := fmt.Sprint("mark", i)
			for n := range int64(20) {
				if err := db.Write(context.Background(), setMark(name, n)); err != nil {
					t.Error(err)
				}
				if got, err := db.Read().GetMark(context.Background(), name); err != nil || got != n {
					t.Errorf("%s is %d, %v, not %d", name, got, err, n)
				}
			}
		})
	}
	group.Wait()
}

// TestStatementOutlivesAnEndedContext: a reader that gives up must not leave a prepared query
// broken for the next.
func TestStatementOutlivesAnEndedContext(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	if err := db.Write(t.Context(), setMark("a", 7)); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for range 5 {
		if _, err := db.Read().GetMark(ended, "a"); !errors.Is(err, context.Canceled) {
			t.Fatalf("with an ended context: %v", err)
		}
		if got := marked(t, db, "a"); got != 7 {
			t.Fatalf("it is %d", got)
		}
	}
}
