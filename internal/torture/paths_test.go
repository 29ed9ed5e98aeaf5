//go:build linux && amd64

package torture

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/blob/blobtest"
)

func killedPaths() []killedPath {
	paths := []killedPath{
		publishing("publish", "acme"),
		publishing("hold", "borealis"),
		replacing(),
		releasing(),
		removing(),
		purging(),
		resealing(),
		uploading("FTP upload", "ftp", curl),
		uploading("sFTP upload", "sftp", openSSH),
	}
	for i := range paths {
		// What a killed attempt leaves behind is no finding until the grace is over.
		paths[i].env = append([]string{"SEALDROP_RETENTION_GRACE=24h"}, paths[i].env...)
	}
	return paths
}

func publishing(name, client string) killedPath {
	return killedPath{
		name: name,
		prepare: func(g *gateway) {
			g.file("one.csv", 2_000)
			g.file("two.csv", 200_000)
		},
		attempt: oneShot("deliver", "--client", client, "one.csv", "two.csv"),
		holds:   holdsAll("published", "held"),
		names:   map[string]int{client + "/one.csv.pgp": 1, client + "/two.csv.pgp": 1},
		fresh:   true,
	}
}

func replacing() killedPath {
	return killedPath{
		name: "replace",
		prepare: func(g *gateway) {
			g.run("deliver", "--client", "acme", g.file("one.csv", 2_000))
			g.file("one.csv", 50_000)
		},
		attempt: oneShot("deliver", "--replace", "--client", "acme", "one.csv"),
		holds:   holdsAll("published"),
		names:   map[string]int{"acme/one.csv.pgp": 1},
	}
}

// releasing publishes what was held, which the import of a key does.
func releasing() killedPath {
	return killedPath{
		name: "release",
		prepare: func(g *gateway) {
			g.run("deliver", "--client", "borealis", g.file("one.csv", 2_000), g.file("two.csv", 100_000))
			g.certificateFile("borealis")
		},
		attempt: oneShot("key", "import", "--client", "borealis", "borealis-new.asc"),
		holds:   checkAll("published"),
		names:   map[string]int{"borealis/one.csv.pgp": 1, "borealis/two.csv.pgp": 1},
	}
}

func removing() killedPath {
	return killedPath{
		name: "remove",
		prepare: func(g *gateway) {
			g.run("deliver", "--client", "acme", g.file("one.csv", 2_000), g.file("two.csv", 2_000), g.file("three.csv", 2_000))
		},
		attempt: func(g *gateway, tr *tracer) (string, ending) {
			var ids []string // what is removed already is refused, in so many words
			for id, r := range g.reports() {
				if r.State != "removed" {
					ids = append(ids, id)
				}
			}
			if len(ids) == 0 {
				return "all are removed", ending{}
			}
			slices.Sort(ids)
			return g.traced(tr, append([]string{"report", "remove"}, ids...)...)
		},
		holds:   checkAll("removed"),
		names:   map[string]int{"acme/one.csv.pgp": 1, "acme/two.csv.pgp": 1, "acme/three.csv.pgp": 1},
		removes: true,
	}
}

// purging has one report whose time is over, and others that were purged before, whose blobs are to be
// given back: one that is alone in its file, and some between others that are on hold.
func purging() killedPath {
	return killedPath{
		name: "purge",
		prepare: func(g *gateway) {
			g.run("client", "set", "acme", "--retention", "1s")
			said := g.run("deliver", "--client", "acme", g.file("kept.csv", 2_000), g.file("purged.csv", 20_000), g.file("kept too.csv", 90_000), g.file("purged too.csv", 2_000))
			ids := acknowledgedIDs(string(said))
			g.run("retention", "hold", ids[0], ids[2], "--reason", "a case")
			g.run("deliver", "--client", "acme", g.file("alone.csv", 2_000))
			time.Sleep(1100 * time.Millisecond)
			g.run("retention", "run")
			g.run("deliver", "--client", "acme", g.file("due.csv", 2_000))
			time.Sleep(1100 * time.Millisecond)
		},
		attempt: oneShot("retention", "run"),
		holds: func(g *gateway, _ string, listed map[string]report) {
			if len(listed) != 2 {
				g.t.Errorf("%d reports are there after the purge, want 2", len(listed))
			}
			g.checkThinned()
		},
		names: map[string]int{"acme/kept.csv.pgp": 1, "acme/kept too.csv.pgp": 1, "acme/due.csv.pgp": 0},
		env:   []string{"SEALDROP_RETENTION_GRACE=1s"},
	}
}

