package database

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

// TestWhatCanWaitGoesLast: others go first, but not for ever.
func TestWhatCanWaitGoesLast(t *testing.T) {
	t.Parallel()
	row := strings.Repeat("j", mostPassed)
	for _, c := range []struct {
		name        string
		jobs, later int
		passed      int // before
		want        string
	}{
		{"others first", 3, 2, 0, "jjjll"},
		{"nobody else", 0, 2, 0, "ll"},
		{"nothing that can wait", 3, 0, mostPassed, "jjj"},
		{"an endless stream of others", 2*mostPassed + 3, 4, 0, row + "l" + row + "l" + "jjjll"},
		{"after a long time without any", 5, 2, 10 * mostPassed, "ljjjjjl"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := &DB{jobs: make(chan *job, c.jobs), later: make(chan *job, c.later), closing: make(chan struct{})}
			for range c.jobs {
				db.jobs <- &job{}
			}
			for range c.later {
				db.later <- &job{canWait: true}
			}
			got, passed := "", c.passed
			for range c.jobs + c.later {
				if db.next(&passed).canWait {
					got += "l"
				} else {
					got += "j"
				}
			}
			if got != c.want {
				t.Errorf("they went %s, want %s", got, c.want)
			}
			close(db.closing)
			if db.next(&passed) != nil {
				t.Error("there is more")
			}
		})
	}
}

// TestWriteLaterIsAWrite: it is durable or fails as a write does.
func TestWriteLaterIsAWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const n = 3
	for i := range n {
		err := db.WriteLater(t.Context(), func(tx *Tx) error {
			return tx.SetMark(tx.Context(), query.SetMarkParams{Name: "later", N: int64(i + 1)})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	own := errors.New("its own")
	if err := db.WriteLater(t.Context(), func(*Tx) error { return own }); !errors.Is(err, own) {
		t.Errorf("its own failure comes back as %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	ran := false
	if err := db.WriteLater(ended, func(*Tx) error { ran = true; return nil }); !errors.Is(err, context.Canceled) || ran {
		t.Errorf("after the end: %v, and ran: %v", err, ran)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.WriteLater(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
	again, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := again.Read().GetMark(t.Context(), "later"); got != n || err != nil {
		t.Errorf("the mark is %d, %v; want %d", got, err, n)
	}
}
