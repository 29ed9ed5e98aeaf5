package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// maxPath is how long the folder's path may be: a GnuPG agent's socket in it, such
// as borealis/gnupg/S.gpg-agent.browser, must fit the 107 bytes of a Unix
// socket's address.
const maxPath = 70

// temporaryPattern is the name of a temporary folder, for [os.MkdirTemp].
const temporaryPattern = "sealdrop-demo-*"

// FolderError says that the demonstration can't work in a folder.
type FolderError struct {
	Path string
	Err  error
	hint string
}

func (e *FolderError) Error() string { return fmt.Sprintf("the folder %s: %v", e.Path, e.Err) }
func (e *FolderError) Unwrap() error { return e.Err }

// Hint says which folder would do.
func (e *FolderError) Hint() string { return e.hint }

// folder is where everything happens.
type folder struct {
	path      string // absolute
	temporary bool   // made up by us: to be removed
}

// openFolder makes the folder, or a temporary one if dir is empty.
func openFolder(dir string) (folder, error) {
	if dir == "" {
		return temporaryFolder()
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return folder{}, fmt.Errorf("finding the folder %s: %w", dir, err)
	}
	if err := checkPath(path); err != nil {
		return folder{}, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return folder{}, &FolderError{Path: path, Err: errors.Unwrap(err), hint: "name one in a place where you may write"}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return folder{}, fmt.Errorf("reading the folder: %w", err)
	}
	if len(entries) > 0 {
		return folder{}, &FolderError{
			Path: path, Err: fmt.Errorf("there is something in it already: %s", entries[0].Name()),
			hint: "name a new or an empty one",
		}
	}
	return folder{path: path}, nil
}

func temporaryFolder() (folder, error) {
	parent := os.TempDir()
	if abs, err := filepath.Abs(filepath.Join(parent, "sealdrop-demo-1234567890")); err != nil || checkPath(abs) != nil {
		parent = "/tmp"
	}
	path, err := os.MkdirTemp(parent, temporaryPattern)
	if err != nil {
		return folder{}, fmt.Errorf("making a temporary folder: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return folder{}, fmt.Errorf("finding the temporary folder: %w", err)
	}
	return folder{path: path, temporary: true}, nil
}

// plainPath is what a shell takes as it is.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/._+-]+$`)

func checkPath(path string) error {
	const hint = "choose another with --dir, such as /tmp/sealdrop-demo"
	if !plainPath.MatchString(path) {
		return &FolderError{
			Path: path, hint: hint,
			Err: errors.New("the commands shown could not be copied with this name: it may have letters, digits and . _ + - only"),
		}
	}
	if len(path) > maxPath {
		return &FolderError{
			Path: path, hint: hint,
			Err: fmt.Errorf("its path has %d bytes; GnuPG's sockets leave room for %d", len(path), maxPath),
		}
	}
	return nil
}

func (f folder) remove() error {
	if err := os.RemoveAll(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the temporary folder: %w", err)
	}
	return nil
}

func (f folder) join(parts ...string) string {
	return filepath.Join(append([]string{f.path}, parts...)...)
}
