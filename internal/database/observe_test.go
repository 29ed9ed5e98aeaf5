package database_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
)

// TestObserve: every transaction is told of, with how many writes shared it. A write
// that fails on its own is no failure of the transaction.
func TestObserve(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := openOn(t, e)
		var mu sync.Mutex
		var writes []int
		db.Observe(func(c database.Committed) {
			mu.Lock()
			defer mu.Unlock()
			if c.Err != nil || c.Took <= 0 {
				t.Errorf("a good transaction is told of as %+v", c)
			}
			writes = append(writes, c.Writes)
		})
		if err := db.Write(context.Background(), setMark("a", 1)); err != nil {
			t.Fatal(err)
		}
		own := errors.New("own")
		if err := db.Write(context.Background(), func(*database.Tx) error { return own }); !errors.Is(err, own) {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(writes, []int{1, 1}) {
			t.Errorf("told of %v", writes)
		}
	})
}

// TestBusyIsTold: what counts failures tells a lock that somebody else held from a
// fault.
func TestBusyIsTold(t *testing.T) {
	t.Parallel()
	if err := error(&database.Error{Message: "locked", Err: errors.New("5"), Busy: true}); !errors.Is(err, database.ErrBusy) {
		t.Error("a busy catalog is not told apart")
	}
	if err := error(&database.Error{Message: "damaged", Err: errors.New("11")}); errors.Is(err, database.ErrBusy) {
		t.Error("a damaged catalog is told as a busy one")
	}
}
