package folder

import "io"

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
