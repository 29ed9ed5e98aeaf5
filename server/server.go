package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// ErrClosed is what [Server.Serve] returns after [Server.Shutdown].
var ErrClosed = errors.New("server is closed")

// Handler serves one connection and returns when it is done with it. The
// context ends when the server gives up waiting for it. What the handler leaves
// open is closed when it returns; a panic in it is logged and ends only its
// connection.
type Handler func(ctx context.Context, c *Conn)

// Config is what a [Server] needs.
type Config struct {
	// Name tells the server apart in the log: the protocol.
	Name   string
	Limits Limits
	// Admit says whether an address may connect. It is called at accept, from
	// the accepting goroutine: it must answer from memory.
	Admit func(netip.Addr) bool
	// Strangers may come in although Admit does not admit them, a few at a time, for
	// a protocol that tells them what is wrong once they have proved who they are.
	Strangers Strangers
	// Refused, if set, is told of each connection that is closed at accept, or to make
	// room for another. It is called as Admit is.
	Refused func(netip.Addr, Cause)
	Handler Handler
	Log     *slog.Logger
}

// Server accepts connections on any number of listeners and holds them to one
// set of limits.
type Server struct {
	cfg      Config
	log      *slog.Logger
	started  time.Time
	ledger   *ledger
	guests   *guests
	refusals *refusals

	ctx      context.Context // of the handlers
	cancel   context.CancelFunc
	draining chan struct{}
	sweeper  chan struct{} // closed when the idle sweep has ended

	mu        sync.Mutex
	closed    bool
	accepted  uint64
	listeners []net.Listener
	conns     map[*Conn]struct{}
	accepting sync.WaitGroup // accept loops
	running   sync.WaitGroup // handlers
}

// New makes a server. It refuses a configuration without Admit, since a server
// that lets everybody in must say so.
func New(cfg Config) (*Server, error) {
	if err := cfg.Limits.check(); err != nil {
		return nil, fmt.Errorf("%s server: %w", cfg.Name, err)
	}
	if err := cfg.Strangers.check(); err != nil {
		return nil, fmt.Errorf("%s server: %w", cfg.Name, err)
	}
	if cfg.Admit == nil || cfg.Handler == nil {
		return nil, fmt.Errorf("%s server: Admit and Handler must be set", cfg.Name)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	log := cfg.Log.With("server", cfg.Name)
	s := &Server{
		cfg:      cfg,
		log:      log,
		started:  time.Now(),
		ledger:   newLedger(cfg.Limits, true),
		guests:   newGuests(cfg.Strangers),
		refusals: newRefusals(log),
		draining: make(chan struct{}),
		sweeper:  make(chan struct{}),
		conns:    make(map[*Conn]struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.sweepIdle()
	return s, nil
}

// Serve accepts connections on l until Shutdown, which closes l, and then
// returns [ErrClosed]; it returns another error if l fails for good. What it has
// accepted it serves, even if Shutdown comes meanwhile: what is still in the queue
// of a socket that another process holds as well is for that process.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		_ = l.Close()
		return ErrClosed
	}
	defer s.accepting.Done()
	for delay := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			delay = 0
			s.admit(nc)
			continue
		}
		select {
		case <-s.draining:
			return ErrClosed
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accepting on %s: %w", l.Addr(), err)
		}
		// Most failures of accept are passing: the peer has gone already, or
		// the process is out of file descriptors until a connection closes.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.log.Warn("accepting failed, trying again", "event", "listener.failing", "listener", l.Addr().String(), "error", err, "after", delay)
		select {
		case <-s.draining:
			return ErrClosed
		case <-time.After(delay):
		}
	}
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners = append(s.listeners, l)
	s.accepting.Add(1)
	return true
}

