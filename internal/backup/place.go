package backup

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
)

// errNotAsStored says that a blob is not what the catalog says it is.
var errNotAsStored = errors.New("the blob is not as it was stored")

// place puts a blob at target by the cheapest way that works, and says which: by a
// link to the previous backup, a clone of the blob, a link to it, or a copy. What is
// linked or cloned was not read: its size is checked, its content is what `fsck` and
// the restoring check.
func (m *maker) place(r reports.Report, path, target string) (how string, err error) {
	if m.previous != "" {
		before := filepath.Join(m.previous, filepath.FromSlash(path))
		if hasSize(before, r.Size) && os.Link(before, target) == nil {
			return linked, nil
		}
	}
	content, err := m.Blobs.Open(r.Blob)
	if err != nil {
		return "", err
	}
	defer content.Close()
	if content.Size() != r.Size {
		return "", errNotAsStored
	}
	if !m.noClone {
		switch done, err := clone(target, content); {
		case err != nil:
			return "", err
		case done:
			return cloned, nil
		}
		m.noClone = true
	}
	if !m.noLink {
		err := m.Blobs.Link(r.Blob, target)
		if err == nil {
			return linked, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		// Another file system, or one without links; too many links of one file.
		m.noLink = !errors.Is(err, syscall.EMLINK)
	}
	digest, _, err := copyTo(target, io.NewSectionReader(content, 0, content.Size()))
	if err == nil && r.SHA256 != "" && digest != r.SHA256 {
		err = errNotAsStored
	}
	return copied, err
}

func hasSize(path string, size int64) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

// clone has the file system share a blob's content with a new file until one of them
// is written to. done is false where it can't; nothing is left then.
func clone(target string, content *blob.Reader) (done bool, err error) {
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	if unix.IoctlFileClone(int(out.Fd()), int(content.File().Fd())) != nil {
		return false, errors.Join(out.Close(), os.Remove(target))
	}
	return true, errors.Join(out.Sync(), out.Close())
}
