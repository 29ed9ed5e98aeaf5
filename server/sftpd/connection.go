package sftpd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// drainPoll is how often a connection that should end looks whether its
// transfers are over.
const drainPoll = 50 * time.Millisecond

// drainQuiet is how long a session must have asked for nothing before it ends for a
// shutdown: one that fetches file after file is not cut between two of them, and one
// that has just begun may do what it came for.
const drainQuiet = time.Second

// connection is a logged-in client's SSH connection with its channels.
type connection struct {
	server  *Server
	log     *slog.Logger
	conn    Conn
	ssh     *ssh.ServerConn
	hello   *helloConn
	session Session
	share   *share // the client's

	hostKeys *hostKeySet // those of its handshake

	handles   atomic.Int32 // open files and folders
	requested atomic.Int64 // when the last request came or was answered, unix nanoseconds
	probed    atomic.Int64 // when the unanswered keepalive was sent, 0 for none

	// asides are requests on channels that have been told what they are for. Serve
	// refuses the first channel's itself: most connections have one.
	asides   chan (<-chan *ssh.Request)
	ended    chan struct{} // closed: serve takes no more of them
	draining atomic.Bool

	mu      sync.Mutex
	streams map[*stream]struct{}
	timer   *time.Timer // until the connection is looked at again; nil once it is over
}

func newConnection(s *Server, l *login, a *admitted) *connection {
	c := &connection{
		server:   s,
		log:      l.log.With("client", a.session.Client()),
		conn:     l.conn,
		ssh:      a.ssh,
		hello:    a.hello,
		session:  a.session,
		share:    s.shares.of(a.session.Client()),
		hostKeys: l.hostKeys,
		asides:   make(chan (<-chan *ssh.Request)),
		ended:    make(chan struct{}),
		streams:  make(map[*stream]struct{}),
	}
	c.touch()
	return c
}

func (c *connection) touch() { c.requested.Store(time.Now().UnixNano()) }

func since(t *atomic.Int64) time.Duration { return time.Duration(time.Now().UnixNano() - t.Load()) }

// serve returns when the connection is closed and all it had open is too.
func (c *connection) serve(ctx context.Context, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	// Files are closed under this context: it ends after the last of them.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer c.server.shares.giveBack(c.session.Client())
	started := time.Now()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(c.ended)
	c.watch()
	defer c.unwatch()
	defer c.contain()

	c.announceHostKeys()
	left := maxProofs
	var aside <-chan *ssh.Request
	for draining := c.conn.Draining(); ; {
		select {
		case offer, ok := <-channels:
			if !ok {
				c.log.Debug("connection closed", "event", "connection.closed", "after", time.Since(started))
				return
			}
			if st, reqs, ok := c.accept(offer); ok {
				wg.Go(func() {
					defer c.drop(st)
					defer c.contain()
					c.serveChannel(ctx, st, reqs)
				})
			}
		case r, ok := <-requests:
			if !ok {
				requests = nil
				continue
			}
			left = c.answer(r, left)
		case reqs := <-c.asides:
			if aside != nil {
				go ssh.DiscardRequests(reqs) // it ends with the channel
				continue
			}
			aside = reqs
		case r, ok := <-aside:
			if !ok {
				aside = nil
				continue
			}
			_ = r.Reply(false, nil)
		case <-draining:
			draining = nil
			c.draining.Store(true)
			c.lookIn(drainPoll)
		}
	}
}

// contain ends the connection, and only that, when its goroutine panicked.
func (c *connection) contain() {
	if p := recover(); p != nil {
		c.panicked(p)
	}
}

func (c *connection) panicked(p any) {
	panicked(c.log, p)
	_ = c.conn.Close()
}

func (c *connection) accept(offer ssh.NewChannel) (*stream, <-chan *ssh.Request, bool) {
	switch {
	case offer.ChannelType() != "session":
		_ = offer.Reject(ssh.Prohibited, "this server offers sFTP only")
		return nil, nil, false
	case c.open() >= c.server.cfg.MaxChannels:
		_ = offer.Reject(ssh.ResourceShortage, "too many sessions on this connection")
		return nil, nil, false
	}
	ch, reqs, err := offer.Accept()
	if err != nil {
		return nil, nil, false
	}
	st := newStream(c, ch)
	c.add(st)
	return st, reqs, true
}

