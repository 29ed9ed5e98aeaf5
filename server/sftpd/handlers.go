package sftpd

import (
	"context"
	"io"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"

	"github.com/pkg/sftp"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

var (
	errUnsupported    = &status{sftp.ErrSSHFxOpUnsupported, "not supported"}
	errTooManyHandles = &status{sftp.ErrSSHFxFailure, "too many files are open in this session"}
)

// handlers answer the requests of one session out of its folder. They are called
// by the request server's goroutines: one for commands, eight for reads and
// writes, which come in any order.
type handlers struct {
	ctx    context.Context
	st     *stream
	folder Folder
	owner  string // as listings show it
}

var (
	_ sftp.FileReader           = (*handlers)(nil)
	_ sftp.OpenFileWriter       = (*handlers)(nil)
	_ sftp.PosixRenameFileCmder = (*handlers)(nil)
	_ sftp.StatVFSFileCmder     = (*handlers)(nil)
	_ sftp.RealPathFileLister   = (*handlers)(nil)
	_ sftp.NameLookupFileLister = (*handlers)(nil)
)

// maxOwner is how much of the client's id listings show. With more, a reply full
// of the longest names would pass maxPacket.
const maxOwner = 16

func newHandlers(ctx context.Context, st *stream) *handlers {
	owner := st.conn.session.Client()
	return &handlers{ctx: ctx, st: st, folder: st.conn.session.Folder(), owner: owner[:min(len(owner), maxOwner)]}
}

// parseName makes a name of a path. The request server has resolved it against
// the root already; doing it again costs nothing and leaves one place to look at.
func parseName(p string) (reports.Name, error) {
	return reports.ParseName(path.Clean("/" + p))
}

// done is deferred by every handler. It turns the error into what the client may
// see, logs what it may not, and keeps a panic from ending the process.
func (h *handlers) done(op, name string, err *error) {
	if p := recover(); p != nil {
		h.st.conn.panicked(p)
		*err = &status{sftp.ErrSSHFxFailure, "internal error"}
		return
	}
	out, internal := toStatus(*err)
	if internal {
		h.st.conn.log.Error("request failed", "event", "sftp.request-failed", "request", op, "name", name, "error", *err)
	}
	*err = out
}

// Fileread opens a file for reading.
func (h *handlers) Fileread(r *sftp.Request) (_ io.ReaderAt, err error) {
	defer h.done("open", r.Filepath, &err)
	name, err := parseName(r.Filepath)
	if err != nil {
		return nil, err
	}
	if !h.st.open() {
		return nil, errTooManyHandles
	}
	f, err := h.folder.Open(h.ctx, name)
	if err != nil {
		h.st.closed()
		return nil, err
	}
	return &reading{h: h, name: r.Filepath, f: f}, nil
}

// Filewrite opens a file for writing.
func (h *handlers) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	w, err := h.OpenFile(r)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// OpenFile opens a file for writing, or for both.
func (h *handlers) OpenFile(r *sftp.Request) (_ sftp.WriterAtReaderAt, err error) {
	defer h.done("create", r.Filepath, &err)
	name, err := parseName(r.Filepath)
	if err != nil {
		return nil, err
	}
	flags := r.Pflags()
	mode, err := h.createMode(name, flags)
	if err != nil {
		return nil, err
	}
	if !h.st.open() {
		return nil, errTooManyHandles
	}
	u, err := h.folder.Create(h.ctx, name, mode)
	if err != nil {
		h.st.closed()
		return nil, err
	}
	if flags.Append {
		h.st.appending.Add(1)
	}
	return &writing{h: h, name: r.Filepath, u: u, appends: flags.Append}, nil
}

// createMode translates the flags of OPEN (draft-ietf-secsh-filexfer-02, section
// 6.3).
func (h *handlers) createMode(name reports.Name, flags sftp.FileOpenFlags) (folder.CreateMode, error) {
	if !flags.Write && !flags.Append {
		return 0, fs.ErrInvalid // CREAT or TRUNC for reading only
	}
	if flags.Creat && flags.Excl {
		return folder.Exclusive, nil
	}
	if !flags.Creat {
		if _, err := h.folder.Stat(h.ctx, name); err != nil {
			return 0, err
		}
	}
	if flags.Trunc {
		return folder.Truncate, nil
	}
	return folder.Continue, nil
}

// reading is a file open for reading.
type reading struct {
	h    *handlers
	name string
	f    folder.File
}

// ReadAt implements [io.ReaderAt].
func (f *reading) ReadAt(p []byte, off int64) (n int, err error) {
	defer f.h.done("read", f.name, &err)
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	return f.f.ReadAt(p, off)
}

// TransferError implements [sftp.TransferError].
func (f *reading) TransferError(err error) {
	var ignored error
	defer f.h.done("abort", f.name, &ignored)
	f.f.TransferError(err)
}

// Close implements [io.Closer].
func (f *reading) Close() (err error) {
	defer f.h.st.closed()
	defer f.h.done("close", f.name, &err)
	return f.f.Close()
}

// writing is a file open for writing.
type writing struct {
	h    *handlers
	name string
	u    folder.Upload

	appends bool
	mu      sync.Mutex // with appends: one write at a time

	broken atomic.Pointer[error] // why the session ended before the file was closed
}

// ReadAt implements [io.ReaderAt].
func (f *writing) ReadAt(p []byte, off int64) (n int, err error) {
	defer f.h.done("read", f.name, &err)
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	return f.u.ReadAt(p, off)
}

// WriteAt implements [io.WriterAt]. In a file opened for appending the data goes
// to the end whatever the offset is: some clients count it from the file's
// beginning, others from where they began to append. The stream sees to it that
// the writes come in their order.
func (f *writing) WriteAt(p []byte, off int64) (n int, err error) {
	defer f.h.done("write", f.name, &err)
	if f.appends {
		f.mu.Lock()
		defer f.mu.Unlock()
		off = f.u.Size()
	}
	if off < 0 || off+int64(len(p)) < off {
		return 0, fs.ErrInvalid
	}
	return f.u.WriteAt(p, off)
}

// TransferError implements [sftp.TransferError].
func (f *writing) TransferError(err error) {
	var ignored error
	defer f.h.done("abort", f.name, &ignored)
	f.broken.Store(&err)
	f.u.TransferError(err)
}

// Close implements [io.Closer].
func (f *writing) Close() (err error) {
	defer f.h.st.closed()
	if f.appends {
		defer f.h.st.appending.Add(-1)
	}
	defer f.h.done("close", f.name, &err)
	err = f.u.Close()
	if broken := f.broken.Load(); broken != nil && err != nil && err.Error() == (*broken).Error() {
		// That the client is gone is no fault of the gateway's.
		f.h.st.conn.log.Info("an upload was broken off", "event", "upload.broken-off", "name", f.name, "error", err)
		return &status{sftp.ErrSSHFxConnectionLost, "the upload was broken off"}
	}
	return err
}

// Filecmd does what needs no handle.
func (h *handlers) Filecmd(r *sftp.Request) (err error) {
	defer h.done(r.Method, r.Filepath, &err)
	switch r.Method {
	case "Link", "Symlink":
		return errUnsupported
	}
	name, err := parseName(r.Filepath)
	if err != nil {
		return err
	}
	switch r.Method {
	case "Setstat":
		return h.setstat(name, r)
	case "Rename":
		return h.rename(name, r.Target, false)
	case "Remove":
		return h.folder.Remove(h.ctx, name)
	case "Mkdir":
		return h.folder.Mkdir(h.ctx, name)
	case "Rmdir":
		return h.folder.RemoveFolder(h.ctx, name)
	}
	return errUnsupported
}

// PosixRename is posix-rename@openssh.com: a rename that replaces.
func (h *handlers) PosixRename(r *sftp.Request) (err error) {
	defer h.done("rename", r.Filepath, &err)
	name, err := parseName(r.Filepath)
	if err != nil {
		return err
	}
	return h.rename(name, r.Target, true)
}

func (h *handlers) rename(from reports.Name, target string, replace bool) error {
	to, err := parseName(target)
	if err != nil {
		return err
	}
	return h.folder.Rename(h.ctx, from, to, replace)
}

// setstat sets the time. Mode and owner mean nothing here, and clients that set
// them after an upload would take a refusal for a failed upload; a length is
// accepted where the file has it already.
func (h *handlers) setstat(name reports.Name, r *sftp.Request) error {
	flags, attrs := r.AttrFlags(), r.Attributes()
	if attrs == nil {
		return fs.ErrInvalid
	}
	if flags.Size || !flags.Acmodtime {
		e, err := h.folder.Stat(h.ctx, name)
		if err != nil {
			return err
		}
		if flags.Size && (e.Folder || uint64(e.Size) != attrs.Size) {
			return errUnsupported
		}
	}
	if flags.Acmodtime {
		return h.folder.Chtimes(h.ctx, name, attrs.ModTime())
	}
	return nil
}

// StatVFS is statvfs@openssh.com.
func (h *handlers) StatVFS(r *sftp.Request) (_ *sftp.StatVFS, err error) {
	defer h.done("statvfs", r.Filepath, &err)
	u, err := h.folder.Usage(h.ctx)
	if err != nil {
		return nil, err
	}
	const block = 4096
	const nosuid = 2
	blocks := func(bytes int64) uint64 { return uint64(max(bytes, 0)+block-1) / block }
	free, files := uint64(max(u.FreeBytes, 0))/block, uint64(max(u.FreeFiles, 0))
	return &sftp.StatVFS{
		Bsize: block, Frsize: block,
		Blocks: blocks(u.Bytes) + free, Bfree: free, Bavail: free,
		Files: uint64(max(u.Files, 0)) + files, Ffree: files, Favail: files,
		Flag: nosuid, Namemax: reports.MaxSegment,
	}, nil
}

// RealPath makes a path absolute.
func (h *handlers) RealPath(p string) (_ string, err error) {
	defer h.done("realpath", p, &err)
	name, err := parseName(p)
	if err != nil {
		return "", err
	}
	return "/" + name.String(), nil
}

// LookupUserName is the owner in listings.
func (h *handlers) LookupUserName(string) string { return h.owner }

// LookupGroupName is the group in listings.
func (h *handlers) LookupGroupName(string) string { return "sealdrop" }
