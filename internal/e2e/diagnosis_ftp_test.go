package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// control is an FTP control connection, by hand.
type control struct {
	s *scene
	r *bufio.Reader
	net.Conn
}

// control connects and reads the greeting.
func (s *scene) control() *control {
	s.t.Helper()
	conn := s.dial(s.g.listens("ftp", ""))
	c := &control{s: s, r: bufio.NewReader(conn), Conn: conn}
	c.reply()
	return c
}

// reply reads the last line of a reply.
func (c *control) reply() string {
	c.s.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.s.t.Fatalf("no reply: %v", err)
		}
		if len(line) > 3 && line[3] == ' ' {
			return strings.TrimSpace(line)
		}
	}
}

// say sends a command, and fails unless the reply begins as it should.
func (c *control) say(command, want string) {
	c.s.t.Helper()
	_, _ = io.WriteString(c, command+"\r\n")
	if got := c.reply(); !strings.HasPrefix(got, want) {
		c.s.t.Fatalf("%s: %q, want %q", command, got, want)
	}
}

// login logs in without TLS.
func (c *control) login(user string) {
	c.s.t.Helper()
	c.say("USER "+user, "331 ")
	c.say("PASS "+rightPassword, "230 ")
}

// curl lists the folder with a user name and password, over TLS.
func (s *scene) curl(user, password string, more ...string) string {
	s.t.Helper()
	return s.curlPlain(user, password, append(more, "--ssl-reqd", "--cacert", s.place.certificate)...)
}

func (s *scene) curlPlain(user, password string, more ...string) string {
	s.t.Helper()
	args := append(more, "--silent", "--show-error", "--max-time", "60", "--interface", s.from.String(), "--user", user+":"+password)
	return s.attempt("curl", append(args, fmt.Sprintf("ftp://127.0.0.1:%s/", s.g.listens("ftp", "")))...)
}

// guess gives n wrong passwords at a time, each so many of them from one address,
// and leaves the client at the next.
func (s *scene) guess(user string, n, each int) {
	s.t.Helper()
	var done sync.WaitGroup
	for i := range n {
		c := s.control()
		c.say("AUTH TLS", "234 ")
		secure := &control{s: s, Conn: tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})} // the test's own gateway
		secure.r = bufio.NewReader(secure)
		done.Go(func() {
			_, _ = io.WriteString(secure, "USER "+user+"\r\nPASS another password\r\n")
			_, _ = secure.r.ReadString('\n')
			_, _ = secure.r.ReadString('\n')
		})
		if i%each == each-1 {
			s.from = s.from.Next()
		}
	}
	done.Wait()
}

// closedPort is a port that nothing listens on. A socket is bound to it, so that no
// other test gets it meanwhile.
func closedPort(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(bound.(*unix.SockaddrInet4).Port)
}

// ftpFaults are those of FTP.
func ftpFaults() []fault {
	const denied = "Access denied: 530"
	return append(ftpConnectionFaults(), []fault{
		{
			name: "FTP from an address that is on no client's list", reason: "address-not-allowed", look: why("--protocol", "ftp"),
			provoke: func(s *scene) string {
				s.withPassword("tls").leave("127.9.9.9")
				return s.curl(s.id, rightPassword)
			},
		},
		{
			name: "FTP from an address of another client's", sees: denied, reason: "address-not-allowed",
			provoke: func(s *scene) string {
				s.withPassword("tls").g.sealdrop("client", "add", s.id+"-other", "--allow", s.from.String())
				s.leave("127.9.9.9")
				return s.curl(s.id, rightPassword)
			},
		},
		{
			name: "FTP with a user name that is no client's", sees: denied, reason: "unknown-client",
			provoke: func(s *scene) string { return s.curl(s.id+"-typo", rightPassword) },
		},
		{
			name: "anonymous FTP", sees: denied, reason: "unknown-client",
			provoke: func(s *scene) string { return s.curl("anonymous", "guest@example.com") },
		},
		{
			name: "FTP of a client that is disabled", sees: denied, reason: "client-disabled",
			provoke: func(s *scene) string {
				s.withPassword("tls").g.sealdrop("client", "disable", s.id)
				return s.curl(s.id, rightPassword)
			},
		},
		{
			name: "FTP that the client may not use", sees: denied, reason: "protocol-not-enabled",
			provoke: func(s *scene) string { return s.withPassword("off").curl(s.id, rightPassword) },
		},
		{
			name: "wrong password", sees: denied, reason: "password-wrong",
			provoke: func(s *scene) string { return s.withPassword("tls").curl(s.id, "another password") },
		},
		{
			name: "password that has expired", sees: denied, reason: "password-expired",
			provoke: func(s *scene) string {
				s.withPassword("tls").g.sealdrop("password", "expire", "--client", s.id)
				return s.curl(s.id, rightPassword)
			},
		},
		{
			name: "no password was set", sees: denied, reason: "password-missing",
			provoke: func(s *scene) string { return s.curl(s.id, rightPassword) },
		},
		{
			name: "password changed during a session", reason: "password-wrong", look: ended,
			provoke: func(s *scene) string {
				c := s.withPassword("plain").control()
				c.login(s.id)
				s.g.sealdrop("password", "set", "--client", s.id, "--generate")
				s.untilClosed(c)
				return ""
			},
		},
		{
			name: "FTP taken from the client during a session", reason: "protocol-not-enabled", look: ended,
			provoke: func(s *scene) string {
				c := s.withPassword("plain").control()
				c.login(s.id)
				s.g.sealdrop("client", "set", s.id, "--ftp", "off")
				s.untilClosed(c)
				return ""
			},
		},
		{
			name: "password locked out after wrong ones from all over the client's network", sees: denied, reason: "too-many-attempts",
			provoke: func(s *scene) string {
				s.withPassword("tls")
				s.guess(s.id, 12, 3)
				return s.curl(s.id, rightPassword)
			},
		},
		{
			name: "too many failed logins over FTP", sees: denied, reason: "too-many-attempts",
			provoke: func(s *scene) string {
				s.withPassword("tls").guess(s.id+"-typo", 4, 5)
				return s.curl(s.id, rightPassword)
			},
		},
	}...)
}

