package server

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Limits bound what strangers and clients may occupy. Every field must be
// positive; [DefaultLimits] has values for a gateway of a few hundred clients.
type Limits struct {
	// Connections is the number of open connections in all.
	Connections int
	// ConnectionsPerAddress is the number of open connections of one IPv4
	// address or one IPv6 /64.
	ConnectionsPerAddress int
	// Unauthenticated is the number of open connections that have not logged
	// in yet. One network (an IPv4 /24, an IPv6 /48) may hold half of them. Where
	// there is no place left a newcomer takes that of another, so that strangers
	// who connect and wait, or connect again and again, can't keep everybody else
	// from logging in. The one that goes is the longest waiting of the network that
	// holds the most places, those counted in that it held lately without a login; a
	// newcomer from that network takes no other's place.
	Unauthenticated int
	// LoginTimeout is the time from accept to login.
	LoginTimeout time.Duration
	// IdleTimeout is the time without a byte in either direction after which
	// a logged-in connection is closed.
	IdleTimeout time.Duration
}

// DefaultLimits are the limits of a gateway whose operator set none.
func DefaultLimits() Limits {
	return Limits{
		Connections:           1000,
		ConnectionsPerAddress: 50,
		Unauthenticated:       100,
		LoginTimeout:          30 * time.Second,
		IdleTimeout:           15 * time.Minute,
	}
}

func (l Limits) check() error {
	var errs []error
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"Connections", l.Connections > 0},
		{"ConnectionsPerAddress", l.ConnectionsPerAddress > 0},
		{"Unauthenticated", l.Unauthenticated > 0},
		{"LoginTimeout", l.LoginTimeout > 0},
		{"IdleTimeout", l.IdleTimeout > 0},
	} {
		if !f.ok {
			errs = append(errs, fmt.Errorf("limit %s must be positive", f.name))
		}
	}
	return errors.Join(errs...)
}

// Cause is why a connection was closed at accept, or before its login.
type Cause string

// The causes, a closed list.
const (
	AddressUnreadable      Cause = "address-unreadable"       // the remote address is not an IP address
	AddressNotAdmitted     Cause = "address-not-admitted"     // on nobody's list
	TooManyConnections     Cause = "too-many-connections"     // Limits.Connections
	TooManyFromAddress     Cause = "too-many-from-address"    // Limits.ConnectionsPerAddress
	TooManyUnauthenticated Cause = "too-many-unauthenticated" // Limits.Unauthenticated: it made room for another
)

// Causes lists all causes.
func Causes() []Cause {
	return []Cause{AddressUnreadable, AddressNotAdmitted, TooManyConnections, TooManyFromAddress, TooManyUnauthenticated}
}

// ledger counts the open connections. It is what the limits are held against.
type ledger struct {
	limits Limits
	// yields: where there is no place for one more without a login, another's is freed.
	yields bool

	mu       sync.Mutex
	open     int
	perRange map[netip.Prefix]int
	waiting  int                      // have not logged in
	queues   map[netip.Prefix][]*Conn // of them, by the wider networks of [network]; the oldest first
	// debts count, by the same networks, connections that ended without a login:
	// within the current period, which is as long as a login may take, and within
	// the one before.
	debts  [2]map[netip.Prefix]int
	period time.Time
}

// maxDebts is how many networks' debts are remembered of a period.
const maxDebts = 4096

func newLedger(limits Limits, yields bool) *ledger {
	return &ledger{limits: limits, yields: yields, perRange: make(map[netip.Prefix]int), queues: make(map[netip.Prefix][]*Conn)}
}

// enter books a connection in, or says which limit it would break. It may take
// another's place for it, which the caller then closes.
func (l *ledger) enter(c *Conn) (displaced *Conn, cause Cause, ok bool) {
	key, home := addressRange(c.remote), network(c.remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open >= l.limits.Connections:
		return nil, TooManyConnections, false
	case l.perRange[key] >= l.limits.ConnectionsPerAddress:
		return nil, TooManyFromAddress, false
	case len(l.queues[home]) >= (l.limits.Unauthenticated+1)/2:
		displaced = l.queues[home][0]
	case l.waiting >= l.limits.Unauthenticated:
		if displaced = l.dispensable(home); displaced == nil {
			return nil, TooManyUnauthenticated, false
		}
	}
	if displaced != nil && !l.yields {
		return nil, TooManyUnauthenticated, false
	}
	l.turnPeriod(c.arrived)
	if displaced != nil {
		l.stopWaiting(displaced)
		l.blame(displaced)
	}
	l.open++
	l.perRange[key]++
	l.waiting++
	l.queues[home] = append(l.queues[home], c)
	return displaced, "", true
}

// dispensable is the oldest connection of the network that weighs most; of several
// such networks, the oldest of all. For a newcomer whose own network weighs as much
// it is the oldest of that one, nil if there is none.
func (l *ledger) dispensable(home netip.Prefix) *Conn {
	weight := func(n netip.Prefix) int { return len(l.queues[n]) + l.debts[0][n] + l.debts[1][n] }
	var oldest *Conn
	most := 0
	for n, queue := range l.queues {
		if w := weight(n); w > most || w == most && queue[0].arrived.Before(oldest.arrived) {
			oldest, most = queue[0], w
		}
	}
	if weight(home) < most {
		return oldest
	}
	if own := l.queues[home]; len(own) > 0 {
		return own[0]
	}
	return nil
}

func (l *ledger) authenticated(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopWaiting(c)
	for _, debts := range l.debts {
		delete(debts, network(c.remote))
	}
}

// blame counts a connection that ended without a login.
func (l *ledger) blame(c *Conn) {
	if l.debts[0] == nil {
		l.debts[0] = map[netip.Prefix]int{}
	}
	if home := network(c.remote); l.debts[0][home] > 0 || len(l.debts[0]) < maxDebts {
		l.debts[0][home]++
	}
}

func (l *ledger) turnPeriod(now time.Time) {
	if now.Sub(l.period) > l.limits.LoginTimeout {
		l.debts = [2]map[netip.Prefix]int{nil, l.debts[0]}
		l.period = now
	}
}

// stopWaiting frees a connection's place, and reports whether it had one.
func (l *ledger) stopWaiting(c *Conn) bool {
	home := network(c.remote)
	at := slices.Index(l.queues[home], c)
	if at < 0 {
		return false
	}
	l.waiting--
	if l.queues[home] = slices.Delete(l.queues[home], at, at+1); len(l.queues[home]) == 0 {
		delete(l.queues, home)
	}
	return true
}

func (l *ledger) leave(c *Conn) {
	key := addressRange(c.remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.stopWaiting(c) {
		l.blame(c)
	}
	if l.perRange[key]--; l.perRange[key] == 0 {
		delete(l.perRange, key)
	}
}

// addressRange is what counts as one address: a single IPv4 address, or the
// IPv6 network of 64 bits that one customer of a provider gets and may walk
// through freely.
func addressRange(addr netip.Addr) netip.Prefix { return prefixOf(addr, 32, 64) }

// network is what one organisation usually has.
func network(addr netip.Addr) netip.Prefix { return prefixOf(addr, 24, 48) }

func prefixOf(addr netip.Addr, bits4, bits6 int) netip.Prefix {
	bits := bits4
	if addr.Is6() {
		bits = bits6
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