// checkThinned checks that a file that reports are in has nothing else, and that there is at most one
// file that none is in, which has its grace yet.
func (g *gateway) checkThinned() {
	g.t.Helper()
	blobs, files := g.blobs()
	want := map[string]int64{}
	for _, b := range blobs {
		want[b.path] += (b.size + blobid.PageSize - 1) &^ (blobid.PageSize - 1)
	}
	if len(files) > len(want)+1 {
		g.t.Errorf("the reports that are left are in %d files, and there are %d", len(want), len(files))
	}
	for path, n := range want {
		f, err := os.Open(path)
		if err != nil {
			g.t.Error(err)
			continue
		}
		if got := blobtest.Data(g.t, f); got != n {
			g.t.Errorf("%s takes %d bytes for reports of %d", path, got, n)
		}
		f.Close()
	}
}

// resealing is for a client that lost its key; the private half is at hand here as
// the escrow's would be.
func resealing() killedPath {
	return killedPath{
		name: "reseal",
		prepare: func(g *gateway) {
			g.run("deliver", "--client", "acme", g.file("one.csv", 2_000), g.file("two.csv", 100_000))
			g.privateKeyFile(g.key)
			certificate := g.certificateFile("acme")
			g.run("key", "revoke", g.key.Certificate().Fingerprint(), "--reason", "lost")
			g.run("key", "import", "--client", "acme", certificate)
		},
		attempt: oneShot("report", "reseal", "--client", "acme", "--with", "private.asc", "-o", "json"),
		holds: func(g *gateway, said string, listed map[string]report) {
			done := decoded[struct{ Resealed, Current, Locked, Failed int }](g, said)
			if done.Resealed+done.Current != len(listed) || done.Locked+done.Failed > 0 {
				g.t.Errorf("%d reports are resealed as %+v", len(listed), done)
			}
			for id, r := range listed {
				if slices.Contains(r.SealedTo, g.key.Certificate().Fingerprint()) {
					g.t.Errorf("report %s is sealed to the lost key", id)
				}
			}
		},
		names: map[string]int{"acme/one.csv.pgp": 1, "acme/two.csv.pgp": 1},
	}
}

// checkAll checks that all reports are in a state.
func checkAll(state string) func(*gateway, string, map[string]report) {
	return func(g *gateway, _ string, listed map[string]report) {
		g.t.Helper()
		for id, r := range listed {
			if r.State != state {
				g.t.Errorf("report %s is %s after the acknowledgement, want %s", id, r.State, state)
			}
		}
	}
}

// uploading is a client's own file, which is kept as it comes.
func uploading(name, protocol string, put func(g *gateway, port string) *exec.Cmd) killedPath {
	content := strings.Repeat("what a client hands in, sealed by itself\n", 4000)
	sum := sha256.Sum256([]byte(content))
	p := killedPath{
		name: name,
		prepare: func(g *gateway) {
			if err := os.WriteFile(filepath.Join(g.dir, "upload"), []byte(content), 0o600); err != nil {
				g.t.Fatal(err)
			}
			g.allowUploads()
		},
		names: map[string]int{"acme/upload": 1},
		fresh: true,
	}
	p.attempt = func(g *gateway, tr *tracer) (string, ending) { return g.serveUpload(tr, protocol, put) }
	p.holds = func(g *gateway, _ string, listed map[string]report) {
		for _, r := range listed {
			if r.Size == int64(len(content)) && (r.SHA256 == "" || r.SHA256 == hex.EncodeToString(sum[:])) {
				return
			}
		}
		g.t.Errorf("the upload was acknowledged and is lost: %v", listed)
	}
	return p
}

