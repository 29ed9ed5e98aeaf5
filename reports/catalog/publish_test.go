package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		p := f.publication(t, "a.csv.pgp", "s1")
		r := f.publish(t, p)
		if r.State != reports.Published || r.Kind != reports.KindReport || r.Name != p.Name || r.Blob != p.Blob || r.PlainSize != 90 ||
			!r.Published.Equal(f.clock.now()) || !r.Expires.Equal(f.clock.now().Add(100*day)) || !slices.Equal(r.SealedTo, p.SealedTo) {
			t.Errorf("published as %+v", r)
		}
		found, err := f.Lookup(t.Context(), f.acme, p.Name)
		if err != nil || found.ID != r.ID {
			t.Errorf("looked up %+v, %v", found, err)
		}
		if _, err := f.Lookup(t.Context(), f.beta, p.Name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("another client sees it: %v", err)
		}
		if f.audited(t, "report.published") != 1 {
			t.Error("it was not recorded once")
		}
	})
}

// TestPublishReturnsWhatIsStored, which it does not read again.
func TestPublishReturnsWhatIsStored(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		for i, what := range []string{"first", "version", "replacing", "held", "held to replace", "on hold"} {
			p := f.publication(t, "a.csv", what)
			p.Held, p.Replace = strings.HasPrefix(what, "held"), strings.Contains(what, "replac")
			if what == "on hold" {
				if _, err := f.HoldClient(t.Context(), ops, f.acme, "a dispute"); err != nil {
					t.Fatal(err)
				}
			}
			r := f.publish(t, p)
			stored, err := f.Report(t.Context(), r.ID)
			if err != nil || !reflect.DeepEqual(r, stored) || r.LegalHold != (what == "on hold") {
				t.Errorf("%d, %s: it returned %+v, and stored is %+v, %v", i, what, r, stored, err)
			}
		}
	})
}

func TestPublishingTheSameAgainIsOneReport(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		first := f.publish(t, f.publication(t, "a.csv", "s1"))
		second := f.publication(t, "a.csv", "s1")
		r, known, err := f.Publish(t.Context(), second)
		if err != nil || !known || r.ID != first.ID {
			t.Fatalf("second: %+v, %v, %v", r, known, err)
		}
		if known, err := f.BlobKnown(t.Context(), second.Blob); known || err != nil {
			t.Errorf("the second blob is known: %v, %v", known, err)
		}
		if got := f.names(t, ""); !slices.Equal(got, []string{"a.csv"}) || f.audited(t, "report.published") != 1 {
			t.Errorf("the folder holds %q", got)
		}
		if r, known, err := f.Known(t.Context(), f.acme, "s1"); err != nil || !known || r.ID != first.ID {
			t.Errorf("Known: %+v, %v, %v", r, known, err)
		}
		if _, known, err := f.Known(t.Context(), f.beta, "s1"); err != nil || known {
			t.Errorf("another client's is known: %v, %v", known, err)
		}
	})
}

// TestPublishingAPurgedReportAgain: a producer that repeats itself after a
// hundred days does not bring back what retention took.
func TestPublishingAPurgedReportAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		first := f.put(t, "a.csv")
		p := f.publication(t, "b.csv", "s1")
		f.publish(t, p)
		f.clock.advance(100 * day)
		if n, err := f.PurgeDue(t.Context(), "gateway", f.clock.now()); err != nil || n != 2 || !f.gone(t, first.ID) {
			t.Fatalf("purged %d, %v", n, err)
		}
		p.Blob = f.newBlob()
		r, known, err := f.Publish(t.Context(), p)
		if err != nil || !known || r.State != reports.Expired || len(f.names(t, "")) != 0 {
			t.Errorf("again: %+v, %v, %v", r, known, err)
		}
		p.Blob, p.Again = f.newBlob(), true
		if r := f.publish(t, p); r.State != reports.Published {
			t.Errorf("with again: %+v", r)
		}
	})
}

