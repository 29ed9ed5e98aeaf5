package blob

import (
	"os"
	"path/filepath"

	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// Link makes target, a path outside the store on the same file system, a further
// name of a file of blobs. It is for backups: whatever the store deletes afterwards,
// the target keeps; where [Dir.Collect] gives back a part of a pack that has a further name, what is left goes on in
// a file of its own. The file is shared, so it must be a pack, or a blob that is
// never written to again. A missing file wraps [fs.ErrNotExist], a target on another
// file system syscall.EXDEV, and one that is there [fs.ErrExist]. The target's
// name is the caller's to make durable.
func (d *Dir) Link(file, target string) error {
	if err := checkFile("linking blobs", file); err != nil {
		return err
	}
	if err := os.Link(filepath.Join(d.path, place(file)), target); err != nil {
		return d.fault("linking blobs "+file, err)
	}
	return nil
}

// OpenFile opens a whole file of blobs for reading. A missing one wraps [fs.ErrNotExist].
func (d *Dir) OpenFile(file string) (*os.File, error) {
	if err := checkFile("opening blobs", file); err != nil {
		return nil, err
	}
	f, _, err := d.open(file, os.O_RDONLY)
	if err != nil {
		return nil, d.fault("opening blobs "+file, err)
	}
	return f, nil
}

// Path returns where a blob with a valid id lies: the path of its file below a store's folder, with
// slashes; the name of the folder is the part before the slash.
func Path(id string) (string, blobid.ID, error) {
	parts, err := parse("placing blob", id)
	if err != nil {
		return "", parts, err
	}
	return place(parts.File), parts, nil
}
