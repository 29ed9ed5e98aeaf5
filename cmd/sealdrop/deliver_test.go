package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFileThatChangesWhileItIsReadIsRefused(t *testing.T) {
	t.Parallel()
	const content = "date,amount\n2026-11-20,1000.00\n"
	later := time.Now().Add(time.Minute)
	for name, test := range map[string]struct {
		change func(path string) error
		want   error
	}{
		"unchanged": {func(string) error { return nil }, nil},
		"shorter":   {func(path string) error { return os.Truncate(path, 5) }, errChanged},
		"longer": {func(path string) error {
			return os.WriteFile(path, []byte(content+content), 0o600)
		}, errChanged},
		"other content of the same length": {func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(content[1:]+"\n"), 0o600), os.Chtimes(path, later, later))
		}, errChanged},
		"another file in its place": {func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("new"), 0o600), os.Rename(path+".new", path))
		}, nil}, // what was opened is read whole
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "statement.csv")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := openSteady(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := test.change(path); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(f); !errors.Is(err, test.want) {
				t.Errorf("reading gives %v, want %v", err, test.want)
			}
		})
	}
}
