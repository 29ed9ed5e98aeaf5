package steady_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/internal/steady"
)

func TestChangesAreNoticed(t *testing.T) {
	t.Parallel()
	const content = "date,amount\n"
	later := time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		change func(path string) error
		want   error
	}{
		"unchanged": {func(string) error { return nil }, nil},
		"shorter":   {func(path string) error { return os.Truncate(path, 5) }, steady.ErrChanged},
		"longer":    {func(path string) error { return os.WriteFile(path, []byte(content+content), 0o600) }, steady.ErrChanged},
		"other content of the same length": {func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(content[1:]+"\n"), 0o600), os.Chtimes(path, later, later))
		}, steady.ErrChanged},
		"longer, at the old time": {func(path string) error {
			info, err := os.Stat(path)
			return errors.Join(err, os.WriteFile(path, []byte(content+content), 0o600), os.Chtimes(path, later, info.ModTime()))
		}, steady.ErrChanged},
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
			f, err := steady.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := test.change(path); err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(f)
			var inFile *steady.ReadError
			if !errors.Is(err, test.want) || test.want != nil && !errors.As(err, &inFile) {
				t.Errorf("reading gives %v, want %v", err, test.want)
			}
		})
	}
}

// TestPipeWithoutWriter: opening one must not wait for its writer.
func TestPipeWithoutWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, filepath.Dir(path), "/dev/null"} {
		if _, err := steady.Open(path); !errors.Is(err, steady.ErrNotRegular) {
			t.Errorf("opening %s: %v", path, err)
		}
	}
	if _, err := steady.Open(path + "x"); !errors.Is(err, os.ErrNotExist) || err.Error() != "no such file or directory" {
		t.Errorf("opening what is not there: %v", err)
	}
}
