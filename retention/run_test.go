package retention_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/retention"
)

// memory is a catalog of expiry times, and an empty blob store.
type memory struct {
	mu      sync.Mutex
	expires []time.Time
	last    time.Time
	sweeps  int
	walks   int
	purged  map[time.Time]time.Time // expiry → when it was purged
	fail    error
}

func (m *memory) Counts(_ context.Context, at time.Time) (c catalog.Counts, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.expires {
		c.Files++
		if !e.After(at) {
			c.Due++
		}
	}
	return c, m.fail
}

func (m *memory) PurgeDue(_ context.Context, _ string, at time.Time) (n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var left []time.Time
	for _, e := range m.expires {
		if e.After(at) {
			left = append(left, e)
			continue
		}
		m.purged[e] = at
		n++
	}
	m.expires = left
	return n, nil
}

func (m *memory) LastSweep(context.Context) (time.Time, error) { return m.last, nil }
func (m *memory) SetLastSweep(_ context.Context, at time.Time) error {
	m.last = at
	m.sweeps++
	return nil
}

func (m *memory) DropStalePartials(context.Context, time.Time, int) (int, error) { return 0, nil }
func (m *memory) Garbage(context.Context, time.Time, int) ([]string, error)      { return nil, nil }
func (m *memory) ForgetGarbage(context.Context, []string, time.Time) error       { return nil }

func (m *memory) Blobs(context.Context, string, time.Time) ([]string, bool, error) {
	return nil, true, nil
}

func (m *memory) Unknown(context.Context, []string) ([]string, error) { return nil, nil }

func (m *memory) Disown(context.Context, []string) (int, error) { return 0, nil }
func (m *memory) Tidy(context.Context, time.Time) error         { return nil }
func (m *memory) Look(string) (int64, time.Time, error)         { return 0, time.Time{}, nil }

func (m *memory) Collect(context.Context, []string, func(context.Context, string) ([]string, bool, error)) ([]string, error) {
	return nil, nil
}

func (m *memory) Files(context.Context, func([]string) error) error {
	m.walks++
	return nil
}

func run(t *testing.T, m *memory, d time.Duration) {
	t.Helper()
	s := retention.New(retention.Config{
		Catalog: m, Blobs: m, Policy: policy, Every: time.Hour, Grace: day, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { s.Run(ctx) })
	time.Sleep(d) // in the bubble's time
	cancel()
	group.Wait()
}

// TestRunForAYear: each report goes within an hour of its time, and never before.
func TestRunForAYear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{purged: map[time.Time]time.Time{}}
		const published = 300
		for i := range published {
			m.expires = append(m.expires, time.Now().Add(100*day+time.Duration(i)*17*time.Hour))
		}
		run(t, m, 366*day)
		if len(m.purged) != published || m.sweeps != 366*24+1 && m.sweeps != 366*24 {
			t.Errorf("%d were purged in %d sweeps", len(m.purged), m.sweeps)
		}
		for expires, at := range m.purged {
			if late := at.Sub(expires); late < 0 || late > time.Hour {
				t.Errorf("purged %v after its time", late)
			}
		}
		if m.walks < 360 || m.walks > 367 {
			t.Errorf("looked for orphans %d times", m.walks)
		}
	})
}

// TestRunGoesOnAfterAnError: a catalog that can't be read for a day costs no more
// than that day.
func TestRunGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{purged: map[time.Time]time.Time{}, expires: []time.Time{time.Now().Add(30 * time.Hour)}}
		m.fail = errors.New("locked")
		time.AfterFunc(day, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.fail = nil
		})
		run(t, m, 2*day)
		if len(m.purged) != 1 {
			t.Errorf("%d were purged", len(m.purged))
		}
	})
}
