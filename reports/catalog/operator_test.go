package catalog_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

func TestRemoveAndRestore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := t.Context()
		r := f.put(t, "a.csv")
		wantError(t, "removing", f.Remove(ctx, self, f.acme, r.Name), nil)
		removed := f.report(t, r.ID)
		if removed.State != reports.Removed || removed.Removed.IsZero() || !removed.Expires.Equal(r.Expires) || f.garbage(t)[r.Blob] {
			t.Errorf("removed as %+v", removed)
		}
		var state *catalog.StateError
		if _, err := f.RemoveReport(ctx, ops, r.ID, day); !errors.As(err, &state) {
			t.Errorf("removing twice: %v", err)
		}
		f.put(t, "a.csv") // takes the name
		back, err := f.RestoreReport(ctx, ops, r.ID)
		if err != nil || back.Name.String() != "a~2.csv" || back.State != reports.Published || !back.Removed.IsZero() {
			t.Errorf("restored as %+v, %v", back, err)
		}
		if _, err := f.RestoreReport(ctx, ops, r.ID); !errors.As(err, &state) {
			t.Errorf("restoring twice: %v", err)
		}
		if _, err := f.RestoreReport(ctx, ops, "no-such-id"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("restoring nothing: %v", err)
		}
	})
}

func TestRestoreBringsItsFoldersBack(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := t.Context()
		f.mkdir(t, "a", "a/b", "a/b/c")
		one, two := f.put(t, "a/b/c/one"), f.put(t, "a/b/two")
		for _, n := range []string{"a/b/c/one", "a/b/two"} {
			wantError(t, "removing "+n, f.Remove(ctx, self, f.acme, name(t, n)), nil)
		}
		for _, n := range []string{"a/b/c", "a/b", "a"} {
			wantError(t, "removing "+n, f.RemoveFolder(ctx, self, f.acme, name(t, n)), nil)
		}
		f.put(t, "a") // a file takes the outermost folder's name
		r, err := f.RestoreReport(ctx, ops, one.ID)
		if err != nil || r.Name.String() != "a~2/b/c/one" {
			t.Fatalf("restored %s, %v", r.Name, err)
		}
		r, err = f.RestoreReport(ctx, ops, two.ID)
		if err != nil || r.Name.String() != "a~2/b/two" {
			t.Errorf("restored %s, %v", r.Name, err)
		}
		if found, err := f.Lookup(ctx, f.acme, name(t, "a~2/b/c/one")); err != nil || found.ID != one.ID {
			t.Errorf("looked up %+v, %v", found, err)
		}
	})
}

func TestRestoreUsesAFolderThatWasMadeAnew(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := t.Context()
		f.mkdir(t, "a")
		one := f.put(t, "a/one")
		wantError(t, "removing", f.Remove(ctx, self, f.acme, name(t, "a/one")), nil)
		wantError(t, "removing", f.RemoveFolder(ctx, self, f.acme, name(t, "a")), nil)
		f.mkdir(t, "a")
		f.put(t, "a/one")
		if r, err := f.RestoreReport(ctx, ops, one.ID); err != nil || r.Name.String() != "a/one~2" {
			t.Errorf("restored %s, %v", r.Name, err)
		}
		if got := f.names(t, "a"); !slices.Equal(got, []string{"one", "one~2"}) {
			t.Errorf("the folder holds %q", got)
		}
	})
}

func TestTidyKeepsWhatCanBeRestored(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := t.Context()
		f.mkdir(t, "a", "a/b", "c")
		one := f.put(t, "a/b/one")
		wantError(t, "removing", f.Remove(ctx, self, f.acme, name(t, "a/b/one")), nil)
		for _, n := range []string{"a/b", "a", "c"} {
			wantError(t, "removing "+n, f.RemoveFolder(ctx, self, f.acme, name(t, n)), nil)
		}
		wantError(t, "tidying", f.Tidy(ctx, time.Time{}), nil)
		if n := f.folders(t); n != 2 {
			t.Errorf("%d folders are left, want a and a/b", n)
		}
		if r, err := f.RestoreReport(ctx, ops, one.ID); err != nil || r.Name.String() != "a/b/one" {
			t.Errorf("restored %s, %v", r.Name, err)
		}
		wantError(t, "removing", f.Remove(ctx, self, f.acme, name(t, "a/b/one")), nil)
		wantError(t, "removing", f.RemoveFolder(ctx, self, f.acme, name(t, "a/b")), nil)
		wantError(t, "removing", f.RemoveFolder(ctx, self, f.acme, name(t, "a")), nil)
		f.clock.advance(101 * day)
		if n, err := f.PurgeDue(ctx, "gateway", f.clock.now()); n != 1 || err != nil {
			t.Fatalf("purged %d, %v", n, err)
		}
		wantError(t, "tidying", f.Tidy(ctx, time.Time{}), nil)
		if n := f.folders(t); n != 0 {
			t.Errorf("%d folders are left", n)
		}
	})
}

