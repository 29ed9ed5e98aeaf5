package retention_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/retention"
)

// clock only moves when it is told to.
type clock struct{ micros atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// fixture is a gateway with client acme, a real catalog and a real blob store.
type fixture struct {
	*retention.Sweeper
	catalog *catalog.Catalog
	blobs   *blob.Dir
	dir     string
	clock   *clock
	acme    reports.ClientID
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	dir := tb.TempDir()
	db, err := database.Open(context.Background(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	err = db.Write(context.Background(), func(tx *database.Tx) error {
		return tx.InsertClient(tx.Context(), query.InsertClientParams{ID: "acme", Name: "acme"})
	})
	if err != nil {
		tb.Fatal(err)
	}
	f := &fixture{dir: filepath.Join(dir, "blobs"), clock: &clock{}}
	f.clock.micros.Store(start.UnixMicro())
	if f.blobs, err = blob.OpenDir(f.dir); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.blobs.Close() })
	if f.acme, err = reports.ParseClientID("acme"); err != nil {
		tb.Fatal(err)
	}
	f.catalog = catalog.New(db, f.clock.now)
	f.Sweeper = retention.New(retention.Config{
		Catalog: f.catalog, Blobs: f.blobs, Policy: policy, Every: time.Hour, Grace: day, KeepInterrupted: 2 * day, Remember: 730 * day,
		Now: f.clock.now, Log: slog.New(slog.DiscardHandler),
	})
	return f
}

// newBlob commits a blob, as old as the fixture's clock says.
func (f *fixture) newBlob(tb testing.TB) string {
	tb.Helper()
	w, err := f.blobs.Create()
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write([]byte("sealed")); err != nil {
		tb.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(f.dir, w.ID()[:2], w.ID()), f.clock.now(), f.clock.now()); err != nil {
		tb.Fatal(err)
	}
	return w.ID()
}

func (f *fixture) publish(tb testing.TB, file string, kept time.Duration) reports.Report {
	tb.Helper()
	name, err := reports.ParseName(file)
	if err != nil {
		tb.Fatal(err)
	}
	r, _, err := f.catalog.Publish(context.Background(), catalog.Publication{
		Client: f.acme, Name: name, Blob: f.newBlob(tb), Size: 6, Source: file, Retention: kept, Actor: "test", Again: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func (f *fixture) sweep(tb testing.TB, o retention.Options) retention.Result {
	tb.Helper()
	done, err := f.Sweep(context.Background(), "test", o)
	if err != nil {
		tb.Fatal(err)
	}
	return done
}

func (f *fixture) rowThere(tb testing.TB, r reports.Report) bool {
	tb.Helper()
	_, err := f.catalog.Report(context.Background(), r.ID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	return err == nil
}

func (f *fixture) blobThere(tb testing.TB, id string) bool {
	tb.Helper()
	r, err := f.blobs.Open(id)
	if err == nil {
		r.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	return err == nil
}

func wantRefused(tb testing.TB, err error) {
	tb.Helper()
	var refused *retention.RefusedError
	if !errors.As(err, &refused) {
		tb.Errorf("error is %v, want a refusal", err)
	}
}

func TestReportsLife(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.publish(t, "a", 100*day)
	for f.clock.advance(time.Hour); f.clock.now().Before(r.Expires); f.clock.advance(7 * time.Hour) {
		if done := f.sweep(t, retention.Options{}); done != (retention.Result{}) || !f.rowThere(t, r) {
			t.Fatalf("at %v, %v early: %+v", f.clock.now(), r.Expires.Sub(f.clock.now()), done)
		}
	}
	if done := f.sweep(t, retention.Options{}); done != (retention.Result{Purged: 1}) || f.rowThere(t, r) || !f.blobThere(t, r.Blob) {
		t.Errorf("when due: %+v", done)
	}
	f.clock.advance(day - time.Second)
	if done := f.sweep(t, retention.Options{Orphans: true}); done != (retention.Result{}) || !f.blobThere(t, r.Blob) {
		t.Errorf("during the grace: %+v", done)
	}
	f.clock.advance(time.Second)
	if done := f.sweep(t, retention.Options{}); done != (retention.Result{Blobs: 1}) || f.blobThere(t, r.Blob) {
		t.Errorf("after the grace: %+v", done)
	}
	if done := f.sweep(t, retention.Options{Orphans: true}); done != (retention.Result{}) {
		t.Errorf("afterwards: %+v", done)
	}
}

// TestNothingIsPurgedEarly drives gateways through random months with a clock that
// is right, and checks every report after every sweep.
func TestNothingIsPurgedEarly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		f := newFixture(t)
		random := rand.New(rand.NewPCG(seed, 1))
		var all []reports.Report
		for range 60 {
			for range random.IntN(3) {
				all = append(all, f.publish(t, fmt.Sprint("r", len(all)), time.Duration(1+random.IntN(60))*day))
			}
			f.clock.advance(time.Duration(random.IntN(72)) * time.Hour)
			f.sweep(t, retention.Options{Orphans: random.IntN(3) == 0})
			now := f.clock.now()
			for _, r := range all {
				if there := f.rowThere(t, r); there != now.Before(r.Expires) {
					t.Fatalf("seed %d: at %v, a report that expires at %v is there: %v", seed, now, r.Expires, there)
				}
				if now.Before(r.Expires.Add(day)) && !f.blobThere(t, r.Blob) {
					t.Fatalf("seed %d: at %v, the blob of a report that expires at %v is gone", seed, now, r.Expires)
				}
			}
		}
	}
}

// TestClockJumpsForward must purge nothing, however often it is swept, and need
// nobody once the clock is right again.
func TestClockJumpsForward(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{20 * day, 90 * day, 99 * day, 101 * day, 3650 * day} {
		t.Run(fmt.Sprint(jump/day, " days"), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.sweep(t, retention.Options{})
			r := f.publish(t, "a", 100*day)
			partial := catalog.Partial{Client: f.acme, Name: r.Name.Version(2), Blob: f.newBlob(t), Size: 1}
			if err := f.catalog.SavePartial(t.Context(), partial); err != nil {
				t.Fatal(err)
			}
			underWay := f.newBlob(t)
			f.clock.advance(jump)
			for range 24 * 15 { // the next two weeks, hour by hour
				f.clock.advance(time.Hour)
				_, err := f.Sweep(t.Context(), "gateway", retention.Options{Orphans: true})
				wantRefused(t, err)
			}
			if !f.rowThere(t, r) || !f.blobThere(t, partial.Blob) || !f.blobThere(t, underWay) {
				t.Error("something was purged")
			}
			f.clock.advance(-jump - 15*day + 2*time.Hour)
			if done := f.sweep(t, retention.Options{}); done != (retention.Result{}) || !f.rowThere(t, r) {
				t.Errorf("the clock is right again: %+v", done)
			}
		})
	}
}

func TestClockJumpsBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.publish(t, "a", 10*day)
	f.clock.advance(9 * day)
	f.sweep(t, retention.Options{})
	f.clock.advance(-20 * 365 * day) // an empty battery
	_, err := f.Sweep(t.Context(), "gateway", retention.Options{Orphans: true})
	wantRefused(t, err)
	f.clock.advance(20*365*day + time.Hour)
	if done := f.sweep(t, retention.Options{}); done != (retention.Result{}) || !f.rowThere(t, r) {
		t.Errorf("the clock is right again: %+v", done)
	}
	f.clock.advance(day)
	if done := f.sweep(t, retention.Options{}); done.Purged != 1 {
		t.Errorf("when due: %+v", done)
	}
}

func TestConfirmed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sweep(t, retention.Options{})
	r := f.publish(t, "a", 10*day)
	f.clock.advance(30 * day) // it was off
	_, err := f.Sweep(t.Context(), "gateway", retention.Options{})
	wantRefused(t, err)
	wantRefused(t, f.Check(t.Context(), f.clock.now()))
	if done := f.sweep(t, retention.Options{Confirmed: true}); done.Purged != 1 || f.rowThere(t, r) {
		t.Errorf("confirmed: %+v", done)
	}
	f.publish(t, "b", 10*day)
	f.clock.advance(time.Hour)
	if done := f.sweep(t, retention.Options{}); done != (retention.Result{}) {
		t.Errorf("an hour later: %+v", done)
	}
}

func TestEmptyGatewayThatWasOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sweep(t, retention.Options{})
	f.newBlob(t) // an upload under way
	f.clock.advance(100 * day)
	if done := f.sweep(t, retention.Options{Orphans: true}); done != (retention.Result{}) {
		t.Errorf("with a clock that may be wrong: %+v", done)
	}
	f.clock.advance(time.Hour)
	if done := f.sweep(t, retention.Options{Orphans: true}); done != (retention.Result{Orphans: 1}) {
		t.Errorf("an hour later: %+v", done)
	}
	r := f.publish(t, "a", day)
	f.clock.advance(day)
	if done := f.sweep(t, retention.Options{}); done.Purged != 1 || f.rowThere(t, r) {
		t.Errorf("a day later: %+v", done)
	}
}

