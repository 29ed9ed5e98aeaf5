package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// hint is what the kernel tells: that a folder may be worth a look.
type hint struct {
	// client is the folder; nobody for the spool folder itself.
	client, name string
	// renamed: the file came to its name whole. newFolder: it is a folder.
	renamed, newFolder bool
	// lost: events were lost, and anything may have happened.
	lost bool
}

// watch gets the events of the spool folder and of the folders in it. Hints are
// only hints: nothing is taken but what a scan finds.
type watch struct {
	root string
	f    *os.File

	mu      sync.Mutex
	folders map[int32]string // by watch descriptor
}

func newWatch(root string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init", err)
	}
	return &watch{root: root, f: os.NewFile(uintptr(fd), "inotify"), folders: make(map[int32]string)}, nil
}

// Close ends run.
func (w *watch) Close() error { return w.f.Close() }

// add watches a client's folder, or the spool folder itself for nobody. Adding what
// is watched already changes nothing. A nil watch watches nothing.
func (w *watch) add(client string) error {
	if w == nil {
		return nil
	}
	path := filepath.Join(w.root, client)
	flags := uint32(unix.IN_DONT_FOLLOW)
	if client == nobody {
		path, flags = w.root, 0
	}
	conn, err := w.f.SyscallConn()
	if err != nil {
		return err
	}
	// Held across the call: an event may come before its descriptor is known.
	w.mu.Lock()
	defer w.mu.Unlock()
	var wd int
	controlErr := conn.Control(func(fd uintptr) {
		wd, err = unix.InotifyAddWatch(int(fd), path,
			flags|unix.IN_ONLYDIR|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE|unix.IN_EXCL_UNLINK)
	})
	switch {
	case controlErr != nil:
		return controlErr
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil // it is gone; a rescan will find what took its place
	case err != nil:
		return &fs.PathError{Op: "watch", Path: path, Err: err}
	}
	w.folders[int32(wd)] = client
	return nil
}

// run passes hints on until the watch is closed or ctx ends. If nobody takes them,
// the kernel's queue overflows, and it says so.
func (w *watch) run(ctx context.Context, hints chan<- hint) {
	buf := make([]byte, 64<<10)
	for {
		n, err := w.f.Read(buf)
		if err != nil {
			return
		}
		for _, h := range w.parse(buf[:n]) {
			select {
			case hints <- h:
			case <-ctx.Done():
				return
			}
		}
	}
}

// parse reads the kernel's struct inotify_event, one after the other.
func (w *watch) parse(buf []byte) []hint {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []hint
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		if end > len(buf) {
			break
		}
		name := strings.TrimRight(string(buf[unix.SizeofInotifyEvent:end]), "\x00")
		buf = buf[end:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			list = append(list, hint{lost: true})
			continue
		}
		client, known := w.folders[wd]
		if mask&unix.IN_IGNORED != 0 {
			delete(w.folders, wd) // the folder is gone
			continue
		}
		if known && name != "" {
			list = append(list, hint{
				client: client, name: name, renamed: mask&unix.IN_MOVED_TO != 0, newFolder: mask&unix.IN_ISDIR != 0,
			})
		}
	}
	return list
}
