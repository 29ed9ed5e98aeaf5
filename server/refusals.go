package server

import (
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// refusalWindow is how long refusals are gathered before the next line.
	refusalWindow = time.Minute
	// refusalSamples is how many addresses a line names.
	refusalSamples = 8
)

// refusals counts what was refused at accept and logs it in few words: the first
// one at once, since an operator may be waiting for just that line, and what
// follows within a minute as one line with counts.
type refusals struct {
	log *slog.Logger

	mu      sync.Mutex
	total   map[Cause]uint64
	pending map[Cause]int
	samples []netip.Addr
	timer   *time.Timer // non-nil while a window is open
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, total: make(map[Cause]uint64), pending: make(map[Cause]int)}
}

func (r *refusals) add(cause Cause, addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total[cause]++
	if r.timer == nil {
		r.timer = time.AfterFunc(refusalWindow, r.windowOver)
		r.log.Warn("connection refused", "event", "connection.refused", "cause", cause, "address", addr)
		return
	}
	r.pending[cause]++
	if len(r.samples) < refusalSamples && !slices.Contains(r.samples, addr) {
		r.samples = append(r.samples, addr)
	}
}

// windowOver logs what was gathered and opens the next window; a window in which
// nothing was refused is the last.
func (r *refusals) windowOver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil {
		return
	}
	if !r.flush() {
		r.timer = nil
		return
	}
	r.timer.Reset(refusalWindow)
}

func (r *refusals) flush() bool {
	if len(r.pending) == 0 {
		return false
	}
	args := []any{"event", "connection.refused-again", "addresses", r.samples}
	for _, cause := range slices.Sorted(maps.Keys(r.pending)) {
		args = append(args, string(cause), r.pending[cause])
	}
	r.log.Warn("connections refused", args...)
	clear(r.pending)
	r.samples = nil
	return true
}

// close logs what is left and stops the timer.
func (r *refusals) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

func (r *refusals) totals() map[Cause]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.total)
}