func (c *connection) add(st *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[st] = struct{}{}
}

func (c *connection) drop(st *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, st)
}

func (c *connection) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

// each reports whether f holds for any of the streams.
func (c *connection) any(f func(*stream) bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for st := range c.streams {
		if f(st) {
			return true
		}
	}
	return false
}

// serveChannel waits for the request that says what the channel is for, and does
// it. Environment variables, terminals and the like are refused and forgotten.
func (c *connection) serveChannel(ctx context.Context, st *stream, reqs <-chan *ssh.Request) {
	defer func() { _ = st.ch.Close() }()
	for req := range reqs {
		switch req.Type {
		case "subsystem":
			var name struct{ Name string }
			if ssh.Unmarshal(req.Payload, &name) != nil || name.Name != "sftp" {
				_ = req.Reply(false, nil)
				continue
			}
			_ = req.Reply(true, nil)
			c.setAside(reqs)
			exit(st.ch, st.serve(ctx))
			return
		case "shell", "exec":
			_ = req.Reply(true, nil)
			c.setAside(reqs)
			_, _ = fmt.Fprintf(st.ch.Stderr(), "This server offers sFTP only: sftp -P %s %s@HOST\r\n", c.port(), c.session.Client())
			exit(st.ch, 1)
			return
		default:
			_ = req.Reply(false, nil)
		}
	}
}

// setAside has the rest of a channel's requests refused while its subsystem runs.
func (c *connection) setAside(reqs <-chan *ssh.Request) {
	select {
	case c.asides <- reqs:
	case <-c.ended:
	}
}

// exit tells the client how it went and closes the channel. The connection is
// the client's to close: if the gateway did, the client would report a loss.
func exit(ch ssh.Channel, status uint32) {
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
	_ = ch.CloseWrite()
	_ = ch.Close()
}

func (c *connection) port() string {
	if _, port, err := net.SplitHostPort(c.conn.LocalAddr().String()); err == nil {
		return port
	}
	return "32"
}

// watch has the connection looked at now and then until unwatch is called. It takes a
// timer and no goroutine: a thousand connections that idle would have a thousand.
func (c *connection) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(c.tick(), c.look)
}

func (c *connection) unwatch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
	c.timer = nil
}

// lookIn has the connection looked at after a time, unless it is over.
func (c *connection) lookIn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Reset(d)
	}
}

// tick is how often a connection is looked at.
func (c *connection) tick() time.Duration {
	if c.draining.Load() {
		return drainPoll
	}
	cfg := &c.server.cfg
	return max(min(cfg.IdleTimeout/4, cfg.StallTimeout/4, cfg.Keepalive/2, cfg.Pause), 5*time.Millisecond)
}

// look ends the connection when its time is over in one of the ways it can be.
func (c *connection) look() {
	defer c.contain()
	if why := c.verdict(c.draining.Load()); why != "" {
		c.log.Info("ending the connection", "event", "connection.ended", "reason", why)
		_ = c.conn.Close()
		return
	}
	c.any(func(st *stream) bool { st.pause(c.server.cfg.Pause); return false })
	c.probe()
	c.lookIn(c.tick())
}

// verdict says why the connection should end, "" if it should not.
func (c *connection) verdict(draining bool) string {
	cfg := &c.server.cfg
	busy := c.any((*stream).busy)
	switch {
	case c.any(func(st *stream) bool { return st.stalled(cfg.StallTimeout) }):
		return "transfer stalled"
	case !busy && since(&c.requested) > cfg.IdleTimeout:
		return "idle"
	case draining && !busy && c.handles.Load() == 0 && since(&c.requested) > drainQuiet:
		return "server is shutting down"
	case c.probed.Load() != 0 && since(&c.probed) > cfg.Keepalive && since(&c.hello.heard) > cfg.Keepalive:
		return "the peer does not answer"
	}
	return ""
}

// probe asks a silent peer whether it is there. Any answer will do, and any
// other byte too.
func (c *connection) probe() {
	if since(&c.hello.heard) < c.server.cfg.Keepalive || !c.probed.CompareAndSwap(0, time.Now().UnixNano()) {
		return
	}
	go func() {
		// It returns when the answer is there or the connection is closed.
		_, _, _ = c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		c.probed.Store(0)
	}()
}
