package foldertest

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

func emptyFolder(t *testing.T, g Gateway) {
	f := g.Session("one")
	e, err := f.Stat(t.Context(), reports.Name{})
	if err != nil || !e.Folder || !e.Name.IsRoot() || e.ModTime.IsZero() {
		t.Errorf("stat of the folder itself: %+v, %v", e, err)
	}
	if info := e.Info(); !info.IsDir() || info.Name() != "/" {
		t.Errorf("its info: %v %v", info.Name(), info.Mode())
	}
	if got := list(t, f, ""); len(got) != 0 {
		t.Errorf("the listing shows %q", got)
	}
	for _, name := range []string{"a", "a/b"} {
		_, err := f.Stat(t.Context(), parse(t, name))
		want(t, "stat of "+name, err, fs.ErrNotExist)
		_, err = f.Open(t.Context(), parse(t, name))
		want(t, "opening "+name, err, fs.ErrNotExist)
		want(t, "removing "+name, f.Remove(t.Context(), parse(t, name)), fs.ErrNotExist)
		want(t, "touching "+name, f.Chtimes(t.Context(), parse(t, name), time.Now()), fs.ErrNotExist)
	}
	_, err = f.Create(t.Context(), parse(t, "absent/a"), folder.Truncate)
	want(t, "creating in an absent folder", err, fs.ErrNotExist)
}

func usage(t *testing.T, g Gateway) {
	one, two := g.Session("one"), g.Session("two")
	put(t, one, "a", []byte("hello"))
	put(t, one, "b", []byte("hello"))
	ok(t, "mkdir", one.Mkdir(t.Context(), parse(t, "dir")))
	u, err := one.Usage(t.Context())
	if err != nil || u.Files != 2 || u.Bytes < 10 || u.FreeBytes <= 0 || u.FreeFiles <= 0 {
		t.Errorf("usage: %+v, %v", u, err)
	}
	if u, err := two.Usage(t.Context()); err != nil || u.Files != 0 || u.Bytes != 0 {
		t.Errorf("usage of another client, who has nothing: %+v, %v", u, err)
	}
}

func otherKind(t *testing.T, g Gateway) {
	f := g.Session("one")
	ok(t, "mkdir", f.Mkdir(t.Context(), parse(t, "dir")))
	put(t, f, "file", []byte("x"))
	for _, name := range []string{"", "dir"} {
		_, err := f.Open(t.Context(), parse(t, name))
		want(t, "opening a folder", err, reports.ErrIsFolder)
		for _, mode := range g.modes() {
			_, err := f.Create(t.Context(), parse(t, name), mode)
			want(t, "creating over a folder", err, reports.ErrIsFolder)
		}
	}
	_, err := f.Create(t.Context(), parse(t, "file/a"), folder.Truncate)
	want(t, "creating in a file", err, reports.ErrNotFolder)
	_, err = f.List(t.Context(), parse(t, "file"), "", 10)
	want(t, "listing a file", err, reports.ErrNotFolder)
	want(t, "removing a folder as a file", f.Remove(t.Context(), parse(t, "dir")), reports.ErrIsFolder)
	want(t, "removing a file as a folder", f.RemoveFolder(t.Context(), parse(t, "file")), reports.ErrNotFolder)
}

func folders(t *testing.T, g Gateway) {
	f := g.Session("one")
	ok(t, "mkdir", f.Mkdir(t.Context(), parse(t, "a")))
	ok(t, "mkdir", f.Mkdir(t.Context(), parse(t, "a/b")))
	want(t, "making it again", f.Mkdir(t.Context(), parse(t, "a")), fs.ErrExist)
	want(t, "making the root", f.Mkdir(t.Context(), reports.Name{}), fs.ErrExist)
	want(t, "removing the root", f.RemoveFolder(t.Context(), reports.Name{}), fs.ErrPermission)
	put(t, f, "a/b/c", []byte("x"))
	if e, err := f.Stat(t.Context(), parse(t, "a/b")); err != nil || !e.Folder || !e.Info().IsDir() {
		t.Errorf("stat: %+v, %v", e, err)
	}
	want(t, "removing a full folder", f.RemoveFolder(t.Context(), parse(t, "a/b")), reports.ErrNotEmpty)
	ok(t, "removing the file", f.Remove(t.Context(), parse(t, "a/b/c")))
	ok(t, "removing the folder", f.RemoveFolder(t.Context(), parse(t, "a/b")))
	if got := list(t, f, "a"); len(got) != 0 {
		t.Errorf("the listing shows %q", got)
	}
	// An upload into a folder that was removed meanwhile must not be lost silently.
	u := create(t, f, "a/late", folder.Truncate)
	write(t, u, []byte("x"), 0)
	ok(t, "removing the folder", f.RemoveFolder(t.Context(), parse(t, "a")))
	want(t, "closing", u.Close(), fs.ErrNotExist)
}