// admit closes nc or starts its handler.
func (s *Server) admit(nc net.Conn) {
	remote, ok := remoteAddr(nc)
	if !ok {
		s.refuse(nc, AddressUnreadable, remote)
		return
	}
	c := newConn(s, s.ledger, nc, remote)
	if !s.cfg.Admit(remote) {
		if c.ledger = s.guests.ledger; !s.guests.enter(c, time.Now()) {
			s.refuse(nc, AddressNotAdmitted, remote)
			return
		}
	} else if displaced, cause, ok := s.ledger.enter(c); !ok {
		s.refuse(nc, cause, remote)
		return
	} else if displaced != nil && displaced.giveWay() {
		s.tell(TooManyUnauthenticated, displaced.remote)
	}
	s.remember(c)
	if err := c.SetDeadline(time.Time{}); err != nil {
		s.running.Done()
		_ = c.Close()
		return
	}
	go s.handle(c)
}

func (s *Server) refuse(nc net.Conn, cause Cause, remote netip.Addr) {
	_ = nc.Close()
	s.tell(cause, remote)
}

func (s *Server) tell(cause Cause, remote netip.Addr) {
	s.refusals.add(cause, remote)
	if s.cfg.Refused != nil {
		s.cfg.Refused(remote, cause)
	}
}

func (s *Server) handle(c *Conn) {
	defer s.running.Done()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("handler panicked", "event", "panic.connection", "address", c.remote, "panic", p, "stack", string(debug.Stack()))
		}
		_ = c.Close()
	}()
	s.cfg.Handler(s.ctx, c)
}

func (s *Server) remember(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted++
	s.conns[c] = struct{}{}
	s.running.Add(1)
}

func (s *Server) forget(c *Conn) {
	c.ledger.leave(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// snapshot lists the open connections.
func (s *Server) snapshot() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// sweepIdle closes what idles, looking often enough that a connection never
// outlives its limit by more than an eighth.
func (s *Server) sweepIdle() {
	defer close(s.sweeper)
	tick := time.NewTicker(max(s.cfg.Limits.IdleTimeout/8, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		for _, c := range s.snapshot() {
			if c.idle() > s.cfg.Limits.IdleTimeout {
				s.log.Info("closing idle connection", "event", "connection.idle", "address", c.remote)
				_ = c.Close()
			}
		}
	}
}

// Shutdown stops accepting, lets the handlers finish until ctx ends, then closes
// what is left and waits for the handlers to notice. The error is ctx's if
// connections had to be closed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	if first {
		close(s.draining)
	}
	for _, l := range listeners {
		stopAccepting(l)
	}
	s.accepting.Wait() // the handlers of what was accepted are counted from here on
	for _, l := range listeners {
		_ = l.Close()
	}

	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.cancel()
	for _, c := range s.snapshot() {
		_ = c.Close()
	}
	<-done
	<-s.sweeper
	s.refusals.close()
	return err
}

// stopAccepting ends a listener's Accept. Closing it would as well, but would also
// close what comes in at the same moment.
func stopAccepting(l net.Listener) {
	if d, ok := l.(interface{ SetDeadline(time.Time) error }); !ok || d.SetDeadline(time.Unix(1, 0)) != nil {
		_ = l.Close()
	}
}

// Stats is what a server did since it started, and what it holds now.
type Stats struct {
	Open, Unauthenticated int
	Accepted              uint64
	Refused               map[Cause]uint64
}

// Stats returns the current figures.
func (s *Server) Stats() Stats {
	st := Stats{Refused: s.refusals.totals()}
	s.mu.Lock()
	st.Accepted = s.accepted
	s.mu.Unlock()
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	st.Open, st.Unauthenticated = s.ledger.open, s.ledger.waiting
	return st
}

// remoteAddr returns the peer's address in its plain form, false if it has none.
func remoteAddr(nc net.Conn) (netip.Addr, bool) {
	ra := nc.RemoteAddr()
	if ra == nil {
		return netip.Addr{}, false
	}
	var addr netip.Addr
	if tcp, ok := ra.(*net.TCPAddr); ok {
		addr = tcp.AddrPort().Addr()
	} else if ap, err := netip.ParseAddrPort(ra.String()); err == nil {
		addr = ap.Addr()
	}
	addr = addr.Unmap().WithZone("")
	return addr, addr.IsValid()
}
