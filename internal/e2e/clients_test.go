package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A program's part in the scenario that every client program must manage. Each
// function returns once the program has done it.
type program struct {
	name    string
	keyType string
	list    func(c *client) string
	get     func(c *client, remote, local string)
	put     func(c *client, local, remote string)
	rename  func(c *client, from, to string)
	mkdir   func(c *client, name string)
	rmdir   func(c *client, name string)
	remove  func(c *client, name string)
	// resume continues a download and an upload of which a part is there already.
	resumeGet, resumePut func(c *client, remote, local string)
}

func programs() []program {
	return []program{openSSH(), psftp(), lftp(), curl(), rclone(), paramiko()}
}

// TestClients has each program do what clients do, and checks with the gateway
// that it happened.
func TestClients(t *testing.T) {
	t.Parallel()
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, "127.0.0.1")
			c := g.client("acme", p.keyType, "127.0.0.1")
			download(t, p, c)
			upload(t, p, c)
			change(t, p, c)
		})
	}
}

// download fetches a report of some megabytes, from its start and from its
// middle.
func download(t *testing.T, p program, c *client) {
	report := noise(12 << 20)
	c.g.sealdrop("deliver", "--client", c.id, c.write("Activity.csv", report))
	const name = "Activity.csv.pgp"
	if out := p.list(c); !strings.Contains(out, name) {
		t.Errorf("the listing lacks %s:\n%s", name, out)
	}
	local := filepath.Join(c.home, "fetched.pgp")
	p.get(c, name, local)
	want := c.files()[name].SHA256
	if got := digest(t, local); got != want {
		t.Errorf("fetched %s, want %s", got, want)
	}
	eventually(t, "the report counts as collected", func() bool { return c.files()[name].State == "collected" })
	if p.resumeGet != nil {
		if err := os.Truncate(local, 1<<20); err != nil {
			t.Fatal(err)
		}
		p.resumeGet(c, name, local)
		if got := digest(t, local); got != want {
			t.Errorf("a resumed download is %s, want %s", got, want)
		}
	}
	if p.name == "openssh" {
		c.gpgOpens(local, report)
	}
}

// upload stores files under names that are not plain, and resumes one.
func upload(t *testing.T, p program, c *client) {
	for _, name := range []string{"plain.txt", "with space.txt", "Überweisung 報告書.txt", "empty"} {
		data := noise(100_000)
		if name == "empty" {
			data = nil
		}
		p.put(c, c.write("local", data), name)
		c.mustHave(name, data)
	}
	if p.resumePut == nil {
		return
	}
	data := noise(6 << 20)
	p.put(c, c.write("part", data[:2<<20]), "resumed.bin")
	p.resumePut(c, "resumed.bin", c.write("whole", data))
	c.mustHave("resumed.bin", data)
}

// change renames, makes folders, and removes; what is removed can be restored.
func change(t *testing.T, p program, c *client) {
	p.rename(c, "plain.txt", "renamed.txt")
	if files := c.files(); files["renamed.txt"].ID == "" || files["plain.txt"].ID != "" {
		t.Errorf("after the rename there is %v", files)
	}
	p.mkdir(c, "folder")
	p.put(c, c.write("local", []byte("inside")), "folder/inside.txt")
	c.mustHave("folder/inside.txt", []byte("inside"))
	removed := c.files()["folder/inside.txt"].ID
	p.remove(c, "folder/inside.txt")
	if _, there := c.files()["folder/inside.txt"]; there {
		t.Error("a removed file is there")
	}
	p.rmdir(c, "folder")
	if out := p.list(c); strings.Contains(out, "folder") {
		t.Errorf("a removed folder is listed:\n%s", out)
	}
	c.g.sealdrop("report", "restore", removed)
	c.mustHave("folder/inside.txt", []byte("inside"))
}

func (c *client) mustHave(name string, data []byte) {
	c.g.t.Helper()
	sum := sha256.Sum256(data)
	if f := c.files()[name]; f.SHA256 != hex.EncodeToString(sum[:]) {
		c.g.t.Errorf("the gateway has %+v under %q, want %d bytes with %x", f, name, len(data), sum)
	}
}

// gpgOpens decrypts a file with the client's own GnuPG.
func (c *client) gpgOpens(sealed string, want []byte) {
	c.g.t.Helper()
	home := filepath.Join(c.home, "gnupg")
	if err := os.Mkdir(home, 0o700); err != nil {
		c.g.t.Fatal(err)
	}
	defer func() { _ = c.command("gpgconf", "--homedir", home, "--kill", "all").Run() }()
	c.run(c.pgp.Armored(), "gpg", "--homedir", home, "--batch", "--quiet", "--import")
	if got := c.run("", "gpg", "--homedir", home, "--batch", "--quiet", "--decrypt", sealed); got != string(want) {
		c.g.t.Error("the report opens to something else")
	}
}

func digest(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// noise is text that does not compress to nothing.
func noise(n int) []byte {
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "Trades,Data,%x\n", rand.Uint64())
	}
	return b.Bytes()[:n]
}
