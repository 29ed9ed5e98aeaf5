package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"
)

func concurrentWriters(t *testing.T, s Store) {
	const writers, each = 8, 4
	var mu sync.Mutex
	seeds := make(map[string]uint64)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for j := range each {
				seed := uint64(i*each + j)
				w, err := s.Create()
				if err != nil {
					t.Error(err)
					return
				}
				defer w.Abort()
				if _, err := w.Write(content(seed, 10_000)); err != nil {
					t.Error(err)
				}
				if err := w.Commit(); err != nil {
					t.Error(err)
				}
				mu.Lock()
				seeds[w.ID()] = seed
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(seeds) != writers*each {
		t.Fatalf("%d blobs have %d different ids", writers*each, len(seeds))
	}
	for id, seed := range seeds {
		wantContent(t, s, id, content(seed, 10_000))
	}
}

func concurrentReaders(t *testing.T, s Store) {
	b := content(1, megabyte)
	id := put(t, s, b)
	shared, err := s.Open(id)
	must(t, err)
	defer shared.Close()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			own, err := s.Open(id)
			if err != nil {
				t.Error(err)
				return
			}
			defer own.Close()
			for _, r := range []Reader{own, shared} {
				got := make([]byte, 32<<10)
				off := (i * 99_991) % (megabyte - len(got))
				if _, err := r.ReadAt(got, int64(off)); err != nil {
					t.Error(err)
				}
				if !bytes.Equal(got, b[off:off+len(got)]) {
					t.Errorf("32 KiB at %d read differently", off)
				}
			}
		})
	}
	all.Wait()

	// The end, as io.ReaderAt has it.
	got := make([]byte, 10)
	if n, err := shared.ReadAt(got, megabyte-4); n != 4 || err != io.EOF {
		t.Errorf("ReadAt across the end: %d, %v, want 4, io.EOF", n, err)
	}
	if n, err := shared.ReadAt(got, 2*megabyte); n != 0 || err != io.EOF {
		t.Errorf("ReadAt past the end: %d, %v, want 0, io.EOF", n, err)
	}
}

func deleteWhileOpen(t *testing.T, s Store) {
	b := content(1, megabyte)
	id := put(t, s, b)
	r, err := s.Open(id)
	must(t, err)
	defer r.Close()
	must(t, s.Delete(id))
	wantGone(t, s, id)
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	must(t, err)
	if !bytes.Equal(got, b) {
		t.Error("the deleted blob reads differently")
	}
}

func absentBlob(t *testing.T, s Store) {
	id := put(t, s, content(1, 10))
	for range 2 { // the second finds nothing to delete
		must(t, s.Delete(id))
	}
	wantGone(t, s, id)
	if w, err := s.Reopen(id); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			w.Abort()
		}
		t.Errorf("reopening an absent blob: %v, want fs.ErrNotExist", err)
	}
	wantWalk(t, s, map[string]int64{})
}

func walkSees(t *testing.T, s Store) {
	want := make(map[string]int64)
	for i := range 60 {
		want[put(t, s, content(uint64(i), i))] = int64(i)
	}
	w := create(t, s)
	_, err := w.Write(content(1, 1234))
	must(t, err)
	want[w.ID()] = 1234
	wantWalk(t, s, want)

	// What fn deletes as it goes is gone; nothing else is.
	doomed := sortedKeys(want)[10]
	must(t, s.Walk(t.Context(), func(id string, _ int64, _ time.Time) error {
		if id == doomed {
			return s.Delete(id)
		}
		return nil
	}))
	delete(want, doomed)
	wantWalk(t, s, want)
}

func walkEnds(t *testing.T, s Store) {
	for range 5 {
		put(t, s, nil)
	}
	enough := errors.New("enough")
	seen := 0
	err := s.Walk(t.Context(), func(string, int64, time.Time) error {
		seen++
		if seen == 3 {
			return enough
		}
		return nil
	})
	if err != enough || seen != 3 {
		t.Errorf("walk went on to blob %d and returned %v, want 3 and fn's error as it is", seen, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	seen = 0
	err = s.Walk(ctx, func(string, int64, time.Time) error {
		seen++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || seen != 1 {
		t.Errorf("walk went on to blob %d after cancellation and returned %v", seen, err)
	}
}

func badIDs(t *testing.T, s Store) {
	good := put(t, s, content(1, 10))
	bad := []string{
		"",
		".",
		"..",
		"/etc/passwd",
		"../../../etc/passwd",
		good[:2] + "/" + good, // the path of a file, not an id
		good[:25],
		good + "a",
		strings.ToUpper(good),
		good[:25] + "1", // not in the alphabet
		good[:25] + "\x00",
		good[:25] + "/",
		strings.Repeat(".", 26),
		strings.Repeat("../", 8) + "ab",
		strings.Repeat("é", 13), // 26 bytes
		strings.Repeat("a", 1<<20),
	}
	for _, id := range bad {
		_, openErr := s.Open(id)
		_, reopenErr := s.Reopen(id)
		for call, err := range map[string]error{"Open": openErr, "Reopen": reopenErr, "Delete": s.Delete(id)} {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%s(%.40q): %v, want fs.ErrInvalid", call, id, err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("%s: the error repeats an id of %d bytes", call, len(id))
			}
		}
	}
	wantContent(t, s, good, content(1, 10))
}
