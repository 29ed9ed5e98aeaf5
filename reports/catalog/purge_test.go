package catalog_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

func (f *fixture) folders(tb testing.TB) (n int) {
	tb.Helper()
	if err := f.home.Raw(tb).QueryRow("SELECT COUNT(*) FROM entries WHERE kind = 'folder'").Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}

// fill inserts n published reports in one transaction, with one expiry each
// second from the clock's time on.
func (f *fixture) fill(tb testing.TB, n int) {
	tb.Helper()
	err := f.db.Write(context.Background(), func(tx *database.Tx) error {
		for i := range n {
			err := tx.InsertEntry(tx.Context(), query.InsertEntryParams{
				ID: fmt.Sprintf("fill%08d", i), ClientID: "acme", Name: fmt.Sprintf("Activity-%08d.csv.pgp", i), Kind: "report", State: "published",
				Size: 100, Sha256: "aa", Blob: fmt.Sprintf("fill%08d", i), ReceivedAt: int64(i), PublishedAt: int64(i),
				ExpiresAt: database.Micros(f.clock.now().Add(time.Duration(i) * time.Second)),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func TestPurgeIsNeverEarly(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := f.put(t, "a")
		for _, early := range []time.Duration{0, day, 100*day - time.Microsecond} {
			if n, err := f.PurgeDue(t.Context(), "gateway", f.clock.now().Add(early)); n != 0 || err != nil {
				t.Errorf("after %v: purged %d, %v", early, n, err)
			}
		}
		if n, err := f.PurgeDue(t.Context(), "gateway", r.Expires); n != 1 || err != nil || !f.gone(t, r.ID) {
			t.Errorf("when due: purged %d, %v", n, err)
		}
		if !f.garbage(t)[r.Blob] || f.audited(t, "report.purged") != 1 {
			t.Error("its blob was not let go, or the purge not recorded")
		}
	})
}

func TestPurgeGoesInBatches(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.fill(t, 2500)
		at := f.clock.now().Add(2399 * time.Second) // 2400 of them
		counts, err := f.Counts(t.Context(), at)
		if err != nil || counts != (catalog.Counts{Files: 2500, Due: 2400}) {
			t.Errorf("counts %+v, %v", counts, err)
		}
		var listed int
		var last *reports.Report
		for {
			page, err := f.Due(t.Context(), at, last, 700)
			if err != nil {
				t.Fatal(err)
			}
			listed += len(page)
			if len(page) == 0 {
				break
			}
			last = &page[len(page)-1]
		}
		if listed != 2400 {
			t.Errorf("%d are listed as due", listed)
		}
		for _, want := range []int{1000, 1000, 400, 0} { // as the clock stands still, they seem to take no time
			if n, err := f.PurgeDue(t.Context(), "gateway", at); n != want || err != nil {
				t.Errorf("purged %d, %v; want %d", n, err, want)
			}
		}
		if counts, err := f.Counts(t.Context(), at); err != nil || counts != (catalog.Counts{Files: 100}) {
			t.Errorf("afterwards: %+v, %v", counts, err)
		}
	})
}

func TestGarbageHasItsGrace(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := f.put(t, "a")
		f.clock.advance(100 * day)
		if _, err := f.PurgeDue(t.Context(), "gateway", f.clock.now()); err != nil {
			t.Fatal(err)
		}
		if blobs, err := f.Garbage(t.Context(), f.clock.now().Add(-time.Microsecond), 10); len(blobs) != 0 || err != nil {
			t.Errorf("garbage before its time: %v, %v", blobs, err)
		}
		if known, err := f.BlobKnown(t.Context(), r.Blob); !known || err != nil {
			t.Errorf("garbage counts as an orphan: %v, %v", known, err)
		}
		now := f.clock.now()
		wantError(t, "forgetting", f.ForgetGarbage(t.Context(), []string{r.Blob, "never-there"}, now.Add(-time.Microsecond)), nil)
		if known, err := f.BlobKnown(t.Context(), r.Blob); !known || err != nil {
			t.Errorf("what was let go since is forgotten: %v, %v", known, err)
		}
		wantError(t, "forgetting", f.ForgetGarbage(t.Context(), []string{r.Blob, "never-there"}, now), nil)
		if known, err := f.BlobKnown(t.Context(), r.Blob); known || err != nil {
			t.Errorf("known afterwards: %v, %v", known, err)
		}
	})
}

func TestBlobKnown(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		for what, blob := range map[string]string{
			"a report's": f.put(t, "a").Blob, "an upload's": f.upload(t, "b"), "a held report's": held(t, f, "c", "c").Blob,
			"an interrupted upload's": save(t, f, "d"),
		} {
			if known, err := f.BlobKnown(t.Context(), blob); !known || err != nil {
				t.Errorf("%s blob: %v, %v", what, known, err)
			}
		}
		if known, err := f.BlobKnown(t.Context(), "nobody's"); known || err != nil {
			t.Errorf("nobody's blob: %v, %v", known, err)
		}
	})
}

