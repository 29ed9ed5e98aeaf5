package drop_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
	"github.com/sealdrop/sealdrop/server/drop"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/sftpd"
)

var _ sftpd.Folder = (*drop.Folder)(nil)

// shelf takes reports, and keeps them in memory.
type shelf struct {
	mu      sync.Mutex
	reports map[string]string // by client/name
	times   map[string]time.Time
	begun   int
	ended   int
	fail    error // before the first byte
}

func (s *shelf) Publish(_ context.Context, d publish.Delivery, r io.Reader) (publish.Outcome, error) {
	s.mu.Lock()
	s.begun++
	fail := s.fail
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended++
	}()
	if fail != nil {
		return publish.Outcome{}, fail
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return publish.Outcome{}, err
	}
	l, err := d.Final()
	if err != nil {
		return publish.Outcome{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports[d.Client.String()+"/"+l.Name.String()] = string(content)
	s.times[l.Name.String()] = l.Modified
	return publish.Outcome{}, nil
}

func (s *shelf) has(t *testing.T, want map[string]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, content := range want {
		if got, ok := s.reports[name]; !ok || got != content {
			t.Errorf("%s: there: %v, with %d bytes, want %d", name, ok, len(got), len(content))
		}
	}
	if len(s.reports) != len(want) {
		t.Errorf("%d reports, want %d", len(s.reports), len(want))
	}
}

type bench struct {
	*drop.Folder
	shelf *shelf
	mu    sync.Mutex
	may   map[string]bool
}

func (b *bench) forbid(client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.may, client)
}

// newBench is a session that may deliver to acme and globex.
func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		shelf: &shelf{reports: map[string]string{}, times: map[string]time.Time{}},
		may:   map[string]bool{"acme": true, "globex": true},
	}
	b.Folder = drop.New(drop.Config{
		Publisher: b.shelf, Actor: "producer:batch",
		Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
		Clients: func(_ context.Context, after string, limit int) (list []reports.ClientID, err error) {
			for _, s := range []string{"acme", "globex"} {
				id, err := reports.ParseClientID(s)
				if err != nil {
					return nil, err
				}
				if s > after && len(list) < limit {
					list = append(list, id)
				}
			}
			return list, nil
		},
		Approve: func(_ context.Context, client reports.ClientID) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if !b.may[client.String()] {
				return fs.ErrNotExist
			}
			return nil
		},
		Usage: func(context.Context) (folder.Usage, error) { return folder.Usage{}, nil },
	})
	t.Cleanup(func() {
		b.Close()
		b.shelf.mu.Lock()
		defer b.shelf.mu.Unlock()
		if b.shelf.begun != b.shelf.ended {
			t.Errorf("%d reports were begun and %d ended", b.shelf.begun, b.shelf.ended)
		}
	})
	return b
}

func name(t *testing.T, s string) reports.Name {
	t.Helper()
	n, err := reports.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *bench) create(t *testing.T, path string) folder.Upload {
	t.Helper()
	u, err := b.Create(t.Context(), name(t, path), folder.Truncate)
	if err != nil {
		t.Fatalf("creating %s: %v", path, err)
	}
	return u
}

func (b *bench) put(t *testing.T, path, content string) {
	t.Helper()
	u := b.create(t, path)
	if _, err := u.WriteAt([]byte(content), 0); err != nil {
		t.Fatalf("writing %s: %v", path, err)
	}
	if err := u.Close(); err != nil {
		t.Fatalf("closing %s: %v", path, err)
	}
}

