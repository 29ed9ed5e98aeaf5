package demo

import (
	"fmt"
	"os"
	"strings"
)

// withheld are the variables, by how they begin, that would let the user's own
// settings into the demonstration: a gateway's, an agent's, a language's.
func withheld(name string) bool {
	for _, prefix := range []string{"SEALDROP_", "GNUPG", "GPG_", "SSH_", "LC_", "LANG", "D=", "PATH="} {
		if strings.HasPrefix(name+"=", prefix) {
			return true
		}
	}
	return name == "DISPLAY" || name == "WAYLAND_DISPLAY"
}

// cleanEnviron is the environment of everything that the demonstration runs.
func cleanEnviron(environ []string, dir string) []string {
	clean := make([]string, 0, len(environ)+4)
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); !withheld(name) {
			clean = append(clean, kv)
		}
	}
	return append(clean,
		"D="+dir,
		"PATH="+dir+"/bin:"+valueOf(environ, "PATH"),
		"SEALDROP_CONFIG="+dir+"/gateway/config.yaml",
		"LC_ALL=C.UTF-8", // what programs answer is compared
	)
}

// variables are the lines that prepare a reader's shell.
func (t *tour) variables() []string {
	return []string{"D=" + t.folder.path, "PATH=$D/bin:$PATH", "export SEALDROP_CONFIG=$D/gateway/config.yaml"}
}

// linkProgram lets the program be called by the name sealdrop.
func (t *tour) linkProgram() error {
	if err := os.Mkdir(t.folder.join("bin"), 0o700); err != nil {
		return fmt.Errorf("making a folder for the program: %w", err)
	}
	if err := os.Symlink(t.config.Program, t.folder.join("bin", "sealdrop")); err != nil {
		return fmt.Errorf("linking the program: %w", err)
	}
	return nil
}