// TestUnknown: what is told of many blobs at once is what [catalog.Catalog.BlobKnown] says of each, also where
// the catalog knows many more in between than there are.
func TestUnknown(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.fill(t, 50)
		blobs := []string{"a", "fill00000007", "fill00000007x", "fill00000049", f.put(t, "a").Blob, save(t, f, "d"), f.newBlob(), "zz"}
		if _, err := f.Disown(t.Context(), []string{"gone"}); err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, "gone")
		slices.Sort(blobs)
		for _, some := range [][]string{nil, blobs, blobs[:1], blobs[1:3], {"fill00000007", "fill00000048"}, {"fill", "fillx"}} {
			var want []string
			for _, blob := range some {
				known, err := f.BlobKnown(t.Context(), blob)
				if err != nil {
					t.Fatal(err)
				}
				if !known {
					want = append(want, blob)
				}
			}
			if got, err := f.Unknown(t.Context(), some); err != nil || !slices.Equal(got, want) {
				t.Errorf("of %q are unknown %q, %v; want %q", some, got, err, want)
			}
		}
	})
}

// TestPurgeLeavesTheTrailOfEach: however many are purged together, each report has a record of its own, its client's
// count is right, and the chain is whole.
func TestPurgeLeavesTheTrailOfEach(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		var all []reports.Report
		for i := range 37 {
			all = append(all, f.put(t, fmt.Sprintf("report-%02d", i)))
		}
		f.clock.advance(100 * day)
		for _, want := range []int{37, 0} {
			if n, err := f.PurgeDue(t.Context(), "gateway", f.clock.now()); n != want || err != nil {
				t.Fatalf("purged %d, %v; want %d", n, err, want)
			}
		}
		list, err := audit.List(t.Context(), f.db.Read(), audit.Filter{Client: "acme", Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		purged := make(map[string]audit.Record)
		for _, r := range list {
			if r.Event == "report.purged" {
				purged[r.Subject] = r
			}
		}
		garbage := f.garbage(t)
		for _, r := range all {
			d := purged[r.ID].Detail
			if d["name"] != r.Name.String() && "/"+d["name"] != r.Name.String() || d["state"] != "published" || d["expired"] == "" || !garbage[r.Blob] {
				t.Errorf("of %s there is %+v, and of its blob %v", r.Name, purged[r.ID], garbage[r.Blob])
			}
		}
		if head, err := audit.Verify(t.Context(), f.db.Read(), audit.Head{}); err != nil {
			t.Errorf("the chain up to %d: %v", head.Seq, err)
		}
		if kept, counted, err := f.CheckUsage(t.Context(), f.acme, false); err != nil || kept != counted || kept != (reports.Usage{}) {
			t.Errorf("kept %+v, counted %+v, %v", kept, counted, err)
		}
	})
}

// TestDisownedBlobIsTakenBack: an upload that was so slow that the orphan sweep
// took its blob for nobody's is committed after all, and must keep it.
func TestDisownedBlobIsTakenBack(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		p := f.publication(t, "a", "a")
		n, err := f.Disown(t.Context(), []string{p.Blob, f.put(t, "other").Blob, "orphan"})
		if n != 2 || err != nil {
			t.Fatalf("disowned %d, %v", n, err)
		}
		f.publish(t, p)
		u := catalog.Upload{Client: f.acme, Name: name(t, "b"), Blob: f.newBlob(), Retention: day, Actor: self}
		partial := catalog.Partial{Client: f.acme, Name: name(t, "c"), Blob: f.newBlob(), Size: 1}
		rel := released(f, held(t, f, "d", "d"))
		if n, err := f.Disown(t.Context(), []string{u.Blob, partial.Blob, rel.Blob}); n != 3 || err != nil {
			t.Fatalf("disowned %d, %v", n, err)
		}
		wantError(t, "uploading", f.Upload(t.Context(), u), nil)
		wantError(t, "keeping aside", f.SavePartial(t.Context(), partial), nil)
		if _, done, err := f.Release(t.Context(), rel); !done || err != nil {
			t.Errorf("releasing: %v, %v", done, err)
		}
		g := f.garbage(t)
		for _, blob := range []string{p.Blob, u.Blob, partial.Blob, rel.Blob} {
			if g[blob] {
				t.Errorf("%s is shown by a row, and is garbage", blob)
			}
		}
		if !g["orphan"] {
			t.Error("the orphan is not garbage")
		}
	})
}

func TestLastSweep(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		if at, err := f.LastSweep(t.Context()); !at.IsZero() || err != nil {
			t.Errorf("before the first: %v, %v", at, err)
		}
		wantError(t, "noting", f.SetLastSweep(t.Context(), f.clock.now()), nil)
		if at, err := f.LastSweep(t.Context()); !at.Equal(f.clock.now()) || err != nil {
			t.Errorf("afterwards: %v, %v", at, err)
		}
	})
}
