package catalog_test

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

const self = "client:acme"

func TestFoldersAndWhatIsNone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := t.Context()
		f.mkdir(t, "in", "in/2026")
		f.put(t, "in/2026/a.csv")
		f.put(t, "a.csv")
		_, err := f.Lookup(ctx, f.acme, name(t, "in/a.csv"))
		wantError(t, "an absent file", err, fs.ErrNotExist)
		_, err = f.Lookup(ctx, f.acme, name(t, "a.csv/b"))
		wantError(t, "a file as a folder", err, reports.ErrNotFolder)
		_, err = f.Children(ctx, f.acme, name(t, "absent"), "", 10)
		wantError(t, "listing an absent folder", err, fs.ErrNotExist)
		_, err = f.Children(ctx, f.acme, name(t, "a.csv"), "", 10)
		wantError(t, "listing a file", err, reports.ErrNotFolder)
		_, err = f.Children(ctx, f.beta, name(t, "in"), "", 10)
		wantError(t, "listing another client's", err, fs.ErrNotExist)
		wantError(t, "a folder twice", f.Mkdir(ctx, self, f.acme, name(t, "in")), fs.ErrExist)
		wantError(t, "a folder over a file", f.Mkdir(ctx, self, f.acme, name(t, "a.csv")), fs.ErrExist)
		wantError(t, "a folder in an absent one", f.Mkdir(ctx, self, f.acme, name(t, "x/y")), fs.ErrNotExist)
		wantError(t, "removing a folder as a file", f.Remove(ctx, self, f.acme, name(t, "in")), reports.ErrIsFolder)
		wantError(t, "removing a file as a folder", f.RemoveFolder(ctx, self, f.acme, name(t, "a.csv")), reports.ErrNotFolder)
		wantError(t, "removing a full folder", f.RemoveFolder(ctx, self, f.acme, name(t, "in")), reports.ErrNotEmpty)
		wantError(t, "removing another client's", f.Remove(ctx, "client:beta", f.beta, name(t, "a.csv")), fs.ErrNotExist)
		if got := f.names(t, ""); !slices.Equal(got, []string{"a.csv", "in"}) {
			t.Errorf("the folder holds %q", got)
		}
		if used, _, err := f.Usage(ctx, f.acme); err != nil || used != (reports.Usage{Files: 2, Bytes: 110}) {
			t.Errorf("usage: %+v, %v", used, err)
		}
	})
}

func TestChildrenPages(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		// In byte order: upper case before lower, and UTF-8 last.
		want := []string{"A", "B", "a", "a b", "a.b", "a0", "ab", "z", "é", "漢"}
		for _, n := range want {
			f.put(t, n)
		}
		var got []string
		for after := ""; ; {
			page, err := f.Children(t.Context(), f.acme, reports.Name{}, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				got = append(got, r.Name.String())
				after = r.Name.Base()
			}
			if len(page) < 3 {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("listed %q", got)
		}
	})
}

func TestRename(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := t.Context()
		f.mkdir(t, "in", "in/deep", "out")
		f.put(t, "in/deep/a.csv")
		old := f.put(t, "b.csv")
		f.put(t, "c.csv")
		rename := func(from, to string, replace bool) error {
			return f.Rename(ctx, self, f.acme, name(t, from), name(t, to), replace)
		}
		wantError(t, "into itself", rename("in", "in/deep/in", false), fs.ErrInvalid)
		wantError(t, "directly into itself", rename("in", "in/x", true), fs.ErrInvalid)
		wantError(t, "the root", rename("", "x", true), fs.ErrInvalid)
		wantError(t, "to the root", rename("in", "", true), fs.ErrInvalid)
		wantError(t, "onto a file", rename("c.csv", "b.csv", false), fs.ErrExist)
		wantError(t, "onto a folder", rename("c.csv", "out", true), reports.ErrIsFolder)
		wantError(t, "onto a folder, carefully", rename("c.csv", "out", false), fs.ErrExist)
		wantError(t, "what is absent", rename("absent", "x", true), fs.ErrNotExist)
		wantError(t, "into what is absent", rename("c.csv", "absent/c.csv", true), fs.ErrNotExist)
		wantError(t, "into a file", rename("c.csv", "b.csv/c.csv", true), reports.ErrNotFolder)
		wantError(t, "to itself", rename("c.csv", "c.csv", false), nil)
		wantError(t, "the absent to itself", rename("absent", "absent", false), fs.ErrNotExist)
		wantError(t, "with replace", rename("c.csv", "b.csv", true), nil)
		wantError(t, "a folder into another", rename("in", "out/in", false), nil)
		wantError(t, "a folder that begins alike", rename("out", "out2", false), nil)
		if r := f.report(t, old.ID); r.State != reports.Removed {
			t.Errorf("the replaced file is %s", r.State)
		}
		if _, err := f.Lookup(ctx, f.acme, name(t, "out2/in/deep/a.csv")); err != nil {
			t.Error(err)
		}
		if got := f.names(t, ""); !slices.Equal(got, []string{"b.csv", "out2"}) {
			t.Errorf("the folder holds %q", got)
		}
	})
}

