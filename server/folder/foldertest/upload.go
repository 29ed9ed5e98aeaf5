package foldertest

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

func uploadInvisible(t *testing.T, g Gateway) {
	f, beside := g.Session("one"), g.Session("one")
	u := create(t, f, "a", folder.Truncate)
	write(t, u, []byte("hello"), 0)
	for _, session := range []Folder{f, beside} {
		if got := list(t, session, ""); len(got) != 0 {
			t.Errorf("the listing shows %q", got)
		}
		_, err := session.Open(t.Context(), parse(t, "a"))
		want(t, "opening it", err, fs.ErrNotExist)
	}
	_, err := beside.Stat(t.Context(), parse(t, "a"))
	want(t, "another session's stat", err, fs.ErrNotExist)
	ok(t, "closing", u.Close())
	for _, session := range []Folder{f, beside} {
		g.holds(t, session, "a", []byte("hello"))
	}
}

func uploadInItsSession(t *testing.T, g Gateway) {
	f := g.Session("one")
	u := create(t, f, "a", folder.Truncate)
	write(t, u, []byte("hello"), 0)
	if e, err := f.Stat(t.Context(), parse(t, "a")); err != nil || e.Size != 5 {
		t.Errorf("size %d, %v", e.Size, err)
	}
	ok(t, "closing", u.Close())
}

func uploadOver(t *testing.T, g Gateway) {
	f := g.Session("one")
	put(t, f, "a", []byte("the old content"))
	u := create(t, f, "a", folder.Truncate)
	write(t, u, []byte("new"), 0)
	g.holds(t, g.Session("one"), "a", []byte("the old content"))
	ok(t, "closing", u.Close())
	g.holds(t, f, "a", []byte("new"))

	u = create(t, f, "a", folder.Truncate)
	cutOff(t, u, []byte("half of the ne"), 0)
	g.holds(t, f, "a", []byte("new"))
}

