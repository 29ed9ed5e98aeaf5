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
// function returns once the program has done it. One that the program can't do is
// nil, and cannot says why.
type program struct {
	name    string
	version func(c *client) string
	keyType string // sFTP
	mode    mode   // FTP
	list    func(c *client) string
	get     func(c *client, remote, local string)
	put     func(c *client, local, remote string)
	rename  func(c *client, from, to string)
	mkdir   func(c *client, name string)
	rmdir   func(c *client, name string)
	remove  func(c *client, name string)
	// resume continues a download and an upload of which a part is there already.
	resumeGet, resumePut func(c *client, remote, local string)

	cannot map[column]cell
	// neverEmpty keeps from it what it can't send reliably, to any server.
	neverEmpty bool
	// refused says why the program does not get in at all; the function checks that
	// the reason is the one that is told.
	refused func(c *client) cell
	// alone does the whole scenario, for a program that functions can't drive.
	alone func(c *client, can func(...column))
}

func sFTPPrograms() []program {
	return []program{
		openSSH(), psftp(), lftp(), curl(), rclone(), fileZillaSFTP(), paramiko(), asyncSSH(), ssh2SFTPClient(), jsch(),
	}
}

// TestClientTable has each program do what clients do, checks with the gateway
// that it happened, and compares what went with the tables in docs/clients.md.
func TestClientTable(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1", "::1")
	var sftp []*row
	t.Run("sftp", func(t *testing.T) {
		for i, p := range sFTPPrograms() {
			r := &row{program: p}
			sftp = append(sftp, r)
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				r.run(g.in(t).client(fmt.Sprintf("sftp-%d", i), p.keyType, "127.0.0.1,::1"))
			})
		}
	})
	inDocument(t, "sftp", sftp)
}

// run has the program do all that it can, and some of it over IPv6 too.
func (r *row) run(c *client) {
	p := r.program
	r.version = p.version(c)
	switch {
	case p.refused != nil:
		reason := p.refused(c)
		for _, col := range columns() {
			r.set(col, reason)
		}
	case p.alone != nil:
		p.alone(c, r.can)
	default:
		r.download(c)
		r.unicode(c)
		r.upload(c)
		r.change(c)
		over6 := *c
		over6.at = c.over6()
		r.overIPv6(&over6)
	}
	for col, reason := range p.cannot {
		r.set(col, reason)
	}
	r.whole = !c.g.t.Failed()
}

// download fetches a report of some megabytes, from its start and from its
// middle.
func (r *row) download(c *client) {
	t, p := c.g.t, r.program
	report := noise(8 << 20)
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
	r.can(list, download)
	if p.name == "OpenSSH sftp" {
		c.gpgOpens(local, report)
	}
	if p.resumeGet == nil {
		return
	}
	want = cut(t, local)
	p.resumeGet(c, name, local)
	if got := digest(t, local); got != want {
		t.Errorf("a resumed download is %s, want %s", got, want)
	}
	r.can(resumeDownload)
}

// cut leaves the first part of a file, with another first byte: one that was
// fetched anew instead of resumed has the old. It returns the digest of what
// resuming must make of it.
func cut(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 0xff
	if err := os.WriteFile(path, data[:1<<20], 0o600); err != nil {
		t.Fatal(err)
	}
	return sha256Hex(data)
}

// unicodeName has two scripts and a space in it.
const unicodeName = "Überweisung 報告書.txt"

// unicode fetches a report whose name is not ASCII; upload stores one.
func (r *row) unicode(c *client) {
	const name = unicodeName + ".pgp"
	c.g.sealdrop("deliver", "--client", c.id, "--name", unicodeName, c.write("report", []byte("a transfer")))
	local := filepath.Join(c.home, "unicode")
	r.program.get(c, name, local)
	if digest(c.g.t, local) != c.files()[name].SHA256 {
		c.g.t.Errorf("%s did not come as it is", name)
	}
	if out := r.program.list(c); !strings.Contains(out, name) {
		c.g.t.Errorf("the listing lacks %s:\n%s", name, out)
	}
	r.can(utf8Name)
}

// upload stores files under names that are not plain, and resumes one.
func (r *row) upload(c *client) {
	p := r.program
	if p.put == nil {
		return
	}
	for _, name := range []string{"plain.txt", "with space.txt", unicodeName, "empty"} {
		data := noise(100_000)
		if name == "empty" {
			if p.neverEmpty {
				continue
			}
			data = nil
		}
		p.put(c, c.write("local", data), name)
		c.mustHave(name, data)
	}
	r.can(upload)
	if p.resumePut == nil {
		return
	}
	data := noise(6 << 20)
	p.put(c, c.write("part", data[:2<<20]), "resumed.bin")
	whole := bytes.Clone(data)
	whole[0] ^= 0xff // an upload that starts over brings this along
	p.resumePut(c, "resumed.bin", c.write("whole", whole))
	c.mustHave("resumed.bin", data)
	r.can(resumeUpload)
}

// change renames, makes folders, and removes; what is removed can be restored.
func (r *row) change(c *client) {
	t, p := c.g.t, r.program
	if p.rename == nil || p.mkdir == nil {
		return
	}
	p.rename(c, "plain.txt", "renamed.txt")
	if files := c.files(); files["renamed.txt"].ID == "" || files["plain.txt"].ID != "" {
		t.Errorf("after the rename there is %v", files)
	}
	r.can(rename)
	p.mkdir(c, "drawer")
	p.put(c, c.write("local", []byte("inside")), "drawer/inside.txt")
	c.mustHave("drawer/inside.txt", []byte("inside"))
	removed := c.files()["drawer/inside.txt"].ID
	p.remove(c, "drawer/inside.txt")
	if _, there := c.files()["drawer/inside.txt"]; there {
		t.Error("a removed file is there")
	}
	r.can(remove)
	p.rmdir(c, "drawer")
	if out := p.list(c); strings.Contains(out, "drawer") {
		t.Errorf("a removed folder is listed:\n%s", out)
	}
	r.can(folders)
	c.g.sealdrop("report", "restore", removed)
	c.mustHave("drawer/inside.txt", []byte("inside"))
}

// overIPv6 lists and fetches once more.
func (r *row) overIPv6(c *client) {
	if _, cannot := r.program.cannot[ipv6]; cannot {
		return
	}
	const name = "Activity.csv.pgp"
	local := filepath.Join(c.home, "six.pgp")
	r.program.get(c, name, local)
	if digest(c.g.t, local) != c.files()[name].SHA256 || !strings.Contains(r.program.list(c), name) {
		c.g.t.Errorf("%s did not come over IPv6", name)
	}
	r.can(ipv6)
}

func (c *client) mustHave(name string, data []byte) {
	c.g.t.Helper()
	var f file
	// The digest of a long upload over FTP comes a moment after the upload.
	eventually(c.g.t, "the gateway knows the digest of "+name, func() bool {
		f = c.files()[name]
		return f.ID == "" || f.SHA256 != ""
	})
	if f.SHA256 != sha256Hex(data) {
		c.g.t.Errorf("the gateway has %+v under %q, want %d bytes with %s", f, name, len(data), sha256Hex(data))
	}
}

// gpgOpens decrypts a file with the client's own GnuPG.
func (c *client) gpgOpens(sealed string, want []byte) {
	c.g.t.Helper()
	home := filepath.Join(c.home, "gnupg")
	if err := os.MkdirAll(home, 0o700); err != nil {
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
	return sha256Hex(data)
}

func sha256Hex(data []byte) string {
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
