package durable_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sealdrop/sealdrop/internal/durable"
)

func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "hold.pgp")
	if err := durable.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "secret" {
		t.Errorf("it holds %q, %v", data, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	onlyFile(t, dir)
}

// TestWriteFileReplacesNothing: a second start must not make the gateway's keys
// anew over the ones that reports are sealed to.
func TestWriteFileReplacesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("new"), 0o600); !errors.Is(err, os.ErrExist) {
		t.Errorf("error is %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "old" {
		t.Errorf("it holds %q now", data)
	}
	onlyFile(t, dir)
}

func TestWriteFileFollowsNoLink(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	path := filepath.Join(dir, "key")
	if err := os.Symlink(outside, path); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("new"), 0o600); !errors.Is(err, os.ErrExist) {
		t.Errorf("error is %v", err)
	}
	if _, err := os.Lstat(outside); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link's target: %v", err)
	}
}

func TestWriteFileRace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	var won atomic.Int32
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			err := durable.WriteFile(path, bytes.Repeat([]byte{byte('a' + i)}, 1000), 0o600)
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, os.ErrExist):
				t.Error(err)
			}
		})
	}
	group.Wait()
	data, err := os.ReadFile(path)
	if err != nil || won.Load() != 1 || len(data) != 1000 || bytes.Count(data, data[:1]) != 1000 {
		t.Errorf("%d won; %d bytes, %v", won.Load(), len(data), err)
	}
	onlyFile(t, dir)
}

func TestMissingFolder(t *testing.T) {
	t.Parallel()
	absent := filepath.Join(t.TempDir(), "absent")
	if err := durable.WriteFile(filepath.Join(absent, "key"), nil, 0o600); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("WriteFile: %v", err)
	}
	if err := durable.SyncDir(absent); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("SyncDir: %v", err)
	}
}

// onlyFile fails if a temporary file was left behind.
func onlyFile(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v, %v", files, err)
	}
}
