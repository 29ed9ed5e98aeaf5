package backup

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
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
		if hasSize(before, r.Size) && m.holds(before, r) && os.Link(before, target) == nil {
			return linked, nil
		}
	}
	how, size, digest, err := m.put(r.Blob, target, r.Size)
	if err == nil && (size != r.Size || how == copied && r.SHA256 != "" && digest != r.SHA256) {
		err = errNotAsStored
	}
	return how, err
}

// holds reports whether the previous backup's copy of a blob is right. It is read only where the
// blob was written to since: a repair may have mended what is still damaged there.
func (m *maker) holds(before string, r reports.Report) bool {
	made, err := time.Parse(nameLayout, filepath.Base(m.previous))
	_, modified, lookErr := m.Blobs.Look(r.Blob)
	if errors.Join(err, lookErr) != nil || modified.Before(made) || r.SHA256 == "" {
		return true
	}
	digest, _, err := digestOf(before)
	return err == nil && digest == r.SHA256
}

// put is place for what the previous backup does not have; want is the file's size, -1
// for any, as that of a pack. The digest is that of what was copied, but for a pack.
func (m *maker) put(file, target string, want int64) (how string, size int64, digest string, err error) {
	content, err := m.Blobs.OpenFile(file)
	if err != nil {
		return "", 0, "", err
	}
	defer content.Close() // only read from
	info, err := content.Stat()
	if err == nil && want >= 0 && info.Size() != want {
		err = errNotAsStored
	}
	if err != nil {
		return "", 0, "", err
	}
	if !m.noClone {
		switch done, err := clone(target, content); {
		case err != nil:
			return "", 0, "", err
		case done:
			return cloned, info.Size(), "", nil
		}
		m.noClone = true
	}
	if !m.noLink {
		err := m.Blobs.Link(file, target)
		if err == nil {
			return linked, info.Size(), "", nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			return "", 0, "", err
		}
		// Another file system, or one without links; too many links of one file.
		m.noLink = !errors.Is(err, syscall.EMLINK)
	}
	if want < 0 {
		return copied, info.Size(), "", copySparse(target, content, info.Size())
	}
	digest, size, err = copyTo(target, content)
	return copied, size, digest, err
}

// copySparse makes a new file of the first bytes of another, durable but for its name. Holes stay holes:
// of a pack, little may be left.
func copySparse(target string, content *os.File, size int64) (err error) {
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for to := int64(0); to < size; {
		from, err := unix.Seek(int(content.Fd()), to, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // only a hole is left
		}
		if err != nil {
			from = to // it can't tell
		}
		if to, err = unix.Seek(int(content.Fd()), from, unix.SEEK_HOLE); err != nil || to > size {
			to = size
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, from), io.NewSectionReader(content, from, to-from)); err != nil {
			return err
		}
	}
	if err := out.Truncate(size); err != nil {
		return err
	}
	return out.Sync()
}

// member sees to it that the pack of a report's blob is in the backup. What others the pack has
// are there, too; only those that the snapshot shows are listed.
func (m *maker) member(r reports.Report, parts blobid.ID, path, target string) (how string, err error) {
	p, known := m.packs[parts.File]
	if !known {
		p = m.pack(parts.File, path, target)
		m.packs[parts.File] = p
	}
	if p.err != nil {
		return "", p.err
	}
	if parts.Size != r.Size || parts.Offset+parts.Size > p.size {
		return "", errNotAsStored
	}
	f, err := os.Open(target)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read from
	if p.how != copied {
		if isHole(f, parts.Offset) { // its space was given back before the pack got here
			return "", errNotAsStored
		}
		return p.how, nil
	}
	digest, err := digestOfSection(f, parts.Offset, parts.Size)
	if err == nil && digest != r.SHA256 {
		err = errNotAsStored
	}
	return p.how, err
}

// pack puts a pack at target. The previous backup's is as good only if nothing was written
// since: of two members that were just being added, the second may have come first. A clock
// that was set back has what is new look old, and so the size has to be the same, too.
func (m *maker) pack(file, path, target string) (p placed) {
	if made, err := time.Parse(nameLayout, filepath.Base(m.previous)); err == nil {
		before := filepath.Join(m.previous, filepath.FromSlash(path))
		size, modified, err := m.look(file)
		if err == nil && modified.Before(made) && hasSize(before, size) && os.Link(before, target) == nil {
			return placed{how: linked, size: size}
		}
	}
	p.how, p.size, _, p.err = m.put(file, target, -1)
	return p
}

// look returns the size of a file of blobs and when it was last written to.
func (m *maker) look(file string) (size int64, modified time.Time, err error) {
	f, err := m.Blobs.OpenFile(file)
	if err != nil {
		return 0, time.Time{}, err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return 0, time.Time{}, err
	}
	return info.Size(), info.ModTime(), nil
}

// isHole reports whether there is nothing at a place in a file. Where the file system can't
// tell, there is something.
func isHole(f *os.File, at int64) bool {
	from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	return errors.Is(err, unix.ENXIO) || err == nil && from != at
}

func hasSize(path string, size int64) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

// clone has the file system share a file's content with a new file until one of them
// is written to. done is false where it can't; nothing is left then.
func clone(target string, content *os.File) (done bool, err error) {
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	if unix.IoctlFileClone(int(out.Fd()), int(content.Fd())) != nil {
		return false, errors.Join(out.Close(), os.Remove(target))
	}
	return true, errors.Join(out.Sync(), out.Close())
}
