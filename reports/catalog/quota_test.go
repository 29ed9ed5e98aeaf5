package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// limit sets acme's quota.
func (f *fixture) limit(tb testing.TB, q reports.Quota) {
	tb.Helper()
	err := f.db.Write(context.Background(), func(tx *database.Tx) error {
		return tx.UpdateClient(tx.Context(), query.UpdateClientParams{ID: "acme", Name: "acme", QuotaBytes: q.Bytes, QuotaFiles: q.Files})
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// usage returns what acme has, after checking that the count is right.
func (f *fixture) usage(tb testing.TB) reports.Usage {
	tb.Helper()
	kept, counted, err := f.CheckUsage(context.Background(), f.acme, false)
	if err != nil || kept != counted {
		tb.Errorf("the count is %+v, and there is %+v: %v", kept, counted, err)
	}
	return kept
}

func (f *fixture) uploadSize(tb testing.TB, file string, size int64) error {
	tb.Helper()
	return f.Upload(context.Background(), catalog.Upload{
		Client: f.acme, Name: name(tb, file), Blob: f.newBlob(), Size: size, SHA256: "bb", Modified: f.clock.now(), Retention: 100 * day,
		Actor: "client:acme",
	})
}

func TestQuotaRefusesAndLeavesNoTrace(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.limit(t, reports.Quota{Bytes: 250})
		f.put(t, "a.csv") // 100 bytes
		f.put(t, "b.csv")
		p := f.publication(t, "c.csv", "c")
		_, _, err := f.Publish(context.Background(), p)
		wantError(t, "a report beyond the quota", err, reports.ErrQuota)
		if got, want := err.Error(), "client acme has 200 B of 250 B; this is 100 B more"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		wantError(t, "an upload beyond the quota", f.uploadSize(t, "d", 51), reports.ErrQuota)
		if got := f.usage(t); got != (reports.Usage{Files: 2, Bytes: 200}) || len(f.names(t, "")) != 2 {
			t.Errorf("after the refusals there is %+v: %v", got, f.names(t, ""))
		}
		if _, known, err := f.Known(context.Background(), f.acme, "c"); known || err != nil {
			t.Errorf("what was refused is known: %v, %v", known, err)
		}

		p.Size = 50
		if _, _, err := f.Publish(context.Background(), p); err != nil {
			t.Errorf("a report that just fits in: %v", err)
		}
		p = f.publication(t, "e.csv", "e")
		p.OverQuota = true
		if _, _, err := f.Publish(context.Background(), p); err != nil {
			t.Errorf("beyond the quota by an operator's word: %v", err)
		}
		if n := f.audited(t, "quota.exceeded"); n != 1 {
			t.Errorf("%d records say that a quota was exceeded", n)
		}
		p = f.publication(t, "within.csv", "within")
		p.Client, p.OverQuota = f.beta, true
		f.publish(t, p)
		if n := f.audited(t, "quota.exceeded"); n != 1 {
			t.Error("a report within the quota is said to exceed it")
		}
	})
}

func TestOverwriteCountsTheDifference(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.limit(t, reports.Quota{Bytes: 100, Files: 1})
		for _, size := range []int64{90, 100, 10, 60} {
			if err := f.uploadSize(t, "a", size); err != nil {
				t.Errorf("overwriting with %d bytes: %v", size, err)
			}
		}
		wantError(t, "overwriting with too much", f.uploadSize(t, "a", 101), reports.ErrQuota)
		wantError(t, "a second file", f.uploadSize(t, "b", 1), reports.ErrQuota)
		if r, err := f.Lookup(context.Background(), f.acme, name(t, "a")); err != nil || r.Size != 60 {
			t.Errorf("the refused overwrite left %d bytes, %v", r.Size, err)
		}
		room, err := f.Room(context.Background(), f.acme, name(t, "a"), true)
		if err != nil || room.Files != 1 || room.Bytes != 100 {
			t.Errorf("room to overwrite: %+v, %v", room, err)
		}
		room, err = f.Room(context.Background(), f.acme, name(t, "b"), true)
		if err != nil || room.Files != 0 || room.Bytes != 40 {
			t.Errorf("room for another: %+v, %v", room, err)
		}
		wantError(t, "another", room.Check(0), reports.ErrQuota)
		// Who makes room has room.
		if err := f.Remove(context.Background(), "client:acme", f.acme, name(t, "a")); err != nil {
			t.Fatal(err)
		}
		if err := f.uploadSize(t, "b", 100); err != nil {
			t.Errorf("after removing: %v", err)
		}
	})
}

