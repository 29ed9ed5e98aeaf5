package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealdrop/sealdrop/server"
)

// pipeListener hands out one end of in-memory connections from made-up addresses.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
	errs  chan error // what Accept fails with before it goes on
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{}), errs: make(chan error, 10)}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return addr("listener") }

type addr string

func (a addr) Network() string { return "pipe" }
func (a addr) String() string  { return string(a) }

type addrConn struct {
	net.Conn
	from net.Addr
}

func (c addrConn) RemoteAddr() net.Addr { return c.from }

// dial connects from an address, and returns the client's end.
func (l *pipeListener) dial(from string) net.Conn {
	client, srv := net.Pipe()
	var a net.Addr = addr(from)
	if ap, err := netip.ParseAddrPort(from); err == nil {
		a = net.TCPAddrFromAddrPort(ap)
	}
	l.conns <- addrConn{srv, a}
	return client
}

type fixture struct {
	*server.Server
	l   *pipeListener
	log *bytes.Buffer
	mu  sync.Mutex
}

func (f *fixture) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(p)
}

func start(t *testing.T, cfg server.Config) *fixture {
	t.Helper()
	f := &fixture{l: newPipeListener(), log: &bytes.Buffer{}}
	cfg.Name = "test"
	cfg.Log = slog.New(slog.NewTextHandler(f, nil))
	if cfg.Limits == (server.Limits{}) {
		cfg.Limits = server.DefaultLimits()
	}
	if cfg.Admit == nil {
		cfg.Admit = func(netip.Addr) bool { return true }
	}
	if cfg.Handler == nil {
		cfg.Handler = echo
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Server = s
	go func() { _ = s.Serve(f.l) }()
	return f
}

func (f *fixture) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = f.Shutdown(ctx)
}

// echo logs in at the first byte and returns what it gets.
func echo(_ context.Context, c *server.Conn) {
	buf := make([]byte, 100)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		c.Authenticated()
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func closed(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe)
}

