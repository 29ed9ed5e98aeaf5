package database_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
)

// TestBusyProgramLetsOthersIn: one program writes batch after batch, with a breath in
// between, and another one's writes get in between them, and not only when it is done.
func TestBusyProgramLetsOthersIn(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		home := e.New(t, t.TempDir())
		busy, other := home.Open(t), home.Open(t)
		var batches atomic.Int64
		stop, stopped := make(chan struct{}), make(chan error)
		go func() {
			for {
				err := busy.Write(t.Context(), func(tx *database.Tx) error {
					time.Sleep(200 * time.Millisecond) // what a batch takes
					batches.Add(1)
					return setMark("busy", 1)(tx)
				})
				select {
				case <-stop:
					stopped <- err
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}()
		for batches.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		const writes = 3
		before := batches.Load()
		for range writes {
			if err := other.Write(t.Context(), setMark("other", 1)); err != nil {
				t.Fatal(err)
			}
		}
		waited := batches.Load() - before
		close(stop)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		if waited > 3*writes {
			t.Errorf("%d writes waited for %d batches of the other program", writes, waited)
		}
	})
}
