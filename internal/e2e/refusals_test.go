package e2e

import (
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestWrongKeyFirst: a program that tries one key after the other gets in with
// the second. paramiko asks for the service again before each, which the SSH
// library takes with the patch in deploy/patches only.
func TestWrongKeyFirst(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1")
	c, other := g.client("acme", "rsa", "127.0.0.1"), g.client("other", "rsa", "127.0.0.1")
	request, err := json.Marshal([]any{g.port, c.id, []string{other.key, c.key}})
	if err != nil {
		t.Fatal(err)
	}
	out := c.run("", "/usr/bin/python3", "-c", `
import json, paramiko, sys
port, user, keys = json.loads(sys.argv[1])
t = paramiko.Transport(("127.0.0.1", int(port)))
t.start_client()
for key in keys:
    try:
        t.auth_publickey(user, paramiko.RSAKey.from_private_key_file(key))
        print("in")
    except paramiko.AuthenticationException:
        print("refused")
paramiko.SFTPClient.from_transport(t).listdir(".")
`, string(request))
	if out != "refused\nin\n" {
		t.Errorf("paramiko said %q; a program that was not built by make lacks the patch that this needs", out)
	}
	c.run("ls\n", "sftp", append([]string{"-o", "IdentityFile=" + other.key}, append(c.openSSH("-b", "-"), c.id+"@127.0.0.1")...)...)
	if n := strings.Count(g.log.String(), "login refused"); n != 0 {
		t.Errorf("%d refusals were recorded of clients that got in", n)
	}
}

// TestStrangers: who may not come in is told nothing, or as much as it has
// proved.
func TestStrangers(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1")
	acme, other := g.client("acme", "ed25519", "127.0.0.1"), g.client("other", "ed25519", "127.0.0.2")

	t.Run("an address on nobody's list gets not a byte", func(t *testing.T) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}, Timeout: time.Minute}
		conn, err := d.Dial("tcp", "127.0.0.1:"+g.port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		// The gateway closes at once; that is an end, or a reset.
		if got, _ := io.ReadAll(conn); len(got) > 0 {
			t.Errorf("it got %q", got)
		}
		mustRefuse(t, acme, "", "-o", "BindAddress=127.0.0.9")
	})
	t.Run("a right key from another's address is told", func(t *testing.T) {
		mustRefuse(t, acme, "Your key is right, but your address 127.0.0.2 is not on the list", "-o", "BindAddress=127.0.0.2")
		mustLog(t, g, "reason=address-not-allowed address=127.0.0.2 protocol=sftp user=acme")
	})
	t.Run("another client's key is told nothing", func(t *testing.T) {
		thief := *acme
		thief.key = other.key
		if out := mustRefuse(t, &thief, ""); strings.Contains(out, "address") {
			t.Errorf("it was told %q", out)
		}
		mustLog(t, g, "reason=key-unknown address=127.0.0.1 protocol=sftp user=acme")
	})
	t.Run("an unknown user is told nothing", func(t *testing.T) {
		nobody := *acme
		nobody.id = "nobody"
		mustRefuse(t, &nobody, "")
		mustLog(t, g, "reason=unknown-client address=127.0.0.1 protocol=sftp user=nobody")
	})
}

// TestIPv4MappedAddressIsTheIPv4Address: on a listener for both families an IPv4
// client arrives as ::ffff:127.0.0.1. That is neither another address, nor a way
// around the list.
func TestIPv4MappedAddressIsTheIPv4Address(t *testing.T) {
	t.Parallel()
	g := start(t, "::")
	c := g.client("acme", "ed25519", "127.0.0.1")
	c.sftp("ls\n")
	mustRefuse(t, c, "", "-o", "BindAddress=127.0.0.3")
	g.sealdrop("client", "set", "acme", "--allow", "::1")
	mustRefuse(t, c, "")
	c.run("ls\n", "sftp", append(c.openSSH("-b", "-"), c.id+"@[::1]")...)
}

// mustRefuse checks that the client does not get in, and that it is told so.
func mustRefuse(t *testing.T, c *client, told string, options ...string) string {
	t.Helper()
	cmd := c.command("sftp", append(c.openSSH(append(options, "-o", "LogLevel=INFO", "-b", "-")...), c.id+"@127.0.0.1")...)
	cmd.Stdin = strings.NewReader("ls\n")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("%s got in", c.id)
	}
	if !strings.Contains(string(out), told) {
		t.Errorf("it was told %q, want %q", out, told)
	}
	return string(out)
}

func mustLog(t *testing.T, g *gateway, text string) {
	t.Helper()
	eventually(t, "the log has "+text, func() bool { return strings.Contains(g.log.String(), text) })
}

// TestSSHAudit: the tool that clients' security people run finds nothing.
func TestSSHAudit(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1")
	g.client("acme", "ed25519", "127.0.0.1")
	out, _ := exec.Command("ssh-audit", "--no-colors", "-p", g.port, "127.0.0.1").Output() // its status is not 0 for algorithms that are newer than it is
	if !strings.Contains(string(out), "mlkem768x25519-sha256") {
		t.Fatalf("ssh-audit did not get through:\n%s", out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "[fail]") || strings.Contains(line, "[warn]") && !strings.Contains(line, "unknown algorithm") {
			t.Error(strings.TrimSpace(line))
		}
	}
}
