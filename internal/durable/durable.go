// Package durable writes small files so that they survive a power loss.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile makes a new file of the given mode with the given content. It fails
// with [os.ErrExist] if the file is there. When it returns nil, the file and its
// name are on disk: temporary file, write, fsync, link to the name, fsync of the
// folder. A crash leaves the whole file, or none beside a temporary one whose
// name begins with a dot.
func WriteFile(path string, data []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace what has the name.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