func TestOrphans(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.publish(t, "a", 100*day)
	orphan := f.newBlob(t)
	f.clock.advance(day - time.Second)
	young := f.newBlob(t)
	if done := f.sweep(t, retention.Options{Orphans: true}); done != (retention.Result{}) {
		t.Errorf("before the grace: %+v", done)
	}
	f.clock.advance(time.Second)
	if done := f.sweep(t, retention.Options{}); done != (retention.Result{}) {
		t.Errorf("without looking for orphans: %+v", done)
	}
	if done := f.sweep(t, retention.Options{Orphans: true}); done != (retention.Result{Orphans: 1}) || !f.blobThere(t, orphan) {
		t.Errorf("after the grace: %+v", done)
	}
	f.clock.advance(day)
	if done := f.sweep(t, retention.Options{Orphans: true}); done.Blobs != 1 || f.blobThere(t, orphan) || !f.blobThere(t, young) || !f.blobThere(t, r.Blob) {
		t.Errorf("after its own grace: %+v", done)
	}
}

// TestSlowUploadIsNoOrphan: an upload that stood still for longer than the grace,
// and goes on after all, must not lose its content between two sweeps.
func TestSlowUploadIsNoOrphan(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	slow := f.newBlob(t)
	f.clock.advance(2 * day)
	f.sweep(t, retention.Options{Orphans: true})
	name, err := reports.ParseName("slow")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.catalog.Upload(t.Context(), catalog.Upload{Client: f.acme, Name: name, Blob: slow, Retention: 100 * day}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		f.clock.advance(day)
		f.sweep(t, retention.Options{Orphans: true})
	}
	if !f.blobThere(t, slow) {
		t.Error("a row lacks its blob")
	}
}

