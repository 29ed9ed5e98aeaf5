package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/blob/blobtest"
)

// stream commits a blob and leaves it unsettled.
func stream(t *testing.T, d *blob.Dir, content []byte) *blob.Stream {
	t.Helper()
	w := d.Stream()
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return w
}

// member commits and settles one, and returns its id.
func member(t *testing.T, d *blob.Dir, content []byte) string {
	t.Helper()
	w := stream(t, d, content)
	w.Settle()
	return w.ID()
}

func wantBlob(t *testing.T, d *blob.Dir, id string, want []byte) {
	t.Helper()
	r, err := d.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(io.NewSectionReader(r, 0, int64(len(want))+1)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("blob %s has %d bytes that are not the %d written, %v", id, len(got), len(want), err)
	}
}

// shows is a catalog that shows some blobs.
func shows(ids ...string) blob.Live {
	return func(_ context.Context, pack string) ([]string, bool, error) {
		var live []string
		for _, id := range ids {
			if blobid.File(id) == pack {
				live = append(live, id)
			}
		}
		slices.Sort(live)
		return live, true, nil
	}
}

// taken returns how many bytes of a file are no hole, -1 if it is not there.
func taken(t *testing.T, root, file string) int64 {
	t.Helper()
	f, err := os.Open(filepath.Join(root, file[:2], file))
	if errors.Is(err, fs.ErrNotExist) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return blobtest.Data(t, f)
}

func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) ^ seed ^ byte(i>>8)
	}
	return b
}

func collect(t *testing.T, d *blob.Dir, file string, live blob.Live) (done bool) {
	t.Helper()
	files, err := d.Collect(t.Context(), []string{file}, live)
	if err != nil {
		t.Fatal(err)
	}
	return len(files) == 1
}

// TestStreams: blobs of all sizes come back whole, small ones of one time from one file,
// large ones and empty ones from their own.
func TestStreams(t *testing.T) {
	t.Parallel()
	d, _ := openDir(t)
	sizes := []int{1, 4095, 4096, 4097, 20 << 10, 128 << 10, 128<<10 + 1, 1 << 20, 0, 7}
	packs := map[string]bool{}
	var ids []string
	for i, n := range sizes {
		id := member(t, d, noise(n, byte(i)))
		parts, ok := blobid.Parse(id)
		if small := n > 0 && n <= 128<<10; !ok || parts.Packed != small || small && parts.Size != int64(n) {
			t.Errorf("%d bytes are blob %s", n, id)
		}
		if parts.Packed {
			packs[parts.File] = true
		}
		ids = append(ids, id)
	}
	if len(packs) != 1 {
		t.Errorf("they are in %d packs", len(packs))
	}
	for i, id := range ids {
		wantBlob(t, d, id, noise(sizes[i], byte(i)))
	}
}

func TestStreamReadsLikeAFile(t *testing.T) {
	t.Parallel()
	d, _ := openDir(t)
	member(t, d, noise(5000, 1))
	want := noise(9000, 2)
	id := member(t, d, want)
	member(t, d, noise(5000, 3))
	r, err := d.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 100)
	if n, err := r.ReadAt(buf, 8950); n != 50 || err != io.EOF || !bytes.Equal(buf[:n], want[8950:]) {
		t.Errorf("over the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(buf, 9000); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(buf, -1); n != 0 || err == nil {
		t.Errorf("before the beginning: %d, %v", n, err)
	}
	for _, off := range []int64{0, 1, 8999, 9000, 10000} {
		rest, err := r.From(off)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(rest); err != nil || !bytes.Equal(got, want[min(off, 9000):]) {
			t.Errorf("from %d: %d bytes, %v", off, len(got), err)
		}
	}
}

func TestStreamsEnd(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	for _, n := range []int{10, 1 << 20} {
		w := d.Stream()
		if _, err := w.Write(noise(n, 1)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
		}
		if err := w.Commit(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("commit after abort: %v", err)
		}
		if _, err := w.Write([]byte("more")); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("write after abort: %v", err)
		}
		w = stream(t, d, noise(n, 2))
		id := w.ID()
		if err := errors.Join(w.Commit(), w.Abort()); err != nil || w.ID() != id {
			t.Errorf("once more: %v", err)
		}
		w.Settle()
		w.Settle()
		wantBlob(t, d, id, noise(n, 2))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	wantNoOpenFiles(t, filepath.Dir(root))
}