// anyOrder writes pieces out of order, twice, and over each other.
func anyOrder(t *testing.T, g Gateway) {
	f := g.Session("one")
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 12 {
		model, written := make([]byte, 0, 4096), make([]bool, 0, 4096)
		u := create(t, f, "a", folder.Truncate)
		for range 40 {
			off := random.IntN(len(model) + 1 + random.IntN(500))
			piece := make([]byte, 1+random.IntN(300))
			for i := range piece {
				piece[i] = byte(random.Uint32())
			}
			write(t, u, piece, int64(off))
			if need := off + len(piece) - len(model); need > 0 {
				model, written = append(model, make([]byte, need)...), append(written, make([]bool, need)...)
			}
			copy(model[off:], piece)
			for i := range piece {
				written[off+i] = true
			}
		}
		for off, there := range written {
			if !there {
				write(t, u, []byte{0}, int64(off))
			}
		}
		ok(t, "closing", u.Close())
		g.holds(t, f, "a", model)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// sparseUploadCostsTheGateway: one byte far out makes a file of terabytes, which
// nobody has sent and the gateway would have to read.
func sparseUploadCostsTheGateway(t *testing.T, g Gateway) {
	f := g.Session("one")
	put(t, f, "a", []byte("old"))
	u := create(t, f, "a", folder.Truncate)
	write(t, u, []byte("x"), 1<<38)
	want(t, "closing", u.Close(), reports.ErrIncomplete)
	g.holds(t, f, "a", []byte("old"))

	u = create(t, f, "b", folder.Truncate)
	_, err := u.WriteAt([]byte("x"), 1<<60)
	want(t, "writing beyond everything", err, reports.ErrTooLarge)
	write(t, u, []byte("hello"), 0)
	ok(t, "closing", u.Close())
	g.holds(t, f, "b", []byte("hello"))
}

// concurrentWrites sends the pieces of a file from several goroutines, as a
// protocol with requests in flight does, some of them overlapping with the same
// bytes.
func concurrentWrites(t *testing.T, g Gateway) {
	f := g.Session("one")
	data := make([]byte, 1<<20)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	u := create(t, f, "a", folder.Truncate)
	const piece = 10000
	var offsets []int
	for off := 0; off < len(data); off += piece {
		offsets = append(offsets, off)
	}
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := worker; i < len(offsets); i += 8 {
				end := min(offsets[i]+piece+i%3*1000, len(data))
				if _, err := u.WriteAt(data[offsets[i]:end], int64(offsets[i])); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	ok(t, "closing", u.Close())
	g.holds(t, f, "a", data)
}

func emptyUpload(t *testing.T, g Gateway) {
	f := g.Session("one")
	ok(t, "closing", create(t, f, "a", folder.Truncate).Close())
	g.holds(t, f, "a", nil)
}

func continueFile(t *testing.T, g Gateway) {
	f := g.Session("one")
	put(t, f, "a", []byte("hello"))
	u := create(t, f, "a", folder.Continue)
	if u.Size() != 5 {
		t.Errorf("it begins with %d bytes", u.Size())
	}
	write(t, u, []byte(", world"), 5)
	g.holds(t, g.Session("one"), "a", []byte("hello"))
	ok(t, "closing", u.Close())
	g.holds(t, f, "a", []byte("hello, world"))
}

func continueWithin(t *testing.T, g Gateway) {
	f := g.Session("one")
	put(t, f, "a", []byte("hello, world"))
	u := create(t, f, "a", folder.Continue)
	write(t, u, []byte("J"), 0)
	ok(t, "closing", u.Close())
	g.holds(t, f, "a", []byte("Jello, world"))
}

// cutBack goes on from within what is there, as a client does that does not trust
// the last bytes which it sent.
func cutBack(t *testing.T, g Gateway) {
	f := g.Session("one")
	put(t, f, "a", []byte("hello, world"))
	u := create(t, f, "a", folder.Continue)
	want(t, "making it longer", u.Truncate(13), fs.ErrInvalid)
	ok(t, "truncating", u.Truncate(5))
	if u.Size() != 5 {
		t.Errorf("%d bytes are left", u.Size())
	}
	write(t, u, []byte("!"), 5)
	ok(t, "closing", u.Close())
	g.holds(t, f, "a", []byte("hello!"))
}

// streams sends a file in two streams, the first longer than what a protocol moves
// at a time, behind bytes that were there.
func streams(t *testing.T, g Gateway) {
	f := g.Session("one")
	put(t, f, "a", []byte("begin "))
	u := create(t, f, "a", folder.Continue)
	middle := bytes.Repeat([]byte("0123456789"), 100_000)
	for _, piece := range [][]byte{middle, []byte(" end")} {
		if n, err := u.ReadFrom(bytes.NewReader(piece)); err != nil || n != int64(len(piece)) {
			t.Fatalf("reading %d bytes: %d, %v", len(piece), n, err)
		}
	}
	ok(t, "closing", u.Close())
	g.holds(t, f, "a", slices.Concat([]byte("begin "), middle, []byte(" end")))
}

func continuePartial(t *testing.T, g Gateway) {
	cutOff(t, create(t, g.Session("one"), "a", folder.Truncate), []byte("hello"), 0)
	f := g.Session("one") // the client comes back
	if e, err := f.Stat(t.Context(), parse(t, "a")); err != nil || e.Size != 5 || e.Folder {
		t.Fatalf("stat: %+v, %v", e, err)
	}
	u := create(t, f, "a", folder.Continue)
	write(t, u, []byte(", world"), 5)
	ok(t, "closing", u.Close())
	g.holds(t, f, "a", []byte("hello, world"))

	// Who starts anew gets nothing of what was cut off.
	cutOff(t, create(t, f, "b", folder.Truncate), []byte("something long"), 0)
	put(t, f, "b", []byte("short"))
	g.holds(t, f, "b", []byte("short"))
}

func readBack(t *testing.T, g Gateway) {
	cutOff(t, create(t, g.Session("one"), "a", folder.Truncate), []byte("hello"), 0)
	u := create(t, g.Session("one"), "a", folder.Continue)
	buf := make([]byte, 5)
	if _, err := u.ReadAt(buf, 0); err != nil && err != io.EOF || string(buf) != "hello" {
		t.Errorf("it begins with %q, %v", buf, err)
	}
	ok(t, "closing", u.Close())
}

func continueNothing(t *testing.T, g Gateway) {
	f := g.Session("one")
	u := create(t, f, "a", folder.Continue)
	if u.Size() != 0 {
		t.Errorf("it begins with %d bytes", u.Size())
	}
	write(t, u, []byte("hello"), 0)
	ok(t, "closing", u.Close())
	g.holds(t, f, "a", []byte("hello"))
}

func cutOffAgain(t *testing.T, g Gateway) {
	data := bytes.Repeat([]byte("0123456789"), 10)
	for off := 0; off < 90; off += 10 {
		cutOff(t, create(t, g.Session("one"), "a", folder.Continue), data[off:off+10], int64(off))
	}
	f := g.Session("one")
	if got := list(t, f, ""); len(got) != 0 {
		t.Errorf("the listing shows %q", got)
	}
	u := create(t, f, "a", folder.Continue)
	write(t, u, data[90:], u.Size())
	ok(t, "closing", u.Close())
	g.holds(t, f, "a", data)
}

// resumedOverwriteMixesOldAndNew: a client that resumes measures what it sees,
// and behind a file that is there it would see the old one's size.
func resumedOverwriteMixesOldAndNew(t *testing.T, g Gateway) {
	f := g.Session("one")
	put(t, f, "a", []byte("old content"))
	cutOff(t, create(t, f, "a", folder.Truncate), []byte("new"), 0)
	g.holds(t, f, "a", []byte("old content"))
	_, err := f.Create(t.Context(), parse(t, "a"), folder.Continue)
	want(t, "resuming", err, reports.ErrNotResumable)
	put(t, f, "a", []byte("new content"))
	g.holds(t, f, "a", []byte("new content"))
	u := create(t, f, "a", folder.Continue)
	ok(t, "closing", u.Close())
	g.holds(t, f, "a", []byte("new content"))
}

func exclusive(t *testing.T, g Gateway) {
	f := g.Session("one")
	u, beside := create(t, f, "a", folder.Exclusive), create(t, g.Session("one"), "a", folder.Exclusive)
	write(t, u, []byte("first"), 0)
	write(t, beside, []byte("second"), 0)
	ok(t, "closing", u.Close())
	want(t, "closing the second", beside.Close(), fs.ErrExist)
	_, err := f.Create(t.Context(), parse(t, "a"), folder.Exclusive)
	want(t, "once it is there", err, fs.ErrExist)
	g.holds(t, f, "a", []byte("first"))

	cutOff(t, create(t, f, "b", folder.Exclusive), []byte("half"), 0)
	put(t, f, "b", []byte("whole"))
	g.holds(t, f, "b", []byte("whole"))
}

func busy(t *testing.T, g Gateway) {
	f := g.Session("one")
	u := create(t, f, "a", folder.Truncate)
	for _, mode := range g.modes() {
		_, err := f.Create(t.Context(), parse(t, "a"), mode)
		want(t, "creating it again", err, reports.ErrBusy)
	}
	write(t, u, []byte("x"), 0)
	ok(t, "closing", u.Close())
	put(t, f, "a", []byte("y"))
	cutOff(t, create(t, f, "a", folder.Truncate), []byte("z"), 0)
	put(t, f, "a", []byte("again"))
	g.holds(t, f, "a", []byte("again"))
}

// closeTwice: a second Close must not take the published file for one that could
// not be published.
func closeTwice(t *testing.T, g Gateway) {
	f := g.Session("one")
	u := create(t, f, "a", folder.Truncate)
	write(t, u, []byte("hello"), 0)
	ok(t, "closing", u.Close())
	if err := u.Close(); err == nil {
		t.Error("closing again: no error")
	}
	g.holds(t, f, "a", []byte("hello"))
	if got := list(t, f, ""); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the listing shows %q", got)
	}
	file, err := f.Open(t.Context(), parse(t, "a"))
	ok(t, "opening", err)
	ok(t, "closing", file.Close())
	if err := file.Close(); err == nil {
		t.Error("closing a download again: no error")
	}
}

func transferError(t *testing.T, g Gateway) {
	f := g.Session("one")
	u := create(t, f, "a", folder.Truncate)
	u.TransferError(io.ErrUnexpectedEOF)
	if err := u.Close(); err == nil {
		t.Error("nothing arrived, and it closed well")
	}
	_, err := f.Stat(t.Context(), parse(t, "a"))
	want(t, "stat of an upload of which nothing arrived", err, fs.ErrNotExist)

	cutOff(t, create(t, f, "a", folder.Truncate), []byte("hello"), 0)
	_, err = f.Open(t.Context(), parse(t, "a"))
	want(t, "opening", err, fs.ErrNotExist)
	if e, err := f.Stat(t.Context(), parse(t, "a")); err != nil || e.Size != 5 {
		t.Errorf("stat: %+v, %v", e, err)
	}
	put(t, f, "a", []byte("a whole one"))
	if e, err := f.Stat(t.Context(), parse(t, "a")); err != nil || e.Size != 11 {
		t.Errorf("stat, once a whole file has the name: %+v, %v", e, err)
	}
}

func removeDropsPartial(t *testing.T, g Gateway) {
	f := g.Session("one")
	name := parse(t, "a")
	cutOff(t, create(t, f, "a", folder.Truncate), []byte("hello"), 0)
	ok(t, "removing", f.Remove(t.Context(), name))
	_, err := f.Stat(t.Context(), name)
	want(t, "stat", err, fs.ErrNotExist)
	want(t, "removing again", f.Remove(t.Context(), name), fs.ErrNotExist)

	put(t, f, "a", []byte("whole"))
	cutOff(t, create(t, f, "a", folder.Truncate), []byte("half"), 0)
	ok(t, "removing", f.Remove(t.Context(), name))
	_, err = f.Stat(t.Context(), name)
	want(t, "stat of a file that was removed, and cut off before", err, fs.ErrNotExist)
}
