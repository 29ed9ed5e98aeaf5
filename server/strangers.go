package server

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Strangers bounds what addresses may do that [Config.Admit] does not admit. The zero
// value lets none of them in. What they occupy counts for itself: however many there
// are, they keep nobody out who is admitted.
type Strangers struct {
	// Connections is how many of theirs may be open at a time. One address may have
	// one, and one network (an IPv4 /24, an IPv6 /48) half of those that have not
	// logged in.
	Connections int
	// PerMinute is how many are let in within any minute.
	PerMinute int
	// Pause is how long one address must wait between two, at most a minute.
	Pause time.Duration
}

func (s Strangers) check() error {
	if s.Connections < 0 || s.Connections > 0 && (s.PerMinute <= 0 || s.Pause < 0 || s.Pause > time.Minute) {
		return errors.New("the limits of strangers make no sense")
	}
	return nil
}

// guests are the strangers that were let in.
type guests struct {
	limits Strangers
	ledger *ledger

	mu     sync.Mutex
	recent []guest // within the last minute, the oldest first
}

type guest struct {
	from netip.Prefix
	at   time.Time
}

func newGuests(limits Strangers) *guests {
	return &guests{limits: limits, ledger: newLedger(Limits{
		Connections: limits.Connections, ConnectionsPerAddress: 1, Unauthenticated: limits.Connections,
	}, false)}
}

// enter reports whether one more may come in, and books it.
func (g *guests) enter(c *Conn, now time.Time) bool {
	if g.limits.Connections == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.recent = slices.DeleteFunc(g.recent, func(r guest) bool { return now.Sub(r.at) >= time.Minute })
	from := addressRange(c.remote)
	tooSoon := slices.ContainsFunc(g.recent, func(r guest) bool { return r.from == from && now.Sub(r.at) < g.limits.Pause })
	if tooSoon || len(g.recent) >= g.limits.PerMinute {
		return false
	}
	if _, _, ok := g.ledger.enter(c); !ok {
		return false
	}
	g.recent = append(g.recent, guest{from, now})
	return true
}
