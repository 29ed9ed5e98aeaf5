package catalog_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

func (f *fixture) collect(tb testing.TB, r reports.Report, ranges ...int64) {
	tb.Helper()
	t := catalog.Transfer{
		Report: r, Protocol: "sftp", Address: "192.0.2.1", Fingerprint: "SHA256:x", Started: f.clock.now(), Ended: f.clock.now().Add(time.Second),
		Evidence: "test",
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		t.Covered.Add(ranges[i], ranges[i+1])
	}
	if err := f.Collect(context.Background(), t); err != nil {
		tb.Fatal(err)
	}
}

func TestCollectedOnlyWhenWhole(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := f.put(t, "a") // 100 bytes
		for _, step := range []struct {
			ranges []int64
			want   reports.State
		}{
			{[]int64{0, 50}, reports.Published},
			{[]int64{51, 100}, reports.Published},
			{[]int64{0, 50, 51, 100}, reports.Published},
			{[]int64{49, 51}, reports.Collected},
			{[]int64{0, 1}, reports.Collected},
		} {
			f.collect(t, r, step.ranges...)
			if got := f.report(t, r.ID); got.State != step.want || got.Collected.IsZero() == (step.want == reports.Collected) {
				t.Errorf("after %v: %s, collected %v", step.ranges, got.State, got.Collected)
			}
			f.clock.advance(time.Minute)
		}
		list, err := f.Receipts(t.Context(), r.ID)
		if err != nil || len(list) != 5 || list[0].Bytes != 50 || list[3].Bytes != 2 || list[0].Address != "192.0.2.1" {
			t.Errorf("receipts %+v, %v", list, err)
		}
		if got := f.report(t, r.ID); !got.Collected.Equal(list[3].Ended) {
			t.Errorf("collected at %v, want when the last missing byte went out", got.Collected)
		}
		if f.audited(t, "report.collected") != 1 {
			t.Error("it was not recorded once")
		}
	})
}

// TestCollectedIsNeverOfAnotherBlob: a download of a held report's old blob, or of
// anything that has been replaced under the same id, proves nothing.
func TestCollectedIsNeverOfAnotherBlob(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := f.put(t, "a")
		other := r
		other.Blob = "another"
		f.collect(t, other, 0, 100)
		if got := f.report(t, r.ID); got.State != reports.Published || !got.Collected.IsZero() {
			t.Errorf("it is %s", got.State)
		}
		if list, err := f.Receipts(t.Context(), r.ID); err != nil || len(list) != 1 {
			t.Errorf("%d receipts, %v", len(list), err)
		}
	})
}

func TestReceiptOfWhatIsGone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := f.put(t, "a")
		removed := f.put(t, "b")
		wantError(t, "removing", f.Remove(t.Context(), self, f.acme, removed.Name), nil)
		f.collect(t, removed, 0, 100)
		if got := f.report(t, removed.ID); got.State != reports.Removed || got.Collected.IsZero() {
			t.Errorf("removed during the download: %+v", got)
		}
		if got, err := f.RestoreReport(t.Context(), ops, removed.ID); err != nil || got.State != reports.Collected {
			t.Errorf("restored as %s, %v", got.State, err)
		}
		f.clock.advance(100 * day)
		if _, err := f.PurgeDue(t.Context(), "gateway", f.clock.now()); err != nil {
			t.Fatal(err)
		}
		f.collect(t, r, 0, 100)
		if list, err := f.Receipts(t.Context(), r.ID); err != nil || len(list) != 1 || !f.gone(t, r.ID) {
			t.Errorf("purged during the download: %d receipts, %v", len(list), err)
		}
	})
}

// TestCollectedInAnyOrder takes random pieces from many sessions at once, and
// compares with what they add up to.
func TestCollectedInAnyOrder(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for seed := range uint64(8) {
			f := newFixtureOn(t, e)
			r := f.put(t, "a")
			random := rand.New(rand.NewPCG(seed, 2))
			var all reports.Coverage
			var group sync.WaitGroup
			for range 10 {
				from := random.Int64N(100)
				to := min(100, from+1+random.Int64N(40))
				all.Add(from, to)
				group.Go(func() { f.collect(t, r, from, to) })
			}
			group.Wait()
			if got := f.report(t, r.ID).State == reports.Collected; got != all.Whole(100) {
				t.Errorf("seed %d: %s went out, collected is %v", seed, &all, got)
			}
		}
	})
}

func TestEmptyFileIsCollectedByOpeningIt(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		p := f.publication(t, "empty", "s")
		p.Size = 0
		r := f.publish(t, p)
		f.collect(t, r)
		if got := f.report(t, r.ID); got.State != reports.Collected {
			t.Errorf("it is %s", got.State)
		}
	})
}

// TestClientReceipts turns the pages, also where several transfers ended at the same
// moment, and shows nobody another client's.
func TestClientReceipts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := f.put(t, "a")
		start := f.clock.now()
		for range 3 {
			for range 3 {
				f.collect(t, r, 0, 10) // ends a second later
			}
			f.clock.advance(time.Hour)
		}
		all := func(filter catalog.ReceiptFilter) (ids []string) {
			t.Helper()
			for filter.Limit = 2; ; {
				page, err := f.ClientReceipts(t.Context(), filter)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page {
					ids = append(ids, r.ID)
				}
				if len(page) < 2 {
					return ids
				}
				filter.After = &page[1]
			}
		}
		if ids := all(catalog.ReceiptFilter{Client: f.acme}); len(ids) != 9 || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 9 {
			t.Errorf("%d receipts, want each of the 9 once", len(ids))
		}
		if ids := all(catalog.ReceiptFilter{Client: f.beta}); len(ids) != 0 {
			t.Errorf("another client has %d receipts", len(ids))
		}
		hour := start.Add(time.Hour + time.Second)
		if ids := all(catalog.ReceiptFilter{Client: f.acme, Since: hour, Before: hour.Add(time.Microsecond)}); len(ids) != 3 {
			t.Errorf("%d receipts of one moment, want 3", len(ids))
		}
		if ids := all(catalog.ReceiptFilter{Client: f.acme, Before: hour}); len(ids) != 3 {
			t.Errorf("%d receipts before it, want 3", len(ids))
		}
	})
}
