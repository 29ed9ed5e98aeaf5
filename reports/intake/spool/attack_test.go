package spool_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/reports/publish"
)

// secret is a file that no producer may make the gateway read.
func (f *fixture) secret() string {
	path := filepath.Join(filepath.Dir(f.folder), "secret")
	if err := os.WriteFile(path, []byte("SECRET"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func TestRejections(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 252) // with .pgp behind it, too long
	for name, test := range map[string]struct {
		path   string // CLIENT/NAME, as it is handed in
		make   func(path string) error
		as     string // CLIENT/NAME in rejected; "" for the same
		reason string
	}{
		"unknown client":  {path: "nobody/a.csv", reason: "unknown client"},
		"no client id":    {path: "Acme Ltd/a.csv", reason: "not a client id"},
		"bad name":        {path: "acme/line\nbreak.csv", reason: "not a valid name"},
		"not UTF-8":       {path: "acme/\xff\xfe.csv", reason: "not UTF-8"},
		"name too long":   {path: "acme/" + long, as: "acme/" + long[:248], reason: "256 bytes"},
		"beside":          {path: "stray.csv", as: "_/stray.csv", reason: "beside the clients' folders"},
		"zero permission": {path: "acme/a.csv", make: func(path string) error { return os.WriteFile(path, nil, 0) }, reason: "nobody may read it (mode 0000)"},
		"folder":          {path: "acme/2026", make: func(path string) error { return os.Mkdir(path, 0o755) }, reason: "it is a folder"},
		"pipe":            {path: "acme/pipe", make: func(path string) error { return unix.Mkfifo(path, 0o644) }, reason: "named pipe"},
		"socket": {path: "acme/s", make: func(path string) error {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			short, err := os.Open(filepath.Dir(path)) // the path itself may be too long for one
			if err != nil {
				return err
			}
			defer short.Close()
			return unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/s", short.Fd())})
		}, reason: "socket"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			if test.make == nil {
				f.write(test.path, "content")
			} else if err := test.make(f.path(test.path)); err != nil {
				t.Fatal(err)
			}
			f.run()
			as := test.as
			if as == "" {
				as = test.path
			}
			client, file, _ := strings.Cut(as, "/")
			item := f.rejected(client, file)
			if !strings.Contains(item.Reason, test.reason) || item.Hint == "" || time.Since(item.At) > time.Minute {
				t.Errorf("reason %q, hint %q, at %v", item.Reason, item.Hint, item.At)
			}
			if f.there(test.path) || len(f.reports()) > 0 {
				t.Error("it is still there, or a report")
			}
			if test.make == nil { // else there is nothing to read, or nobody who writes
				if data, err := os.ReadFile(f.path("rejected/" + as)); string(data) != "content" {
					t.Errorf("it holds %q now, %v", data, err)
				}
			}
			if f.audited("spool.rejected") != 1 {
				t.Error("the audit does not say so")
			}
		})
	}
}

func TestAttackSymlinkInSpool(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	secret := f.secret()
	if err := os.Symlink(secret, f.path("acme/a.csv")); err != nil {
		t.Fatal(err)
	}
	f.run()
	if item := f.rejected("acme", "a.csv"); !strings.Contains(item.Reason, "symbolic link") {
		t.Errorf("reason %q", item.Reason)
	}
	if len(f.deliveries()) > 0 {
		t.Error("what the link points to was taken")
	}
	if data, err := os.ReadFile(secret); string(data) != "SECRET" {
		t.Errorf("what it points to holds %q, %v", data, err)
	}
}

func TestAttackClientFolderIsASymlink(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	secret := f.secret()
	if err := os.Remove(f.path("acme")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(secret), f.path("acme")); err != nil {
		t.Fatal(err)
	}
	f.run()
	f.rejected("_", "acme")
	if _, err := os.Stat(secret); err != nil || len(f.deliveries()) > 0 {
		t.Errorf("%v was taken; the secret: %v", f.deliveries(), err)
	}
}

// TestAttackFileSwappedForASymlink: between the scan and the opening.
func TestAttackFileSwappedForASymlink(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	secret := f.secret()
	f.write("acme/1.csv", "1")
	time.Sleep(10 * time.Millisecond)
	f.write("acme/2.csv", "2")
	f.before = func(d publish.Delivery, r io.Reader) (io.Reader, error) {
		if d.Name.String() == "1.csv" { // the scan has seen both
			_ = os.Remove(f.path("acme/2.csv"))
			_ = os.Symlink(secret, f.path("acme/2.csv"))
		}
		return r, nil
	}
	time.Sleep(2 * f.config.Settle)
	f.run()
	f.rejected("acme", "2.csv")
	if got := f.names(); len(got) != 1 || got[0] != "acme/1.csv" {
		t.Errorf("taken: %v", got)
	}
}

// TestAttackRejectedFolderIsASymlink: what is rejected must not be led out of the
// spool folder.
func TestAttackRejectedFolderIsASymlink(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, f.path("rejected")); err != nil {
		t.Fatal(err)
	}
	f.write("unknown/a.csv", "a")
	f.run()
	f.eventually("it is told", func() bool { return f.count("level=WARN")+f.count("level=ERROR") > 0 })
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 || !f.there("unknown/a.csv") {
		t.Errorf("outside there is %v, %v", left, err)
	}
}

