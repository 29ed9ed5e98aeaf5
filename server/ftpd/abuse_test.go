package ftpd_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/ftpd"
)

// The tests of this file abuse control connections.

func TestAttackPassWithoutUser(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	c := h.dial()
	c.want(503, "PASS "+password)
	c.want(331, "USER one")
	c.want(530, "PASS wrong")
	c.want(503, "PASS "+password)
	c.want(331, "USER one")
	c.want(234, "AUTH TLS") // forgets who was asked in the clear
	c.secure()
	c.want(503, "PASS "+password)
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	if len(h.gate.logins) != 1 || h.gate.passwords[0] != "wrong" {
		t.Errorf("the gate was asked %d times", len(h.gate.logins))
	}
}

func TestAttackGuessing(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	c := h.dial()
	for i, user := range []string{"one", "nobody", "one"} {
		c.want(331, "USER "+user)
		code, text := c.do("PASS guess" + fmt.Sprint(i))
		if want := []int{530, 530, 421}[i]; code != want || !strings.Contains(text, "Login incorrect.") {
			t.Errorf("try %d: %q", i, text)
		}
	}
	c.closed()
	if n := len(h.gate.refused); n != 0 {
		t.Errorf("%d refusals were reported that the gate made itself", n)
	}
}

func TestAttackSlowLogin(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: func(l *server.Limits) { l.LoginTimeout = time.Second }})
	for name, keepBusy := range map[string]func(c *client) error{
		"silent": func(*client) error { time.Sleep(10 * time.Millisecond); return nil },
		"trickle": func(c *client) error {
			_, err := c.conn.Write([]byte("x"))
			time.Sleep(5 * time.Millisecond)
			return err
		},
		"busy": func(c *client) error {
			_, err := c.conn.Write([]byte("NOOP\r\n"))
			time.Sleep(5 * time.Millisecond)
			return err
		},
	} {
		c := h.dial()
		begun := time.Now()
		ended := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, c.conn); close(ended) }()
		for alive := true; alive; {
			select {
			case <-ended:
				alive = false
			default:
				alive = keepBusy(c) == nil && time.Since(begun) < time.Minute
			}
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("%s: lived for %s", name, took)
		}
		if a := <-h.gate.refused; name == "silent" && a.Cause != ftpd.TimedOut {
			t.Errorf("%s: the cause is %q", name, a.Cause)
		}
	}
}

func TestAttackIdleSession(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: func(c *ftpd.Config) { c.IdleTimeout = 2 * time.Second }})
	h.put("one", "a", noise(32<<20))
	c := h.login("one")
	conn := c.begin("RETR a")
	time.Sleep(2500 * time.Millisecond) // a transfer is under way
	if n, err := io.Copy(io.Discard, conn); n != 32<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	_ = conn.Close()
	c.want(226, "")
	c.want(421, "")
	c.closed()
}

func TestAttackCommandsBehindAuthTLS(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	for _, behind := range []string{"USER one\r\nPASS " + password + "\r\n", "\n", "U"} {
		c := h.dial()
		if _, err := io.WriteString(c.conn, "AUTH TLS\r\n"+behind); err != nil {
			t.Fatal(err)
		}
		c.want(421, "")
		c.closed()
	}
	c := h.dial()
	c.want(234, "AUTH TLS")
	c.send("USER one") // in another segment
	_, _ = io.Copy(io.Discard, c.conn)
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	if len(h.gate.asked) != 0 {
		t.Errorf("the gate was asked about %v", h.gate.asked)
	}
}

// TestPlainFTPAtTheImplicitPort tells it from a handshake that failed.
func TestPlainFTPAtTheImplicitPort(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: impatient})
	for text, want := range map[string]struct {
		cause  ftpd.Cause
		detail string
	}{
		"USER acme\r\n": {ftpd.NotTLS, "FTP"}, "": {ftpd.NotTLS, "nothing"},
		"\x00\x01\x02\x03\x04\r\n": {ftpd.TLSFailed, "tls: first record does not look like a TLS handshake"},
	} {
		c := h.connect(h.implicit)
		_, _ = io.WriteString(c.conn, text)
		_, _ = io.Copy(io.Discard, c.conn)
		if a := <-h.gate.refused; a.Cause != want.cause || a.Detail != want.detail {
			t.Errorf("%q: the cause is %q, %q", text, a.Cause, a.Detail)
		}
	}
}

func TestAttackHalfHandshake(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: impatient})
	explicit := func() *client {
		c := h.dial()
		c.want(234, "AUTH TLS")
		return c
	}
	implicit := func() *client { return h.connect(h.implicit) }
	for _, connect := range []func() *client{explicit, implicit} {
		c := connect()
		_, _ = c.conn.Write([]byte("\x16\x03\x01\x02\x00\x01"))
		_, _ = io.Copy(io.Discard, c.conn)
		if a := <-h.gate.refused; a.Cause != ftpd.TLSFailed || a.Detail == "" {
			t.Errorf("the cause is %q, %q", a.Cause, a.Detail)
		}
	}
}

func TestAttackCommandsBeforeLogin(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: func(c *ftpd.Config) { c.MaxTries = 1000 }})
	c := h.dial()
	for _, line := range strings.Fields(c.want(214, "HELP")) {
		if strings.Contains("USER PASS AUTH PBSZ PROT QUIT NOOP SYST FEAT OPTS CLNT HELP", line) || len(line) < 3 || strings.ToUpper(line) != line || line == "TLS" || line[0] < 'A' {
			continue
		}
		for _, arg := range []string{"", " /", " x"} {
			if code, text := c.do(line + arg); code != 530 {
				if code == 421 {
					c = h.dial() // the limit of commands without a login
					continue
				}
				t.Errorf("%s%s: %q", line, arg, text)
			}
		}
	}
}