func TestAgainMakesAVersion(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		p := f.publication(t, "a.csv", "s1")
		f.publish(t, p)
		p.Blob, p.Again = f.newBlob(), true
		f.publish(t, p)
		if got := f.names(t, ""); !slices.Equal(got, []string{"a.csv", "a~2.csv"}) {
			t.Errorf("the folder holds %q", got)
		}
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		for i := range 12 {
			r := f.put(t, "a.csv")
			want := "a.csv"
			if i > 0 {
				want = fmt.Sprintf("a~%d.csv", i+1)
			}
			if r.Name.String() != want {
				t.Errorf("version %d is %s", i, r.Name)
			}
		}
		// A version that an earlier file has by its own name is passed over.
		f.put(t, "b~2.csv")
		f.put(t, "b.csv")
		if r := f.put(t, "b.csv"); r.Name.String() != "b~3.csv" {
			t.Errorf("it became %s", r.Name)
		}
		// Where a version was removed, what comes next is free, and nobody else's.
		wantError(t, "removing", f.Remove(t.Context(), "client:acme", f.acme, name(t, "a~7.csv")), nil)
		for range 3 {
			f.put(t, "a.csv")
		}
		if n := len(f.names(t, "")); n != 11+3+3 {
			t.Errorf("%d names", n)
		}
		// A folder has its name, too.
		f.mkdir(t, "c.csv")
		p := f.publication(t, "c.csv", "c")
		p.Replace = true
		if r := f.publish(t, p); r.Name.String() != "c~2.csv" {
			t.Errorf("over a folder it became %s", r.Name)
		}
	})
}

func TestReplace(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		first := f.put(t, "a.csv")
		p := f.publication(t, "a.csv", "s2")
		p.Replace = true
		second := f.publish(t, p)
		if second.Name != first.Name || !slices.Equal(f.names(t, ""), []string{"a.csv"}) {
			t.Errorf("it became %s", second.Name)
		}
		if old := f.report(t, first.ID); old.State != reports.Removed || f.garbage(t)[old.Blob] {
			t.Errorf("the old one is %+v", old)
		}
		// A legal hold is stronger than a producer.
		if _, err := f.SetLegalHold(t.Context(), ops, second.ID, true); err != nil {
			t.Fatal(err)
		}
		p = f.publication(t, "a.csv", "s3")
		p.Replace = true
		_, _, err := f.Publish(t.Context(), p)
		wantError(t, "replacing what is on hold", err, reports.ErrOnHold)
		if _, known, err := f.Known(t.Context(), f.acme, "s3"); known || err != nil {
			t.Errorf("the refused delivery is remembered: %v, %v", known, err)
		}
	})
}

// TestReplaceGoesBack: who replaces B by A wants A, though A was there before B. Only
// where nothing has A's name, its client has removed A itself, and A is known.
func TestReplaceGoesBack(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		replacing := func(source string) (reports.Report, bool) {
			p := f.publication(t, "a.csv", source)
			p.Replace = true
			r, known, err := f.Publish(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			return r, known
		}
		first, _ := replacing("A")
		replacing("B")
		back, known := replacing("A")
		if known || back.ID == first.ID || back.Name != first.Name || !slices.Equal(f.names(t, ""), []string{"a.csv"}) {
			t.Errorf("going back: %+v, known %v; the client sees %q", back, known, f.names(t, ""))
		}
		if again, known := replacing("A"); !known || again.ID != back.ID {
			t.Errorf("the same again: %+v, known %v", again, known)
		}
		if err := f.Remove(t.Context(), "client:acme", f.acme, name(t, "a.csv")); err != nil {
			t.Fatal(err)
		}
		if _, known := replacing("A"); !known || len(f.names(t, "")) != 0 {
			t.Errorf("what its client removed came back: %q", f.names(t, ""))
		}
	})
}

func TestPublishForNobody(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		p := f.publication(t, "a.csv", "s1")
		p.Client, _ = reports.ParseClientID("nobody")
		_, _, err := f.Publish(t.Context(), p)
		wantError(t, "publishing", err, reports.ErrUnknownClient)
		if _, known, _ := f.Known(t.Context(), p.Client, "s1"); known {
			t.Error("the refused delivery is remembered")
		}
	})
}

// TestManyProducersOfOneReport is what a spool folder does that two gateways
// watch.
func TestManyProducersOfOneReport(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		var fresh atomic.Int32
		var ids sync.Map
		var group sync.WaitGroup
		const producers = 40
		for range producers {
			p := f.publication(t, "a.csv", "s1")
			group.Go(func() {
				r, known, err := f.Publish(context.Background(), p)
				if err != nil {
					t.Error(err)
				}
				if !known {
					fresh.Add(1)
				}
				ids.Store(r.ID, true)
			})
		}
		group.Wait()
		n := 0
		ids.Range(func(any, any) bool { n++; return true })
		if fresh.Load() != 1 || n != 1 || len(f.names(t, "")) != 1 {
			t.Errorf("%d published, %d ids, names %q", fresh.Load(), n, f.names(t, ""))
		}
	})
}

