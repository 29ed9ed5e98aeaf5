package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTheKernelCopies: in the clear, a download goes by sendfile and an upload by
// splice, so that the bytes don't pass through the gateway's memory. strace looks.
func TestTheKernelCopies(t *testing.T) {
	t.Parallel()
	g := startFTP(t)
	c := g.ftpClient("acme", plain)
	content := noise(16 << 20)
	local := c.write("f", content)
	traced := filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command("strace", "-f", "-e", "trace=sendfile,splice", "-o", traced, "-p", strconv.Itoa(g.pid))
	said := &lockedBuffer{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "strace is attached", func() bool { return strings.Contains(said.String(), "attached") })
	netrc := c.write("netrc", []byte("machine 127.0.0.1 login acme password "+c.at.password+"\n"))
	url := "ftp://" + c.at.hostPort() + "/f"
	must(t, c.command("curl", "-sS", "--netrc-file", netrc, "-T", local, url))
	must(t, c.command("curl", "-sS", "--netrc-file", netrc, "-o", filepath.Join(c.home, "back"), url))
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	data, err := os.ReadFile(traced)
	if err != nil {
		t.Fatal(err)
	}
	calls := string(data)
	for _, call := range []struct{ name, result string }{
		{"sendfile", `sendfile.*\) = (\d+)`},
		// From the socket to a pipe, and from the pipe to the file.
		{"splice", `splice\(\d+, NULL, \d+, NULL, .*\) = (\d+)`},
	} {
		var moved int
		for _, m := range regexp.MustCompile(call.result).FindAllStringSubmatch(calls, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			moved += n
		}
		// A call that a signal interrupts under strace may be shown without what it moved.
		if moved < len(content)/2 {
			t.Errorf("%s moved %d bytes of %d:\n%.4000s", call.name, moved, len(content), calls)
		}
	}
}
