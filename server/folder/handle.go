package folder

import (
	"context"
	"io"
	"time"

	"github.com/sealdrop/sealdrop/reports"
)

// Folder is a client's own folder as the protocols serve it; [*FS] is one. Its
// methods and those of the files it opens are called by several goroutines at once.
//
// Of its errors fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid and
// those of package reports are told to the client; every other is an internal one,
// which the client learns nothing about.
type Folder interface {
	// Stat also knows the client's own upload while it is being written, and
	// one that was interrupted and can be continued.
	Stat(ctx context.Context, name reports.Name) (Entry, error)
	// List returns up to limit entries of dir whose base names come after the
	// given one, in byte order. Fewer than limit are the last.
	List(ctx context.Context, dir reports.Name, after string, limit int) ([]Entry, error)
	Open(ctx context.Context, name reports.Name) (File, error)
	Create(ctx context.Context, name reports.Name, mode CreateMode) (Upload, error)
	Remove(ctx context.Context, name reports.Name) error
	RemoveFolder(ctx context.Context, name reports.Name) error
	// Rename fails with fs.ErrExist where to is taken, unless replace is set.
	Rename(ctx context.Context, from, to reports.Name, replace bool) error
	Mkdir(ctx context.Context, name reports.Name) error
	// Chtimes takes the name of an upload in progress too.
	Chtimes(ctx context.Context, name reports.Name, mtime time.Time) error
	Usage(ctx context.Context) (Usage, error)
}

// File is a report or upload opened for reading. ReadAt may be called by
// several goroutines at once and in any order.
type File interface {
	io.ReaderAt
	// SendTo writes everything from an offset in bytes to the end to w, and
	// returns how much w took. Where w is a socket the kernel copies (sendfile).
	// Only one goroutine may be in it.
	SendTo(w io.Writer, off int64) (int64, error)
	// Size is the length in bytes; it does not change while the file is open,
	// whatever happens to its name.
	Size() int64
	// TransferError tells, before Close, that the transfer did not end well: it
	// then counts for nothing as evidence of collection.
	TransferError(err error)
	// Close ends the transfer and, if every byte was read, records the receipt.
	io.Closer
}

// Upload is a file that a client is writing. Nothing of it is visible until
// Close returns nil. ReadAt and WriteAt may be called by several goroutines at
// once and in any order.
type Upload interface {
	io.ReaderAt
	io.WriterAt
	// ReadFrom appends all of r. Where r is a socket the kernel copies (splice).
	// Only one goroutine may be in it, and none in WriteAt.
	io.ReaderFrom
	// Truncate cuts off what lies beyond size bytes; it makes nothing longer. It
	// is for before the first write, to go on from within what Continue found.
	Truncate(size int64) error
	// Size is the length in bytes of what was written so far.
	Size() int64
	// TransferError tells, before Close, that the client did not finish: what
	// it sent is then kept aside for it to resume, and stays invisible.
	TransferError(err error)
	// Close makes the upload durable and visible under its name.
	io.Closer
}

// CreateMode says what becomes of a file that has the name already.
type CreateMode int

const (
	// Truncate starts from nothing. The old file stays in place, whole, until
	// the new one is closed.
	Truncate CreateMode = iota
	// Continue starts from what an interrupted upload of this name left, or from
	// a copy of the file that has the name, or from nothing. Where there are both
	// a file and an interrupted upload it fails with [reports.ErrNotResumable].
	Continue
	// Exclusive starts from nothing and fails with fs.ErrExist where the name is
	// taken.
	Exclusive
)

// Usage is what a client's folder holds and may hold, in bytes and files. Held
// reports are counted, too.
type Usage struct {
	Bytes, Files int64
	// What is free is the least of what the client's quota and the gateway's disk
	// have left.
	FreeBytes, FreeFiles int64
	// ByQuota: it is the quota that FreeBytes comes from.
	ByQuota bool
}