// ftpConnectionFaults are those of TLS, and of data connections.
func ftpConnectionFaults() []fault {
	return []fault{
		{
			name: "FTP in the clear, which the client may not use", sees: "Access denied: 530", reason: "plain-not-allowed",
			provoke: func(s *scene) string { return s.withPassword("tls").curlPlain(s.id, rightPassword) },
		},
		{
			name: "FTP in the clear at a gateway that requires TLS", at: strict, sees: "Access denied: 530", reason: "tls-required",
			provoke: func(s *scene) string { return s.withPassword("tls").curlPlain(s.id, rightPassword) },
		},
		{
			name: "TLS of a version that is too old", sees: "alert protocol version", reason: "tls-failed",
			provoke: func(s *scene) string {
				return s.curl(s.id, rightPassword, "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")
			},
		},
		{
			name: "certificate that the client does not trust", sees: "self-signed certificate", reason: "tls-failed",
			provoke: func(s *scene) string { return s.curlPlain(s.id, rightPassword, "--ssl-reqd") },
		},
		{
			name: "FTP in the clear on the port for implicit TLS", reason: "wrong-protocol",
			provoke: func(s *scene) string {
				conn := s.dial(s.g.listens("ftps", ""))
				_, _ = io.WriteString(conn, "USER "+s.id+"\r\n")
				s.untilClosed(conn)
				return ""
			},
		},
		{
			name: "the same, by a program that waits for a greeting", sees: "", reason: "wrong-protocol",
			provoke: func(s *scene) string {
				return s.attempt("curl", "--silent", "--show-error", "--max-time", "2", "--interface", s.from.String(), "ftp://127.0.0.1:"+s.g.listens("ftps", "")+"/")
			},
		},
		{
			name: "right password from a new address (over TLS, access.learn)", at: strict, sees: "Access denied: 530", reason: "client allow", look: suggested,
			provoke: func(s *scene) string {
				s.withPassword("tls").leave("127.9.9.9")
				return s.curl(s.id, rightPassword)
			},
		},
		{
			name: "FTP connection closed before the login", reason: "closed-before-login",
			provoke: func(s *scene) string { _ = s.control().Close(); return "" },
		},
		{
			name: "data connection that does not resume the TLS session", at: strict, sees: "522 The data connection must resume", reason: "data-not-resumed",
			look: func(s *scene) told {
				return s.inLogAs(`msg="data connection refused" .*reason=(\S+) .*client=`+s.id+` .*`, "what")
			},
			provoke: func(s *scene) string {
				return s.withPassword("tls").attempt("/usr/bin/python3", "-c", `
import ftplib, ssl, sys
port, source, ca, user, password = sys.argv[1:]
f = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=ca))
f.connect("127.0.0.1", int(port), 60, (source, 0))
f.login(user, password)
f.prot_p()
try:
    f.nlst()
except ftplib.Error as e:
    sys.exit(str(e))
`, s.g.listens("ftp", ""), s.from.String(), s.place.certificate, s.id, rightPassword)
			},
		},
		{
			name: "a gateway without FTP", sees: "Failed to connect", reason: "protocol-not-enabled", look: why("--protocol", "ftp"),
			provoke: func(s *scene) string {
				s.place = &place{gateway: start(s.t, "127.0.0.1")}
				s.g = s.place.gateway
				s.g.sealdrop("client", "add", s.id, "--allow", s.from.String())
				s.withPassword("tls")
				return s.attempt("curl", "--silent", "--show-error", "--user", s.id+":"+rightPassword, "ftp://127.0.0.1:"+closedPort(s.t)+"/")
			},
		},
	}
}