// TestTidyOfManyFolders: a client that makes and removes folders must not make
// the one goroutine that writes look through all files for each of them.
func TestTidyOfManyFolders(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		plan := f.home.Plan(t, `DELETE FROM entries WHERE kind = 'folder' AND state = 'removed'
			AND NOT EXISTS (SELECT 1 FROM entries AS child WHERE child.parent_id = entries.id AND child.parent_id <> '')`)
		if !strings.Contains(plan, "entries_parent ") {
			t.Errorf("the plan is %s", plan)
		}
	})
}

func TestTidyForgetsOldDeliveries(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := t.Context()
		p := f.publication(t, "old", "old")
		f.publish(t, p)
		f.clock.advance(101 * day)
		if _, err := f.PurgeDue(ctx, "gateway", f.clock.now()); err != nil {
			t.Fatal(err)
		}
		p = f.publication(t, "kept", "kept")
		f.publish(t, p)
		known := func(source string) bool {
			_, known, err := f.Known(ctx, f.acme, source)
			if err != nil {
				t.Fatal(err)
			}
			return known
		}
		wantError(t, "tidying", f.Tidy(ctx, f.clock.now().Add(-102*day)), nil)
		if !known("old") {
			t.Error("it was forgotten early")
		}
		f.clock.advance(99 * day)
		wantError(t, "tidying", f.Tidy(ctx, f.clock.now()), nil)
		if known("old") || !known("kept") {
			t.Errorf("old is known: %v; the one whose report is there: %v", known("old"), known("kept"))
		}
	})
}

func TestLegalHold(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := t.Context()
		r := f.put(t, "a.csv")
		if _, err := f.SetLegalHold(ctx, ops, r.ID, true); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(1000 * day)
		if n, err := f.PurgeDue(ctx, "gateway", f.clock.now()); n != 0 || err != nil {
			t.Errorf("purged %d, %v", n, err)
		}
		wantError(t, "removing", f.Remove(ctx, self, f.acme, r.Name), reports.ErrOnHold)
		wantError(t, "renaming", f.Rename(ctx, self, f.acme, r.Name, name(t, "b"), true), reports.ErrOnHold)
		f.put(t, "other")
		wantError(t, "renaming over it", f.Rename(ctx, self, f.acme, name(t, "other"), r.Name, true), reports.ErrOnHold)
		u := catalog.Upload{Client: f.acme, Name: r.Name, Blob: f.newBlob(), Retention: day, Actor: self}
		wantError(t, "uploading over it", f.Upload(ctx, u), reports.ErrOnHold)
		_, err := f.RemoveReport(ctx, ops, r.ID, day)
		wantError(t, "removing as an operator", err, reports.ErrOnHold)
		n, err := f.RemoveClientReports(ctx, ops, f.acme)
		wantError(t, "removing everything", err, reports.ErrOnHold)
		if n != 0 || len(f.names(t, "")) != 2 {
			t.Errorf("%d were removed", n)
		}
		if _, err := f.SetLegalHold(ctx, ops, r.ID, false); err != nil {
			t.Fatal(err)
		}
		if n, err := f.PurgeDue(ctx, "gateway", f.clock.now()); n != 1 || err != nil || !f.gone(t, r.ID) {
			t.Errorf("lifted, and purged %d, %v", n, err)
		}
	})
}

func TestRemoveClientReports(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.mkdir(t, "in")
		f.put(t, "in/a")
		f.put(t, "b")
		held(t, f, "c", "c")
		blob := save(t, f, "d")
		if n, err := f.RemoveClientReports(t.Context(), ops, f.acme); n != 3 || err != nil {
			t.Errorf("removed %d, %v", n, err)
		}
		if g := f.garbage(t); len(g) != 4 || !g[blob] {
			t.Errorf("garbage is %v", g)
		}
		if f.audited(t, "report.deleted") != 3 {
			t.Error("not every deletion was recorded")
		}
	})
}

func TestReportsPages(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.mkdir(t, "in")
		var want []string
		for i := range 25 {
			if i%5 == 0 {
				f.clock.advance(time.Second) // several share a time
			}
			want = append(want, f.put(t, fmt.Sprint(i)).ID)
		}
		p := f.publication(t, "x", "beta's")
		p.Client = f.beta
		f.publish(t, p)
		seen := map[string]int{}
		var last *reports.Report
		for {
			page, err := f.Reports(t.Context(), catalog.Filter{Client: f.acme, State: reports.Published, Before: last, Limit: 4})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				if last != nil && r.Received.After(last.Received) {
					t.Error("an older one came before a newer one")
				}
				seen[r.ID]++
				last = &r
			}
			if len(page) < 4 {
				break
			}
		}
		for _, id := range want {
			if seen[id] != 1 {
				t.Errorf("%s came %d times", id, seen[id])
			}
		}
		if len(seen) != len(want) {
			t.Errorf("%d came, want %d", len(seen), len(want))
		}
	})
}