func TestInterruptedUploads(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	name, err := reports.ParseName("half")
	if err != nil {
		t.Fatal(err)
	}
	p := catalog.Partial{Client: f.acme, Name: name, Blob: f.newBlob(t), Size: 6}
	if err := f.catalog.SavePartial(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	f.clock.advance(2 * day)
	if done := f.sweep(t, retention.Options{Orphans: true}); done != (retention.Result{}) {
		t.Errorf("while it can be resumed: %+v", done)
	}
	f.clock.advance(time.Second)
	if done := f.sweep(t, retention.Options{}); done != (retention.Result{Interrupted: 1}) || !f.blobThere(t, p.Blob) {
		t.Errorf("afterwards: %+v", done)
	}
	f.clock.advance(day)
	if done := f.sweep(t, retention.Options{}); done.Blobs != 1 || f.blobThere(t, p.Blob) {
		t.Errorf("after its grace: %+v", done)
	}
}

// stubborn is a blob store of which one blob can't be deleted.
type stubborn struct {
	*blob.Dir
	id string
}

func (s stubborn) Collect(ctx context.Context, files []string, live func(context.Context, string) ([]string, bool, error)) ([]string, error) {
	gone, err := s.Dir.Collect(ctx, slices.DeleteFunc(files, func(file string) bool { return file == s.id }), live)
	return gone, errors.Join(err, errors.New("no"))
}

func TestBlobThatCannotBeDeleted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	bad, good := f.publish(t, "a", day), f.publish(t, "b", day)
	f.Blobs = stubborn{f.blobs, bad.Blob}
	f.clock.advance(day)
	f.sweep(t, retention.Options{})
	f.clock.advance(day)
	done, err := f.Sweep(t.Context(), "gateway", retention.Options{})
	if err == nil || done.Blobs != 1 || f.blobThere(t, good.Blob) {
		t.Errorf("%+v, %v", done, err)
	}
	f.Blobs = f.blobs
	if done := f.sweep(t, retention.Options{}); done.Blobs != 1 || f.blobThere(t, bad.Blob) {
		t.Errorf("the next sweep: %+v", done)
	}
}

// interrupting ends a context after some batches.
type interrupting struct {
	retention.Catalog
	cancel context.CancelFunc
	after  int
}

func (c *interrupting) PurgeDue(ctx context.Context, actor string, at time.Time) (int, error) {
	if c.after--; c.after < 0 {
		c.cancel()
	}
	return c.Catalog.PurgeDue(ctx, actor, at)
}

func TestSweepThatIsInterruptedGoesOnNextTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var all []reports.Report
	for i := range 10 {
		all = append(all, f.publish(t, fmt.Sprint(i), day))
	}
	f.clock.advance(day)
	ctx, cancel := context.WithCancel(t.Context())
	f.Catalog = &interrupting{Catalog: f.catalog, cancel: cancel}
	if _, err := f.Sweep(ctx, "gateway", retention.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	f.Catalog = f.catalog
	f.clock.advance(time.Hour)
	f.sweep(t, retention.Options{})
	for _, r := range all {
		if f.rowThere(t, r) {
			t.Fatalf("%s is left", r.Name)
		}
	}
}

// TestGuardAgainstPurgingTooMuch: a policy that was mistyped, or a clock that
// jumped by less than the gap.
func TestGuardAgainstPurgingTooMuch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 101 {
		f.publish(t, fmt.Sprint(i), 5*day)
	}
	f.clock.advance(6 * day)
	_, err := f.Sweep(t.Context(), "gateway", retention.Options{})
	wantRefused(t, err)
	if err == nil || !strings.Contains(err.Error(), "101 of 101") {
		t.Errorf("error is %v", err)
	}
	if counts, err := f.catalog.Counts(t.Context(), f.clock.now()); err != nil || counts.Files != 101 {
		t.Errorf("afterwards: %+v, %v", counts, err)
	}
	if done := f.sweep(t, retention.Options{Confirmed: true}); done.Purged != 101 {
		t.Errorf("confirmed: %+v", done)
	}
}
