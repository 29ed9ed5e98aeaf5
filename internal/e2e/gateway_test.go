package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/testbinary"
	"github.com/sealdrop/sealdrop/keys/pgp"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // client programs wait more than they compute
	os.Exit(testbinary.Run(m, &binary))
}

// gateway is a running `sealdrop serve`.
type gateway struct {
	t    *testing.T
	dir  string
	port string // of its first address, for sFTP
	pid  int
	log  *lockedBuffer

	certificate string // file of the one for FTPS
}

// start runs a gateway that listens for sFTP on a free port of each address.
func start(t *testing.T, addresses ...string) *gateway {
	t.Helper()
	return startWith(t, "SEALDROP_SFTP_LISTEN="+freePorts(addresses...))
}

// freePorts asks for a free port of each address, in the form of a list in the
// configuration.
func freePorts(addresses ...string) string {
	var list []string
	for _, address := range addresses {
		list = append(list, net.JoinHostPort(address, "0"))
	}
	return strings.Join(list, ",")
}

// startWith runs a gateway with settings from its environment.
func startWith(t *testing.T, settings ...string) *gateway {
	t.Helper()
	return startProgram(t, binary, settings...)
}

// startProgram runs a gateway of another build.
func startProgram(t *testing.T, program string, settings ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	g.sealdrop("init", "--dir", g.dir)
	cmd := exec.Command(program, "--config", filepath.Join(g.dir, "config.yaml"), "serve")
	cmd.Env = append(os.Environ(), settings...)
	cmd.Stderr = g.log
	// The kernel ends it even if the test is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.pid = cmd.Process.Pid
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.log)
		}
	})
	g.port = g.listens("sftp", "")
	return g
}

// listens waits until the gateway listens for a protocol at a host ("" for any),
// and returns the port.
func (g *gateway) listens(protocol, host string) string {
	g.t.Helper()
	listening := regexp.MustCompile(`msg=listening event=listener.open protocol=` + protocol + ` address="?(\S*):(\d+)`)
	var port string
	eventually(g.t, "the gateway listens for "+protocol, func() bool {
		for _, m := range listening.FindAllStringSubmatch(g.log.String(), -1) {
			if host == "" || strings.Trim(m[1], "[]") == host {
				port = m[2]
				return true
			}
		}
		return false
	})
	return port
}

// in is the same gateway for a test of its own.
func (g *gateway) in(t *testing.T) *gateway {
	other := *g
	other.t = t
	return &other
}

func (g *gateway) sealdrop(args ...string) []byte {
	g.t.Helper()
	return must(g.t, g.command(args...))
}

func (g *gateway) command(args ...string) *exec.Cmd {
	if args[0] != "init" {
		args = append([]string{"--config", filepath.Join(g.dir, "config.yaml")}, args...)
	}
	return exec.Command(binary, args...)
}

// server is what a client program is told of the gateway.
type server struct {
	protocol   string // as the gateway names it in its log
	host, port string // the host is an IP address
	user       string
	password   string // FTP: the password
	mode       mode   // FTP: how it is encrypted
	ca         string // FTP: file of the certificate to trust
}

// over6 is the same server at its IPv6 address.
func (c *client) over6() server {
	at := c.at
	at.host, at.port = "::1", c.g.listens(at.protocol, "::1")
	return at
}

// hostPort has an IPv6 address in brackets.
func (s server) hostPort() string { return net.JoinHostPort(s.host, s.port) }

// client is a client of the gateway, with keys of its own.
type client struct {
	g    *gateway
	id   string
	home string // the client's own computer
	key  string // file of its SSH key, in OpenSSH's form; .ppk and .pub beside it
	pgp  pgp.PrivateKey
	at   server // where its programs connect
}

func (g *gateway) client(id, keyType, allow string) *client {
	g.t.Helper()
	c := g.clientWithoutSSH(id, allow)
	c.key = filepath.Join(c.home, "key")
	bits := map[string]string{"rsa": "2048", "ecdsa": "256", "ed25519": "256"}[keyType]
	must(g.t, exec.Command("ssh-keygen", "-q", "-m", "PEM", "-t", keyType, "-b", bits, "-N", "", "-f", c.key))
	g.sealdrop("key", "import", "--client", id, c.key+".pub")
	c.at = server{protocol: "sftp", host: "127.0.0.1", port: g.port, user: id}
	return c
}

// clientWithoutSSH is a client that has nothing to log in with yet.
func (g *gateway) clientWithoutSSH(id, allow string) *client {
	g.t.Helper()
	home, err := os.MkdirTemp("/tmp", "e2e") // short: programs keep sockets in it
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = os.RemoveAll(home) })
	c := &client{g: g, id: id, home: home}
	if c.pgp, err = pgp.GeneratePrivateKey(id, time.Now()); err != nil {
		g.t.Fatal(err)
	}
	g.sealdrop("client", "add", id, "--allow", allow)
	g.sealdrop("key", "import", "--client", id, c.write("pgp.asc", []byte(c.pgp.Certificate().Armored())))
	return c
}

// write makes a file on the client's computer.
func (c *client) write(name string, data []byte) string {
	c.g.t.Helper()
	path := filepath.Join(c.home, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		c.g.t.Fatal(err)
	}
	return path
}

// command is a program on the client's computer.
func (c *client) command(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	c.g.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.home
	cmd.Env = append(os.Environ(), "HOME="+c.home, "LC_ALL=C.UTF-8", "XDG_CONFIG_HOME="+filepath.Join(c.home, ".config"))
	return cmd
}

func (c *client) run(stdin, name string, args ...string) string {
	c.g.t.Helper()
	cmd := c.command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return string(must(c.g.t, cmd))
}

// openSSH are the options that every one of OpenSSH's programs gets.
func (c *client) openSSH(more ...string) []string {
	return append(more, // of two values for an option, the first counts
		"-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "IdentitiesOnly=yes", "-i", c.key, "-P", c.at.port,
	)
}

func (c *client) sftp(batch string) string {
	c.g.t.Helper()
	return c.run(batch, "sftp", append(c.openSSH("-b", "-"), fmt.Sprintf("%s@[%s]", c.at.user, c.at.host))...)
}

// file is what the gateway says of one of a client's files.
type file struct {
	ID, Name, Kind, State, SHA256 string
	Size                          int64
	Modified                      time.Time
}

// files lists what the gateway knows of the client, by name; what was removed
// is left out.
func (c *client) files() map[string]file {
	c.g.t.Helper()
	var list []file
	out := c.g.sealdrop("report", "list", "--client", c.id, "--limit", "0", "-o", "json")
	if err := json.Unmarshal(out, &list); err != nil {
		c.g.t.Fatal(err)
	}
	byName := map[string]file{}
	for _, f := range list {
		if f.State != "removed" {
			byName[f.Name] = f
		}
	}
	return byName
}

// lockedBuffer collects a process's output while others read it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var _ io.Writer = (*lockedBuffer)(nil)

// must runs a command and returns its standard output.
func must(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, &stderr)
	}
	return out
}

// eventually waits until a condition holds, and fails if it takes a minute and a
// half: a busy machine is no fault of the program.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("it did not come to pass that %s", what)
}
