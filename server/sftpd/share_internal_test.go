package sftpd

import "testing"

// TestAttackDeafSessionsOfOneClient: a client that asks for much in all of its
// sessions and reads nothing must not hold maxPending buffers in each of them.
func TestAttackDeafSessionsOfOneClient(t *testing.T) {
	t.Parallel()
	s := newShares()
	var widths []int
	wide := 0
	for range 50 { // connections
		sh := s.of("hostile")
		for range 4 {
			width := sh.enter()
			if widths = append(widths, width); width == maxPending {
				wide++
			} else if width != fewPending {
				t.Fatalf("a session is given %d requests at a time", width)
			}
		}
	}
	if wide != maxWide {
		t.Errorf("%d sessions of a client are given %d requests at a time, want %d", wide, maxPending, maxWide)
	}
	if got := s.of("honest").enter(); got != maxPending {
		t.Errorf("another client is given %d", got)
	}
	sh := s.of("hostile")
	sh.leave(widths[0])
	if got := sh.enter(); got != maxPending {
		t.Errorf("when one has ended, the next is given %d", got)
	}
	s.giveBack("honest")
	for range 51 {
		s.giveBack("hostile")
	}
	if len(s.byClient) != 0 {
		t.Errorf("%d clients are remembered without a connection", len(s.byClient))
	}
}
