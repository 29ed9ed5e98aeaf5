package blob

import (
	"os"
	"path/filepath"
)

// Link makes target, a path outside the store on the same file system, a further
// name of a blob's file. It is for backups: whatever the store deletes afterwards,
// the target keeps. The file is shared, so the blob must be one that is never
// written to again. A missing blob wraps [fs.ErrNotExist], a target on another
// file system syscall.EXDEV, and one that is there [fs.ErrExist]. The target's
// name is the caller's to make durable.
func (d *Dir) Link(id, target string) error {
	if err := checkID("linking blob", id); err != nil {
		return err
	}
	if err := os.Link(filepath.Join(d.path, place(id)), target); err != nil {
		return d.fault("linking blob "+id, err)
	}
	return nil
}

// Path returns where the blob with a valid id lies below a store's folder, with
// slashes; the name of its folder is the part before the slash.
func Path(id string) (string, error) {
	if err := checkID("placing blob", id); err != nil {
		return "", err
	}
	return place(id), nil
}
