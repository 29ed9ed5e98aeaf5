package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write docs/cli.md")

func TestReferenceOfCommandsIsCurrent(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	a := &app{out: &out, err: &errs}
	if status := a.execute(t.Context(), []string{"docs", "reference"}); status != 0 {
		t.Fatalf("status %d: %s", status, &errs)
	}
	path := filepath.Join("..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, out.Bytes()) {
		t.Errorf("%s is not what the commands say (%v); run `go test ./cmd/sealdrop -run TestReferenceOfCommands -update`", path, err)
	}
}

// The package that is built from this holds a page of each command and the
// completions of four shells.
func TestManPagesAndCompletions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var out, errs bytes.Buffer
	a := &app{out: &out, err: &errs}
	for _, what := range []string{"man", "completion"} {
		if status := a.execute(t.Context(), []string{"docs", what, filepath.Join(dir, what)}); status != 0 {
			t.Fatalf("docs %s: status %d: %s", what, status, &errs)
		}
	}
	for _, name := range []string{
		"man/sealdrop.1", "man/sealdrop-client-add.1", "man/sealdrop-guide.1", "completion/sealdrop", "completion/_sealdrop", "completion/sealdrop.fish", "completion/sealdrop.ps1",
	} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 200 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "man", "sealdrop-docs.1")); err == nil {
		t.Error("the hidden command has a page")
	}
}
