// Package blobtest is what every store of blobs must do, as a test suite. A
// backend's own test hands [Run] a function that opens an empty store:
//
//	func TestConformance(t *testing.T) {
//		blobtest.Run(t, func(t *testing.T) blobtest.Store { … })
//	}
//
// Durability is not among it, because it can't be seen from inside a process:
// each backend shows its own.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Store is a store of blobs, as far as the suite goes. Open and Reopen wrap
// [fs.ErrNotExist] for a blob that is absent; Open, Reopen and Delete wrap
// [fs.ErrInvalid] for what is not an id, before anything else is looked at.
type Store interface {
	Create() (Writer, error)
	Reopen(id string) (Writer, error)
	Open(id string) (Reader, error)
	Delete(id string) error // of an absent blob: nil
	// Walk visits every blob, committed or not, in ascending order of ids.
	Walk(ctx context.Context, fn func(id string, size int64, modified time.Time) error) error
}

// Writer fills one blob. Write and ReadFrom append. Abort after Commit does
// nothing, Commit after Abort fails, and both may be repeated.
type Writer interface {
	io.Writer
	io.WriterAt
	io.ReaderAt
	io.ReaderFrom
	ID() string
	Size() int64
	Truncate(n int64) error
	Commit() error
	Abort() error
}

// Reader reads one blob, also after its deletion.
type Reader interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Run runs the suite. open is called once per subtest and returns an empty store;
// it cleans up after itself through t.Cleanup. The subtests run in parallel.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Store)
	}{
		{"commit keeps every byte", commitKeeps},
		{"empty blob", emptyBlob},
		{"abort leaves nothing", abortLeavesNothing},
		{"commit and abort repeat safely", endsRepeat},
		{"out of order writes leave holes of zeros", outOfOrder},
		{"append follows the end", appendFollows},
		{"truncate cuts and extends", truncates},
		{"concurrent WriteAt", concurrentWriteAt},
		{"concurrent writers have ids of their own", concurrentWriters},
		{"concurrent readers", concurrentReaders},
		{"deleted blob stays readable while open", deleteWhileOpen},
		{"absent blob", absentBlob},
		{"walk sees committed and uncommitted in order", walkSees},
		{"walk ends early", walkEnds},
		{"what is not an id is refused", badIDs},
		{"reopen continues", reopenContinues},
		{"reopen then abort deletes", reopenAborts},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// content returns n bytes that depend on the seed.
func content(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// must fails the test at once if err is not nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, s Store) Writer {
	t.Helper()
	w, err := s.Create()
	must(t, err)
	t.Cleanup(func() { w.Abort() })
	return w
}

// put commits a blob and returns its id.
func put(t *testing.T, s Store, b []byte) string {
	t.Helper()
	w := create(t, s)
	n, err := w.Write(b)
	must(t, err)
	if n != len(b) {
		t.Fatalf("wrote %d bytes of %d without an error", n, len(b))
	}
	must(t, w.Commit())
	return w.ID()
}

// wantContent fails unless the blob id holds exactly want.
func wantContent(t *testing.T, s Store, id string, want []byte) {
	t.Helper()
	r, err := s.Open(id)
	must(t, err)
	defer r.Close()
	if r.Size() != int64(len(want)) {
		t.Errorf("size is %d, want %d", r.Size(), len(want))
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, int64(len(want))+1))
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("read %d bytes that are not the %d written", len(got), len(want))
	}
}

// wantGone fails unless there is no blob id.
func wantGone(t *testing.T, s Store, id string) {
	t.Helper()
	if r, err := s.Open(id); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			r.Close()
		}
		t.Errorf("opening a blob that should be gone: %v, want fs.ErrNotExist", err)
	}
	if _, there := walk(t, s)[id]; there {
		t.Error("walk still sees the blob")
	}
}

// walk returns the size of every blob and fails unless the order is ascending.
func walk(t *testing.T, s Store) map[string]int64 {
	t.Helper()
	sizes, last := make(map[string]int64), ""
	must(t, s.Walk(t.Context(), func(id string, size int64, modified time.Time) error {
		if id <= last {
			t.Errorf("walk gave %q after %q", id, last)
		}
		if age := time.Since(modified); age < -time.Hour || age > time.Hour {
			t.Errorf("walk gave %v as the last change of a blob written just now", modified)
		}
		sizes[id], last = size, id
		return nil
	}))
	return sizes
}

// wantWalk fails unless walk sees these blobs and no others.
func wantWalk(t *testing.T, s Store, want map[string]int64) {
	t.Helper()
	if got := walk(t, s); !maps.Equal(got, want) {
		t.Errorf("walk saw %v, want %v", got, want)
	}
}

func sortedKeys(m map[string]int64) []string { return slices.Sorted(maps.Keys(m)) }