// TestRenameOfWideFolderStopsEverybody: to move a folder with very many others in it
// deeper, all of them would have to be looked at, while nobody else can write.
func TestRenameOfWideFolderStopsEverybody(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.mkdir(t, "wide", "deeper", "deeper/still")
		var lanes sync.WaitGroup
		for lane := range 50 {
			lanes.Go(func() {
				for i := range 10 {
					if err := f.Mkdir(t.Context(), self, f.acme, name(t, fmt.Sprintf("wide/%d-%d", lane, i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		lanes.Wait()
		rename := func(from, to string) error {
			return f.Rename(t.Context(), self, f.acme, name(t, from), name(t, to), false)
		}
		wantError(t, "deeper", rename("wide", "deeper/wide"), reports.ErrName)
		wantError(t, "beside", rename("wide", "wider"), nil)
		wantError(t, "what holds it, deeper", rename("deeper", "wider/deeper"), nil)
		wantError(t, "back", rename("wider/deeper", "deeper"), nil)
		wantError(t, "with one folder less", f.RemoveFolder(t.Context(), self, f.acme, name(t, "wider/0-0")), nil)
		wantError(t, "removed ones count", rename("wider", "deeper/wider"), reports.ErrName)
	})
}

// TestRenameCannotDig: a folder with folders in it, moved step by step, would
// end up deeper than any name can say.
func TestRenameCannotDig(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		deepest := strings.TrimSuffix(strings.Repeat("d/", reports.MaxDepth-2), "/")
		for i := range reports.MaxDepth - 2 {
			f.mkdir(t, deepest[:2*i+1])
		}
		f.mkdir(t, "x", "x/y")
		f.put(t, "x/y/file")
		rename := func(from, to string) error {
			return f.Rename(t.Context(), self, f.acme, name(t, from), name(t, to), false)
		}
		wantError(t, "three levels where two fit", rename("x", deepest+"/x"), reports.ErrName)
		wantError(t, "two levels", rename("x/y", deepest+"/y"), nil)
		// What was removed counts: it may be restored.
		f.mkdir(t, "x/z")
		id := f.put(t, "x/z/file").ID
		wantError(t, "removing", f.Remove(t.Context(), self, f.acme, name(t, "x/z/file")), nil)
		wantError(t, "removing the folder", f.RemoveFolder(t.Context(), self, f.acme, name(t, "x/z")), nil)
		wantError(t, "three levels, two of them removed", rename("x", deepest+"/x"), reports.ErrName)
		if r := f.report(t, id); r.Name.String() != "x/z/file" {
			t.Errorf("the removed file is %s", r.Name)
		}
	})
}

func TestUploadOver(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		report := f.put(t, "a.csv")
		f.upload(t, "a.csv")
		if r := f.report(t, report.ID); r.State != reports.Removed {
			t.Errorf("the overwritten report is %s", r.State)
		}
		u := catalog.Upload{Client: f.acme, Name: name(t, "a.csv"), Blob: f.newBlob(), Exclusive: true, Retention: day, Actor: self}
		wantError(t, "exclusively", f.Upload(t.Context(), u), fs.ErrExist)
		f.mkdir(t, "in")
		u.Name, u.Exclusive = name(t, "in"), false
		wantError(t, "over a folder", f.Upload(t.Context(), u), reports.ErrIsFolder)
		u.Name = name(t, "absent/a")
		wantError(t, "into an absent folder", f.Upload(t.Context(), u), fs.ErrNotExist)
		wantError(t, "touching", f.SetModified(t.Context(), f.acme, name(t, "a.csv"), f.clock.now().Add(-day)), nil)
		if r, err := f.Lookup(t.Context(), f.acme, name(t, "a.csv")); err != nil || !r.Modified.Equal(f.clock.now().Add(-day)) {
			t.Errorf("modified %v, %v", r.Modified, err)
		}
	})
}

func TestManySessionsInOneFolder(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		var exclusive, made, moved atomic.Int32
		var group sync.WaitGroup
		f.put(t, "one")
		for i := range 12 {
			u := catalog.Upload{Client: f.acme, Name: name(t, "x"), Blob: f.newBlob(), Exclusive: true, Retention: day, Actor: self}
			dir, from, to := name(t, "dir"), name(t, "one"), name(t, fmt.Sprint("to", i))
			group.Go(func() {
				if f.Upload(context.Background(), u) == nil {
					exclusive.Add(1)
				}
				if f.Mkdir(context.Background(), self, f.acme, dir) == nil {
					made.Add(1)
				}
				if f.Rename(context.Background(), self, f.acme, from, to, false) == nil {
					moved.Add(1)
				}
			})
		}
		group.Wait()
		if exclusive.Load() != 1 || made.Load() != 1 || moved.Load() != 1 || len(f.names(t, "")) != 3 {
			t.Errorf("%d exclusive uploads, %d folders, %d renames; names %q", exclusive.Load(), made.Load(), moved.Load(), f.names(t, ""))
		}
	})
}

