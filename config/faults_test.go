package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the tests get into the golden files")

// unpack writes the files of an archive into a new folder.
func unpack(t *testing.T, a *txtar.Archive) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, f := range a.Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestFaults holds every message with its line. Each archive has a config.yaml,
// what else it needs, the variables in env, and the outcome in want.
func TestFaults(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/faults/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(archive)
			if err != nil {
				t.Fatal(err)
			}
			var environ []string
			want := ""
			for _, f := range a.Files {
				switch f.Name {
				case "env":
					environ = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
				case "want":
					want = string(f.Data)
				}
			}
			dir := unpack(t, a)
			got := outcome(Load(filepath.Join(dir, "config.yaml"), environ))
			got = strings.ReplaceAll(got, dir+"/", "")
			if *update {
				if n := len(a.Files) - 1; a.Files[n].Name == "want" {
					a.Files = a.Files[:n]
				}
				a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(archive, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

// outcome prints what Load returned as the command line would.
func outcome(c *Config, err error) string {
	var b strings.Builder
	if err != nil {
		b.WriteString("error: " + err.Error() + "\n")
		if hint := hintOf(err); hint != "" {
			b.WriteString("hint: " + hint + "\n")
		}
		return b.String()
	}
	for _, w := range c.Warnings {
		b.WriteString("warning: " + w.Error() + "; " + w.Hint + "\n")
	}
	return b.String() + "loaded\n"
}