func TestStaged(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]bool{
		"a.csv": false, "a.part.csv": false, "part": false, "a.csv.part": true, "a.csv.PART": true, "a.filepart": true,
		"a.tmp": true, "a.1a2b.partial": true, ".a.csv": true, "a.csv.gz": false,
	} {
		if got := drop.Staged(base); got != want {
			t.Errorf("%s: %v", base, got)
		}
	}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put(t, "acme/a.csv", "one")
	b.put(t, "globex/b.csv.part", "two")
	b.put(t, "globex/forgotten.tmp", "three")
	b.shelf.has(t, map[string]string{"acme/a.csv": "one"})
	list, err := b.List(t.Context(), name(t, "globex"), "", 10)
	if err != nil || len(list) != 2 || list[0].Name.String() != "globex/b.csv.part" || list[0].Size != 3 {
		t.Errorf("globex lists %v, %v", list, err)
	}
	if list, err := b.List(t.Context(), name(t, "acme"), "", 10); err != nil || len(list) != 0 {
		t.Errorf("acme lists %v, %v", list, err)
	}
	when := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := b.Chtimes(t.Context(), name(t, "globex/b.csv.part"), when); err != nil {
		t.Error(err)
	}
	for _, to := range []string{"globex/b.tmp", "globex/b.csv"} { // by another name that is not final
		from := map[string]string{"globex/b.tmp": "globex/b.csv.part", "globex/b.csv": "globex/b.tmp"}[to]
		if err := b.Rename(t.Context(), name(t, from), name(t, to), false); err != nil {
			t.Errorf("renaming to %s: %v", to, err)
		}
	}
	b.shelf.has(t, map[string]string{"acme/a.csv": "one", "globex/b.csv": "two"})
	if got := b.shelf.times["b.csv"]; !got.Equal(when) {
		t.Errorf("the time is %v, want %v", got, when)
	}
	if e, err := b.Stat(t.Context(), name(t, "globex/b.csv")); err != nil || e.Size != 3 {
		t.Errorf("what was delivered: %v, %v", e, err)
	}
	b.Close()
	b.shelf.has(t, map[string]string{"acme/a.csv": "one", "globex/b.csv": "two"})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put(t, "acme/done.csv", "one")
	b.put(t, "acme/wait.part", "two")
	open := b.create(t, "acme/open.csv")
	create := func(path string, mode folder.CreateMode) error {
		_, err := b.Create(t.Context(), name(t, path), mode)
		return err
	}
	rename := func(from, to string) error { return b.Rename(t.Context(), name(t, from), name(t, to), true) }
	read := func(path string) error { _, err := b.Open(t.Context(), name(t, path)); return err }
	list := func(path string) error { _, err := b.List(t.Context(), name(t, path), "", 1); return err }
	for what, test := range map[string]struct{ got, want error }{
		"another client":           {create("initech/a.csv", folder.Truncate), fs.ErrNotExist},
		"listing another":          {list("initech"), fs.ErrNotExist},
		"another spelling":         {create("ACME/a.csv", folder.Truncate), fs.ErrNotExist},
		"the root":                 {create("a.csv", folder.Truncate), fs.ErrNotExist},
		"a client's folder":        {create("acme", folder.Truncate), reports.ErrIsFolder},
		"a folder below":           {create("acme/a/b.csv", folder.Truncate), fs.ErrNotExist},
		"one that is open":         {create("acme/open.csv", folder.Truncate), reports.ErrBusy},
		"resuming":                 {create("acme/wait.part", folder.Continue), reports.ErrNotResumable},
		"appending to a report":    {create("acme/done.csv", folder.Continue), reports.ErrNotResumable},
		"exclusively":              {create("acme/wait.part", folder.Exclusive), fs.ErrExist},
		"reading a report":         {read("acme/done.csv"), fs.ErrPermission},
		"reading what waits":       {read("acme/wait.part"), fs.ErrPermission},
		"reading a client's":       {read("acme/old.csv"), fs.ErrNotExist},
		"removing a report":        {b.Remove(t.Context(), name(t, "acme/done.csv")), fs.ErrPermission},
		"removing a client":        {b.Remove(t.Context(), name(t, "acme")), fs.ErrPermission},
		"removing one open":        {b.Remove(t.Context(), name(t, "acme/open.csv")), reports.ErrBusy},
		"renaming a report":        {rename("acme/done.csv", "acme/b.csv"), fs.ErrPermission},
		"renaming one open":        {rename("acme/open.csv", "acme/b.csv"), reports.ErrBusy},
		"renaming onto one open":   {rename("acme/wait.part", "acme/open.csv"), reports.ErrBusy},
		"renaming to another":      {rename("acme/wait.part", "globex/wait.csv"), fs.ErrPermission},
		"renaming what is not":     {rename("acme/none.part", "acme/b.csv"), fs.ErrNotExist},
		"a folder":                 {b.Mkdir(t.Context(), name(t, "acme/new")), fs.ErrPermission},
		"a folder that there is":   {b.Mkdir(t.Context(), name(t, "acme")), fs.ErrExist},
		"a time of nothing":        {b.Chtimes(t.Context(), name(t, "acme/none"), time.Now()), fs.ErrNotExist},
		"listing what was written": {list("acme/wait.part"), reports.ErrNotFolder},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v, want %v", what, test.got, test.want)
		}
	}
	if _, err := open.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("reading what is written: %v", err)
	}
	b.shelf.has(t, map[string]string{"acme/done.csv": "one"})
}

