package sftpd_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

func pemBytes(b *pem.Block) []byte { return pem.EncodeToMemory(b) }

// noise is n bytes that are the same in every run.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

func TestFilesThroughGoClient(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	data := noise(3_000_001)
	h.folder.put("report.csv.pgp", data)
	c := h.sftp(sftp.MaxPacketUnchecked(200 << 10))

	f, err := c.Open("/report.csv.pgp")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := f.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Fatalf("read %d bytes, %v", got.Len(), err)
	}
	_ = f.Close()

	w, err := c.Create("up.bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReadFrom(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if _, ok := h.folder.content("up.bin"); ok {
		t.Error("the upload is visible before it is closed")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.folder.content("up.bin"); !bytes.Equal(got, data) {
		t.Errorf("uploaded %d bytes, want %d", len(got), len(data))
	}

	if err := c.Mkdir("in"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rename("up.bin", "in/up.bin"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rename("report.csv.pgp", "in/up.bin"); err == nil {
		t.Error("a plain rename replaced a file")
	}
	if err := c.PosixRename("report.csv.pgp", "in/up.bin"); err != nil {
		t.Errorf("posix-rename: %v", err)
	}
	when := time.Unix(1_700_000_000, 0)
	if err := c.Chtimes("in/up.bin", when, when); err != nil {
		t.Fatal(err)
	}
	if err := c.Chmod("in/up.bin", 0o600); err != nil {
		t.Errorf("chmod is not ignored: %v", err)
	}
	if fi, err := c.Stat("in/up.bin"); err != nil || !fi.ModTime().Equal(when) {
		t.Errorf("stat: %v, %v", fi, err)
	}
	if err := c.Truncate("in/up.bin", 1); err == nil {
		t.Error("a published file was truncated")
	}
	if vfs, err := c.StatVFS("/"); err != nil || vfs.FreeSpace() != 1<<30 {
		t.Errorf("statvfs: %v %v", vfs, err)
	}
	if err := c.RemoveDirectory("in"); err == nil {
		t.Error("a folder with a file in it was removed")
	}
	if err := c.Remove("in/up.bin"); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveDirectory("in"); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"link": c.Link("a", "b"), "symlink": c.Symlink("a", "b"),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := c.ReadLink("a"); err == nil {
		t.Error("readlink was accepted")
	}
}

func TestExtensionsAdvertisedAreTheOnesThatWork(t *testing.T) {
	t.Parallel()
	c := start(t, options{}).sftp()
	for ext, want := range map[string]bool{
		"posix-rename@openssh.com": true, "statvfs@openssh.com": true, "limits@openssh.com": true,
		"hardlink@openssh.com": false, "fsync@openssh.com": false,
	} {
		if _, ok := c.HasExtension(ext); ok != want {
			t.Errorf("%s advertised: %v, want %v", ext, ok, want)
		}
	}
}

func TestOpenFlags(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	c := h.sftp()
	for _, tt := range []struct {
		name  string
		flags int
		old   string // "-": there is none
		write string
		want  string // "-": open fails
	}{
		{"create and truncate", os.O_WRONLY | os.O_CREATE | os.O_TRUNC, "old text", "new", "new"},
		{"create", os.O_WRONLY | os.O_CREATE, "old text", "new", "new text"},
		{"write a missing file", os.O_WRONLY, "-", "new", "-"},
		{"truncate a missing file", os.O_WRONLY | os.O_TRUNC, "-", "new", "-"},
		{"write an existing file", os.O_WRONLY, "old text", "new", "new text"},
		{"read and write", os.O_RDWR, "old text", "new", "new text"},
		{"exclusive, taken", os.O_WRONLY | os.O_CREATE | os.O_EXCL, "old", "new", "-"},
		{"exclusive, free", os.O_WRONLY | os.O_CREATE | os.O_EXCL, "-", "new", "new"},
		{"append", os.O_WRONLY | os.O_APPEND, "old", "new", "oldnew"},
		{"append to nothing", os.O_WRONLY | os.O_APPEND | os.O_CREATE, "-", "new", "new"},
	} {
		name := strings.ReplaceAll(tt.name, " ", "-")
		if tt.old != "-" {
			h.folder.put(name, []byte(tt.old))
		}
		f, err := c.OpenFile(name, tt.flags)
		if err != nil {
			if tt.want != "-" {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if _, err := f.Write([]byte(tt.write)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got, _ := h.folder.content(name); string(got) != tt.want {
			t.Errorf("%s: file holds %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Eight workers take writes in any order; what is appended must keep its own.
func TestAppendKeepsOrderUnderConcurrentWrites(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	data := noise(600_000)
	h.folder.put("log", []byte("head"))
	c := h.sftp(sftp.UseConcurrentWrites(true), sftp.MaxPacketUnchecked(1000))
	f, err := c.OpenFile("log", os.O_WRONLY|os.O_APPEND)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadFromWithConcurrency(bytes.NewReader(data), 64); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, _ := h.folder.content("log")
	if !bytes.Equal(got, append([]byte("head"), data...)) {
		t.Error("appended data is out of order")
	}
}

// An upload that breaks off stays aside and can be continued.
func TestBrokenUploadIsNotPublished(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	conn := h.dial()
	c, err := sftp.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Create("half")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("first half, ")); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	eventually(t, "session closed", func() bool { h.gate.mu.Lock(); defer h.gate.mu.Unlock(); return h.gate.open == 0 })
	if _, ok := h.folder.content("half"); ok {
		t.Fatal("a broken upload was published")
	}
	c2 := h.sftp()
	fi, err := c2.Stat("half")
	if err != nil || fi.Size() != 12 {
		t.Fatalf("stat of the interrupted upload: %v, %v", fi, err)
	}
	g, err := c2.OpenFile("half", os.O_WRONLY)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.WriteAt([]byte("second half"), fi.Size()); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.folder.content("half"); string(got) != "first half, second half" {
		t.Errorf("got %q", got)
	}
}

func TestListingOfManyNames(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	for i := range 1203 {
		h.folder.put(fmt.Sprintf("report-%04d.csv.pgp", i), []byte("x"))
	}
	list, err := h.sftp().ReadDir("/")
	if err != nil || len(list) != 1203 {
		t.Fatalf("listed %d names, %v", len(list), err)
	}
	if _, err := h.sftp().ReadDir("/report-0000.csv.pgp"); err == nil {
		t.Error("a file was listed as a folder")
	}
}

func TestOpenSSH(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	dir := t.TempDir()
	data := noise(5_000_000)
	h.folder.put("statement.csv.pgp", data)
	key := h.keyFile()
	for name, content := range map[string][]byte{"part": data[:1_234_567], "whole": data} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	when := time.Unix(1_600_000_000, 0)
	if err := os.Chtimes(filepath.Join(dir, "whole"), when, when); err != nil {
		t.Fatal(err)
	}
	h.folder.put("resumed", data[:2_000_000])
	out, err := h.run(dir, `ls -l
df
get statement.csv.pgp
reget statement.csv.pgp part
put -p whole
reput whole resumed
mkdir sub
rename whole sub/renamed
ls -l sub
rm resumed
mkdir gone
rmdir gone
`, "sftp", "-b", "-", "-P", h.port(), "-i", key, "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "acme@127.0.0.1")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"statement.csv.pgp", "part"} {
		if got, _ := os.ReadFile(filepath.Join(dir, name)); !bytes.Equal(got, data) {
			t.Errorf("%s holds %d bytes that are not the file's", name, len(got))
		}
	}
	if got, _ := h.folder.content("sub/renamed"); !bytes.Equal(got, data) {
		t.Errorf("upload holds %d bytes", len(got))
	}
	if fi, err := h.sftp().Stat("sub/renamed"); err != nil || !fi.ModTime().Equal(when) {
		t.Errorf("put -p kept the time %v, %v", fi, err)
	}
	if want := "-rw-r--r--    1 acme     sealdrop  5000000 Mar 1 "; !strings.Contains(out, want) {
		t.Errorf("listing lacks %q:\n%s", want, out)
	}
	if _, ok := h.folder.content("resumed"); ok {
		t.Error("rm left the file")
	}
}

func TestOtherClients(t *testing.T) {
	t.Parallel()
	data := noise(700_000)
	for _, tt := range []struct {
		name string
		run  func(h *harness, dir, key string) (string, error)
	}{
		{"psftp", func(h *harness, dir, key string) (string, error) {
			ppk := filepath.Join(dir, "key.ppk")
			if out, err := h.run(dir, "", "puttygen", key, "-o", ppk, "-O", "private"); err != nil {
				return out, err
			}
			fp := hostEd().PublicKey()
			return h.run(dir, "get down.bin\nput up.src up.bin\nls\nquit\n", "psftp", "-batch", "-hostkey", fingerprint(fp), "-P", h.port(), "-i", ppk, "acme@127.0.0.1")
		}},
		{"lftp", func(h *harness, dir, key string) (string, error) {
			connect := "ssh -a -x -i " + key + " -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null"
			return h.run(dir, "", "lftp", "-c", `set sftp:connect-program "`+connect+`"; open -u acme,x -p `+h.port()+` sftp://127.0.0.1; get down.bin; put up.src -o up.bin; cls`)
		}},
		{"curl", func(h *harness, dir, key string) (string, error) {
			url := "sftp://acme@127.0.0.1:" + h.port()
			if out, err := h.run(dir, "", "curl", "-sSk", "--key", key, "-o", "down.bin", url+"/down.bin"); err != nil {
				return out, err
			}
			return h.run(dir, "", "curl", "-sSk", "--key", key, "-T", "up.src", url+"/up.bin")
		}},
		{"rclone", func(h *harness, dir, key string) (string, error) {
			remote := ":sftp,host=127.0.0.1,port=" + h.port() + ",user=acme,key_file=" + key + ":"
			if out, err := h.run(dir, "", "rclone", "copyto", remote+"down.bin", "down.bin"); err != nil {
				return out, err
			}
			return h.run(dir, "", "rclone", "copyto", "up.src", remote+"up.bin")
		}},
		{"paramiko", func(h *harness, dir, key string) (string, error) {
			return h.run(dir, "", "/usr/bin/python3", "-c", `
import paramiko, sys
c = paramiko.SSHClient(); c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect("127.0.0.1", int(sys.argv[1]), "acme", key_filename=sys.argv[2], allow_agent=False, look_for_keys=False)
s = c.open_sftp(); s.get("down.bin", "down.bin"); s.put("up.src", "up.bin"); print(s.listdir(".")); c.close()`, h.port(), key)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, options{})
			h.folder.put("down.bin", data)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "up.src"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := tt.run(h, dir, h.keyFile())
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got, _ := os.ReadFile(filepath.Join(dir, "down.bin")); !bytes.Equal(got, data) {
				t.Errorf("downloaded %d bytes that are not the file's\n%s", len(got), out)
			}
			if got, _ := h.folder.content("up.bin"); !bytes.Equal(got, data) {
				t.Errorf("uploaded %d bytes that are not the file's\n%s", len(got), out)
			}
		})
	}
}