func rename(t *testing.T, g Gateway) {
	f := g.Session("one")
	move := func(from, to string, replace bool) error {
		return f.Rename(t.Context(), parse(t, from), parse(t, to), replace)
	}
	ok(t, "mkdir", f.Mkdir(t.Context(), parse(t, "dir")))
	put(t, f, "dir/a", []byte("a"))
	put(t, f, "b", []byte("b"))
	ok(t, "replacing", move("dir/a", "b", true))
	g.holds(t, f, "b", []byte("a"))
	want(t, "into itself", move("dir", "dir/x", false), fs.ErrInvalid)
	ok(t, "a folder", move("dir", "other", false))
	ok(t, "into a folder", move("b", "other/b", false))
	g.holds(t, f, "other/b", []byte("a"))
	want(t, "what is absent", move("b", "c", true), fs.ErrNotExist)
	if got := list(t, f, ""); !slices.Equal(got, []string{"other"}) {
		t.Errorf("the listing shows %q", got)
	}
}

func renameTaken(t *testing.T, g Gateway) {
	f := g.Session("one")
	ok(t, "mkdir", f.Mkdir(t.Context(), parse(t, "dir")))
	put(t, f, "a", []byte("a"))
	put(t, f, "b", []byte("b"))
	for _, taken := range []string{"b", "dir"} {
		want(t, "onto "+taken, f.Rename(t.Context(), parse(t, "a"), parse(t, taken), false), fs.ErrExist)
	}
	g.holds(t, f, "a", []byte("a"))
	g.holds(t, f, "b", []byte("b"))
}

func times(t *testing.T, g Gateway) {
	f := g.Session("one")
	ok(t, "mkdir", f.Mkdir(t.Context(), parse(t, "dir")))
	put(t, f, "a", []byte("x"))
	for _, name := range []string{"a", "dir"} {
		ok(t, "chtimes", f.Chtimes(t.Context(), parse(t, name), leapDay()))
		if e, err := f.Stat(t.Context(), parse(t, name)); err != nil || !e.ModTime.Equal(leapDay()) {
			t.Errorf("%s: %v, %v", name, e.ModTime, err)
		}
	}
	ok(t, "chtimes of the root", f.Chtimes(t.Context(), reports.Name{}, leapDay()))
}

func timesOfUpload(t *testing.T, g Gateway) {
	f := g.Session("one")
	u := create(t, f, "a", folder.Truncate)
	write(t, u, []byte("x"), 0)
	ok(t, "chtimes while it is written", f.Chtimes(t.Context(), parse(t, "a"), leapDay()))
	ok(t, "closing", u.Close())
	if e, err := f.Stat(t.Context(), parse(t, "a")); err != nil || !e.ModTime.Equal(leapDay()) {
		t.Errorf("%v, %v", e.ModTime, err)
	}
}

func leapDay() time.Time { return time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC) }

