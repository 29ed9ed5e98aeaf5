package server

import (
	"errors"
	"fmt"
	"net/netip"
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
	// in yet. One network (an IPv4 /24, an IPv6 /48) may hold half of them, so
	// that it can't keep everybody else from logging in.
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

// Cause is why a connection was closed at accept.
type Cause string

// The causes, a closed list.
const (
	AddressUnreadable      Cause = "address-unreadable"       // the remote address is not an IP address
	AddressNotAdmitted     Cause = "address-not-admitted"     // on nobody's list
	TooManyConnections     Cause = "too-many-connections"     // Limits.Connections
	TooManyFromAddress     Cause = "too-many-from-address"    // Limits.ConnectionsPerAddress
	TooManyUnauthenticated Cause = "too-many-unauthenticated" // Limits.Unauthenticated
)

// ledger counts the open connections. It is what the limits are held against.
type ledger struct {
	limits Limits

	mu       sync.Mutex
	open     int
	waiting  int // not logged in
	perRange map[netip.Prefix]int
	// waitingPerNetwork counts by the wider networks of [network].
	waitingPerNetwork map[netip.Prefix]int
}

func newLedger(limits Limits) *ledger {
	return &ledger{limits: limits, perRange: make(map[netip.Prefix]int), waitingPerNetwork: make(map[netip.Prefix]int)}
}

// enter books a connection in, or says which limit it would break.
func (l *ledger) enter(addr netip.Addr) (Cause, bool) {
	key := addressRange(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open >= l.limits.Connections:
		return TooManyConnections, false
	case l.perRange[key] >= l.limits.ConnectionsPerAddress:
		return TooManyFromAddress, false
	case l.waiting >= l.limits.Unauthenticated, l.waitingPerNetwork[network(addr)] >= (l.limits.Unauthenticated+1)/2:
		return TooManyUnauthenticated, false
	}
	l.open++
	l.waiting++
	l.waitingPerNetwork[network(addr)]++
	l.perRange[key]++
	return "", true
}

func (l *ledger) authenticated(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopWaiting(addr)
}

func (l *ledger) stopWaiting(addr netip.Addr) {
	l.waiting--
	key := network(addr)
	if l.waitingPerNetwork[key]--; l.waitingPerNetwork[key] == 0 {
		delete(l.waitingPerNetwork, key)
	}
}

func (l *ledger) leave(addr netip.Addr, wasWaiting bool) {
	key := addressRange(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if wasWaiting {
		l.stopWaiting(addr)
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
