package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sealdrop/sealdrop/keys/password"
)

// RecordRefusal is what Login and Refused do with a refusal.
func (g *Gate) RecordRefusal(ctx context.Context, a Attempt, d Decision) error {
	return g.refuse(ctx, a, d)
}

// FlushRefusals records the counts as if their window were over.
func (g *Gate) FlushRefusals(ctx context.Context) error {
	return g.flushRefusals(ctx, g.now().Add(RepeatWindow))
}

// FlushStrangers writes what was counted of strangers.
func (g *Gate) FlushStrangers(ctx context.Context) error { return g.flushStrangers(ctx) }

// Review judges every session, as Run does.
func (g *Gate) Review(ctx context.Context) { g.review(ctx) }

// CountComparisons has the gate count how often it compares a password with a hash.
func (g *Gate) CountComparisons() *atomic.Int64 {
	n := new(atomic.Int64)
	g.checks.matches = func(h password.Hash, guess string) bool {
		n.Add(1)
		return h.Matches(guess)
	}
	return n
}

// BlockComparisons has every comparison wait until the gate is released. It
// returns how many are under way.
func (g *Gate) BlockComparisons(release <-chan struct{}) *atomic.Int64 {
	n := new(atomic.Int64)
	g.checks.matches = func(password.Hash, string) bool {
		n.Add(1)
		defer n.Add(-1)
		<-release
		return false
	}
	return n
}

// Remembered returns how many passwords are remembered.
func (g *Gate) Remembered() int {
	g.checks.mu.Lock()
	defer g.checks.mu.Unlock()
	return len(g.checks.seen)
}

// AfterComparison calls fn once, after the next comparison.
func (g *Gate) AfterComparison(fn func()) {
	var once sync.Once
	g.checks.matches = func(h password.Hash, guess string) bool {
		same := h.Matches(guess)
		once.Do(fn)
		return same
	}
}

// RememberMore has the gate remember n passwords more.
func (g *Gate) RememberMore(tb testing.TB, n int) {
	tb.Helper()
	for range n {
		var mark [sha256.Size]byte
		_, _ = rand.Read(mark[:]) // never fails
		g.checks.pass(mark, g.now())
	}
}

// RememberOffers has the gate remember n keys that were offered.
func (g *Gate) RememberOffers(n int) {
	for i := range n {
		g.offers.add(offer{"acme", strconv.Itoa(i)}, looked{})
	}
}

// Offers returns how many keys that were offered are remembered.
func (g *Gate) Offers() int {
	g.offers.mu.Lock()
	defer g.offers.mu.Unlock()
	return len(g.offers.seen)
}