func TestManyProducersOfOneName(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		var group sync.WaitGroup
		for i := range 40 {
			p := f.publication(t, "a.csv", fmt.Sprint(i))
			group.Go(func() {
				if _, known, err := f.Publish(context.Background(), p); err != nil || known {
					t.Errorf("known %v, %v", known, err)
				}
			})
		}
		group.Wait()
		if n := len(f.names(t, "")); n != 40 {
			t.Errorf("%d names", n)
		}
		if _, err := audit.Verify(t.Context(), f.db.Read(), audit.Head{}); err != nil {
			t.Error(err)
		}
	})
}

func held(t *testing.T, f *fixture, file, source string) reports.Report {
	t.Helper()
	p := f.publication(t, file, source)
	p.Held = true
	return f.publish(t, p)
}

func released(f *fixture, r reports.Report) catalog.Released {
	return catalog.Released{
		ID: r.ID, Blob: f.newBlob(), Size: 120, SHA256: "cc", SealedTo: []string{"K"}, Retention: 10 * day, Actor: "gateway",
	}
}

func TestHeldAndReleased(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := held(t, f, "a.csv", "s1")
		if r.State != reports.Held || !r.Expires.IsZero() || !r.Published.IsZero() || len(f.names(t, "")) != 0 {
			t.Errorf("held as %+v; visible: %q", r, f.names(t, ""))
		}
		f.clock.advance(1000 * day)
		if n, err := f.PurgeDue(t.Context(), "gateway", f.clock.now()); n != 0 || err != nil {
			t.Errorf("a held report was purged: %d, %v", n, err)
		}
		counts, err := f.Held(t.Context())
		if err != nil || counts[f.acme] != 1 || len(counts) != 1 {
			t.Errorf("held: %v, %v", counts, err)
		}
		f.put(t, "a.csv") // the name is taken meanwhile
		rel := released(f, r)
		out, done, err := f.Release(t.Context(), rel)
		if err != nil || !done || out.State != reports.Published || out.Name.String() != "a~2.csv" || out.Blob != rel.Blob || out.Size != 120 ||
			!out.Expires.Equal(f.clock.now().Add(10*day)) {
			t.Errorf("released as %+v, %v, %v", out, done, err)
		}
		if !f.garbage(t)[r.Blob] || f.garbage(t)[rel.Blob] {
			t.Errorf("garbage is %v", f.garbage(t))
		}
		if list, err := f.HeldReports(t.Context(), f.acme, nil, 10); err != nil || len(list) != 0 {
			t.Errorf("still held: %v, %v", list, err)
		}
	})
}

func TestReleaseRaces(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := held(t, f, "a.csv", "s1")
		var won atomic.Int32
		var group sync.WaitGroup
		for range 8 {
			rel := released(f, r)
			group.Go(func() {
				_, done, err := f.Release(context.Background(), rel)
				if err != nil {
					t.Error(err)
				}
				if done {
					won.Add(1)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 || len(f.names(t, "")) != 1 || len(f.garbage(t)) != 8 {
			t.Errorf("%d released it; names %q; %d blobs let go", won.Load(), f.names(t, ""), len(f.garbage(t)))
		}

		// One that an operator removed while it was being sealed anew stays removed.
		r = held(t, f, "b.csv", "s2")
		if _, err := f.RemoveReport(t.Context(), ops, r.ID, day); err != nil {
			t.Fatal(err)
		}
		rel := released(f, r)
		if _, done, err := f.Release(t.Context(), rel); done || err != nil || !f.garbage(t)[rel.Blob] {
			t.Errorf("released after it was removed: %v, %v", done, err)
		}
	})
}

func TestHeldReportRemovedAndRestored(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := held(t, f, "a.csv", "s1")
		removed, err := f.RemoveReport(t.Context(), ops, r.ID, day)
		if err != nil || removed.State != reports.Removed || !removed.Expires.Equal(f.clock.now().Add(day)) {
			t.Fatalf("removed: %+v, %v", removed, err)
		}
		restored, err := f.RestoreReport(t.Context(), ops, r.ID)
		if err != nil || restored.State != reports.Held || !restored.Expires.IsZero() || len(f.names(t, "")) != 0 {
			t.Fatalf("restored: %+v, %v", restored, err)
		}
		if _, done, err := f.Release(t.Context(), released(f, r)); !done || err != nil {
			t.Errorf("release: %v, %v", done, err)
		}
	})
}
