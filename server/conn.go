package server

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is an admitted connection. It belongs to the handler, which closes it.
type Conn struct {
	net.Conn
	server *Server
	ledger *ledger // the one that it is booked in
	remote netip.Addr
	// arrived is when the connection was accepted.
	arrived time.Time

	active atomic.Int64 // when the last byte went by, in server.clock terms
	closed chan struct{}
	once   sync.Once

	mu            sync.Mutex
	loginDeadline time.Time // zero once logged in
}

func newConn(s *Server, l *ledger, nc net.Conn, remote netip.Addr) *Conn {
	c := &Conn{Conn: nc, server: s, ledger: l, remote: remote, arrived: time.Now(), closed: make(chan struct{})}
	c.loginDeadline = c.arrived.Add(s.cfg.Limits.LoginTimeout)
	c.touch()
	return c
}

// Remote is the peer's address in its plain form: never an IPv4 address mapped
// into IPv6, and without a zone.
func (c *Conn) Remote() netip.Addr { return c.remote }

// Authenticated tells that the peer has logged in. It gives back the slot among
// the unauthenticated and lifts the login deadline. Later calls do nothing.
func (c *Conn) Authenticated() {
	if c.release() {
		c.ledger.authenticated(c)
		// A failure means that the connection is closed, which the next read
		// tells as well.
		_ = c.Conn.SetDeadline(time.Time{})
	}
	c.touch()
}

// release reports whether the connection was waiting for its login, and ends
// that.
func (c *Conn) release() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := !c.loginDeadline.IsZero()
	c.loginDeadline = time.Time{}
	return waiting
}

// giveWay closes a connection whose place another has got, and reports whether it
// did: one that has logged in meanwhile needs no place any more.
func (c *Conn) giveWay() bool {
	if !c.release() {
		return false
	}
	_ = c.Close()
	return true
}

// Draining is closed when the server is shutting down: the handler should end
// the connection as soon as no transfer is under way.
func (c *Conn) Draining() <-chan struct{} { return c.server.draining }

// Closed is closed when the connection is.
func (c *Conn) Closed() <-chan struct{} { return c.closed }

// Touch tells that the connection is in use although no byte goes over it: a
// transfer on another connection that belongs to it is under way.
func (c *Conn) Touch() { c.touch() }

// SyscallConn implements [syscall.Conn], for asking the kernel about the
// connection. Bytes that are moved by it are not seen here.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Close closes the connection and frees what it occupied. It may be called by
// any goroutine and more than once.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = c.Conn.Close()
		c.server.forget(c)
		close(c.closed)
	})
	return err
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.touch()
	}
	return n, err
}

// Write implements [net.Conn].
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if n > 0 {
		c.touch()
	}
	return n, err
}

// SetDeadline implements [net.Conn]. Until the peer has logged in, no deadline
// can be later than that of the login.
func (c *Conn) SetDeadline(t time.Time) error { return c.Conn.SetDeadline(c.earliest(t)) }

// SetReadDeadline is to [Conn.SetDeadline] as in [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.earliest(t)) }

// SetWriteDeadline is to [Conn.SetDeadline] as in [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.earliest(t)) }

func (c *Conn) earliest(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.loginDeadline.IsZero() && (t.IsZero() || t.After(c.loginDeadline)) {
		return c.loginDeadline
	}
	return t
}

func (c *Conn) touch() { c.active.Store(int64(time.Since(c.server.started))) }

// idle is how long no byte went by on a connection that has logged in; zero for
// one that has not, which the login deadline takes care of.
func (c *Conn) idle() time.Duration {
	c.mu.Lock()
	waiting := !c.loginDeadline.IsZero()
	c.mu.Unlock()
	if waiting {
		return 0
	}
	return time.Since(c.server.started) - time.Duration(c.active.Load())
}
