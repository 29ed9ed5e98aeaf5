package folder_test

import (
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// TestReceiptThatCantBeWrittenKeepsBackNoOther: those of a moment are written together,
// and yet each is its own.
func TestReceiptThatCantBeWrittenKeepsBackNoOther(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	f := g.session(t, "one")
	var names []reports.Name
	for i := range 5 {
		put(t, f, fmt.Sprint(i), "hello")
		names = append(names, parseName(t, fmt.Sprint(i)))
	}
	damaged := g.lookup(t, "one", names[2])
	err := g.db.Write(t.Context(), func(tx *database.Tx) error {
		return tx.SetCoverage(tx.Context(), query.SetCoverageParams{ID: damaged.ID, Coverage: "nonsense", State: string(reports.Published)})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, err := f.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.ReadAt(make([]byte, 5), 0); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		if got := g.collected(t, "one", name); got != (i != 2) {
			t.Errorf("that %s is collected is %t", name, got)
		}
		receipts, err := g.Catalog.Receipts(t.Context(), g.lookup(t, "one", name).ID)
		if err != nil || (len(receipts) == 1) != (i != 2) {
			t.Errorf("%s has %d receipts, %v", name, len(receipts), err)
		}
	}
}

// TestReceiptOfNoneIsForgotten: transfers that end at once fill more than one batch, and
// the last of them none.
func TestReceiptOfNoneIsForgotten(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	f := g.session(t, "one")
	put(t, f, "much", "hello")
	name := parseName(t, "much")
	const workers, each = 8, 25
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range each {
				file, err := f.Open(t.Context(), name)
				if err == nil {
					_, err = file.ReadAt(make([]byte, 100), 0)
				}
				if err != io.EOF {
					t.Errorf("reading to the end and beyond: %v", err)
					return
				}
				if err := file.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	g.closeRecorder()
	receipts, err := g.Catalog.Receipts(t.Context(), g.lookup(t, "one", name).ID)
	if err != nil || len(receipts) != workers*each {
		t.Errorf("%d receipts, %v", len(receipts), err)
	}
}
