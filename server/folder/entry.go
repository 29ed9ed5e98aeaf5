package folder

import (
	"io/fs"
	"time"

	"github.com/sealdrop/sealdrop/reports"
)

// Entry is a file or folder as the client sees it.
type Entry struct {
	Name    reports.Name
	Folder  bool
	Size    int64
	ModTime time.Time
}

// Info returns the entry in the form that protocol libraries take.
func (e Entry) Info() fs.FileInfo { return fileInfo{e} }

type fileInfo struct{ e Entry }

func (i fileInfo) Name() string {
	if i.e.Name.IsRoot() {
		return "/"
	}
	return i.e.Name.Base()
}
func (i fileInfo) Size() int64 { return i.e.Size }
func (i fileInfo) Mode() fs.FileMode {
	if i.e.Folder {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
func (i fileInfo) ModTime() time.Time { return i.e.ModTime }
func (i fileInfo) IsDir() bool        { return i.e.Folder }
func (i fileInfo) Sys() any           { return nil }