func TestManyStreamsAtOnce(t *testing.T) {
	t.Parallel()
	d, _ := openDir(t)
	var mu sync.Mutex
	ids := map[string]int{}
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for j := range 100 {
				seed := i*100 + j
				w := d.Stream()
				for _, part := range [][]byte{noise(100+seed, byte(seed)), fmt.Appendf(nil, "%d", seed)} {
					if _, err := w.Write(part); err != nil {
						t.Error(err)
					}
				}
				if err := w.Commit(); err != nil {
					t.Error(err)
				}
				w.Settle()
				mu.Lock()
				ids[w.ID()] = seed
				mu.Unlock()
			}
		})
	}
	group.Wait()
	packs := map[string]int{}
	for id, seed := range ids {
		packs[blobid.File(id)]++
		wantBlob(t, d, id, fmt.Appendf(noise(100+seed, byte(seed)), "%d", seed))
	}
	if len(ids) != 1600 || len(packs) != 2 {
		t.Errorf("%d blobs in %d packs", len(ids), len(packs))
	}
}

// TestCollect: what no row shows is given back, what one shows stays as it is, and a pack of
// which nothing is shown is removed.
func TestCollect(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	var ids []string
	for i := range 10 {
		ids = append(ids, member(t, d, noise(10_000, byte(i))))
	}
	pack := blobid.File(ids[0])
	full := taken(t, root, pack)
	kept := []string{ids[0], ids[4], ids[5]}
	if !collect(t, d, pack, shows(kept...)) {
		t.Error("it was not done")
	}
	if full != 30*4096 || taken(t, root, pack) != 9*4096 {
		t.Errorf("of %d bytes, %d are left", full, taken(t, root, pack))
	}
	for i, id := range ids {
		if slices.Contains(kept, id) {
			wantBlob(t, d, id, noise(10_000, byte(i)))
		}
	}
	later := member(t, d, noise(77, 77)) // goes on where it was
	if blobid.File(later) != pack {
		t.Error("the pack was given up")
	}
	if err := d.Delete(ids[4]); err != nil { // that was never shown
		t.Error(err)
	}
	if got := taken(t, root, pack); got != 7*4096 {
		t.Errorf("%d bytes are left", got)
	}
	if !collect(t, d, pack, shows(ids[0], later)) {
		t.Error("it was not done")
	}
	wantBlob(t, d, later, noise(77, 77))
	if !collect(t, d, pack, nobody) || taken(t, root, pack) != -1 {
		t.Error("the pack is still there")
	}
	if _, err := d.Open(ids[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening what is gone: %v", err)
	}
	if !collect(t, d, pack, nobody) {
		t.Error("a pack that is gone is not done with")
	}
	after := member(t, d, noise(99, 99)) // the pack that was being filled is no more
	if blobid.File(after) == pack {
		t.Error("it went into a pack that was removed")
	}
	wantBlob(t, d, after, noise(99, 99))
}

// TestCollectLeavesWhatIsUsed: neither what is being read, nor what may be about to get its
// row is collected; also by another process.
func TestCollectLeavesWhatIsUsed(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	other, err := blob.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w := stream(t, d, noise(5000, 1))
	pack := blobid.File(w.ID())
	never := func(context.Context, string) ([]string, bool, error) {
		t.Error("the catalog was asked")
		return nil, true, nil
	}
	if collect(t, d, pack, never) || collect(t, other, pack, never) {
		t.Error("what may be about to get its row was collected")
	}
	w.Settle()
	r, err := other.Open(w.ID())
	if err != nil {
		t.Fatal(err)
	}
	if collect(t, d, pack, never) {
		t.Error("what is being read was collected")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !collect(t, other, pack, nobody) || taken(t, root, pack) != -1 {
		t.Error("it was not collected at last")
	}
}

// TestNobodyKnowsWhetherThereIsARow: what is never settled is kept as long as the store is open.
func TestNobodyKnowsWhetherThereIsARow(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	lost := stream(t, d, noise(5000, 1))
	id := member(t, d, noise(5000, 2))
	if collect(t, d, blobid.File(id), shows(id)) {
		t.Error("it was collected")
	}
	wantBlob(t, d, lost.ID(), noise(5000, 1))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := blob.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_ = lost // which the runtime might close the file of
	wantBlob(t, d, id, noise(5000, 2))
}

// TestABackupKeepsWholePacks: what has a further name stays as it is there, and what no row shows is
// gone from the store nevertheless.
func TestABackupKeepsWholePacks(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	a, b := member(t, d, noise(5000, 1)), member(t, d, noise(5000, 2))
	pack, target := blobid.File(a), filepath.Join(filepath.Dir(root), "further")
	if err := d.Link(pack, target); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(a); err != nil { // which leaves a link alone
		t.Error(err)
	}
	wantBlob(t, d, a, noise(5000, 1))
	if !collect(t, d, pack, shows(b)) || taken(t, root, pack) != 8192 {
		t.Errorf("it is not done with: %d bytes", taken(t, root, pack))
	}
	wantBlob(t, d, b, noise(5000, 2))
	c := member(t, d, noise(77, 3))
	if blobid.File(c) == pack {
		t.Error("what the backup has is filled further")
	}
	if !collect(t, d, pack, nobody) {
		t.Error("it is not done with")
	}
	if data, err := os.ReadFile(target); err != nil || !bytes.Equal(data[:5000], noise(5000, 1)) || !bytes.Equal(data[8192:], noise(5000, 2)) {
		t.Errorf("the further name has %d bytes, %v", len(data), err)
	}
}

func TestCollectFailsClosed(t *testing.T) {
	t.Parallel()
	d, _ := openDir(t)
	a, b := member(t, d, noise(5000, 1)), member(t, d, noise(5000, 2))
	broken := errors.New("no catalog")
	for what, live := range map[string]blob.Live{
		"no answer":    func(context.Context, string) ([]string, bool, error) { return nil, true, broken },
		"no id":        func(context.Context, string) ([]string, bool, error) { return []string{"x"}, true, nil },
		"out of order": func(context.Context, string) ([]string, bool, error) { return []string{b, a}, true, nil },
	} {
		if done, err := d.Collect(t.Context(), []string{blobid.File(a)}, live); len(done) != 0 || err == nil {
			t.Errorf("%s: %q, %v", what, done, err)
		}
	}
	wantBlob(t, d, b, noise(5000, 2))
}

// TestCollectBesideStreams: nothing that has its row is ever lost while a pack is filled,
// read and collected at the same time.
func TestCollectBesideStreams(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	sweeper, err := blob.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer sweeper.Close()
	var mu sync.Mutex
	rows := map[string]byte{}
	live := func(_ context.Context, pack string) ([]string, bool, error) {
		mu.Lock()
		defer mu.Unlock()
		var ids []string
		for id := range rows {
			if blobid.File(id) == pack {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return ids, true, nil
	}
	var fillers sync.WaitGroup
	for i := range 4 {
		fillers.Go(func() {
			var mine []string
			for j := range 100 {
				seed := byte(i*100 + j)
				w := d.Stream()
				_, err := w.Write(noise(3000, seed))
				if err := errors.Join(err, w.Commit()); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				rows[w.ID()] = seed
				mu.Unlock()
				w.Settle()
				if mine = append(mine, w.ID()); j%3 == 2 {
					mu.Lock()
					delete(rows, mine[len(mine)-2])
					mu.Unlock()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { fillers.Wait(); close(done) }()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		err := sweeper.Files(t.Context(), func(files []string) error {
			_, err := sweeper.Collect(t.Context(), files, live)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for id, seed := range rows {
		wantBlob(t, d, id, noise(3000, seed))
	}
	if len(rows) != 400-4*33 {
		t.Errorf("%d rows", len(rows))
	}
}

// TestAPackThatLivesOnInABackupOnly: a pack that was removed from the store while it was being
// filled is filled no more, also where a backup has it by another name.
func TestAPackThatLivesOnInABackupOnly(t *testing.T) {
	t.Parallel()
	for what, remove := range map[string]func(t *testing.T, d *blob.Dir, path string){
		"collected": func(t *testing.T, d *blob.Dir, path string) {
			if !collect(t, d, filepath.Base(path), nobody) {
				t.Error("it was not collected")
			}
		},
		"removed from outside": func(t *testing.T, _ *blob.Dir, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d, root := openDir(t)
			pack := blobid.File(member(t, d, noise(5000, 1)))
			if err := d.Link(pack, filepath.Join(filepath.Dir(root), "backup")); err != nil {
				t.Fatal(err)
			}
			remove(t, d, filepath.Join(root, pack[:2], pack))
			id := member(t, d, noise(5000, 2))
			if blobid.File(id) == pack {
				t.Error("it went into a pack that is not in the store any more")
			}
			wantBlob(t, d, id, noise(5000, 2))
		})
	}
}

// TestAnUnknownOutcomeOutlivesItsStream: a blob that nobody will ever settle keeps its pack, also when
// others are being filled by now and nothing refers to it any more: the runtime closes files.
func TestAnUnknownOutcomeOutlivesItsStream(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	pack := blobid.File(stream(t, d, noise(100, 1)).ID())
	for i := 0; blobid.File(member(t, d, noise(100, byte(i)))) == pack; i++ {
	}
	other, err := blob.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for range 5 {
		runtime.GC()
		time.Sleep(time.Millisecond) // what is no more referred to is closed by a goroutine of its own
		if collect(t, other, pack, nobody) {
			t.Fatal("it was collected")
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if !collect(t, other, pack, nobody) {
		t.Error("it is kept although nobody has the store open")
	}
}

// TestCollectLeavesWhatIsNotDue: of a pack something was let go just now.
func TestCollectLeavesWhatIsNotDue(t *testing.T) {
	t.Parallel()
	d, _ := openDir(t)
	id := member(t, d, noise(5000, 1))
	if collect(t, d, blobid.File(id), func(context.Context, string) ([]string, bool, error) { return nil, false, nil }) {
		t.Error("it was collected")
	}
	wantBlob(t, d, id, noise(5000, 1))
}

// TestALinkThatIsNamedLikeAPack: what it leads to has members of its own, and gets no holes for
// those that the link's name has not.
func TestALinkThatIsNamedLikeAPack(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	id := member(t, d, noise(5000, 1))
	pack, planted := blobid.File(id), blobid.NewPack()
	planted = pack[:2] + planted[2:]
	if err := os.Symlink(pack, filepath.Join(root, pack[:2], planted)); err != nil {
		t.Fatal(err)
	}
	for _, live := range []blob.Live{nobody, shows(blobid.Member(planted, 8192, 10))} {
		if collect(t, d, planted, live) {
			t.Error("it was collected")
		}
	}
	wantBlob(t, d, id, noise(5000, 1))
}

// TestAPackThatIsCutOff: what is left of it is read, and what comes next is whole.
func TestAPackThatIsCutOff(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	a, b, c := member(t, d, noise(5000, 1)), member(t, d, noise(5000, 2)), member(t, d, noise(5000, 3))
	pack := blobid.File(a)
	if err := os.Truncate(filepath.Join(root, pack[:2], pack), 8192+100); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, d, a, noise(5000, 1))
	for id, size := range map[string]int64{b: 100, c: 0} {
		r, err := d.Open(id)
		if err != nil {
			t.Fatal(err)
		}
		if r.Size() != size {
			t.Errorf("%d bytes are left, want %d", r.Size(), size)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	later := member(t, d, noise(5000, 4))
	wantBlob(t, d, later, noise(5000, 4))
	if !collect(t, d, pack, shows(a, later)) {
		t.Error("it is not done with")
	}
	wantBlob(t, d, a, noise(5000, 1))
	wantBlob(t, d, later, noise(5000, 4))
}

// TestMembersThatACatalogMadeUp: an id may name anything; no file but the pack is touched, and
// nothing but what is there is read.
func TestMembersThatACatalogMadeUp(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	id := member(t, d, noise(5000, 1))
	pack := blobid.File(id)
	for _, made := range []string{
		blobid.Member(pack, (blobid.MaxPages-1)*blobid.PageSize, blobid.MaxMember),
		blobid.Member(pack, 8192, 0),
		blobid.Member(pack, 0, 0),
	} {
		r, err := d.Open(made)
		if err != nil {
			t.Fatal(err)
		}
		if r.Size() != 0 {
			t.Errorf("%s has %d bytes", made, r.Size())
		}
		if rest, err := r.From(10); err != nil {
			t.Error(err)
		} else if n, err := io.Copy(io.Discard, rest); n != 0 || err != nil {
			t.Errorf("%d bytes are read, %v", n, err)
		}
		if err := errors.Join(r.Close(), d.Delete(made)); err != nil {
			t.Error(err)
		}
	}
	wantBlob(t, d, id, noise(5000, 1))
	if info, err := os.Stat(filepath.Join(root, pack[:2], pack)); err != nil || info.Size() > 8192 {
		t.Errorf("the pack has grown: %v, %v", info, err)
	}
}
