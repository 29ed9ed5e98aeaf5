package sftpd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Conn is a connection that a listener has admitted; package server's is one.
// Until Authenticated is called the listener limits its life, whatever deadlines
// are set here.
type Conn interface {
	net.Conn
	// Remote is the peer's address, unmapped.
	Remote() netip.Addr
	// Authenticated tells that the peer has logged in.
	Authenticated()
	// Draining is closed when the connection should end as soon as no transfer
	// is under way.
	Draining() <-chan struct{}
}

// Config is what a [Server] needs. Zero limits take their defaults.
type Config struct {
	// HostKeys prove the gateway to its clients: an Ed25519 key, and an RSA key
	// for clients that know no other.
	HostKeys []ssh.Signer
	// NextHostKeys are announced to clients, and not used yet. See
	// [Server.SetHostKeys].
	NextHostKeys []ssh.Signer
	// CheckKey is the policy on keys that holds before anybody is asked whether
	// they are registered: type and size.
	CheckKey func(ssh.PublicKey) error
	Gate     Gate
	Log      *slog.Logger

	// MaxTries is how many keys a client may fail with on one connection; 6 by
	// default, as many as OpenSSH's clients expect.
	MaxTries int
	// MaxChannels is how many sFTP sessions one connection may carry; 4.
	MaxChannels int
	// MaxHandles is how many files and folders one connection may have open; 100.
	MaxHandles int

	// IdleTimeout ends a connection that sends no request; 10 minutes.
	IdleTimeout time.Duration
	// StallTimeout ends a connection on which 32 KiB of a reply, or the rest of
	// a request, does not move; 2 minutes.
	StallTimeout time.Duration
	// Keepalive is how often a silent peer is asked whether it is there; it has
	// as long again to answer. 30 seconds.
	Keepalive time.Duration
	// Pause is how long a session with nothing open must be silent before its
	// buffers are given back; 5 seconds.
	Pause time.Duration
}

func (c *Config) setDefaults() {
	for _, f := range []struct {
		field *int
		value int
	}{{&c.MaxTries, 6}, {&c.MaxChannels, 4}, {&c.MaxHandles, 100}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.IdleTimeout, 10 * time.Minute}, {&c.StallTimeout, 2 * time.Minute}, {&c.Keepalive, 30 * time.Second}, {&c.Pause, 5 * time.Second}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func (c *Config) check() error {
	switch {
	case len(c.HostKeys) == 0:
		return errors.New("sftp server: there is no host key")
	case c.Gate == nil || c.CheckKey == nil:
		return errors.New("sftp server: Gate and CheckKey must be set")
	case c.MaxTries < 0 || c.MaxChannels < 0 || c.MaxHandles < 0,
		c.IdleTimeout < 0 || c.StallTimeout < 0 || c.Keepalive < 0 || c.Pause < 0:
		return errors.New("sftp server: a limit is negative")
	}
	return nil
}

// namesPerReply is how many entries one reply to READDIR lists at most. More
// than 400 names of 255 bytes, with their long forms, would not fit the largest
// packet that clients take.
const namesPerReply = 400

// setNamesPerReply sets the one thing that pkg/sftp keeps in a variable of its
// package, once, before any server reads it.
var setNamesPerReply = sync.OnceFunc(func() { sftp.MaxFilelist = namesPerReply })

// Server serves sFTP to clients that a [Gate] lets in.
type Server struct {
	cfg      Config
	hostKeys atomic.Pointer[hostKeySet]
	rules    rules
	shares   *shares
	pages    pages
	plain    bool // the request server answers everything; for the test that compares
}

// New makes a server.
func New(cfg Config) (*Server, error) {
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, rules: rulesHere(), shares: newShares()}
	if err := s.SetHostKeys(cfg.HostKeys, cfg.NextHostKeys); err != nil {
		return nil, err
	}
	setNamesPerReply()
	return s, nil
}

// ServeConn serves one connection from its first byte to its end, and closes it.
// When ctx ends, so does the connection.
func (s *Server) ServeConn(ctx context.Context, c Conn) {
	log := s.cfg.Log.With("address", c.Remote())
	defer func() {
		_ = c.Close()
		if p := recover(); p != nil {
			panicked(log, p)
		}
	}()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()

	l := &login{server: s, hostKeys: s.hostKeys.Load(), ctx: ctx, conn: c, log: log, attempt: Attempt{Address: c.Remote()}}
	defer l.closeSession()
	if a := s.handshake(l); a != nil {
		c.Authenticated()
		newConnection(s, l, a).serve(ctx, a.channels, a.requests)
	}
}

// panicked logs what a connection's goroutine panicked with.
func panicked(log *slog.Logger, p any) {
	log.Error("connection panicked", "event", "panic.connection", "panic", p, "stack", string(debug.Stack()))
}

// admitted is a connection whose client has logged in.
type admitted struct {
	ssh      *ssh.ServerConn
	hello    *helloConn
	session  Session
	channels <-chan ssh.NewChannel
	requests <-chan *ssh.Request
}

// handshake returns nil if nobody has logged in. It runs on a goroutine of its own, since
// it needs a deep stack, which would be kept for as long as the session lasts.
func (s *Server) handshake(l *login) (a *admitted) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				panicked(l.log, p)
			}
		}()
		a = s.logIn(l)
	}()
	<-done
	return a
}

func (s *Server) logIn(l *login) *admitted {
	h, hc, err := exchangeHello(l.conn)
	l.attempt.ClientVersion = printable(h.version, maxIdentification)
	if err != nil {
		l.report(err, false)
		return nil
	}
	sc, channels, requests, err := ssh.NewServerConn(hc, l.config(h))
	if err != nil {
		l.report(err, hc.timeout.Load())
		return nil
	}
	session, ok := sc.Permissions.ExtraData[sessionKey{}].(Session)
	if !ok {
		l.log.Error("login without a session", "event", "sftp.no-session")
		return nil
	}
	return &admitted{sc, hc, session, channels, requests}
}
