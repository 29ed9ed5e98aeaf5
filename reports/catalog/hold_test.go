package catalog_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// TestClientOnLegalHold: what it has and what it gets is held, and a hold that a
// report has of its own is another one.
func TestClientOnLegalHold(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := t.Context()
		first := f.put(t, "a.csv")
		if n, err := f.HoldClient(ctx, ops, f.acme, "case 114"); n != 1 || err != nil {
			t.Fatalf("%d files, %v", n, err)
		}
		second := f.put(t, "b.csv")
		if _, err := f.HoldReport(ctx, ops, second.ID, "an audit"); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{first.ID, second.ID} {
			if r := f.report(t, id); !r.LegalHold || !r.HeldWithClient {
				t.Errorf("%s is not on hold: %+v", r.Name, r)
			}
		}
		var with *catalog.ClientHoldError
		if _, err := f.LiftHold(ctx, ops, first.ID, ""); !errors.As(err, &with) || with.Hint() == "" {
			t.Errorf("lifting a hold that it has not: %v", err)
		}
		// Again: another reason, and no file counts twice.
		if n, err := f.HoldClient(ctx, ops, f.acme, "case 115"); n != 0 || err != nil {
			t.Errorf("again: %d files, %v", n, err)
		}
		if h, found, err := f.ClientHold(ctx, f.acme); !found || h.Reason != "case 115" || h.By != ops || err != nil {
			t.Errorf("the hold is %+v, %v, %v", h, found, err)
		}
		late := f.report(t, second.ID).Expires.AddDate(0, 0, 1)
		if files, due, err := f.CountOnHold(ctx, late); files != 2 || due != 2 || err != nil {
			t.Errorf("%d on hold, %d due, %v", files, due, err)
		}
		if n, err := f.PurgeDue(ctx, ops, late); n != 0 || err != nil {
			t.Errorf("%d were purged, %v", n, err)
		}
		page, err := f.OnHold(ctx, nil, 1)
		if err != nil || len(page) != 1 {
			t.Fatalf("the first page: %+v, %v", page, err)
		}
		rest, err := f.OnHold(ctx, &page[0], 5)
		if err != nil || len(rest) != 1 {
			t.Fatalf("the second page: %+v, %v", rest, err)
		}
		// Both were received at the same moment: either may come first.
		reasons := map[string]string{page[0].ID: page[0].HoldReason, rest[0].ID: rest[0].HoldReason}
		if len(reasons) != 2 || !slices.Contains(slices.Collect(maps.Values(reasons)), "an audit") {
			t.Errorf("on hold are %v", reasons)
		}
		if n, err := f.LiftClientHold(ctx, ops, f.acme, "closed"); n != 2 || err != nil {
			t.Errorf("lifting it: %d files, %v", n, err)
		}
		if r := f.report(t, second.ID); !r.LegalHold || r.HeldWithClient {
			t.Errorf("its own hold went with its client's: %+v", r)
		}
		var none *catalog.NoHoldError
		if _, err := f.LiftClientHold(ctx, ops, f.acme, ""); !errors.As(err, &none) || none.Hint() == "" {
			t.Errorf("lifting it twice: %v", err)
		}
		if n, err := f.PurgeDue(ctx, ops, late); n != 1 || err != nil {
			t.Errorf("%d were purged, %v", n, err)
		}
		if third := f.put(t, "c.csv"); third.LegalHold {
			t.Error("what came after the hold is on hold")
		}
	})
}

// TestFoldersAreNotOnLegalHold: a hold is for files, and a folder that is empty can
// still go.
func TestFoldersAreNotOnLegalHold(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		if _, err := f.HoldClient(t.Context(), ops, f.acme, "case 114"); err != nil {
			t.Fatal(err)
		}
		f.mkdir(t, "in")
		f.put(t, "in/a.csv")
		if files, _, err := f.CountOnHold(t.Context(), f.report(t, f.put(t, "b.csv").ID).Expires); files != 2 || err != nil {
			t.Errorf("%d on hold, %v", files, err)
		}
	})
}
