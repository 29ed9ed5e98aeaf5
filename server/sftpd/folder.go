package sftpd

import (
	"context"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

// Folder is a client's own folder; [*folder.FS] is one. Its methods and those of
// the files it opens are called by several goroutines at once.
//
// Of its errors fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid and
// those of package reports are told to the client; every other is an internal
// one, which the client learns nothing about.
type Folder interface {
	// Stat also knows the client's own upload while it is being written, and
	// one that was interrupted and can be continued.
	Stat(ctx context.Context, name reports.Name) (folder.Entry, error)
	// List returns up to limit entries of dir whose base names come after the
	// given one, in byte order. Fewer than limit are the last.
	List(ctx context.Context, dir reports.Name, after string, limit int) ([]folder.Entry, error)
	Open(ctx context.Context, name reports.Name) (folder.File, error)
	Create(ctx context.Context, name reports.Name, mode folder.CreateMode) (folder.Upload, error)
	Remove(ctx context.Context, name reports.Name) error
	RemoveFolder(ctx context.Context, name reports.Name) error
	// Rename fails with fs.ErrExist where to is taken, unless replace is set.
	Rename(ctx context.Context, from, to reports.Name, replace bool) error
	Mkdir(ctx context.Context, name reports.Name) error
	// Chtimes takes the name of an upload in progress too.
	Chtimes(ctx context.Context, name reports.Name, mtime time.Time) error
	Usage(ctx context.Context) (folder.Usage, error)
}
