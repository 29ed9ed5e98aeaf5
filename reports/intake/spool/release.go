package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// release lets go of a file whose report is durable: if it is still what was
// read. Another one that was renamed over it meanwhile is left to the next look.
//
// Between looking and removing, a name can come to stand for another file. So it
// is moved to where no producer comes, and looked at there. A crash before that
// leaves it in its place, and one after it in .taken, where leftovers finds it.
func (l *look) release(dir *folder, e entry) error {
	taken, err := l.aside(takenFolder)
	if err != nil {
		return err
	}
	defer taken.Close()
	switch err := dir.move(e.name, taken, e.name); {
	case gone(err):
		return nil // somebody else was quicker
	case errors.Is(err, unix.EXDEV):
		return l.releaseAcross(dir, e)
	case err != nil:
		return fmt.Errorf("the report is published, but its file can't be taken away: %w", err)
	}
	now, err := taken.stat(e.name)
	if gone(err) {
		return dropMarker(dir, e.name) // another gateway took it for a leftover
	}
	if err != nil {
		return err
	}
	if now.identity != e.identity {
		// If the name is taken once more, it stays where leftovers finds it.
		if err := taken.move(e.name, dir, e.name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	}
	if err := l.dispose(taken, e); err != nil {
		return err
	}
	return dropMarker(dir, e.name)
}

// releaseAcross is for a client's folder that is a file system of its own, from
// which nothing can be moved.
func (l *look) releaseAcross(dir *folder, e entry) error {
	now, err := dir.stat(e.name)
	if gone(err) || err == nil && now.identity != e.identity {
		return nil
	}
	if err != nil {
		return err
	}
	if l.Keep {
		return fmt.Errorf("the report is published, but its file can't be moved to %s: that is another file system", l.root.path(doneFolder))
	}
	if err := dir.remove(e.name); err != nil {
		return err
	}
	return dropMarker(dir, e.name)
}

// dispose removes a delivered file from .taken, or keeps it in done. Where another
// gateway, which took it for a leftover, was quicker, there is nothing to do.
func (l *look) dispose(taken *folder, e entry) error {
	if !l.Keep {
		if err := taken.remove(e.name); err != nil && !gone(err) {
			return err
		}
		return nil
	}
	done, err := l.aside(doneFolder)
	if err != nil {
		return err
	}
	defer done.Close()
	if _, err = place(taken, e.name, done, maxName); gone(err) {
		return nil
	}
	return err
}

// dropMarker removes the marker of a file that is gone. If there is a new file of
// the name, the marker may be that one's.
func dropMarker(dir *folder, name string) error {
	if _, err := dir.stat(name); !gone(err) {
		return err
	}
	marker, err := dir.stat(name + markerSuffix)
	if gone(err) || err == nil && marker.kind() != unix.S_IFREG {
		return nil
	}
	if err != nil {
		return err
	}
	if err := dir.remove(marker.name); err != nil && !gone(err) {
		return err
	}
	return nil
}

// leftovers takes up what a crash has left in .taken. Almost always it is
// published already; if it was not, it is now.
func (l *look) leftovers(ctx context.Context) result {
	taken, err := l.root.open(takenFolder)
	if gone(err) {
		return result{}
	}
	if err != nil {
		return result{err: err}
	}
	defer taken.Close()
	dir, err := taken.open(l.client)
	if gone(err) {
		return result{}
	}
	if err != nil {
		return result{err: err}
	}
	defer dir.Close()
	inTaken := *l
	inTaken.Spool = &Spool{Config: l.Config} // its notes are of other files
	var f found
	err = dir.names(func(name string) {
		if e, err := dir.stat(name); err == nil && len(f.files) < batch {
			f.files = append(f.files, e)
		}
	})
	if err != nil {
		return result{err: err}
	}
	return inTaken.all(ctx, dir, f, inTaken.leftover)
}

func (l *look) leftover(ctx context.Context, dir *folder, e entry) error {
	return l.take(ctx, dir, e, func(now entry) error {
		after, err := dir.stat(e.name)
		if gone(err) || err == nil && after.identity != now.identity {
			return nil // the gateway that put it there has disposed of it
		}
		if err != nil {
			return err
		}
		return l.dispose(dir, e)
	})
}

// aside opens the client's folder within one of the spool folder's own.
func (l *look) aside(name string) (*folder, error) {
	outer, err := l.root.make(name)
	if err != nil {
		return nil, err
	}
	defer outer.Close()
	return outer.make(l.client)
}

// maxName is the longest name of a file, in bytes.
const maxName = 255

// place moves a file to a folder where nothing is replaced: the second of a name
// becomes NAME~2, and so on. It returns the name it got.
func place(from *folder, name string, to *folder, limit int) (string, error) {
	for k := 1; ; k++ {
		as := numbered(name, k, limit)
		err := from.move(name, to, as)
		if !errors.Is(err, fs.ErrExist) || k == maxNumber {
			return as, err
		}
	}
}

// maxNumber bounds the files of one name.
const maxNumber = 10_000

// numbered returns a name for the k-th file of a name, of limit bytes at most.
func numbered(name string, k, limit int) string {
	suffix := ""
	if k > 1 {
		suffix = fmt.Sprintf("~%d", k)
	}
	if len(name)+len(suffix) <= limit {
		return name + suffix
	}
	stem := name[:limit-len(suffix)]
	if utf8.ValidString(name) {
		stem = strings.ToValidUTF8(stem, "")
	}
	return stem + suffix
}