func ping(c net.Conn) error {
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func TestNewRefusesWhatWouldBeOpen(t *testing.T) {
	t.Parallel()
	good := server.Config{Limits: server.DefaultLimits(), Admit: func(netip.Addr) bool { return false }, Handler: echo}
	for name, spoil := range map[string]func(*server.Config){
		"no admit":   func(c *server.Config) { c.Admit = nil },
		"no handler": func(c *server.Config) { c.Handler = nil },
		"no limits":  func(c *server.Config) { c.Limits = server.Limits{} },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := server.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAdmission(t *testing.T) {
	t.Parallel()
	allowed := netip.MustParsePrefix("203.0.113.0/24")
	allowed6 := netip.MustParsePrefix("2001:db8::/48")
	for _, tt := range []struct {
		name, from string
		admitted   bool
	}{
		{"on the list", "203.0.113.9:1000", true},
		{"not on the list", "198.51.100.1:1000", false},
		{"IPv6 on the list", "[2001:db8::1]:1000", true},
		{"IPv6 not on the list", "[2001:db9::1]:1000", false},
		{"ipv4-mapped-ipv6-bypasses-allowlist", "[::ffff:198.51.100.1]:1000", false},
		{"mapped and on the list", "[::ffff:203.0.113.9]:1000", true},
		{"unreadable-address-is-let-in", "not an address", false},
		{"no port", "203.0.113.9", false},
		{"empty", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan netip.Addr, 1)
			f := start(t, server.Config{
				Admit: func(a netip.Addr) bool { return allowed.Contains(a) || allowed6.Contains(a) },
				Handler: func(ctx context.Context, c *server.Conn) {
					seen <- c.Remote()
					echo(ctx, c)
				},
			})
			defer f.stop()
			c := f.l.dial(tt.from)
			if tt.admitted {
				if err := ping(c); err != nil {
					t.Fatal(err)
				}
				if a := <-seen; a.Is4In6() {
					t.Errorf("the handler sees %v", a)
				}
				return
			}
			if !closed(c) {
				t.Error("the connection is open")
			}
			if n := len(seen); n != 0 {
				t.Error("the handler was called")
			}
		})
	}
}

// TestStrangers lets few of them in, who keep out nobody that is admitted.
func TestStrangers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := make(chan netip.Addr, 100)
		f := start(t, server.Config{
			Admit:     netip.MustParsePrefix("203.0.113.0/24").Contains,
			Limits:    server.Limits{Connections: 4, ConnectionsPerAddress: 4, Unauthenticated: 8, LoginTimeout: time.Hour, IdleTimeout: time.Hour},
			Strangers: server.Strangers{Connections: 4, PerMinute: 6, Pause: 10 * time.Second},
			Refused:   func(a netip.Addr, _ server.Cause) { refused <- a },
			Handler:   func(_ context.Context, c *server.Conn) { _, _ = io.Copy(c, c) }, // nobody logs in
		})
		defer f.stop()
		let := func(from string, want bool) net.Conn {
			t.Helper()
			c := f.l.dial(from + ":1000")
			if in := ping(c) == nil; in != want {
				t.Errorf("%s was let in: %v", from, in)
			}
			return c
		}
		first := let("198.51.100.1", true)
		let("198.51.100.1", false) // one at a time
		let("198.51.100.2", true)
		let("198.51.100.3", false) // a network has half
		let("192.0.2.1", true)
		last := let("192.0.3.1", true)
		let("192.0.4.1", false) // all places are taken
		let("203.0.113.1", true)
		let("203.0.113.2", true)
		_, _ = first.Close(), last.Close()
		synctest.Wait()
		let("198.51.100.1", false) // too soon
		let("192.0.4.1", true)
		time.Sleep(10 * time.Second)
		let("198.51.100.1", true)
		_ = let("192.0.5.1", false).Close()
		time.Sleep(10 * time.Second)
		let("192.0.6.1", false) // six within a minute
		if n := len(refused); n != 6 {
			t.Errorf("%d were refused", n)
		}
		if refused := f.Stats().Refused[server.AddressNotAdmitted]; refused != 6 {
			t.Errorf("%d were counted", refused)
		}
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	limits := server.Limits{Connections: 5, ConnectionsPerAddress: 2, Unauthenticated: 3, LoginTimeout: time.Minute, IdleTimeout: time.Minute}
	f := start(t, server.Config{Limits: limits})
	defer f.stop()
	must := func(from string) net.Conn {
		t.Helper()
		c := f.l.dial(from)
		if err := ping(c); err != nil {
			t.Fatalf("%s: %v", from, err)
		}
		return c
	}
	refused := func(from string, cause server.Cause) {
		t.Helper()
		before := f.Stats().Refused[cause]
		if c := f.l.dial(from); !closed(c) {
			t.Fatalf("%s was let in", from)
		}
		if f.Stats().Refused[cause] != before+1 {
			t.Errorf("%s: not counted as %s: %v", from, cause, f.Stats())
		}
	}
	first := must("[2001:db8:0:1::1]:1")
	must("[2001:db8:0:1:ffff::2]:1")
	refused("[2001:db8:0:1:aaaa::3]:1", server.TooManyFromAddress)
	must("[2001:db8:0:2::1]:1")
	must("192.0.2.1:1")
	must("192.0.2.2:1")
	refused("192.0.2.3:1", server.TooManyConnections)

	_ = first.Close()
	waitFor(t, func() bool { return f.Stats().Open == 4 })
	must("[2001:db8:0:1:aaaa::3]:1")

	g := start(t, server.Config{Limits: limits})
	defer g.stop()
	var waiting []net.Conn
	for _, from := range []string{"192.0.2.1:1", "198.51.100.2:1", "203.0.113.3:1"} {
		waiting = append(waiting, g.l.dial(from))
	}
	fourth := g.l.dial("233.252.0.4:1")
	if !closed(waiting[0]) {
		t.Error("one unauthenticated too many")
	}
	if err := ping(waiting[1]); err != nil { // it logs in, and frees its slot
		t.Fatal(err)
	}
	if err := ping(g.l.dial("192.0.2.4:1")); err != nil {
		t.Errorf("a slot is free: %v", err)
	}
	for _, c := range []net.Conn{fourth, waiting[2]} {
		if err := ping(c); err != nil {
			t.Errorf("it had to make room although there was some: %v", err)
		}
	}
}

// TestOneNetworkKeepsEverybodyOut: connections that never speak, from a handful of
// neighbouring addresses, must leave room for others to log in.
func TestOneNetworkKeepsEverybodyOut(t *testing.T) {
	t.Parallel()
	limits := server.Limits{Connections: 50, ConnectionsPerAddress: 2, Unauthenticated: 8, LoginTimeout: time.Minute, IdleTimeout: time.Minute}
	f := start(t, server.Config{Limits: limits})
	defer f.stop()
	var silent []net.Conn
	for _, from := range []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "192.0.2.2:2", "192.0.2.3:1"} {
		silent = append(silent, f.l.dial(from))
	}
	if !closed(silent[0]) {
		t.Error("one network has more than half of the places")
	}
	client := f.l.dial("198.51.100.1:1")
	if err := ping(client); err != nil {
		t.Errorf("a client from elsewhere can't log in: %v", err)
	}
}

