package ftpd_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/ftpd"
)

// The tests of this file end sessions and transfers at every moment, and in every
// way.

func TestQuitDuringTransfer(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.put("one", "a", noise(32<<20))
	for way, login := range ways(h) {
		t.Run(way, func(t *testing.T) {
			c := login("one")
			conn := c.begin("RETR a")
			c.send("QUIT")
			if n, err := io.Copy(io.Discard, conn); n != 32<<20 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			_ = conn.Close()
			c.want(226, "")
			c.want(221, "")
			c.closed()
		})
	}
	h.settled()
	if h.state("a") != "collected" {
		t.Error("not collected")
	}
}

// A client that uses TLS can't tell an end without close_notify from an attack.
func TestControlConnectionEndsWithCloseNotify(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	c := h.dial()
	c.want(234, "AUTH TLS")
	wire := &recorder{Conn: c.conn}
	config := h.tlsConfig()
	config.MaxVersion = tls.VersionTLS12 // it shows the kind of a record
	c.conn = tls.Client(wire, config)
	c.in.Reset(c.conn)
	c.want(221, "QUIT")
	c.closed()
	const alert = 21
	kind := byte(0)
	for rest := wire.got.Bytes(); len(rest) >= 5; rest = rest[5+binary.BigEndian.Uint16(rest[3:]):] {
		kind = rest[0]
	}
	if kind != alert {
		t.Errorf("the last record is of type %d", kind)
	}
}

// recorder keeps what was read.
type recorder struct {
	net.Conn
	got bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.got.Write(p[:n])
	return n, err
}

// TestAborAtEveryMoment sends ABOR before, while and after a transfer begins. The
// race detector is what makes it worth its time.
func TestAborAtEveryMoment(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: func(c *ftpd.Config) { c.ConnectTimeout = 5 * time.Second }})
	h.put("one", "small", noise(1000))
	h.put("one", "large", noise(2<<20))
	for way, login := range ways(h) {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			c := login("one")
			c.tb = t
			for i := range 60 {
				line := []string{"RETR small", "RETR large", "STOR x", "LIST", "APPE small"}[i%5]
				port := c.port()
				connects := random.IntN(4) > 0
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if connects {
						useData(port, c.tls, line[0] == 'S' || line[0] == 'A')
					}
				}()
				c.send(line)
				time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
				c.send("ABOR\r\nNOOP")
				for code := 0; code != 200; {
					var text string
					if code, text = c.do(""); code != 150 && code != 425 && code != 426 && code != 226 && code != 200 && (code != 550 || line[0] != 'A') {
						t.Errorf("%s: %q", line, text) // an APPE that was cut off can't be resumed
					}
				}
				<-ended
			}
			c.want(221, "QUIT")
		})
	}
	t.Cleanup(h.settled)
}

// useData does what a client does with a data connection, whatever comes of it.
func useData(addr string, config *tls.Config, upload bool) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if config != nil {
		conn = tls.Client(conn, config)
	}
	if upload {
		_, _ = conn.Write(noise(100_000))
		return
	}
	_, _ = io.Copy(io.Discard, conn)
}

func TestDrain(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	content := noise(32 << 20)
	h.put("one", "a", content)
	idle, busy, new := h.loginTLS("two"), h.loginTLS("one"), h.dial()
	conn := busy.begin("RETR a")
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		done <- h.server.Shutdown(ctx)
	}()
	for _, c := range []*client{idle, new} {
		c.want(421, "")
		c.closed()
	}
	if n, err := io.Copy(io.Discard, conn); n != 32<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	_ = conn.Close()
	busy.want(226, "")
	busy.want(421, "")
	busy.closed()
	if err := <-done; err != nil {
		t.Errorf("shutting down: %v", err)
	}
	h.settled()
	if h.state("a") != "collected" {
		t.Error("not collected")
	}
}

