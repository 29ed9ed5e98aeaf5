package spool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// folder is an open folder. Its methods take the name of an entry, without a
// slash, and follow no symbolic link.
type folder struct{ f *os.File }

// openFolder opens a folder that the operator has named: there, a link is his.
func openFolder(path string) (*folder, error) {
	return openAt(unix.AT_FDCWD, path, path, 0)
}

func openAt(at int, name, path string, flags int) (*folder, error) {
	fd, err := retryEINTR(func() (int, error) {
		return unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &folder{os.NewFile(uintptr(fd), path)}, nil
}

func (d *folder) fd() int { return int(d.f.Fd()) }

// Close closes the folder.
func (d *folder) Close() error { return d.f.Close() }

// path is how the folder or one of its entries is called in messages.
func (d *folder) path(name string) string { return filepath.Join(d.f.Name(), name) }

func (d *folder) fault(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: d.path(name), Err: err}
}

// open opens a folder within d.
func (d *folder) open(name string) (*folder, error) {
	return openAt(d.fd(), name, d.path(name), unix.O_NOFOLLOW)
}

// make opens a folder within d, and makes it if it is not there.
func (d *folder) make(name string) (*folder, error) {
	if err := unix.Mkdirat(d.fd(), name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, d.fault("mkdir", name, err)
	}
	return d.open(name)
}

// file opens a file for reading. It does not wait for the writer of a pipe.
func (d *folder) file(name string) (*os.File, error) {
	fd, err := retryEINTR(func() (int, error) {
		return unix.Openat(d.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, d.fault("open", name, err)
	}
	return os.NewFile(uintptr(fd), d.path(name)), nil
}

// create makes a new file with the given content, and makes it durable.
func (d *folder) create(name string, content []byte) error {
	fd, err := retryEINTR(func() (int, error) {
		return unix.Openat(d.fd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return d.fault("create", name, err)
	}
	f := os.NewFile(uintptr(fd), d.path(name))
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// writable returns an error if entries of d can't be moved or removed.
func (d *folder) writable() error {
	err := unix.Faccessat(d.fd(), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	if err != nil {
		return &fs.PathError{Op: "writing to", Path: d.f.Name(), Err: err}
	}
	return nil
}

// remove removes what is not a folder.
func (d *folder) remove(name string) error {
	if err := unix.Unlinkat(d.fd(), name, 0); err != nil {
		return d.fault("remove", name, err)
	}
	return nil
}

// move moves an entry to another folder under another name. It fails with
// [fs.ErrExist] if that name is taken.
func (d *folder) move(name string, to *folder, as string) error {
	err := unix.Renameat2(d.fd(), name, to.fd(), as, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		// A file system without that. A link does not replace anything either.
		if err = unix.Linkat(d.fd(), name, to.fd(), as, 0); err == nil {
			err = unix.Unlinkat(d.fd(), name, 0)
		}
	}
	if err != nil {
		return &os.LinkError{Op: "move", Old: d.path(name), New: to.path(as), Err: err}
	}
	return nil
}

// stat describes an entry.
func (d *folder) stat(name string) (entry, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return entry{}, d.fault("stat", name, err)
	}
	return describe(name, &st), nil
}

// names calls each with the name of every entry, in no order, with bounded memory.
// It reads the folder from its beginning, and must not be called by two at a time.
func (d *folder) names(each func(name string)) error {
	const piece = 512
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for {
		names, err := d.f.Readdirnames(piece)
		for _, name := range names {
			each(name)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// entry is what lies in a folder, as it was when it was looked at.
type entry struct {
	name string
	identity
	mode    uint32 // type and permissions, as in stat(2)
	owner   uint32
	changed time.Time // ctime, which no program can set
}

// identity tells one file from another, and from itself with another content.
type identity struct {
	device, inode uint64
	size          int64
	modified      time.Time
}

func describe(name string, st *unix.Stat_t) entry {
	return entry{
		name:     name,
		identity: identity{device: uint64(st.Dev), inode: st.Ino, size: st.Size, modified: stamp(st.Mtim)},
		mode:     st.Mode, owner: st.Uid, changed: stamp(st.Ctim),
	}
}

func stamp(t unix.Timespec) time.Time { return time.Unix(t.Unix()).UTC() }

// kind is the type of the entry: unix.S_IFREG and so on.
func (e entry) kind() uint32 { return e.mode & unix.S_IFMT }

func (e entry) isFolder() bool { return e.kind() == unix.S_IFDIR }

// describeOpen describes an open file.
func describeOpen(name string, f *os.File) (entry, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return entry{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return describe(name, &st), nil
}

// beingWritten reports whether some process has f open for writing. It asks for a
// lease, which the kernel refuses if so. Where it can't tell (another user's
// file, a network file system) it says no.
func beingWritten(f *os.File) bool {
	fd := f.Fd()
	_, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, err = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}

func retryEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