func save(tb testing.TB, f *fixture, file string) string {
	tb.Helper()
	p := catalog.Partial{Client: f.acme, Name: name(tb, file), Blob: f.newBlob(), Size: 5}
	if err := f.SavePartial(context.Background(), p); err != nil {
		tb.Fatal(err)
	}
	f.clock.advance(1e9)
	return p.Blob
}

func TestPartials(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx := t.Context()
		first := save(t, f, "a")
		second := save(t, f, "a")
		if !f.garbage(t)[first] || f.garbage(t)[second] {
			t.Errorf("garbage is %v", f.garbage(t))
		}
		if p, found, err := f.Partial(ctx, f.acme, name(t, "a")); err != nil || !found || p.Blob != second || p.Size != 5 {
			t.Errorf("partial %+v, %v, %v", p, found, err)
		}
		if _, found, err := f.Partial(ctx, f.beta, name(t, "a")); found || err != nil {
			t.Errorf("another client finds it: %v, %v", found, err)
		}
		if len(f.names(t, "")) != 0 {
			t.Error("it is listed")
		}
		p, found, err := f.TakePartial(ctx, f.acme, name(t, "a"))
		if err != nil || !found || p.Blob != second {
			t.Errorf("taken %+v, %v, %v", p, found, err)
		}
		if _, found, err := f.TakePartial(ctx, f.acme, name(t, "a")); found || err != nil {
			t.Errorf("taken twice: %v, %v", found, err)
		}
		if f.garbage(t)[second] {
			t.Error("the blob that was taken was let go")
		}
		// Interrupted again: the same blob comes back.
		if err := f.SavePartial(ctx, catalog.Partial{Client: f.acme, Name: name(t, "a"), Blob: second, Size: 9}); err != nil {
			t.Fatal(err)
		}
		if dropped, err := f.DropPartial(ctx, f.acme, name(t, "a")); !dropped || err != nil || !f.garbage(t)[second] {
			t.Errorf("dropped %v, %v", dropped, err)
		}
		if dropped, err := f.DropPartial(ctx, f.acme, name(t, "a")); dropped || err != nil {
			t.Errorf("dropped again: %v, %v", dropped, err)
		}
	})
}

func TestPartialsAreBounded(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		var blobs []string
		for i := range catalog.MaxPartials + 3 {
			blobs = append(blobs, save(t, f, fmt.Sprintf("%03d", (i*37)%100))) // not in the order of names
		}
		garbage := f.garbage(t)
		for i, b := range blobs {
			if garbage[b] != (i < 3) {
				t.Errorf("partial %d was let go: %v", i, garbage[b])
			}
		}
	})
}

func TestStalePartials(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		old, at := save(t, f, "old"), f.clock.now()
		young := save(t, f, "young")
		if n, err := f.DropStalePartials(t.Context(), at, 10); n != 1 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		if g := f.garbage(t); !g[old] || g[young] {
			t.Errorf("garbage is %v", g)
		}
	})
}

// TestRemovedFileDoesNotComeBackAsAPartial: a client that removes a file must
// not find the name again, as an upload of it that was cut off once.
func TestRemovedFileDoesNotComeBackAsAPartial(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.upload(t, "a")
		blob := save(t, f, "a")
		wantError(t, "removing", f.Remove(t.Context(), self, f.acme, name(t, "a")), nil)
		if _, found, err := f.Partial(t.Context(), f.acme, name(t, "a")); found || err != nil || !f.garbage(t)[blob] {
			t.Errorf("partial found %v, %v", found, err)
		}
	})
}

func TestUploadDropsItsPartial(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		blob := save(t, f, "a")
		f.upload(t, "a")
		if _, found, _ := f.Partial(t.Context(), f.acme, name(t, "a")); found || !f.garbage(t)[blob] {
			t.Error("the interrupted upload outlived a whole one")
		}
	})
}