func TestAttackSessionEndedByTheGate(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.put("one", "a", noise(32<<20))
	for way, login := range ways(h) {
		for _, line := range []string{"RETR a", "STOR b"} {
			c := login("one")
			conn := c.begin(line)
			if line == "STOR b" {
				_, _ = conn.Write([]byte("begun"))
			} else if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			h.gate.mu.Lock()
			end := h.gate.ends[len(h.gate.ends)-1]
			h.gate.mu.Unlock()
			end("disabled")
			end("disabled")
			if n, err := io.Copy(io.Discard, conn); err == nil && line == "RETR a" {
				t.Errorf("%s: the client takes %d bytes for the whole file", way, n)
			}
			eventually(t, "the session ended", func() bool { return h.sessions() == 0 })
			h.gone("one", "b")
		}
	}
	h.settled()
	if h.state("a") == "collected" {
		t.Error("collected")
	}
}

// hastyGate ends sessions while they log in.
type hastyGate struct{ *testGate }

func (g hastyGate) Login(ctx context.Context, a ftpd.Attempt, given string, end func(string)) (ftpd.Session, error) {
	go end("no longer")
	return g.testGate.Login(ctx, a, given, end)
}

func TestAttackSessionEndedDuringLogin(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: func(c *ftpd.Config) { c.Gate = hastyGate{c.Gate.(*testGate)} }})
	for range 20 {
		c := h.dial()
		c.want(331, "USER one")
		c.send("PASS " + password)
		_, _ = io.Copy(io.Discard, c.conn)
	}
	h.settled()
}

func TestUnreachablePortIsReported(t *testing.T) {
	t.Parallel()
	public := netip.MustParseAddr("203.0.113.7")
	h := start(t, options{config: func(c *ftpd.Config) {
		c.ConnectTimeout = 2200 * time.Millisecond
		c.Announce = func(netip.AddrPort) netip.Addr { return public }
	}})
	h.put("one", "a", []byte("abc"))
	c := h.login("one")
	text := c.want(227, "PASV")
	var p1, p2 int
	if _, err := fmt.Sscanf(text[strings.Index(text, "("):], "(203,0,113,7,%d,%d)", &p1, &p2); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	c.want(425, "LIST")
	h.gate.mu.Lock()
	if want := netip.AddrPortFrom(public, uint16(p1<<8|p2)); len(h.gate.unreachable) != 1 || h.gate.unreachable[0] != want || h.gate.reached != 0 {
		t.Errorf("reported %v, want %s; reached %d", h.gate.unreachable, want, h.gate.reached)
	}
	h.gate.mu.Unlock()
	c.retrieve("LIST")
	c.retrieve("LIST")
	c.port() // prepared and given up
	c.want(221, "QUIT")
	h.settled()
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	if len(h.gate.unreachable) != 1 || h.gate.reached != 2 { // of each connection that was made
		t.Errorf("reported %v; reached %d", h.gate.unreachable, h.gate.reached)
	}
}

// panickyFolder panics where it is told to.
type panickyFolder struct {
	ftpd.Folder
	where string
}

func (f panickyFolder) at(where string) {
	if f.where == where {
		panic("at " + where)
	}
}

func (f panickyFolder) Stat(ctx context.Context, n reports.Name) (folder.Entry, error) {
	if !n.IsRoot() {
		f.at("Stat")
	}
	return f.Folder.Stat(ctx, n)
}

func (f panickyFolder) List(ctx context.Context, n reports.Name, after string, most int) ([]folder.Entry, error) {
	f.at("List")
	return f.Folder.List(ctx, n, after, most)
}

func (f panickyFolder) Open(ctx context.Context, n reports.Name) (folder.File, error) {
	f.at("Open")
	file, err := f.Folder.Open(ctx, n)
	return panickyFile{file, f}, err
}

func (f panickyFolder) Create(ctx context.Context, n reports.Name, mode folder.CreateMode) (folder.Upload, error) {
	f.at("Create")
	u, err := f.Folder.Create(ctx, n, mode)
	return panickyUpload{u, f}, err
}