// TestReordered: programs send several requests at once, which arrive in any order.
func TestReordered(t *testing.T) {
	t.Parallel()
	const piece, pieces = 32 << 10, 300
	content := make([]byte, piece*pieces-7)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	b := newBench(t)
	u := b.create(t, "acme/a.bin")
	for first := 0; first < pieces; first += 60 { // 60 × 32 KiB are at once on their way
		offs := random.Perm(min(60, pieces-first))
		var all sync.WaitGroup
		for _, i := range offs {
			all.Go(func() {
				off := (first + i) * piece
				if _, err := u.WriteAt(content[off:min(off+piece, len(content))], int64(off)); err != nil {
					t.Errorf("writing at %d: %v", off, err)
				}
			})
		}
		all.Wait()
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	b.shelf.has(t, map[string]string{"acme/a.bin": string(content)})
}

func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	type write struct {
		off, n int64
	}
	for what, test := range map[string]struct {
		writes []write
		want   error
	}{
		"beyond the window":     {[]write{{0, 10}, {10 + drop.Window, 1}}, reports.ErrOrder},
		"just within":           {[]write{{1, drop.Window - 1}, {0, 1}}, nil},
		"a byte again":          {[]write{{0, 10}, {9, 10}}, reports.ErrOrder},
		"early bytes again":     {[]write{{10, 10}, {10, 10}, {0, 10}}, reports.ErrOrder},
		"early bytes overlap":   {[]write{{10, 10}, {15, 10}, {0, 10}}, reports.ErrOrder},
		"early bytes overtaken": {[]write{{10, 10}, {0, 15}}, reports.ErrOrder},
		"a gap":                 {[]write{{0, 10}, {11, 10}}, reports.ErrIncomplete},
		"an offset made up":     {[]write{{1 << 60, 1}}, reports.ErrTooLarge},
		"below zero":            {[]write{{-1, 1}}, reports.ErrTooLarge},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			u := b.create(t, "acme/a.bin")
			var first error
			for _, w := range test.writes {
				if _, err := u.WriteAt(bytes.Repeat([]byte{'x'}, int(w.n)), w.off); first == nil {
					first = err
				}
			}
			closing := u.Close()
			if first == nil {
				first = closing
			}
			if !errors.Is(first, test.want) || (closing == nil) != (test.want == nil) {
				t.Errorf("%v, and closing: %v; want %v", first, closing, test.want)
			}
			if got := len(b.shelf.reports); (got > 0) != (test.want == nil) {
				t.Errorf("%d reports", got)
			}
			if _, err := b.Stat(t.Context(), name(t, "acme/a.bin")); (err == nil) != (test.want == nil) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestMemoryIsBounded: the window of all files of a session together is smaller
// than the sum of theirs.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	early := make([]byte, drop.Window-1)
	refused := 0
	var uploads []folder.Upload
	for i := range 6 {
		u := b.create(t, "acme/"+string(rune('a'+i)))
		uploads = append(uploads, u)
		if _, err := u.WriteAt(early, 1); errors.Is(err, reports.ErrOrder) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused != 2 {
		t.Errorf("%d of 6 were refused, want 2", refused)
	}
	for _, u := range uploads {
		if err := u.Close(); err == nil {
			t.Error("a file with a gap was taken")
		}
	}
	b.put(t, "acme/z", "fine") // what was held is given back
}

func TestManyUnfinished(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := 0; ; i++ {
		u, err := b.Create(t.Context(), name(t, "acme/"+string(rune('ア'+i))+".part"), folder.Truncate)
		if errors.Is(err, reports.ErrTooMany) && i == 64 {
			return
		}
		if err != nil {
			t.Fatalf("the file %d: %v", i, err)
		}
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBrokenOff(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u := b.create(t, "acme/a.csv")
	if _, err := u.WriteAt([]byte("half of"), 0); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("connection lost")
	u.TransferError(gone)
	if err := u.Close(); !errors.Is(err, gone) {
		t.Errorf("closing: %v", err)
	}
	b.shelf.has(t, nil)
	b.put(t, "acme/a.csv", "all of it")
	b.shelf.has(t, map[string]string{"acme/a.csv": "all of it"})
}

// TestRightTakenAway: what was begun when the producer still might is not published.
func TestRightTakenAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put(t, "acme/a.part", "one")
	u := b.create(t, "acme/b.csv")
	b.forbid("acme")
	if err := u.Close(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("closing: %v", err)
	}
	if err := b.Rename(t.Context(), name(t, "acme/a.part"), name(t, "acme/a.csv"), false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("renaming: %v", err)
	}
	b.shelf.has(t, nil)
}

func TestRefusedByThePublisher(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shelf.fail = reports.ErrNoSpace
	u := b.create(t, "acme/a.csv")
	if _, err := u.WriteAt([]byte("x"), 0); !errors.Is(err, reports.ErrNoSpace) {
		t.Errorf("writing: %v", err)
	}
	if err := u.Close(); !errors.Is(err, reports.ErrNoSpace) {
		t.Errorf("closing: %v", err)
	}
	u = b.create(t, "acme/empty.part")
	if err := errors.Join(u.Close(), b.Rename(t.Context(), name(t, "acme/empty.part"), name(t, "acme/empty"), false)); !errors.Is(err, reports.ErrNoSpace) {
		t.Errorf("an empty one: %v", err)
	}
}
