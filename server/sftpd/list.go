package sftpd

import (
	"io"
	"io/fs"
	"sync"

	"github.com/pkg/sftp"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

// Filelist opens a folder or looks one entry up.
func (h *handlers) Filelist(r *sftp.Request) (_ sftp.ListerAt, err error) {
	defer h.done(r.Method, r.Filepath, &err)
	if r.Method == "Readlink" {
		return nil, errUnsupported
	}
	name, err := parseName(r.Filepath)
	if err != nil {
		return nil, err
	}
	if r.Method == "Stat" {
		e, err := h.folder.Stat(h.ctx, name)
		if err != nil {
			return nil, err
		}
		return one{e.Info()}, nil
	}
	if !h.st.open() {
		return nil, errTooManyHandles
	}
	l := &listing{h: h, dir: name}
	// The first page tells whether there is such a folder at all.
	if err := l.fetch(); err != nil {
		h.st.closed()
		return nil, err
	}
	return l, nil
}

// one is the answer to STAT.
type one struct{ info fs.FileInfo }

// ListAt implements [sftp.ListerAt].
func (o one) ListAt(dst []fs.FileInfo, off int64) (int, error) {
	if off > 0 {
		return 0, io.EOF
	}
	return copy(dst, []fs.FileInfo{o.info}), nil
}

// listing is an open folder. It holds one page at a time and goes on after the
// last name it has given, so that what is added or removed meanwhile neither
// repeats nor hides another entry.
type listing struct {
	h   *handlers
	dir reports.Name

	mu    sync.Mutex
	page  []folder.Entry
	after string
	last  bool  // the page is the last
	at    int64 // entries given
}

// ListAt implements [sftp.ListerAt] for a caller that goes forward only.
func (l *listing) ListAt(dst []fs.FileInfo, off int64) (n int, err error) {
	defer l.h.done("list", l.dir.String(), &err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if off != l.at {
		return 0, fs.ErrInvalid
	}
	for n < len(dst) {
		if len(l.page) == 0 {
			if l.last {
				break
			}
			if err := l.fetch(); err != nil {
				return 0, err
			}
			continue
		}
		dst[n] = l.page[0].Info()
		l.page = l.page[1:]
		n++
	}
	l.at += int64(n)
	if n < len(dst) {
		return n, io.EOF
	}
	return n, nil
}

// next returns the next page whole, and [io.EOF] after the last.
func (l *listing) next() (entries []folder.Entry, err error) {
	defer l.h.done("list", l.dir.String(), &err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.page) == 0 && !l.last {
		if err := l.fetch(); err != nil {
			return nil, err
		}
	}
	if len(l.page) == 0 {
		return nil, io.EOF
	}
	entries, l.page = l.page, nil
	l.at += int64(len(entries))
	return entries, nil
}

func (l *listing) fetch() error {
	page, err := l.h.folder.List(l.h.ctx, l.dir, l.after, namesPerReply)
	if err != nil {
		return err
	}
	l.page, l.last = page, len(page) < namesPerReply
	if len(page) > 0 {
		l.after = page[len(page)-1].Name.Base()
	}
	return nil
}

// Close implements [io.Closer].
func (l *listing) Close() error {
	l.h.st.closed()
	return nil
}
