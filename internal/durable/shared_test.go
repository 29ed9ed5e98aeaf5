package durable_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/durable"
)

// TestSharedSyncBeginsAfterTheCall: a sync that is under way when somebody comes may have
// passed by what he wrote.
func TestSharedSyncBeginsAfterTheCall(t *testing.T) {
	t.Parallel()
	var s durable.Shared
	var written, syncs atomic.Int64
	var group sync.WaitGroup
	var synced atomic.Int64 // all that was written before the last sync began
	slow := func() error {
		seen := written.Load()
		time.Sleep(2 * time.Millisecond)
		syncs.Add(1)
		synced.Store(seen)
		return nil
	}
	for i := range 8 {
		group.Go(func() {
			time.Sleep(time.Duration(i) * 100 * time.Microsecond)
			for range 10 {
				mine := written.Add(1)
				if err := s.Do(slow); err != nil || synced.Load() < mine {
					t.Errorf("write %d: %v, and only what came up to %d was synced", mine, err, synced.Load())
				}
			}
		})
	}
	group.Wait()
	if n := syncs.Load(); n >= 80 {
		t.Errorf("%d syncs for 80 writes of 8 writers", n)
	}
}

// TestSharedSyncFailsForAll: nobody who waited for a sync that failed takes it for done, and
// the next sync is judged by itself.
func TestSharedSyncFailsForAll(t *testing.T) {
	t.Parallel()
	var s durable.Shared
	broken := errors.New("broken")
	var failures atomic.Int64
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if errors.Is(s.Do(func() error { time.Sleep(time.Millisecond); return broken }), broken) {
				failures.Add(1)
			}
		})
	}
	group.Wait()
	if failures.Load() != 5 {
		t.Errorf("%d of 5 were told", failures.Load())
	}
	if err := s.Do(func() error { return nil }); err != nil {
		t.Error(err)
	}
}