// TestSlowlorisFromManyNetworks: strangers in many networks, who connect again as
// soon as they are closed, must leave others the time to log in.
func TestSlowlorisFromManyNetworks(t *testing.T) {
	t.Parallel()
	limits := server.Limits{Connections: 1000, ConnectionsPerAddress: 50, Unauthenticated: 20, LoginTimeout: time.Minute, IdleTimeout: time.Minute}
	f := start(t, server.Config{Limits: limits})
	defer f.stop()
	stranger := 0
	storm := func(n int) {
		for range n {
			stranger++
			f.l.dial(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(stranger % 250), byte(stranger / 250)}), 1).String())
		}
	}
	storm(300)
	honest := f.l.dial("198.51.100.1:1")
	const more = 1000
	storm(more)
	if err := ping(honest); err != nil {
		t.Errorf("a client that came among strangers can't log in: %v", err)
	}
	storm(300)
	if err := ping(honest); err != nil {
		t.Errorf("a client that had logged in had to make room: %v", err)
	}
	st := f.Stats()
	if st.Unauthenticated > limits.Unauthenticated || st.Open > limits.Unauthenticated+1 {
		t.Errorf("%d connections are open, %d of them without a login", st.Open, st.Unauthenticated)
	}
	// One more or less: a place is free from when a connection ends, and who made room is
	// counted when it has.
	if made, want := int(st.Refused[server.TooManyUnauthenticated]), 300+more+300-limits.Unauthenticated; made < want-1 || made > want {
		t.Errorf("%d connections made room, want %d", made, want)
	}
}

func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("it did not come to that")
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := start(t, server.Config{
			Limits: server.Limits{Connections: 9, ConnectionsPerAddress: 9, Unauthenticated: 9, LoginTimeout: 10 * time.Second, IdleTimeout: 4 * time.Minute},
			Handler: func(ctx context.Context, c *server.Conn) {
				_ = c.SetDeadline(time.Now().Add(time.Hour)) // a handler can't buy time
				_ = c.SetReadDeadline(time.Time{})
				echo(ctx, c)
			},
		})
		defer f.stop()
		began := time.Now()
		silent, talker := f.l.dial("192.0.2.1:1"), f.l.dial("192.0.2.1:2")
		if err := ping(talker); err != nil {
			t.Fatal(err)
		}
		_, _ = silent.Read(make([]byte, 1))
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("a silent stranger was closed after %v", took)
		}
		time.Sleep(3 * time.Minute)
		if err := ping(talker); err != nil {
			t.Fatalf("a client that talks was closed: %v", err)
		}
		began = time.Now()
		_, _ = talker.Read(make([]byte, 1))
		if took := time.Since(began); took < 4*time.Minute || took > 5*time.Minute {
			t.Errorf("an idle client was closed after %v", took)
		}
	})
}

func TestFloodOfRefusalsIsOneLineAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := start(t, server.Config{Admit: func(netip.Addr) bool { return false }})
		for i := range 1000 {
			f.l.dial(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 1).String())
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := strings.Count(f.log.String(), "\n"); n != 3 {
			t.Errorf("%d lines, want the first one, and one a minute:\n%s", n, f.log)
		}
		if n := f.Stats().Refused[server.AddressNotAdmitted]; n != 1000 {
			t.Errorf("counted %d", n)
		}
		f.stop()
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		work := make(chan struct{})
		f := start(t, server.Config{Handler: func(ctx context.Context, c *server.Conn) {
			c.Authenticated()
			<-c.Draining()
			select {
			case <-work: // the transfer is over
			case <-ctx.Done():
			}
		}})
		c := f.l.dial("192.0.2.1:1")
		synctest.Wait()
		done := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			done <- f.Shutdown(ctx)
		}()
		time.Sleep(30 * time.Second)
		close(work)
		if err := <-done; err != nil {
			t.Errorf("a transfer that ended in time: %v", err)
		}
		if !closed(c) {
			t.Error("the connection is open")
		}
		if err := f.Serve(newPipeListener()); !errors.Is(err, server.ErrClosed) {
			t.Errorf("serving after shutdown: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := start(t, server.Config{Handler: func(_ context.Context, c *server.Conn) {
			_, _ = c.Read(make([]byte, 1)) // never comes
		}})
		f.l.dial("192.0.2.1:1")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := f.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown with a transfer that does not end: %v", err)
		}
		if st := f.Stats(); st.Open != 0 || st.Unauthenticated != 0 {
			t.Errorf("after shutdown: %+v", st)
		}
	})
}

func TestRunningOutOfDescriptorsIsSurvived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := start(t, server.Config{})
		defer f.stop()
		synctest.Wait()
		for range 9 {
			f.l.errs <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
		}
		began := time.Now()
		if err := ping(f.l.dial("192.0.2.1:1")); err != nil {
			t.Fatal(err)
		}
		if err := ping(f.l.dial("192.0.2.1:2")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < time.Second || took > 10*time.Second {
			t.Errorf("accepted again after %v", took)
		}
	})
}

func TestPanicEndsOnlyItsConnection(t *testing.T) {
	t.Parallel()
	f := start(t, server.Config{Handler: func(ctx context.Context, c *server.Conn) {
		if c.Remote().String() == "192.0.2.66" {
			panic("broken handler")
		}
		echo(ctx, c)
	}})
	defer f.stop()
	good := f.l.dial("192.0.2.1:1")
	if bad := f.l.dial("192.0.2.66:1"); !closed(bad) {
		t.Error("the connection that panicked is open")
	}
	if err := ping(good); err != nil {
		t.Errorf("the other connection: %v", err)
	}
	waitFor(t, func() bool { return f.Stats().Open == 1 })
}
