package systemd_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestUnitIsHardened: what systemd itself thinks the service could do to the machine,
// from 0 to 10, stays at 1.5 or below.
func TestUnitIsHardened(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	unit := filepath.Join("..", "..", "deploy", "systemd", "sealdrop.service")
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", unit).CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