// listPages makes folders, which are quicker to make than files, in several
// sessions: a protocol may do one thing at a time in each.
func listPages(t *testing.T, g Gateway) {
	f := g.Session("one")
	total := 5000
	if testing.Short() {
		total = 500
	}
	var group sync.WaitGroup
	const makers, sessions = 48, 12
	var with [sessions]Folder
	for i := range with {
		with[i] = g.Session("one")
	}
	for maker := range makers {
		group.Go(func() {
			for i := maker; i < total; i += makers {
				if err := with[maker%sessions].Mkdir(t.Context(), parse(t, fmt.Sprintf("%05d", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	const limit = 333
	seen := 0
	for after := ""; ; {
		page, err := f.List(t.Context(), reports.Name{}, after, limit)
		ok(t, "listing", err)
		if len(page) > limit {
			t.Fatalf("a page of %d", len(page))
		}
		for _, e := range page {
			if e.Name.Base() != fmt.Sprintf("%05d", seen) {
				t.Fatalf("entry %d is %s", seen, e.Name)
			}
			seen++
			after = e.Name.Base()
		}
		if len(page) < limit {
			break
		}
	}
	if seen != total {
		t.Errorf("%d entries, want %d", seen, total)
	}
}

func openOutlivesName(t *testing.T, g Gateway) {
	f := g.Session("one")
	put(t, f, "a", []byte("old"))
	file, err := f.Open(t.Context(), parse(t, "a"))
	ok(t, "opening", err)
	put(t, f, "a", []byte("a new one"))
	ok(t, "removing", f.Remove(t.Context(), parse(t, "a")))
	buf := make([]byte, 3)
	if n, err := file.ReadAt(buf, 0); n != 3 || err != nil && err != io.EOF || string(buf) != "old" || file.Size() != 3 {
		t.Errorf("read %q, %v; size %d", buf[:n], err, file.Size())
	}
	ok(t, "closing", file.Close())
}

func sendFromOffset(t *testing.T, g Gateway) {
	f := g.Session("one")
	put(t, f, "a", []byte("0123456789"))
	for _, off := range []int64{0, 4, 10} {
		file, err := f.Open(t.Context(), parse(t, "a"))
		ok(t, "opening", err)
		var got bytes.Buffer
		n, err := file.SendTo(&got, off)
		if want := "0123456789"[off:]; err != nil || n != int64(len(want)) || got.String() != want {
			t.Errorf("from %d came %q, %d, %v", off, &got, n, err)
		}
		ok(t, "closing", file.Close())
	}
}

func isolated(t *testing.T, g Gateway) {
	one, two := g.Session("one"), g.Session("two")
	ok(t, "mkdir", one.Mkdir(t.Context(), parse(t, "dir")))
	put(t, one, "dir/secret", []byte("of one"))
	put(t, one, "secret", []byte("of one"))
	cutOff(t, create(t, one, "half", folder.Truncate), []byte("of one"), 0)
	open := create(t, one, "open", folder.Truncate)
	write(t, open, []byte("of one"), 0)

	for _, name := range []string{"secret", "dir", "dir/secret", "half", "open"} {
		_, err := two.Stat(t.Context(), parse(t, name))
		want(t, "stat of "+name, err, fs.ErrNotExist)
		_, err = two.Open(t.Context(), parse(t, name))
		want(t, "opening "+name, err, fs.ErrNotExist)
		want(t, "removing "+name, two.Remove(t.Context(), parse(t, name)), fs.ErrNotExist)
		want(t, "renaming "+name, two.Rename(t.Context(), parse(t, name), parse(t, "mine"), true), fs.ErrNotExist)
		want(t, "touching "+name, two.Chtimes(t.Context(), parse(t, name), time.Now()), fs.ErrNotExist)
	}
	want(t, "removing the folder", two.RemoveFolder(t.Context(), parse(t, "dir")), fs.ErrNotExist)
	if u := create(t, two, "half", folder.Continue); u.Size() != 0 {
		t.Errorf("two continues what one began: %d bytes", u.Size())
	} else {
		write(t, u, []byte("of two"), 0)
		ok(t, "closing", u.Close())
	}
	put(t, two, "secret", []byte("of two"))
	ok(t, "closing", open.Close())
	g.holds(t, one, "secret", []byte("of one"))
	if got := string(read(t, two, "secret")); got != "of two" {
		t.Errorf("two's file holds %q", got)
	}
	if got := list(t, two, ""); !slices.Equal(got, []string{"half", "secret"}) {
		t.Errorf("two's listing shows %q", got)
	}
}

// twoSessions writes the same name in two sessions: the one that closes last
// wins, whole.
func twoSessions(t *testing.T, g Gateway) {
	a, b := g.Session("one"), g.Session("one")
	first, second := create(t, a, "x", folder.Truncate), create(t, b, "x", folder.Truncate)
	write(t, first, []byte("aaaaaa"), 0)
	write(t, second, []byte("bb"), 0)
	ok(t, "closing", second.Close())
	g.holds(t, a, "x", []byte("bb"))
	ok(t, "closing", first.Close())
	g.holds(t, b, "x", []byte("aaaaaa"))
}

func collected(t *testing.T, g Gateway) {
	if g.Collected == nil {
		t.Skip("receipts can't be seen")
	}
	f := g.Session("one")
	put(t, f, "a", []byte("0123456789"))
	name := parse(t, "a")
	for _, piece := range [][2]int64{{0, 4}, {5, 10}} {
		file, err := f.Open(t.Context(), name)
		ok(t, "opening", err)
		_, err = file.ReadAt(make([]byte, piece[1]-piece[0]), piece[0])
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		ok(t, "closing", file.Close())
		if g.Collected("one", name) {
			t.Fatalf("byte 4 never went out, and it counts as collected after %v", piece)
		}
	}
	read(t, f, "a")
	if !g.Collected("one", name) {
		t.Error("every byte went out, and it does not count as collected")
	}
}

func notCollected(t *testing.T, g Gateway) {
	if g.Collected == nil {
		t.Skip("receipts can't be seen")
	}
	f := g.Session("one")
	put(t, f, "a", []byte("0123456789"))
	file, err := f.Open(t.Context(), parse(t, "a"))
	ok(t, "opening", err)
	if _, err := file.ReadAt(make([]byte, 10), 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	file.TransferError(io.ErrClosedPipe)
	ok(t, "closing", file.Close())
	if g.Collected("one", parse(t, "a")) {
		t.Error("the connection broke, and it counts as collected")
	}
}
