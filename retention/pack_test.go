package retention_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/blob/blobtest"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/retention"
)

// pack publishes a report that is put together with others: three pages of one byte.
func (f *fixture) pack(t *testing.T, file string, kept time.Duration) reports.Report {
	t.Helper()
	w := f.blobs.Stream()
	_, err := w.Write(packed(file))
	if err = errors.Join(err, w.Commit()); err != nil {
		t.Fatal(err)
	}
	defer w.Settle()
	name, err := reports.ParseName(file)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := f.catalog.Publish(t.Context(), catalog.Publication{
		Client: f.acme, Name: name, Blob: w.ID(), Size: w.Size(), Source: file, Retention: kept, Actor: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func packed(file string) []byte { return bytes.Repeat([]byte(file[:1]), 10_000) }

// pages returns how many pages of a report's pack hold something, -1 if it is not there.
func (f *fixture) pages(t *testing.T, r reports.Report) int64 {
	t.Helper()
	place, _, err := blob.Path(r.Blob)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(f.dir, place))
	if errors.Is(err, fs.ErrNotExist) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return blobtest.Data(t, file) / blobid.PageSize
}

func (f *fixture) wantContent(t *testing.T, r reports.Report) {
	t.Helper()
	content, err := f.blobs.Open(r.Blob)
	if err != nil {
		t.Error(err)
		return
	}
	defer content.Close()
	f.wantRead(t, content, r)
}

func (f *fixture) wantRead(t *testing.T, content *blob.Reader, r reports.Report) {
	t.Helper()
	got, err := io.ReadAll(io.NewSectionReader(content, 0, content.Size()))
	if err != nil || !bytes.Equal(got, packed(r.Name.String())) {
		t.Errorf("%s has %d bytes that are not its own, %v", r.Name, len(got), err)
	}
}

// TestAPackIsGivenBackInPart: what is purged of a pack is there until its grace is over, and then
// its pages are free, and the others' are as they were. The last takes the file with it.
func TestAPackIsGivenBackInPart(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a, b, c := f.pack(t, "a", 10*day), f.pack(t, "b", day), f.pack(t, "c", 3*day)
	if blobid.File(a.Blob) != blobid.File(c.Blob) {
		t.Fatalf("they are apart: %s, %s", a.Blob, c.Blob)
	}
	for i, step := range []struct {
		forward time.Duration
		pages   int64
	}{
		{day, 9},               // b is purged,
		{day - time.Second, 9}, // is there for the grace,
		{time.Second, 6},       // and gone;
		{day, 6},               // c is purged,
		{day - time.Second, 6}, // is there for the grace,
		{time.Second, 3},       // and gone;
		{6 * day, 3},           // a is purged,
		{day - time.Second, 3}, // is there for the grace,
		{time.Second, -1},      // and the file goes.
		{2 * day, -1},          // nothing more.
	} {
		f.clock.advance(step.forward)
		f.sweep(t, retention.Options{Confirmed: true, Orphans: true})
		if got := f.pages(t, a); got != step.pages {
			t.Errorf("step %d: %d pages, want %d", i, got, step.pages)
		}
		for _, r := range []reports.Report{a, b, c} {
			if f.rowThere(t, r) {
				f.wantContent(t, r)
			}
		}
	}
	if left, err := f.catalog.Garbage(t.Context(), f.clock.now(), 10); err != nil || len(left) != 0 {
		t.Errorf("garbage is left: %q, %v", left, err)
	}
}

// TestADownloadOutlivesTheGrace: who reads a purged report reads it to its end, however long that takes.
func TestADownloadOutlivesTheGrace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a, b := f.pack(t, "a", day), f.pack(t, "b", 10*day)
	download, err := f.blobs.Open(a.Blob)
	if err != nil {
		t.Fatal(err)
	}
	defer download.Close()
	for range 4 {
		f.clock.advance(day)
		f.sweep(t, retention.Options{Confirmed: true})
	}
	if f.rowThere(t, a) {
		t.Error("it was not purged")
	}
	f.wantRead(t, download, a)
	if err := download.Close(); err != nil {
		t.Fatal(err)
	}
	if done := f.sweep(t, retention.Options{}); done.Blobs != 1 || f.pages(t, b) != 3 {
		t.Errorf("once it is over: %+v, %d pages", done, f.pages(t, b))
	}
	f.wantContent(t, b)
}

// meanwhile has something happen right after the garbage was listed.
type meanwhile struct {
	retention.Catalog
	happens func()
}

func (m *meanwhile) Garbage(ctx context.Context, before time.Time, limit int) ([]string, error) {
	files, err := m.Catalog.Garbage(ctx, before, limit)
	if happens := m.happens; happens != nil {
		m.happens = nil
		happens()
	}
	return files, err
}

// TestWhatIsLetGoDuringASweepHasItsGrace: a pack is due for what was let go of it long ago, and in the
// moment before it is collected more is: by another program, or by who reseals.
func TestWhatIsLetGoDuringASweepHasItsGrace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a, b := f.pack(t, "a", day), f.pack(t, "b", 5*day)
	f.clock.advance(day)
	f.sweep(t, retention.Options{Confirmed: true})
	f.clock.advance(day)
	f.Catalog = &meanwhile{Catalog: f.catalog, happens: func() {
		if n, err := f.catalog.PurgeDue(t.Context(), "test", f.clock.now().Add(5*day)); n != 1 || err != nil {
			t.Errorf("%d are purged, %v", n, err)
		}
	}}
	if done := f.sweep(t, retention.Options{}); done.Blobs != 0 {
		t.Errorf("%+v", done)
	}
	f.wantContent(t, b) // who has just looked it up must find it
	f.clock.advance(day)
	if done := f.sweep(t, retention.Options{}); done.Blobs != 1 || f.pages(t, a) != -1 {
		t.Errorf("after its grace: %+v", done)
	}
}

// TestAPackInUseHoldsUpNothing: one pack that can't be collected keeps no others waiting, however many.
func TestAPackInUseHoldsUpNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.pack(t, "a", day)
	download, err := f.blobs.Open(a.Blob)
	if err != nil {
		t.Fatal(err)
	}
	defer download.Close()
	f.clock.advance(day)
	f.sweep(t, retention.Options{Confirmed: true})
	const others = 5500 // more than are listed at once
	files := make([]string, others)
	for i := range files {
		files[i] = blobid.New() // as if a kill had come after they were deleted
	}
	if n, err := f.catalog.Disown(t.Context(), files); n != others || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	f.clock.advance(day)
	if done := f.sweep(t, retention.Options{}); done.Blobs != others {
		t.Errorf("%+v, want %d", done, others)
	}
	f.wantRead(t, download, a)
}
