package e2e

import (
	"io"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
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
	must(t, cmd)
	held := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10 // it is in KiB
	t.Logf("a report of 1 GiB was delivered in %d MiB", held>>20)
	if held > most {
		t.Errorf("it took %d MiB, %d at most", held>>20, most>>20)
	}
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