func TestAttackLinesOfStrangers(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	c := h.login("one")
	for _, test := range []struct {
		line string
		code int
	}{
		{strings.Repeat("x", 5000), 500},
		{"RETR " + strings.Repeat("x", 3900), 425},
		{"SIZE " + strings.Repeat("x", 3900), 553},
		{"SIZE " + strings.Repeat("a/", 1900), 553},
		{"MKD a\x00b", 501},
		{"MKD a\rb", 501},
		{"MKD a\x1b[2J", 501},
		{"MKD \xff\xfe", 501},
		{"MKD caf\xe9", 501},
		{"MKD a\u202egpj.exe", 553},
		{"MKD a\u0085b", 553},
		{"MKD a\u2028b", 553},
		{"MKD \u200b", 553},
		{"STAT a\u009bb", 553},
		{"MFMT 20260102030405 a\u009b/../../", 213},
		{"", 500},
		{"   ", 500},
		{"\t", 501},
		{"%s%n%d", 500},
		{"MKD %s%n", 257},
		{" PWD", 257},
		{"STAT %s%n", 213},
		{"NOOP \xff\xf4\xff\xf2", 200},
	} {
		c.send(test.line)
		code, text := c.do("")
		if code != test.code {
			t.Errorf("%.40q: %q, want %d", test.line, text, test.code)
		}
		if bad := strings.ContainsFunc(strings.ReplaceAll(text, "\r\n", ""), isC0C1); bad || strings.Contains(text, "%!") {
			t.Errorf("%.40q is answered with %q", test.line, text)
		}
	}
	for _, line := range []string{"NLST", "LIST", "MLSD"} {
		if got := string(c.retrieve(line)); strings.Count(got, "\r\n") != 1 {
			t.Errorf("%s: %q", line, got)
		}
	}
	_, _ = io.WriteString(c.conn, strings.Repeat("x", 200_000))
	if code, _, err := c.reply(); err == nil && code != 500 {
		t.Errorf("a line without end: %d", code)
	}
}

func isC0C1(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// Telnet's urgent byte does not come with the others, and clients differ in which
// byte that is.
func TestAborWithTelnetSynch(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.put("one", "a", noise(32<<20))
	for _, parts := range [][3]string{
		{"\xff\xf4\xff", "", "\xf2ABOR\r\n"}, // the last byte of the first part is urgent: BSD's ftp
		{"\xff\xf4\xff\xf2", "", "ABOR\r\n"}, // by RFC 959
		{"", "\xff\xf4\xff\xf2", "ABOR\r\n"}, // nothing is urgent
		{"\xff\xf4\xf2", "", "ABOR\r\n"},     // without the second IAC
	} {
		c := h.login("one")
		conn := c.begin("RETR a")
		if parts[0] != "" {
			urgent(t, c.conn, parts[0])
		}
		if _, err := io.WriteString(c.conn, parts[1]+parts[2]); err != nil {
			t.Fatal(err)
		}
		c.want(426, "")
		c.want(226, "")
		_ = conn.Close()
	}
}

func urgent(tb testing.TB, conn net.Conn, text string) {
	tb.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err == nil {
		_ = raw.Write(func(fd uintptr) bool {
			err = syscall.Sendto(int(fd), []byte(text), syscall.MSG_OOB, nil)
			return true
		})
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func TestAttackPipelining(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.put("one", "a", []byte("abc"))
	c := h.login("one")
	go func() { _, _ = io.WriteString(c.conn, strings.Repeat("SIZE a\r\nPWD\r\n", 500)) }()
	for range 500 {
		c.want(213, "")
		c.want(257, "")
	}
	// Two transfers at once: the second has no port of its own.
	conn := c.data(c.port())
	c.send("RETR a\r\nRETR a\r\nLIST\r\nQUIT")
	c.want(150, "")
	if got, err := io.ReadAll(conn); string(got) != "abc" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_ = conn.Close()
	c.want(226, "")
	c.want(425, "")
	c.want(425, "")
	c.want(221, "")
	c.closed()
}

func TestAttackFloodWithoutReading(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	c := h.login("one")
	_ = c.conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	var sent int64
	for {
		n, err := io.WriteString(c.conn, strings.Repeat("HELP\r\n", 1000))
		if sent += int64(n); err != nil {
			break
		}
	}
	if sent > 64<<20 {
		t.Errorf("%d bytes of commands were taken", sent)
	}
	_ = c.conn.Close()
	h.settled()
}

func TestAttackManyUnauthenticated(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: func(l *server.Limits) { l.Unauthenticated = 40; l.ConnectionsPerAddress = 1000 }})
	var conns []net.Conn
	for range 300 {
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	eventually(t, "all counted", func() bool {
		st := h.server.Stats() // all were let in, and most had to make room again
		return st.Accepted == 300 && st.Refused[server.TooManyUnauthenticated] == 280
	})
	if n := h.server.Stats().Unauthenticated; n > 20 { // half of them for one network
		t.Errorf("%d connections wait for a login", n)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	eventually(t, "freed", func() bool { return h.server.Stats().Open == 0 })
	h.login("one")
}
