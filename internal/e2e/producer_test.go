package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// producer is an account that delivers to some clients over sFTP.
func (g *gateway) producer(id, keyType string, to ...string) *client {
	g.t.Helper()
	c := &client{g: g, id: id, home: g.t.TempDir(), at: server{protocol: "sftp", host: "127.0.0.1", port: g.port, user: id}}
	c.key = filepath.Join(c.home, "key")
	args := []string{"-q", "-m", "PEM", "-t", keyType, "-N", "", "-f", c.key}
	if keyType == "rsa" {
		args = append(args, "-b", "2048")
	}
	c.run("", "ssh-keygen", args...)
	g.sealdrop("client", "add", id, "--allow", "127.0.0.1", "--delivers-to", strings.Join(to, ","))
	g.sealdrop("key", "import", "--client", id, c.key+".pub")
	return c
}

// received checks that a client has a report, and that its own software opens it.
func (c *client) received(name string, want []byte) {
	c.g.t.Helper()
	c.sftp(fmt.Sprintf("get %q %q\n", name+".pgp", name+".pgp"))
	c.gpgOpens(filepath.Join(c.home, name+".pgp"), want)
}

// TestProducers has the programs that producers use hand in a report each.
func TestProducers(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1")
	acme := g.client("acme", "ed25519", "127.0.0.1")
	g.client("globex", "ed25519", "127.0.0.1")
	statement := noise(3 << 20) // more than a program sends at once
	t.Run("direct", func(t *testing.T) {
		for i, p := range []program{openSSH(), psftp(), lftp(), curl(), rclone(), paramiko(), asyncSSH(), ssh2SFTPClient()} {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				in := g.in(t)
				c := in.producer(fmt.Sprintf("direct-%d", i), p.keyType, "acme")
				name := c.id + ".csv"
				p.put(c, c.write("local.csv", statement), "acme/"+name)
				acme := *acme
				acme.g = in
				if _, ok := acme.files()[name+".pgp"]; !ok {
					t.Errorf("there is no %s.pgp", name)
				}
			})
		}
	})
	t.Run("renamed", func(t *testing.T) {
		for name, put := range map[string]func(c *client){
			"openssh": func(c *client) {
				c.sftp("put -p local.csv /acme/openssh.csv.part\nrename /acme/openssh.csv.part /acme/openssh.csv\n")
			},
			"psftp": func(c *client) {
				psftpBatch(c, "put local.csv /acme/psftp.csv.part\nmv /acme/psftp.csv.part /acme/psftp.csv")
			},
			"lftp": func(c *client) {
				lftpScript(c, "set xfer:use-temp-file yes; set xfer:temp-file-name .in.*; put local.csv -o acme/lftp.csv; ls")
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				in := g.in(t)
				c := in.producer("renaming-"+name, "ed25519", "acme")
				c.write("local.csv", statement)
				put(c)
				acme := *acme
				acme.g = in
				if _, ok := acme.files()[name+".csv.pgp"]; !ok {
					t.Errorf("there is no report; there are %v", acme.files())
				}
			})
		}
	})
	c := g.producer("python", "ed25519", "acme")
	local := c.write("local.bin", statement)
	out := c.run("", python, here(c, "testdata/producer.py"), "127.0.0.1", g.port, c.id, c.key, local)
	for _, want := range []string{"out of order: write the file in order", "rewriting: write the file in order"} {
		if !strings.Contains(out, want) {
			t.Errorf("it was not told %q but:\n%s", want, out)
		}
	}
	acme.received("direct-0.csv", statement)
	acme.received("lftp.csv", statement)
	acme.received("winscp.bin", statement)
	files := acme.files()
	if got := files["winscp.bin.pgp"].Modified; !got.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("the report's time is %v", got)
	}
	for name := range files {
		if strings.Contains(name, "torn") || strings.Contains(name, "left") || strings.Contains(name, "open.bin") || strings.Contains(name, "part") {
			t.Errorf("there is a report %s", name)
		}
	}
	g.hasNoPlaintext()
}

// hasNoPlaintext looks for the line that every [noise] begins with in all that the
// gateway keeps.
func (g *gateway) hasNoPlaintext() {
	g.t.Helper()
	err := filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("Trades,Data,")) {
			g.t.Errorf("%s holds plaintext", path)
		}
		return err
	})
	if err != nil {
		g.t.Error(err)
	}
}

// TestGatewayKilledWhileAProducerWrites: neither what was on its way nor what waited
// for its name is there afterwards.
func TestGatewayKilledWhileAProducerWrites(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1")
	acme := g.client("acme", "ed25519", "127.0.0.1")
	c := g.producer("batch", "ed25519", "acme")
	c.write("small.csv", noise(8<<20)) // beyond what is kept in memory
	c.write("big.csv", noise(64<<20))
	before := openBlobs(t, g.pid)
	cmd := c.command("sftp", append(c.openSSH("-l", "40000", "-b", "-"), c.id+"@127.0.0.1")...)
	cmd.Stdin = strings.NewReader("put small.csv /acme/small.part\nput big.csv /acme/big.csv\n")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both files are on their way", func() bool { return openBlobs(t, g.pid) >= before+2 })
	if err := syscall.Kill(g.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the producer was told that all went well")
	}
	if files := acme.files(); len(files) > 0 {
		t.Errorf("there are the reports %v", files)
	}
	g.hasNoPlaintext()
}

// openBlobs returns how many files of its blob store a gateway has open.
func openBlobs(t *testing.T, pid int) int {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.Contains(to, "/blobs/") {
			n++
		}
	}
	return n
}
