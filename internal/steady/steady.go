// Package steady reads files that must not change while they are read: half of
// one version of a report and half of another is not a report. [Open] opens a
// file by its path, [From] takes one that was opened otherwise.
//
// What tells of a change is the length and the time of the last change. A file
// that another one took the place of is read to its own end.
package steady

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

var (
	// ErrChanged: the file changed while it was read.
	ErrChanged = errors.New("the file changed while it was read; nothing was published")
	// ErrNotRegular: it is a folder, a pipe or a device.
	ErrNotRegular = errors.New("not a regular file")
)

// File is an open regular file. Its Read fails with [ErrChanged] at the latest at
// the end if the file is not the one that was opened.
type File struct {
	*os.File
	// Info is how the file was when it was opened.
	Info os.FileInfo
	read int64
}

// Open opens a file. It does not wait for the writer of a named pipe. Its errors
// leave out the path.
func Open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, withoutPath(err)
	}
	return From(f)
}

// From takes f over, and closes it when it returns an error: one that is
// [ErrNotRegular], or why nothing could be learned of f.
func From(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		return nil, errors.Join(withoutPath(err), f.Close())
	}
	return &File{File: f, Info: info}, nil
}

// Read reads on. Its errors but io.EOF are [*ReadError].
func (f *File) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.read += int64(n)
	switch {
	case f.read > f.Info.Size():
		return n, &ReadError{ErrChanged} // it grows, perhaps faster than we read
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, &ReadError{withoutPath(err)}
	}
	after, err := f.Stat()
	switch {
	case err != nil:
		return n, &ReadError{withoutPath(err)}
	case f.read != f.Info.Size() || after.Size() != f.Info.Size() || !after.ModTime().Equal(f.Info.ModTime()):
		return n, &ReadError{ErrChanged}
	}
	return n, io.EOF
}

// ReadError is a failure that lies in the file, wherever it surfaces.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the system, or [ErrChanged].
func (e *ReadError) Unwrap() error { return e.Err }

// withoutPath leaves the naming of the file to whoever reports the error.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
