package fsck_test

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/fsck"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// second publishes the sealed file of the fixture's report once more, which puts it into the same pack.
func (f *fixture) second(t *testing.T) reports.Report {
	t.Helper()
	content := must[*blob.Reader](t)(f.blobs.Open(f.report.Blob))
	defer content.Close()
	w := f.blobs.Stream()
	_, err := io.Copy(w, io.NewSectionReader(content, 0, content.Size()))
	if err = errors.Join(err, w.Commit()); err != nil {
		t.Fatal(err)
	}
	defer w.Settle()
	r, _, err := f.catalog.Publish(t.Context(), catalog.Publication{
		Client: f.acme, Name: f.name(t, "second.csv"), Blob: w.ID(), Size: w.Size(), SHA256: f.report.SHA256, SealedTo: f.report.SealedTo,
		Modified: time.Now(), Retention: grace, Source: "second", Actor: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestDamageWithinAPack: each member is judged by itself, by what there is of it.
func TestDamageWithinAPack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		damage        func(t *testing.T, f *fixture, path string, second int64) // where the second begins
		first, second fsck.Kind                                                 // "" for none
		quick         bool                                                      // --quick finds it, too
	}{
		{name: "nothing", damage: func(*testing.T, *fixture, string, int64) {}},
		{
			name: "a byte of the second flipped", second: fsck.Damaged,
			damage: func(t *testing.T, _ *fixture, path string, second int64) { flip(t, path, second+100) },
		},
		{
			name: "a byte between them flipped",
			damage: func(t *testing.T, f *fixture, path string, second int64) {
				if f.report.Size < second {
					flip(t, path, second-1)
				}
			},
		},
		{
			name: "the second cut off", second: fsck.Truncated, quick: true,
			damage: func(t *testing.T, _ *fixture, path string, second int64) {
				if err := os.Truncate(path, second+100); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "both cut off", first: fsck.Truncated, second: fsck.Truncated, quick: true,
			damage: func(t *testing.T, _ *fixture, path string, _ int64) {
				if err := os.Truncate(path, 100); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "the pack deleted", first: fsck.Missing, second: fsck.Missing, quick: true,
			damage: func(t *testing.T, _ *fixture, path string, _ int64) {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "a hole in the place of the first", first: fsck.Damaged,
			damage: func(t *testing.T, f *fixture, _ string, _ int64) {
				if err := f.blobs.Delete(f.report.Blob); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			second := f.second(t)
			place, parts, err := blob.Path(second.Blob)
			if was, _, _ := blob.Path(f.report.Blob); err != nil || place != was || !parts.Packed {
				t.Fatalf("they are apart: %s, %s, %v", place, was, err)
			}
			test.damage(t, f, f.path(t, second.Blob), parts.Offset)
			for _, quick := range []bool{false, true} {
				want := map[string]fsck.Kind{}
				for id, kind := range map[string]fsck.Kind{f.report.ID: test.first, second.ID: test.second} {
					if kind != "" && (!quick || test.quick) {
						want[id] = kind
					}
				}
				list, _ := f.run(t, fsck.Options{Quick: quick}, time.Now())
				for _, found := range list {
					if want[found.Report] != found.Kind {
						t.Errorf("quick %t: not expected: %+v", quick, found)
					}
					delete(want, found.Report)
				}
				if len(want) > 0 {
					t.Errorf("quick %t: not found: %v", quick, want)
				}
			}
		})
	}
}
