package ftpd_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/ftpd"
)

// The tests of this file attack the data connections: every defect of the library
// that the session has to close is here under its name.

// impatient makes the waits for data connections short.
func impatient(c *ftpd.Config) {
	c.ConnectTimeout, c.StallTimeout = 500*time.Millisecond, 2*time.Second
}

// stranger connects to a port from another address.
func stranger(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// gotNothing fails unless the connection was closed without a byte.
func gotNothing(tb testing.TB, conn net.Conn) {
	tb.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := conn.Read(make([]byte, 100)); n != 0 || isTimeout(err) {
		tb.Errorf("got %d bytes, %v", n, err)
	}
}

// gone fails if the client's file is there.
func (h *harness) gone(client, name string) {
	h.tb.Helper()
	if content, err := h.get(client, name); !errors.Is(err, os.ErrNotExist) {
		h.tb.Errorf("%s is there with %d bytes, %v", name, len(content), err)
	}
}

func (h *harness) sessions() int {
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	return h.gate.open
}

// settled waits for the end of all sessions, and for the receipts.
func (h *harness) settled() {
	h.tb.Helper()
	eventually(h.tb, "all sessions closed", func() bool { return h.sessions() == 0 })
	h.collect()
}

func (h *harness) state(name string) string {
	h.tb.Helper()
	r, err := h.lookup("one", name)
	if err != nil {
		h.tb.Fatal(err)
	}
	return string(r.State)
}

func TestAttackStrangerOnThePassivePort(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.put("one", "a", []byte("for one"))
	c := h.login("one")
	port := c.port()
	s := stranger(t, port)
	gotNothing(t, s)
	conn := c.data(port)
	c.want(150, "RETR a")
	if got, err := io.ReadAll(conn); string(got) != "for one" || err != nil {
		t.Errorf("the client got %q, %v", got, err)
	}
	c.want(226, "")
	c.want(425, "RETR a")
}

// The library sent the second RETR to the stranger whom it had refused at the first.
func TestAttackSecondRETRGoesToTheStranger(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: impatient})
	h.put("one", "a", []byte("for one"))
	c := h.login("one")
	port := c.port()
	first := stranger(t, port)
	c.want(425, "RETR a")
	second := stranger(t, port)
	c.want(425, "RETR a")
	gotNothing(t, first)
	gotNothing(t, second)
	gotNothing(t, c.data(port)) // it was given back
	if got := c.retrieve("RETR a"); string(got) != "for one" {
		t.Errorf("afterwards: %q", got)
	}
}

func TestAttackStorTruncatesBeforeDataConnection(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: impatient})
	h.put("one", "a", []byte("old"))
	c := h.login("one")
	for _, line := range []string{"STOR a", "APPE a", "REST 1", "STOR a", "REST 2000", "STOR a"} {
		if strings.HasPrefix(line, "REST") {
			c.want(350, line)
			continue
		}
		c.port()
		if code, text := c.do(line); code != 425 && code != 554 {
			t.Errorf("%s: %q", line, text)
		}
		h.holds("one", "a", []byte("old"))
	}
	conn := c.begin("STOR a") // not even once it has begun
	if _, err := conn.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	h.holds("one", "a", []byte("old"))
	_ = conn.Close()
	c.want(226, "")
	h.holds("one", "a", []byte("new"))
}

// An APPE of which nothing had arrived left the file's own copy as an interrupted
// upload, after which the file could not be appended to.
func TestAppendWithoutDataConnectionBlocksTheNext(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: impatient})
	h.put("one", "a", []byte("old"))
	c := h.login("one")
	c.port()
	c.want(425, "APPE a")
	c.want(350, "REST 2000")
	c.port()
	c.want(554, "STOR a")
	c.store("APPE a", []byte(" and new"))
	h.holds("one", "a", []byte("old and new"))
}

