package e2e

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCutUpload kills a client in the middle of an upload: nothing of it shows,
// and the client resumes where it was.
func TestCutUpload(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1")
	c := g.client("acme", "ed25519", "127.0.0.1")
	data := make([]byte, 8<<20)
	_, _ = rand.Read(data)
	local := c.write("statement.bin", data)

	// -l limits the speed, in Kbit/s, so that there is time for the kill.
	cmd := c.command("sftp", append(c.openSSH("-l", "16000", "-b", "-"), c.id+"@127.0.0.1")...)
	cmd.Stdin = strings.NewReader("put statement.bin\n")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some of the upload has arrived", func() bool { return largestBlob(t, g) > 2<<20 })
	if out := c.sftp("ls -l\n"); strings.Contains(out, "statement.bin") {
		t.Errorf("an upload shows before it is whole:\n%s", out)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	// sftp's ssh notices that nobody is there, and hangs up.
	eventually(t, "the cut upload can be resumed", func() bool {
		resume := c.command("sftp", append(c.openSSH("-b", "-"), c.id+"@127.0.0.1")...)
		resume.Stdin = strings.NewReader("reput statement.bin\n")
		return resume.Run() == nil
	})
	c.mustHave("statement.bin", data)
	if err := os.Remove(local); err != nil {
		t.Fatal(err)
	}
	c.sftp("get statement.bin\n")
	if digest(t, local) != c.files()["statement.bin"].SHA256 {
		t.Error("what comes back is not what went out")
	}
}

// largestBlob returns the size of the largest file in the blob store.
func largestBlob(t *testing.T, g *gateway) int64 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(g.dir, "data", "blobs", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var most int64
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			most = max(most, info.Size())
		}
	}
	return most
}

// TestTimesAreKept: a client that preserves times finds them again.
func TestTimesAreKept(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1")
	c := g.client("acme", "ed25519", "127.0.0.1")
	local := c.write("dated.txt", []byte("dated"))
	when := time.Date(2025, 12, 31, 23, 59, 58, 0, time.UTC)
	if err := os.Chtimes(local, when, when); err != nil {
		t.Fatal(err)
	}
	c.sftp("put -p dated.txt\n")
	if got := c.files()["dated.txt"].Modified; !got.Equal(when) {
		t.Errorf("the time is %v, want %v", got, when)
	}
}
