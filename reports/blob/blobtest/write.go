package blobtest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"
)

// megabyte is long enough to span several parts of what a backend may split.
const megabyte = 1 << 20

func commitKeeps(t *testing.T, s Store) {
	for _, n := range []int{1, 511, 32 << 10, 64<<10 + 1, 5*megabyte + 3} {
		b := content(1, n)
		w := create(t, s)
		for piece := range bytes.SplitSeq(b, []byte{0}) { // uneven pieces
			_, err := w.Write(piece)
			must(t, err)
			if w.Size() < int64(n) {
				_, err = w.Write([]byte{0})
				must(t, err)
			}
		}
		if w.Size() != int64(n) {
			t.Errorf("Size is %d after writing %d bytes", w.Size(), n)
		}
		must(t, w.Commit())
		if w.Size() != int64(n) {
			t.Errorf("Size is %d after Commit of %d bytes", w.Size(), n)
		}
		wantContent(t, s, w.ID(), b)
	}
}

func emptyBlob(t *testing.T, s Store) {
	w := create(t, s)
	must(t, w.Commit())
	wantContent(t, s, w.ID(), nil)
	wantWalk(t, s, map[string]int64{w.ID(): 0})
}

func abortLeavesNothing(t *testing.T, s Store) {
	w := create(t, s)
	_, err := w.Write(content(1, megabyte))
	must(t, err)
	must(t, w.Abort())
	wantGone(t, s, w.ID())
	wantWalk(t, s, map[string]int64{})
}

func endsRepeat(t *testing.T, s Store) {
	b := content(1, 100)
	w := create(t, s)
	_, err := w.Write(b)
	must(t, err)
	for range 2 {
		must(t, w.Commit())
		must(t, w.Abort())
	}
	wantContent(t, s, w.ID(), b)
	if _, err := w.Write(b); err == nil {
		t.Error("Write after Commit succeeded")
	}
	wantContent(t, s, w.ID(), b)

	w = create(t, s)
	for range 2 {
		must(t, w.Abort())
		if err := w.Commit(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Commit after Abort: %v, want fs.ErrClosed", err)
		}
	}
	wantGone(t, s, w.ID())
}

func outOfOrder(t *testing.T, s Store) {
	const piece = 32 << 10
	want := content(1, 8*piece)
	clear(want[2*piece : 3*piece]) // never written
	clear(want[5*piece : 6*piece])
	w := create(t, s)
	for _, i := range []int{7, 3, 0, 4, 1, 6} {
		_, err := w.WriteAt(want[i*piece:(i+1)*piece], int64(i*piece))
		must(t, err)
		if i == 7 && w.Size() != int64(len(want)) {
			t.Errorf("Size is %d after writing the last piece first, want %d", w.Size(), len(want))
		}
	}
	if _, err := w.WriteAt(nil, int64(2*len(want))); err != nil {
		t.Error(err)
	}
	if w.Size() != int64(len(want)) {
		t.Errorf("Size is %d after writing nothing past the end, want %d", w.Size(), len(want))
	}
	// Reading back before Commit is what a resumed upload needs.
	got := make([]byte, len(want))
	if _, err := w.ReadAt(got, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("ReadAt before Commit gave other bytes than were written")
	}
	if _, err := w.ReadAt(got[:1], int64(len(want))); err != io.EOF {
		t.Errorf("ReadAt at the end: %v, want io.EOF", err)
	}
	must(t, w.Commit())
	wantContent(t, s, w.ID(), want)
}

func appendFollows(t *testing.T, s Store) {
	b := content(1, 300)
	w := create(t, s)
	_, err := w.WriteAt(b[:100], 0)
	must(t, err)
	_, err = w.Write(b[100:200])
	must(t, err)
	n, err := w.ReadFrom(bytes.NewReader(b[200:]))
	must(t, err)
	if n != 100 {
		t.Errorf("ReadFrom gave %d, want 100", n)
	}
	_, err = w.WriteAt(b[50:60], 50) // doesn't move the end
	must(t, err)
	_, err = w.Write(b[:1])
	must(t, err)
	must(t, w.Commit())
	wantContent(t, s, w.ID(), append(bytes.Clone(b), b[0]))

	w = create(t, s)
	broken := errors.New("the source broke")
	if _, err := w.ReadFrom(io.MultiReader(bytes.NewReader(b), errorReader{broken})); !errors.Is(err, broken) {
		t.Errorf("ReadFrom a broken source: %v, want its error", err)
	}
	if w.Size() != int64(len(b)) {
		t.Errorf("Size is %d after a source that broke after %d bytes", w.Size(), len(b))
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func truncates(t *testing.T, s Store) {
	b := content(1, 1000)
	w := create(t, s)
	_, err := w.Write(b)
	must(t, err)
	must(t, w.Truncate(400))
	must(t, w.Truncate(500))
	if w.Size() != 500 {
		t.Errorf("Size is %d after Truncate(500)", w.Size())
	}
	_, err = w.Write(b[500:])
	must(t, err)
	if err := w.Truncate(-1); err == nil {
		t.Error("Truncate(-1) succeeded")
	}
	must(t, w.Commit())
	clear(b[400:500])
	wantContent(t, s, w.ID(), b)
}

func concurrentWriteAt(t *testing.T, s Store) {
	const piece, pieces = 4 << 10, 64
	b := content(1, piece*pieces)
	w := create(t, s)
	var all sync.WaitGroup
	for i := range pieces {
		all.Go(func() {
			off := i * piece
			if _, err := w.WriteAt(b[off:off+piece], int64(off)); err != nil {
				t.Error(err)
			}
			if _, err := w.ReadAt(make([]byte, piece), int64(off)); err != nil && err != io.EOF {
				t.Error(err)
			}
		})
	}
	all.Wait()
	must(t, w.Commit())
	wantContent(t, s, w.ID(), b)
}

func reopenContinues(t *testing.T, s Store) {
	b := content(1, 3*megabyte)
	id := put(t, s, b[:megabyte])
	w, err := s.Reopen(id)
	must(t, err)
	defer w.Abort()
	if w.ID() != id || w.Size() != megabyte {
		t.Errorf("reopened as %s with %d bytes, want %s with %d", w.ID(), w.Size(), id, megabyte)
	}
	got := make([]byte, 100)
	if _, err := w.ReadAt(got, megabyte-100); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b[megabyte-100:megabyte]) {
		t.Error("the reopened blob reads differently")
	}
	_, err = w.Write(b[megabyte : 2*megabyte])
	must(t, err)
	_, err = w.WriteAt(b[2*megabyte:], 2*megabyte)
	must(t, err)
	must(t, w.Commit())
	wantContent(t, s, id, b)
	wantWalk(t, s, map[string]int64{id: int64(len(b))})
}

func reopenAborts(t *testing.T, s Store) {
	id := put(t, s, content(1, 10))
	w, err := s.Reopen(id)
	must(t, err)
	must(t, w.Abort())
	wantGone(t, s, id)
}
