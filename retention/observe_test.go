package retention_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealdrop/sealdrop/retention"
)

// TestObserve: every sweep of a running gateway is told of, also one that failed.
func TestObserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{purged: map[time.Time]time.Time{}, expires: []time.Time{time.Now().Add(90 * time.Minute)}}
		purged, failed, sweeps := 0, 0, 0
		s := retention.New(retention.Config{
			Catalog: m, Blobs: m, Policy: policy, Every: time.Hour, Grace: day, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Observe: func(r retention.Result, err error) {
				sweeps++
				purged += r.Purged
				if err != nil {
					failed++
				}
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { s.Run(ctx) })
		time.Sleep(150 * time.Minute) // at 0, 60 and 120 minutes
		m.mu.Lock()
		m.fail = errors.New("locked")
		m.mu.Unlock()
		time.Sleep(time.Hour)
		cancel()
		group.Wait()
		if sweeps != 4 || purged != 1 || failed != 1 {
			t.Errorf("told of %d sweeps, %d of them failed, %d purged", sweeps, failed, purged)
		}
	})
}
