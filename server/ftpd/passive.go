package ftpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// errNoPort says that every passive port waits for a connection of this address
// already.
var errNoPort = errors.New("every passive port is taken")

const (
	// portWait is how long a session waits for a passive port to become free.
	portWait = 5 * time.Second
	// announceTime is how long an announced port waits for its connection.
	announceTime = time.Minute
	// lingerTime is how long a port is kept from the next session at an address when
	// nobody came. A client may have connected all the same, for a transfer that was
	// refused: who announced the port next would get its connection.
	lingerTime = 10 * time.Millisecond
)

// ports are the passive ports: all of them are listened on as long as the server
// lives, and an announcement is nothing but an entry that says whose connection
// is waited for on which port. Two clients at different addresses can wait on one
// port, so that a client which announces and never connects takes ports from
// nobody but itself; who connects where nobody waits for it is hung up on.
type ports struct {
	log       *slog.Logger
	listeners []net.Listener
	places    []netip.AddrPort // what they listen on
	running   sync.WaitGroup

	mu      sync.Mutex
	waiting map[slot]*announcement
	freed   chan struct{} // closed and made anew when an entry goes
}

// slot is a port, of all addresses of the machine or of one, together with the
// address that a connection is expected from.
type slot struct {
	at   netip.AddrPort
	from netip.Addr
}

// announcement is a port that a client was told to connect to.
type announcement struct {
	ports *ports
	slot  slot
	since time.Time
	conn  chan net.Conn // gets one connection at most
	gone  chan struct{} // closed when nobody waits any more
	once  sync.Once

	arrived bool // guarded by ports.mu
	over    bool // nobody waits any more; guarded by ports.mu
}

// listenPassive listens on every listener's ports; a port that another program
// has is left out, as long as any is left.
func listenPassive(listeners []net.Listener, log *slog.Logger) *ports {
	p := &ports{log: log, listeners: listeners, waiting: map[slot]*announcement{}, freed: make(chan struct{})}
	for _, l := range listeners {
		at := l.Addr().(*net.TCPAddr).AddrPort()
		at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		p.places = append(p.places, at)
		p.running.Go(func() { p.accept(l, at) })
	}
	return p
}

func (p *ports) accept(l net.Listener, at netip.AddrPort) {
	for delay := time.Duration(0); ; {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, mostly; it passes
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			time.Sleep(delay)
			continue
		}
		delay = 0
		p.hand(conn, at)
	}
}

// hand gives a connection to whom it is for, or closes it.
func (p *ports) hand(conn net.Conn, at netip.AddrPort) {
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
	p.mu.Lock()
	a := p.waiting[slot{at, from}]
	if a != nil {
		p.drop(a)
	}
	wanted := a != nil && !a.over
	if wanted {
		a.arrived = true
		a.conn <- conn // has room: only who drops the entry may send
	}
	p.mu.Unlock()
	if !wanted {
		p.log.Debug("closing a data connection that nobody waits for", "event", "data.unexpected", "address", from, "port", at.Port())
		_ = conn.Close()
	}
}

// drop removes an entry; p.mu is held.
func (p *ports) drop(a *announcement) {
	if p.waiting[a.slot] == a {
		delete(p.waiting, a.slot)
		close(p.freed)
		p.freed = make(chan struct{})
	}
}

// announce finds a port for a connection from an address to one of the machine's.
func (p *ports) announce(ctx context.Context, from, to netip.Addr) (*announcement, error) {
	deadline := time.NewTimer(portWait)
	defer deadline.Stop()
	for {
		a, freed := p.take(from, to)
		if a != nil {
			return a, nil
		}
		select {
		case <-freed:
		case <-deadline.C:
			return nil, errNoPort
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *ports) take(from, to netip.Addr) (*announcement, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := rand.IntN(len(p.places))
	for i := range p.places {
		at := p.places[(first+i)%len(p.places)]
		if !at.Addr().IsUnspecified() && at.Addr() != to {
			continue // nobody listens there on the address that the client knows
		}
		if s := (slot{at, from}); p.waiting[s] == nil {
			a := &announcement{ports: p, slot: s, since: time.Now(), conn: make(chan net.Conn, 1), gone: make(chan struct{})}
			p.waiting[s] = a
			return a, nil
		}
	}
	return nil, p.freed
}

func (a *announcement) port() uint16 { return a.slot.at.Port() }

// wait returns the connection.
func (a *announcement) wait(ctx context.Context) (net.Conn, error) {
	select {
	case conn := <-a.conn:
		return conn, nil
	case <-a.gone:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("no connection to port %d: %w", a.port(), ctx.Err())
	}
}

// close gives the port back, with the connection if nobody took it.
func (a *announcement) close() {
	a.once.Do(func() {
		close(a.gone)
		a.ports.mu.Lock()
		a.over = true
		if !a.arrived {
			time.AfterFunc(lingerTime, a.forget)
		}
		a.ports.mu.Unlock()
		select {
		case conn := <-a.conn:
			_ = conn.Close()
		default:
		}
	})
}

func (a *announcement) forget() {
	a.ports.mu.Lock()
	defer a.ports.mu.Unlock()
	a.ports.drop(a)
}

// connected reports whether a connection came.
func (a *announcement) connected() bool {
	a.ports.mu.Lock()
	defer a.ports.mu.Unlock()
	return a.arrived
}

func (p *ports) close() {
	for _, l := range p.listeners {
		_ = l.Close()
	}
	p.running.Wait()
}