// What was taken in already is never refused afterwards.
func TestQuotaKeepsBackNothingThatIsThere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		p := f.publication(t, "a.csv", "a")
		p.Held = true
		held := f.publish(t, p)
		removed := f.put(t, "b.csv")
		if _, err := f.RemoveReport(context.Background(), ops, removed.ID, day); err != nil {
			t.Fatal(err)
		}
		f.limit(t, reports.Quota{Bytes: 1, Files: 1})
		_, done, err := f.Release(context.Background(), catalog.Released{ID: held.ID, Blob: f.newBlob(), Size: 120, SHA256: "cc", Retention: day})
		if err != nil || !done {
			t.Errorf("releasing: %v, %v", done, err)
		}
		if _, err := f.RestoreReport(context.Background(), ops, removed.ID); err != nil {
			t.Errorf("restoring: %v", err)
		}
		if got := f.usage(t); got != (reports.Usage{Files: 2, Bytes: 220}) {
			t.Errorf("%+v", got)
		}
		if err := f.Rename(context.Background(), "client:acme", f.acme, name(t, "b.csv"), name(t, "c.csv"), false); err != nil {
			t.Errorf("renaming: %v", err)
		}
	})
}

// Fifty deliveries and uploads at once, for which there is room for ten.
func TestQuotaUnderConcurrency(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for what, quota := range map[string]reports.Quota{"bytes": {Bytes: 1099}, "files": {Files: 10}} {
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				f := newFixtureOn(t, e)
				f.limit(t, quota)
				var stored, refused atomic.Int64
				var wg sync.WaitGroup
				for i := range 50 {
					p := f.publication(t, fmt.Sprint(i), fmt.Sprint(i))
					wg.Go(func() {
						var err error
						if i%2 == 0 {
							_, _, err = f.Publish(context.Background(), p)
						} else {
							err = f.uploadSize(t, p.Name.String(), 100)
						}
						switch {
						case err == nil:
							stored.Add(1)
						case errors.Is(err, reports.ErrQuota):
							refused.Add(1)
						default:
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if stored.Load() != 10 || refused.Load() != 40 {
					t.Errorf("%d stored, %d refused", stored.Load(), refused.Load())
				}
				if got := f.usage(t); got != (reports.Usage{Files: 10, Bytes: 1000}) {
					t.Errorf("%+v", got)
				}
			})
		}
	})
}

// Whatever happens to files, the count stays right.
func TestUsageIsKept(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := context.Background()
		rng := rand.New(rand.NewPCG(4, 2))
		var ids []string
		f.mkdir(t, "dir")
		pick := func() string { return ids[rng.IntN(len(ids))] }
		file := func() string { return []string{"a", "b", "c", "dir/a", "dir/b"}[rng.IntN(5)] }
		for step := range 600 {
			p := f.publication(t, []string{"a", "b", "c"}[rng.IntN(3)], fmt.Sprint(rng.IntN(300)))
			p.Size, p.Replace, p.Held, p.Again = rng.Int64N(1000), rng.IntN(2) == 0, rng.IntN(3) == 0, rng.IntN(4) == 0
			// Many of these fail, as they should; the count must not mind.
			switch rng.IntN(10) {
			case 0, 1, 2:
				if r, _, err := f.Publish(ctx, p); err == nil {
					ids = append(ids, r.ID)
				}
			case 3:
				_ = f.uploadSize(t, file(), rng.Int64N(1000))
			case 4:
				_ = f.Remove(ctx, "client:acme", f.acme, name(t, file()))
			case 5:
				_ = f.Rename(ctx, "client:acme", f.acme, name(t, file()), name(t, file()), rng.IntN(2) == 0)
			case 6:
				if len(ids) > 0 {
					_, _, _ = f.Release(ctx, catalog.Released{ID: pick(), Blob: f.newBlob(), Size: rng.Int64N(1000), Retention: 100 * day})
				}
			case 7:
				if len(ids) > 0 {
					_, _ = f.RemoveReport(ctx, ops, pick(), day)
				}
			case 8:
				if len(ids) > 0 {
					_, _ = f.RestoreReport(ctx, ops, pick())
				}
			case 9:
				f.clock.advance(3 * day)
				_, _ = f.PurgeDue(ctx, "gateway", f.clock.now())
			}
			if f.usage(t); t.Failed() {
				t.Fatalf("step %d", step)
			}
		}
		if _, err := f.RemoveClientReports(ctx, ops, f.acme); err != nil {
			t.Fatal(err)
		}
		if got := f.usage(t); got != (reports.Usage{}) {
			t.Errorf("with nothing left: %+v", got)
		}
	})
}