func TestAttackForgedReason(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write("unknown/a.csv", "a")
	f.run()
	f.rejected("unknown", "a.csv")
	forged := "why: \x1b[2Jnothing\nname: \"../../secret\"\n"
	if err := os.WriteFile(f.path("rejected/unknown/a.csv.reason"), []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	item := f.rejected("unknown", "a.csv")
	if item.Name != "a.csv" {
		t.Errorf("name %q", item.Name)
	}
}

func TestRejectedIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.run()
	for i, name := range []string{"a.csv", "a.csv~2", "a.csv~3"} {
		f.write("unknown/a.csv", strings.Repeat("x", i+1))
		if item := f.rejected("unknown", name); item.Size != int64(i+1) {
			t.Errorf("%s has %d bytes", name, item.Size)
		}
	}
	f.write("unknown/a.csv~2.reason", "a file with the name of a reason")
	f.rejected("unknown", "a.csv~2.reason~2")
}

// TestUnreadable needs a process without root's power to read what it may not.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 && os.Getenv("SPOOL_POWERLESS") == "" {
		cmd := exec.Command("setpriv", "--bounding-set=-dac_override,-dac_read_search", os.Args[0], "-test.run=^TestUnreadable$", "-test.v")
		cmd.Env = append(os.Environ(), "SPOOL_POWERLESS=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	f := newFixture(t)
	f.write("acme/a.csv", "a")
	if err := os.Chmod(f.path("acme/a.csv"), 0o040); err != nil {
		t.Fatal(err)
	}
	f.write("borealis/b.csv", "b")
	if err := os.Chmod(f.path("borealis"), 0o555); err != nil {
		t.Fatal(err)
	}
	f.run()
	if item := f.rejected("acme", "a.csv"); !strings.Contains(item.Reason, "may not read it (owner uid") {
		t.Errorf("reason %q", item.Reason)
	}
	// What could not be removed is not taken: it would be published on and on.
	f.eventually("it is told", func() bool { return f.count("can't be taken in; they wait") == 1 })
	if !f.there("borealis/b.csv") || len(f.names()) > 0 {
		t.Errorf("taken: %v", f.names())
	}
	if err := os.Chmod(f.path("borealis"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.awaitGone("borealis/b.csv")
}

// TestFileGrowsWhileRead: half a report is never published.
func TestFileGrowsWhileRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var tries atomic.Int32
	f.before = func(d publish.Delivery, r io.Reader) (io.Reader, error) {
		if tries.Add(1) == 1 {
			file, err := os.OpenFile(f.path("acme/a.csv"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			_, err = io.WriteString(file, "second half")
			return r, err
		}
		return r, nil
	}
	f.write("acme/a.csv", "first half, ")
	f.run()
	f.awaitGone("acme/a.csv")
	list := f.reports()
	if len(list) != 1 || len(f.deliveries()) != 1 || f.deliveries()[0].Size != int64(len("first half, second half")) {
		t.Errorf("%d reports, deliveries %v", len(list), f.deliveries())
	}
}

// TestRenamedOverDuringPublish: the file that was read is a report, and so is the
// one that took its name.
func TestRenamedOverDuringPublish(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write("acme/a.csv", "the first")
	f.write("acme/a.csv.tmp", "the second, longer")
	f.config.Publisher = after{f, func() { _ = os.Rename(f.path("acme/a.csv.tmp"), f.path("acme/a.csv")) }}
	f.run()
	f.awaitGone("acme/a.csv.tmp", "acme/a.csv")
	f.eventually("both are reports", func() bool { return len(f.reports()) == 2 })
	if left, err := os.ReadDir(f.path(".taken/acme")); err != nil || len(left) > 0 {
		t.Errorf("in .taken there is %v, %v", left, err)
	}
}

// after calls a function when a publication is durable.
type after struct {
	*fixture
	then func()
}

func (a after) Publish(ctx context.Context, d publish.Delivery, r io.Reader) (publish.Outcome, error) {
	o, err := a.fixture.Publish(ctx, d, r)
	a.then()
	return o, err
}

// TestSourceVanishesDuringPublish: what was read to its end is a report.
func TestSourceVanishesDuringPublish(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Publisher = after{f, func() { _ = syscall.Unlink(f.path("acme/a.csv")) }}
	f.write("acme/a.csv", "a")
	f.run()
	f.eventually("it is a report", func() bool { return len(f.reports()) == 1 })
	f.write("acme/b.csv", "b")
	f.awaitGone("acme/b.csv")
	if f.count("level=ERROR") > 0 {
		t.Errorf("the log says:\n%s", f.log.String())
	}
}
