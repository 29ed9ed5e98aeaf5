// Package testbinary builds the program for the tests that drive it as its users
// do, in a process of its own.
package testbinary

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Run builds sealdrop, tells the tests where it is, runs them, and removes it. It
// returns the exit status for TestMain.
func Run(m *testing.M, program *string) int {
	dir, err := os.MkdirTemp("", "sealdrop-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*program = filepath.Join(dir, "sealdrop")
	build := exec.Command("go", "build", "-o", *program, "github.com/sealdrop/sealdrop/cmd/sealdrop")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is delivered: it needs no library of the system
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building sealdrop: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