func TestAttackListenerLeak(t *testing.T) { // alone, since it counts the process's descriptors
	for _, network := range []string{"127.0.0.1", "::1"} {
		h := start(t, options{network: network, ports: 1})
		c := h.login("one")
		c.port()
		before := descriptors(t)
		for range 90 {
			c.do("PASV") // 425 over IPv6
			c.want(229, "EPSV")
			c.want(502, "PORT 127,0,0,1,8,8")
			c.want(502, "EPRT |1|127.0.0.1|2048|")
		}
		if now := descriptors(t); now > before {
			t.Errorf("%s: %d descriptors before, %d after", network, before, now)
		}
		c.want(221, "QUIT")
		h.login("two").port() // the only port there is
	}
}

func descriptors(tb testing.TB) int {
	tb.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(list)
}

func TestAttackMandatoryTLSBypass(t *testing.T) {
	t.Parallel()
	h := start(t, options{secure: true, config: impatient})
	h.put("one", "a", noise(1000))
	clear := h.dial()
	clear.want(530, "USER one")
	clear.want(503, "PASS "+password)

	// Without a word about protection, and with PROT C from before the login.
	for _, before := range [][]string{nil, {"PBSZ 0", "PROT C"}} {
		c := h.dial()
		c.authTLS()
		for _, line := range before {
			c.want(200, line)
		}
		c.want(331, "USER one")
		c.want(230, "PASS "+password)
		for _, line := range []string{"STOR b", "RETR a", "APPE a", "LIST", "NLST", "MLSD", "STOU"} {
			conn := c.data(c.port())
			c.want(522, line)
			_ = conn.Close()
		}
		c.want(200, "PBSZ 0")
		c.want(534, "PROT C")
		c.want(534, "CCC")
	}

	// EPSV first and PROT P after it; then data in the clear all the same.
	c := h.dial()
	c.authTLS()
	c.want(331, "USER one")
	c.want(230, "PASS "+password)
	conn := c.data(c.port())
	c.want(200, "PBSZ 0")
	c.want(200, "PROT P")
	c.want(534, "PROT C")
	c.want(150, "STOR b")
	if _, err := conn.Write([]byte("this goes in the clear, and is long enough for a record")); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	c.want(425, "")
	h.gone("one", "b")
	c.store("STOR b", []byte("encrypted"))
	h.holds("one", "b", []byte("encrypted"))
	c.want(503, "AUTH TLS")
}

func TestAttackStalledTransfers(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: impatient})
	h.put("one", "a", noise(32<<20)) // more than the sockets' buffers hold
	for way, login := range ways(h) {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			c := login("one")
			c.tb = t
			conn := c.begin("RETR a")
			if text := c.want(426, ""); !strings.Contains(text, "Nothing moved") {
				t.Errorf("RETR: %q", text)
			}
			if _, err := io.Copy(io.Discard, conn); err == nil {
				t.Error("the client takes what it got for the whole file")
			}
			name := "b " + way
			conn = c.begin("STOR " + name)
			if _, err := conn.Write([]byte("begun")); err != nil {
				t.Fatal(err)
			}
			if text := c.want(426, ""); !strings.Contains(text, "Nothing moved") {
				t.Errorf("STOR: %q", text)
			}
			h.gone("one", name)
			c.retrieve("LIST")
		})
	}
	t.Cleanup(func() {
		h.settled()
		if got := h.state("a"); got == "collected" {
			t.Error("a download that stalled counts as collected")
		}
	})
}

// brokenFolder fails as a file system does, with a path in its errors.
type brokenFolder struct {
	ftpd.Folder
	err error
}

func (f brokenFolder) List(context.Context, reports.Name, string, int) ([]folder.Entry, error) {
	return nil, f.err
}
func (f brokenFolder) Open(context.Context, reports.Name) (folder.File, error) { return nil, f.err }
func (f brokenFolder) Create(context.Context, reports.Name, folder.CreateMode) (folder.Upload, error) {
	return nil, f.err
}

func (f brokenFolder) Stat(_ context.Context, n reports.Name) (folder.Entry, error) {
	if n.IsRoot() {
		return folder.Entry{Folder: true}, nil
	}
	return folder.Entry{}, f.err
}

func (f brokenFolder) Remove(context.Context, reports.Name) error { return f.err }

func (f brokenFolder) RemoveFolder(context.Context, reports.Name) error { return f.err }

