package ftpd_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/server/ftpd"
)

// A receipt that says collected is never false: the reply 226 means no more than
// that everything lies in some buffer.

// bare is the socket under a data connection.
func bare(conn net.Conn) *net.TCPConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return conn.(*net.TCPConn)
}

func TestAttackReceiptWithoutReading(t *testing.T) {
	t.Parallel()
	const size = 500_000 // fits the sockets' buffers
	for name, test := range map[string]struct {
		takes func(c *client, conn net.Conn)
		want  string
	}{
		"killed, nothing read": {func(_ *client, conn net.Conn) { _ = bare(conn).Close() }, "published"},
		"killed in the middle": {func(_ *client, conn net.Conn) {
			_, _ = io.CopyN(io.Discard, conn, size/2)
			_ = bare(conn).Close()
		}, "published"},
		"killed with all connections": {func(c *client, conn net.Conn) {
			_, _ = io.CopyN(io.Discard, conn, size-100_000) // more than a TLS library reads ahead
			_ = c.conn.Close()
			_ = bare(conn).Close()
		}, "published"},
		"reset": {func(_ *client, conn net.Conn) {
			_, _ = io.CopyN(io.Discard, conn, size-1)
			_ = bare(conn).SetLinger(0)
			_ = bare(conn).Close()
		}, "published"},
		"stands still": {func(*client, net.Conn) {}, "published"},
		"shouts back": {func(_ *client, conn net.Conn) {
			_, _ = bare(conn).Write(make([]byte, 200_000))
		}, "published"},
		"reads to the end": {func(_ *client, conn net.Conn) {
			if n, err := io.Copy(io.Discard, conn); n != size || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			_ = conn.Close()
		}, "collected"},
		"reads late": {func(_ *client, conn net.Conn) {
			time.Sleep(400 * time.Millisecond)
			_, _ = io.Copy(io.Discard, conn)
			_ = bare(conn).Close()
		}, "collected"},
		"leaves before it reads": {func(c *client, conn net.Conn) {
			c.want(221, "QUIT")
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}, "collected"},
	} {
		for _, way := range []string{"plain", "tls"} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				h := start(t, options{config: func(c *ftpd.Config) {
					if name == "stands still" || name == "shouts back" { // nothing else ends it
						c.StallTimeout = time.Second
					}
				}})
				h.put("one", "a", noise(size))
				c := ways(h)[way]("one")
				c.tb = t
				conn := c.data(c.port())
				_ = conn.(*net.TCPConn).SetReadBuffer(2 << 20)
				c.want(150, "RETR a")
				if c.tls != nil {
					conn = tls.Client(conn, c.tls)
					if err := conn.(*tls.Conn).Handshake(); err != nil {
						t.Fatal(err)
					}
				}
				c.want(226, "")
				test.takes(c, conn)
				_ = c.conn.Close()
				h.settled()
				if got := h.state("a"); got != test.want {
					t.Errorf("the file is %s, want %s", got, test.want)
				}
			})
		}
	}
}

func TestReceiptNeedsEveryByte(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.put("one", "a", noise(1000))
	c := h.login("one")
	c.want(350, "REST 1")
	if got := c.retrieve("RETR a"); len(got) != 999 {
		t.Errorf("%d bytes", len(got))
	}
	c.want(350, "REST 1000")
	if got := c.retrieve("RETR a"); len(got) != 0 {
		t.Errorf("%d bytes", len(got))
	}
	c.want(221, "QUIT")
	h.settled()
	if got := h.state("a"); got == "collected" {
		t.Error("collected without its first byte")
	}
}

// A client on a slow line takes its time for what the server has long sent.
func TestSlowClientCollects(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: func(c *ftpd.Config) { c.StallTimeout = 3 * time.Second }})
	h.put("one", "a", noise(1<<20))
	c := h.login("one")
	conn := c.data(c.port())
	_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	c.want(150, "RETR a")
	for n := 0; ; { // for longer than a stall may last, in pauses that are much shorter
		m, err := conn.Read(make([]byte, 32<<10))
		if n += m; err != nil {
			if n != 1<<20 || err != io.EOF {
				t.Errorf("%d bytes, %v", n, err)
			}
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	_ = conn.Close()
	c.want(226, "")
	c.want(221, "QUIT")
	h.settled()
	if got := h.state("a"); got != "collected" {
		t.Errorf("the file is %s", got)
	}
}

// TestAttackDownloadsNeverClosed runs alone, since it counts the process's
// descriptors.
func TestAttackDownloadsNeverClosed(t *testing.T) {
	h := start(t, options{config: func(c *ftpd.Config) { c.StallTimeout = time.Minute }})
	h.put("one", "a", []byte("abc"))
	c := h.login("one")
	before := descriptors(t)
	const downloads = 100
	var conns []net.Conn
	for range downloads {
		conns = append(conns, c.begin("RETR a"))
		c.want(226, "")
	}
	// Each has one descriptor at the client, and two at the server as long as the
	// server waits for the client.
	limit := before + downloads + 2*20
	eventually(t, fmt.Sprintf("no more than %d descriptors", limit), func() bool { return descriptors(t) <= limit })
	for _, conn := range conns {
		if got, err := io.ReadAll(conn); string(got) != "abc" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		_ = conn.Close()
	}
	c.want(221, "QUIT")
	h.settled()
}
