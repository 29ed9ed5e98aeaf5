package catalog_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// undigested uploads a file whose digest is not known yet.
func (f *fixture) undigested(tb testing.TB, file string) reports.Report {
	tb.Helper()
	err := f.Upload(context.Background(), catalog.Upload{
		Client: f.acme, Name: name(tb, file), Blob: f.newBlob(), Size: 10, Modified: f.clock.now(), Retention: 100 * day, Actor: "client:acme",
	})
	if err != nil {
		tb.Fatal(err)
	}
	r, err := f.Lookup(context.Background(), f.acme, name(tb, file))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// waiting lists, page by page, the entries that have no digest.
func (f *fixture) waiting(tb testing.TB, page int) (ids []string) {
	tb.Helper()
	for after := ""; ; {
		list, err := f.Undigested(context.Background(), after, page)
		if err != nil {
			tb.Fatal(err)
		}
		for _, u := range list {
			ids, after = append(ids, u.ID), u.Blob
		}
		if len(list) < page {
			return ids
		}
	}
}

// receiptDigests returns what the receipts of a report hold, the earliest first.
func (f *fixture) receiptDigests(tb testing.TB, id string) (digests []string) {
	tb.Helper()
	rows, err := f.db.Read().ListReceipts(context.Background(), id)
	if err != nil {
		tb.Fatal(err)
	}
	for _, row := range rows {
		digests = append(digests, row.Sha256)
	}
	return digests
}

func TestUndigested(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.mkdir(t, "dir")
		f.put(t, "report.csv")
		var want []string
		for _, file := range []string{"a", "b", "dir/c", "d", "e"} {
			want = append(want, f.undigested(t, file).ID)
		}
		wantError(t, "removing", f.Remove(t.Context(), self, f.acme, name(t, "b")), nil)
		slices.Sort(want)
		for page := range 7 {
			if got := f.waiting(t, page+1); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
				t.Errorf("in pages of %d: %q, want %q", page+1, got, want)
			}
		}
	})
}

func TestSetDigest(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := f.undigested(t, "a")
		u := catalog.Undigested{ID: r.ID, Blob: r.Blob, Size: r.Size}
		f.collect(t, r, 0, 5)
		other := u
		other.Blob = "another"
		wantError(t, "the digest of another blob", f.SetDigest(t.Context(), other, "dd"), nil)
		if got := f.report(t, r.ID).SHA256; got != "" || f.audited(t, "file.digested") != 0 {
			t.Errorf("the digest of another blob was taken: %q", got)
		}
		for _, digest := range []string{"cc", "dd"} { // the second one comes too late
			wantError(t, "storing "+digest, f.SetDigest(t.Context(), u, digest), nil)
			if got := f.report(t, r.ID).SHA256; got != "cc" {
				t.Errorf("the digest is %q", got)
			}
		}
		f.collect(t, r, 5, 10) // was opened before the digest was known
		if got := f.receiptDigests(t, r.ID); !slices.Equal(got, []string{"cc", "cc"}) {
			t.Errorf("the receipts hold %q", got)
		}
		if f.audited(t, "file.digested") != 1 || len(f.waiting(t, 10)) != 0 {
			t.Errorf("%d audit records; %q wait", f.audited(t, "file.digested"), f.waiting(t, 10))
		}
	})
}

// TestDigestOfWhatIsGone: a purge while a file is hashed leaves nothing behind
// that would be hashed again.
func TestDigestOfWhatIsGone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := f.undigested(t, "a")
		f.clock.advance(101 * day)
		if n, err := f.PurgeDue(t.Context(), "gateway", f.clock.now()); n != 1 || err != nil {
			t.Fatalf("purged %d, %v", n, err)
		}
		wantError(t, "storing", f.SetDigest(t.Context(), catalog.Undigested{ID: r.ID, Blob: r.Blob, Size: r.Size}, "cc"), nil)
		if !f.gone(t, r.ID) || len(f.waiting(t, 10)) != 0 || f.audited(t, "file.digested") != 0 {
			t.Errorf("gone: %v; %q wait", f.gone(t, r.ID), f.waiting(t, 10))
		}
	})
}

// TestAuditTellsADigestOnceItIsKnown: no record claims an empty one.
func TestAuditTellsADigestOnceItIsKnown(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := f.undigested(t, "a")
		f.collect(t, r, 0, 10)
		wantError(t, "storing", f.SetDigest(t.Context(), catalog.Undigested{ID: r.ID, Blob: r.Blob, Size: r.Size}, "cc"), nil)
		f.clock.advance(101 * day)
		if n, err := f.PurgeDue(t.Context(), "gateway", f.clock.now()); n != 1 || err != nil {
			t.Fatalf("purged %d, %v", n, err)
		}
		list, err := audit.List(t.Context(), f.db.Read(), audit.Filter{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		got := map[audit.Event]string{}
		for _, record := range list {
			if record.Subject == r.ID {
				digest, there := record.Detail["sha256"]
				if !there {
					digest = "none"
				}
				got[record.Event] = digest
			}
		}
		want := map[audit.Event]string{"file.uploaded": "none", "report.collected": "none", "file.digested": "cc", "report.purged": "cc"}
		if !maps.Equal(got, want) {
			t.Errorf("the records hold %v, want %v", got, want)
		}
	})
}

// TestUndigestedOfManyFiles: the gateway asks after every long upload, and must
// not look through all files each time.
func TestUndigestedOfManyFiles(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		plan := f.home.Plan(t, `SELECT id, blob, size FROM entries
			WHERE sha256 = '' AND blob <> '' AND blob > $1 ORDER BY blob LIMIT CAST($2 AS BIGINT)`, "", 100)
		if !strings.Contains(plan, "entries_undigested ") || strings.Contains(plan, "Sort") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("the plan is %s", plan)
		}
	})
}