const password = "correct horse battery"

func (g *gateway) allowUploads() {
	g.t.Helper()
	g.run("client", "set", "acme", "--ftp", "plain")
	set := g.command("password", "set", "--client", "acme", "--stdin")
	set.Stdin = strings.NewReader(password + "\n")
	key := filepath.Join(g.dir, "ssh")
	keygen := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	for _, cmd := range []*exec.Cmd{set, keygen} {
		if out, err := cmd.CombinedOutput(); err != nil {
			g.t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	g.run("key", "import", "--client", "acme", key+".pub")
}

func curl(g *gateway, port string) *exec.Cmd {
	return exec.CommandContext(g.t.Context(), "curl", "-sS", "--max-time", "30", "-T", filepath.Join(g.dir, "upload"),
		fmt.Sprintf("ftp://acme:%s@127.0.0.1:%s/upload", strings.ReplaceAll(password, " ", "%20"), port))
}

func openSSH(g *gateway, port string) *exec.Cmd {
	cmd := exec.CommandContext(g.t.Context(), "sftp", "-F", "none", "-b", "-", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i", filepath.Join(g.dir, "ssh"), "-P", port, "acme@127.0.0.1")
	cmd.Stdin = strings.NewReader("put " + filepath.Join(g.dir, "upload") + " upload\n")
	return cmd
}

// serveUpload has a client put a file while the gateway is traced. It is counted from
// when the gateway listens. Once the client has ended, the gateway is killed.
func (g *gateway) serveUpload(tr *tracer, protocol string, put func(*gateway, string) *exec.Cmd) (acknowledged string, end ending) {
	g.t.Helper()
	log := g.printed("log")
	defer log.Close()
	cmd := g.command("serve")
	cmd.Env = append(cmd.Env, "SEALDROP_SFTP_LISTEN=127.0.0.1:0", "SEALDROP_FTP_LISTEN=127.0.0.1:0", "SEALDROP_FTP_TLS_MODE=optional", "SEALDROP_FTP_PASSIVE_PORTS=any")
	cmd.Dir, cmd.Stdout, cmd.Stderr = g.dir, log, log
	pid, ended, err := tr.start(cmd)
	if err != nil {
		g.t.Fatal(err)
	}
	port := listeningPort(g.t, log.Name(), protocol, ended)
	tr.counting.Store(true)
	out, err := put(g, port).CombinedOutput()
	tr.counting.Store(false)
	_ = syscall.Kill(pid, syscall.SIGKILL) // it may be dead already
	end = <-ended
	switch {
	case err == nil:
		return "uploaded", end
	case !end.injected:
		said, _ := os.ReadFile(log.Name()) // it only adds to the message
		g.t.Errorf("the upload fails without a kill: %v\n%s\n%s", err, out, said)
	}
	return "", end
}

// listeningPort waits until the gateway listens.
func listeningPort(t *testing.T, log, protocol string, ended <-chan ending) string {
	t.Helper()
	ready := regexp.MustCompile(`listening"?.*protocol"?[=:]"?` + protocol + `"? .*127\.0\.0\.1:(\d+)`)
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if found := ready.FindSubmatch(text); found != nil {
			return string(found[1])
		}
		select {
		case end := <-ended:
			t.Fatalf("the gateway ended with status %d:\n%s", end.status.ExitStatus(), text)
		default:
		}
	}
	t.Fatalf("the gateway does not listen for %s", protocol)
	return ""
}
