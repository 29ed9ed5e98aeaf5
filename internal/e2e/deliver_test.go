package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDeliveryTakesConstantMemory seals and publishes a statement of 1 GiB, and
// looks at the most that the process ever held.
func TestDeliveryTakesConstantMemory(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1")
	g.client("acme", "ed25519", "127.0.0.1")
	const size, most = 1 << 30, 64 << 20
	cmd := exec.Command(binary, "--config", filepath.Join(g.dir, "config.yaml"), "deliver", "--client", "acme", "--name", "huge.csv", "-")
	cmd.Stdin = io.LimitReader(&repeated{piece: noise(1 << 20)}, size)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	held := 0
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("a report of 1 GiB was delivered in %d MiB", held>>20)
			if held == 0 || held > most {
				t.Errorf("it took %d MiB, %d at most", held>>20, most>>20)
			}
			return
		case <-time.After(20 * time.Millisecond):
			held = max(held, peak(cmd.Process.Pid))
		}
	}
}

// peak returns the most memory that a process has held so far, in bytes, 0 once it
// is gone. What wait(2) tells is of no use: it counts the test's own memory, which
// the process had for a moment between fork and exec.
func peak(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// repeated gives the same piece again and again.
type repeated struct {
	piece []byte
	at    int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.piece[r.at:])
	r.at = (r.at + n) % len(r.piece)
	return n, nil
}
