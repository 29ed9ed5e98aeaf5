package folder_test

import (
	"fmt"
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
