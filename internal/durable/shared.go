package durable

import "sync"

// Shared lets callers that wait for the same sync share it. On a disk where a sync takes
// milliseconds, eight writers to one file or one folder are then as fast as one. The zero
// value is ready to use.
type Shared struct {
	turn sync.Mutex // held by the sync under way
	mu   sync.Mutex
	next *round // that has not begun
}

// round is a sync that several wait for.
type round struct {
	done chan struct{}
	err  error
}

// Do returns once a sync is over that began after Do was called, with its error. The
// caller, or another one, runs it; all must give one that does the same.
func (s *Shared) Do(sync func() error) error {
	s.mu.Lock()
	r, first := s.next, s.next == nil
	if first {
		r = &round{done: make(chan struct{})}
		s.next = r
	}
	s.mu.Unlock()
	if first {
		s.lead(r, sync)
	}
	<-r.done
	return r.err
}

// lead runs a round when the one under way is over; who comes from then on needs another.
func (s *Shared) lead(r *round, sync func() error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	defer close(r.done)
	s.mu.Lock()
	s.next = nil
	s.mu.Unlock()
	r.err = sync()
}