type panickyFile struct {
	folder.File
	f panickyFolder
}

func (p panickyFile) SendTo(w io.Writer, off int64) (int64, error) {
	p.f.at("SendTo")
	return p.File.SendTo(w, off)
}

func (p panickyFile) Close() error {
	_ = p.File.Close()
	p.f.at("File.Close")
	return nil
}

type panickyUpload struct {
	folder.Upload
	f panickyFolder
}

func (p panickyUpload) ReadFrom(r io.Reader) (int64, error) {
	p.f.at("ReadFrom")
	return p.Upload.ReadFrom(r)
}

func (p panickyUpload) Close() error {
	err := p.Upload.Close()
	p.f.at("Upload.Close")
	return err
}

// A panic in a transfer left its file and connection open, and the session was
// never over; one when a download was confirmed ended the process.
func TestAttackPanicsInTheFolder(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"Stat", "List", "Open", "Create", "SendTo", "File.Close", "ReadFrom", "Upload.Close"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			h := start(t, options{panics: true, folder: func(_ string, real *folder.FS) ftpd.Folder { return panickyFolder{real, where} }})
			h.put("one", "a", []byte("abc"))
			for _, line := range []string{"RETR a", "STOR b", "LIST", "RNFR a", "STAT a"} {
				c := h.login("one")
				if line[0] != 'R' || line[1] != 'N' {
					conn := c.data(c.port())
					go func() { _, _ = io.Copy(io.Discard, conn); _ = conn.Close() }()
					if line[:2] == "ST" {
						_ = conn.(*net.TCPConn).CloseWrite()
					}
				}
				c.send(line)
				c.send("QUIT")
				for {
					if _, text, err := c.reply(); err != nil {
						break
					} else if strings.Contains(text, "at ") && strings.Contains(text, where) {
						t.Errorf("%s: %q", line, text)
					}
				}
			}
			h.settled()
			h.login("two").want(221, "QUIT")
		})
	}
}

// TestAttackGoroutineLeak runs alone, since it counts the process's goroutines.
func TestAttackGoroutineLeak(t *testing.T) {
	h := start(t, options{
		config: func(c *ftpd.Config) { c.StallTimeout = 2 * time.Second },
		limits: func(l *server.Limits) { l.ConnectionsPerAddress = 1000 },
	})
	h.put("one", "a", noise(1<<20))
	abuses := []func(c *client){
		func(c *client) {},
		func(c *client) { c.send("QUIT") },
		func(c *client) { c.port() },
		func(c *client) { c.data(c.port()) },
		func(c *client) { c.port(); c.send("RETR a") },
		func(c *client) { c.begin("RETR a") },
		func(c *client) { _ = c.begin("RETR a").Close() },
		func(c *client) { c.begin("STOR b"); c.send("ABOR") },
		func(c *client) { _, _ = c.begin("STOR b").Write([]byte("x")) },
		func(c *client) { c.data(c.port()); c.send("LIST\r\nQUIT") },
		func(c *client) { c.send("NOSUCH\r\n\r\nRETR a\r\nABOR\r\nSTAT\r\nPASS") },
	}
	logins := ways(h)
	run := func(rounds int) {
		for range rounds {
			for i, abuse := range abuses {
				login := logins[[]string{"plain", "tls", "implicit"}[i%3]]
				c := login("one")
				abuse(c)
				_ = c.conn.Close()
			}
		}
		eventually(t, "all connections closed", func() bool { return h.server.Stats().Open == 0 && h.sessions() == 0 })
	}
	run(1)
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	run(200 / len(abuses))
	eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	// The client's ends are closed when the test is over; this is about the server's.
	if now := descriptors(t); now > fds+200/len(abuses)*6 {
		t.Errorf("%d descriptors before, %d after", fds, now)
	}
}