func (f brokenFolder) Rename(context.Context, reports.Name, reports.Name, bool) error { return f.err }

func (f brokenFolder) Mkdir(context.Context, reports.Name) error { return f.err }

func (f brokenFolder) Usage(context.Context) (folder.Usage, error) { return folder.Usage{}, f.err }

func TestAttackNoRealPathInReplies(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{os.ErrNotExist, os.ErrPermission, os.ErrExist, errors.New("input/output error"), reports.ErrNoSpace} {
		h := start(t, options{folder: func(string, *folder.FS) ftpd.Folder {
			return brokenFolder{err: &os.PathError{Op: "open", Path: "/srv/sealdrop/blobs/1234", Err: cause}}
		}})
		c := h.login("one")
		for _, line := range []string{
			"CWD a", "MKD a", "RMD a", "DELE a", "RNFR a", "SIZE a", "MDTM a", "MFMT 20260102030405 a", "MLST a", "STAT a", "STAT",
			"STAT /", "ALLO 5", "AVBL", "RETR a", "STOR a", "APPE a", "STOU", "LIST", "LIST a", "NLST *.x", "MLSD", "QUIT",
		} {
			if strings.Contains("RETR STOR APPE STOU LIST NLST MLSD", line[:4]) {
				c.port()
			}
			if _, text := c.do(line); strings.Contains(text, "srv") || strings.Contains(text, "1234") || strings.Contains(text, "open") {
				t.Errorf("%v: %s: %q", cause, line, text)
			}
		}
	}
}

func TestAttackABORAndRST(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	for way, login := range ways(h) {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			c := login("one")
			c.tb = t
			for i, end := range []func(conn net.Conn){
				func(net.Conn) { c.send("ABOR") },
				func(conn net.Conn) { c.send("ABOR"); time.Sleep(20 * time.Millisecond); _ = conn.Close() },
				func(conn net.Conn) {
					if secure, ok := conn.(*tls.Conn); ok {
						conn = secure.NetConn()
					}
					_ = conn.(*net.TCPConn).SetLinger(0)
					_ = conn.Close()
				},
			} {
				name := fmt.Sprintf("%s %d", way, i)
				conn := c.begin("STOR " + name)
				if _, err := conn.Write(noise(3 << 20)); err != nil {
					t.Fatal(err)
				}
				end(conn)
				if text := c.want(426, ""); strings.Contains(text, "socket") {
					t.Errorf("%q", text)
				}
				if i < 2 {
					c.want(226, "")
				}
				h.gone("one", name)
			}
			c.retrieve("LIST")
		})
	}
}

// crypto/tls takes the end of the TCP stream between two records for the end of
// the data.
func TestAttackTruncatedTLSUpload(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{0, 1, 3 << 20} {
			c := h.loginTLS("one")
			c.tls = c.tls.Clone()
			c.tls.MaxVersion = version
			c.tls.ClientSessionCache = nil
			conn := c.begin("STOR b").(*tls.Conn)
			if _, err := conn.Write(noise(size)); err != nil {
				t.Fatal(err)
			}
			_ = conn.NetConn().Close() // no close_notify
			if text := c.want(426, ""); !strings.Contains(text, "not stored") {
				t.Errorf("%q", text)
			}
			h.gone("one", "b")
		}
	}
}

// A program that is killed closes both of its connections.
// TestAttackClientKilledDuringUpload: the connections of a program that is killed, or
// that gives up, are closed one after the other, in any order; over TLS the data may
// even be ended in order. What had come was published, over a whole file.
func TestAttackClientKilledDuringUpload(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.put("one", "b", []byte("whole"))
	for way, login := range map[string]func(string) *client{"plain": h.login, "tls": h.loginTLS} {
		for _, dataFirst := range []bool{false, true} {
			c := login("one")
			conn := c.begin("STOR b")
			if _, err := conn.Write(noise(3 << 20)); err != nil {
				t.Fatal(err)
			}
			first, second := c.conn, conn
			if dataFirst {
				first, second = conn, c.conn
			}
			_ = first.Close()
			_ = second.Close()
			h.settled()
			if got, err := h.get("one", "b"); err != nil || string(got) != "whole" {
				t.Errorf("%s, data first %t: %d bytes, %v", way, dataFirst, len(got), err)
			}
		}
	}
}

