package sftpd

import "sync"

// shares are what clients take of the memory for requests, over all of their
// connections.
type shares struct {
	mu       sync.Mutex
	byClient map[string]*share
}

// share is one client's.
type share struct {
	connections int // guarded by shares.mu

	mu   sync.Mutex
	wide int // sessions that are given maxPending requests at a time
}

func newShares() *shares { return &shares{byClient: map[string]*share{}} }

// of returns a client's share for one connection more, which must give it back.
func (s *shares) of(client string) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.byClient[client]
	if sh == nil {
		sh = &share{}
		s.byClient[client] = sh
	}
	sh.connections++
	return sh
}

func (s *shares) giveBack(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.byClient[client]
	if sh.connections--; sh.connections == 0 {
		delete(s.byClient, client)
	}
}

// enter returns how many requests a session that begins is given at a time.
func (sh *share) enter() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.wide == maxWide {
		return fewPending
	}
	sh.wide++
	return maxPending
}

// leave is called with what enter has returned, at the session's end.
func (sh *share) leave(width int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if width == maxPending {
		sh.wide--
	}
}
