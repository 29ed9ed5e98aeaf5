package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sealdrop/sealdrop/internal/durable"
)

const (
	nameLayout    = "20060102T150405Z"
	partialSuffix = ".partial"
)

// BusyError says that another run works on the same folder.
type BusyError struct{ Folder string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("another backup or restore is at work in %s", e.Folder)
}

// Hint says what an operator can do.
func (*BusyError) Hint() string { return "wait for it to end" }

// lock holds a folder against other runs until the file is closed, or the process
// gone.
func lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(&BusyError{dir}, f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// list returns the complete backups in a folder, the oldest first.
func list(dir string) ([]string, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range found {
		if _, err := time.Parse(nameLayout, f.Name()); err == nil && f.IsDir() {
			names = append(names, f.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// removePartial removes what a killed run left.
func removePartial(dir string) error {
	found, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range found {
		name, is := strings.CutSuffix(f.Name(), partialSuffix)
		if _, err := time.Parse(nameLayout, name); !is || err != nil {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
			return fmt.Errorf("removing what an interrupted backup left: %w", err)
		}
	}
	return nil
}

// prune removes the oldest backups but for some, and returns how many. One that is
// being removed is no complete backup any more.
func prune(dir string, keep int) (int, error) {
	names, err := list(dir)
	if err != nil {
		return 0, err
	}
	n := 0
	for ; len(names)-n > keep; n++ {
		path := filepath.Join(dir, names[n])
		if err := os.Rename(path, path+partialSuffix); err != nil {
			return n, err
		}
		if err := durable.SyncDir(dir); err != nil {
			return n, err
		}
		if err := os.RemoveAll(path + partialSuffix); err != nil {
			return n, err
		}
	}
	return n, nil
}

// folders makes the folders that files lie in, each once, and syncs them at the
// end.
type folders struct {
	root string
	made map[string]bool // below root; the blob store has 1024 at most
}

func newFolders(root string) *folders { return &folders{root: root, made: map[string]bool{".": true}} }

// forFile makes the folder of a file, whose path has slashes, and returns where the
// file is to lie.
func (f *folders) forFile(path string) (string, error) {
	full := filepath.Join(f.root, filepath.FromSlash(path))
	for dir := filepath.Dir(filepath.FromSlash(path)); !f.made[dir]; dir = filepath.Dir(dir) {
		if err := os.MkdirAll(filepath.Join(f.root, dir), 0o700); err != nil {
			return "", err
		}
		f.made[dir] = true
	}
	return full, nil
}

func (f *folders) sync() error {
	for dir := range f.made {
		if err := durable.SyncDir(filepath.Join(f.root, dir)); err != nil {
			return err
		}
	}
	return nil
}

// isEmpty reports whether there is nothing at a path, or an empty folder.
func isEmpty(path string) (bool, error) {
	found, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return len(found) == 0, err
}