func TestAttackSessionReuse(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: func(c *ftpd.Config) { c.RequireSessionReuse = true }})
	h.put("one", "a", noise(1000))
	c := h.loginTLS("one")
	if got := c.retrieve("RETR a"); len(got) != 1000 {
		t.Errorf("a client that resumes got %d bytes", len(got))
	}
	c.retrieve("LIST")

	other := h.loginTLS("two")
	good := c.tls
	for name, config := range map[string]*tls.Config{
		"no session":                 {RootCAs: h.roots, ServerName: good.ServerName},
		"another connection's":       other.tls,
		"another connection's, 1.2":  {RootCAs: h.roots, ServerName: good.ServerName, MaxVersion: tls.VersionTLS12, ClientSessionCache: other.tls.ClientSessionCache},
		"a cache with nothing in it": {RootCAs: h.roots, ServerName: good.ServerName, ClientSessionCache: tls.NewLRUClientSessionCache(1)},
	} {
		c.tls = config
		// The second try has the ticket that the first one got.
		for range 2 {
			conn := c.begin("RETR a")
			gotNothing(t, conn)
			if text := c.want(522, ""); !strings.Contains(text, "resume") {
				t.Errorf("%s: %q", name, text)
			}
			conn = c.begin("STOR b")
			_, _ = conn.Write([]byte("x"))
			_ = conn.Close()
			c.want(522, "")
			h.gone("one", "b")
		}
	}
	c.tls = good
	c.retrieve("LIST")
}

// Two clients behind one address: whoever connects to the announced port first has
// the data connection. Ports are drawn at random, data of a client that must use
// TLS is never sent in the clear, and RequireSessionReuse closes what is left.
func TestAttackDataConnectionOfTheSameAddress(t *testing.T) {
	t.Parallel()
	secret := []byte("for one only")
	h := start(t, options{})
	h.put("one", "a", secret)
	c := h.login("one")
	thief := c.data(c.port())
	c.want(150, "RETR a")
	if got, _ := io.ReadAll(thief); !bytes.Equal(got, secret) {
		t.Errorf("without TLS: %q", got) // what the documentation says
	}
	c.want(226, "")

	h = start(t, options{secure: true, config: func(c *ftpd.Config) { c.RequireSessionReuse = true }})
	h.put("one", "a", secret)
	victim, attacker := h.loginTLS("one"), h.loginTLS("two")
	conn := victim.data(victim.port())
	victim.want(150, "RETR a")
	gotNothing(t, tls.Client(conn, attacker.tls))
	victim.want(522, "")
}

func TestAttackNoLongerAdmitted(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: impatient})
	h.put("one", "a", []byte("secret"))
	c := h.login("one")
	conn := c.data(c.port())
	h.gate.forbidden.Store(netip.MustParseAddr("127.0.0.1"), true)
	c.want(425, "RETR a")
	gotNothing(t, conn)
	conn = c.data(c.port())
	c.want(425, "STOR b")
	gotNothing(t, conn)
	h.gone("one", "b")
}

func TestAttackDataHandshakeNeverDone(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: impatient})
	h.put("one", "a", []byte("secret"))
	c := h.loginTLS("one")
	for _, line := range []string{"RETR a", "STOR b", "LIST"} {
		conn := c.data(c.port())
		c.want(150, line)
		c.want(425, "")
		gotNothing(t, conn)
	}
	h.gone("one", "b")
	if got := c.retrieve("RETR a"); string(got) != "secret" {
		t.Errorf("afterwards: %q", got)
	}
}

func TestAttackDataConnectionNeverUsed(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	for _, end := range []func(c *client){
		func(c *client) { c.want(221, "QUIT") },
		func(c *client) { _ = c.conn.Close() },
		func(c *client) { c.want(229, "EPSV") },
		func(c *client) { c.want(226, "ABOR") },
	} {
		c := h.login("one")
		conn := c.data(c.port())
		end(c)
		gotNothing(t, conn)
	}
}