func TestUsageIsMended(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.put(t, "a.csv")
		err := f.db.Write(context.Background(), func(tx *database.Tx) error {
			return tx.SetUsage(tx.Context(), query.SetUsageParams{ClientID: "acme", Files: 7, Bytes: 7})
		})
		if err != nil {
			t.Fatal(err)
		}
		miscounted := func() (n int) {
			err := f.Miscounted(context.Background(), reports.ClientID{}, func(client reports.ClientID, kept, counted reports.Usage) {
				if n++; client != f.acme || kept.Files != 7 || counted.Files != 1 {
					t.Errorf("found: %s, %+v, %+v", client, kept, counted)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := miscounted(); n != 1 {
			t.Errorf("%d clients are miscounted", n)
		}
		kept, counted, err := f.CheckUsage(context.Background(), f.acme, true)
		if err != nil || kept != (reports.Usage{Files: 7, Bytes: 7}) || counted != (reports.Usage{Files: 1, Bytes: 100}) {
			t.Errorf("%+v, %+v, %v", kept, counted, err)
		}
		if got := f.usage(t); got != counted {
			t.Errorf("after mending: %+v", got)
		}
	})
}

// Interrupted uploads must not be a way around the quota.
func TestInterruptedUploadsAreKeptWithinTheQuota(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.limit(t, reports.Quota{Bytes: 300})
		f.put(t, "a.csv") // 100 bytes
		save := func(file string, size int64) error {
			f.clock.advance(1)
			return f.SavePartial(context.Background(), catalog.Partial{Client: f.acme, Name: name(t, file), Blob: f.newBlob(), Size: size})
		}
		kept := func(file string) bool {
			_, found, err := f.Partial(context.Background(), f.acme, name(t, file))
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		for _, file := range []string{"one", "two", "three"} {
			if err := save(file, 80); err != nil {
				t.Fatal(err)
			}
			f.clock.advance(day)
		}
		if kept("one") || !kept("two") || !kept("three") {
			t.Error("the oldest has not made room")
		}
		if err := save("three", 120); err != nil || !kept("two") || !kept("three") {
			t.Errorf("in the place of itself: %v, %v, %v", err, kept("two"), kept("three"))
		}
		wantError(t, "more than there is room for", save("four", 201), reports.ErrQuota)
		if !kept("two") || !kept("three") || kept("four") {
			t.Error("what was refused has driven out what was kept")
		}
	})
}

// BenchmarkUsage reads what a client with 100,000 files has, and beside it counts
// them, as it would have to be done without the count that is kept.
func BenchmarkUsage(b *testing.B) {
	f := newFixture(b)
	f.fill(b, 100_000)
	b.Run("kept", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := f.Usage(context.Background(), f.acme); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("counted", func(b *testing.B) {
		for b.Loop() {
			if row, err := f.db.Read().CountEntries(context.Background(), "acme"); err != nil || row.Files < 100_000 {
				b.Fatal(row, err)
			}
		}
	})
}
