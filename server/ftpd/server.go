package ftpd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"syscall"
	"time"
)

// Conn is a control connection that a listener has admitted; package server's is
// one. Until Authenticated is called the listener limits its life, whatever
// deadlines are set here.
type Conn interface {
	net.Conn
	syscall.Conn
	// Remote is the peer's address, unmapped.
	Remote() netip.Addr
	// Authenticated tells that the peer has logged in.
	Authenticated()
	// Touch tells that the connection is in use although no byte goes over it.
	Touch()
	// Draining is closed when the connection should end as soon as no transfer
	// is under way.
	Draining() <-chan struct{}
}

// Config is what a [Server] needs. Zero limits take their defaults.
type Config struct {
	Gate Gate
	Log  *slog.Logger

	// Passive are the listeners of the passive ports. The server closes them.
	Passive []net.Listener
	// Announce returns the address that PASV tells a client to connect to, which
	// is IPv4; local is the address that the client has connected to. nil: local.
	Announce func(local netip.AddrPort) netip.Addr

	// Certificate proves the gateway to its clients; nil: there is no TLS. It is
	// called at each handshake.
	Certificate func() (*tls.Certificate, error)
	// RequireSessionReuse refuses data connections that do not resume the control
	// connection's TLS session, which ties the two together. Some clients can't.
	RequireSessionReuse bool

	// MaxTries is how many logins may fail on one connection; 3.
	MaxTries int
	// FailureDelay is how long after the password a failed login is answered at
	// the earliest; 1 second.
	FailureDelay time.Duration
	// ConnectTimeout is how long a transfer waits for its data connection, with
	// the TLS handshake; 10 seconds.
	ConnectTimeout time.Duration
	// IdleTimeout ends a session that sends no command; 10 minutes.
	IdleTimeout time.Duration
	// StallTimeout ends a transfer of which nothing moves; 1 minute.
	StallTimeout time.Duration
}

func (c *Config) setDefaults() {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.FailureDelay, time.Second},
		{&c.ConnectTimeout, 10 * time.Second},
		{&c.IdleTimeout, 10 * time.Minute},
		{&c.StallTimeout, time.Minute},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if c.MaxTries == 0 {
		c.MaxTries = 3
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func (c *Config) check() error {
	switch {
	case c.Gate == nil:
		return errors.New("ftp server: Gate must be set")
	case len(c.Passive) == 0:
		return errors.New("ftp server: there is no passive port")
	case c.RequireSessionReuse && c.Certificate == nil:
		return errors.New("ftp server: there is no TLS whose sessions could be reused")
	case c.MaxTries < 0 || c.FailureDelay < 0 || c.ConnectTimeout < 0 || c.IdleTimeout < 0 || c.StallTimeout < 0:
		return errors.New("ftp server: a limit is negative")
	}
	return nil
}

// Server serves FTP to clients that a [Gate] lets in.
type Server struct {
	cfg      Config
	ports    *ports
	tls      *tls.Config // nil: none
	commands map[string]command
}

// New makes a server, which listens on its passive ports from then on. Close it.
func New(cfg Config) (*Server, error) {
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, ports: listenPassive(cfg.Passive, cfg.Log), commands: commands()}
	if cfg.Certificate != nil {
		s.tls = &tls.Config{
			MinVersion: tls.VersionTLS12,
			// For TLS 1.2: forward secrecy and authenticated encryption only.
			CipherSuites: []uint16{
				tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
				tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
				tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
			},
			GetCertificate:              func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cfg.Certificate() },
			DynamicRecordSizingDisabled: true, // there is nobody who waits for the first bytes of a page
		}
	}
	return s, nil
}

// Close closes the passive ports. Connections that are being served go on.
func (s *Server) Close() { s.ports.close() }

// sessionTLS is the TLS of one control connection and its data connections: a
// ticket that it hands out is good for no other control connection's data.
func (s *Server) sessionTLS() *tls.Config {
	if s.tls == nil {
		return nil
	}
	c := s.tls.Clone()
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	c.SetSessionTicketKeys([][32]byte{key})
	return c
}

// dataTLS is the TLS of a data connection. Where it must resume a session, the
// handshake of one that does not must not give out a ticket either: with that, a
// second try would be let in.
func (s *Server) dataTLS(session *tls.Config) *tls.Config {
	if !s.cfg.RequireSessionReuse {
		return session
	}
	c := session.Clone()
	c.WrapSession = func(cs tls.ConnectionState, state *tls.SessionState) ([]byte, error) {
		if !cs.DidResume {
			return []byte("none"), nil
		}
		return session.EncryptTicket(cs, state)
	}
	return c
}

// ServeConn serves one connection from its first byte to its end, and closes it.
// When ctx ends, so does the connection. On an implicit connection TLS begins at
// once.
func (s *Server) ServeConn(ctx context.Context, c Conn, implicit bool) {
	log := s.cfg.Log.With("address", c.Remote())
	defer func() {
		_ = c.Close()
		if p := recover(); p != nil {
			log.Error("connection panicked", "event", "panic.connection", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	newSession(s, c, log).serve(ctx, implicit)
}
