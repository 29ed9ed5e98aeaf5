package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// claimName is the file in the spool folder that the gateways which take reports in from
// it hold locked, shared. It has the owner's name.
const claimName = ".sealdrop"

// claim is what a spool holds of its folder.
type claim struct {
	mu     sync.Mutex
	file   *os.File // locked; nil: none
	device uint64   // of the folder, which may have been mounted anew
	inode  uint64
}

// claimed fails while a gateway with another catalog takes reports in from the folder: each
// of the two would reject what is meant for the other's clients. Where the file system has
// no locks, it knows nothing of that.
func (s *Spool) claimed(root *folder) error {
	if s.Owner == "" {
		return nil
	}
	s.held.mu.Lock()
	defer s.held.mu.Unlock()
	here, err := describeOpen(s.Folder, root.f)
	if err != nil {
		return err
	}
	if s.held.file != nil && s.held.device == here.device && s.held.inode == here.inode {
		return nil
	}
	s.held.close()
	fd, err := retryEINTR(func() (int, error) {
		return unix.Openat(root.fd(), claimName, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return nil // a folder that can't be written to is told of where it matters
	}
	file := os.NewFile(uintptr(fd), root.path(claimName))
	switch owner, err := lockAs(file, s.Owner); {
	case errors.Is(err, unix.EWOULDBLOCK), err == nil && owner != s.Owner:
		file.Close() // nothing was written
		return &trouble{
			fmt.Errorf("another gateway, with another catalog, takes reports in from %s", s.Folder),
			"name the folder in spool.folders of one of the two only; `fuser " + file.Name() + "` finds the other",
		}
	case err != nil:
		return file.Close() // there are no locks here
	}
	s.held.file, s.held.device, s.held.inode = file, here.device, here.inode
	return nil
}

// lockAs locks a file, shared, and returns whose it is: owner's, if nobody else has it.
func lockAs(file *os.File, owner string) (string, error) {
	lock := func(how int) error { return unix.Flock(int(file.Fd()), how|unix.LOCK_NB) }
	var err error
	for range 50 { // another may be about to write its name
		if lock(unix.LOCK_EX) == nil {
			if err := errors.Join(file.Truncate(0), writeStart(file, owner)); err != nil {
				return "", err
			}
		}
		// It is given up for a moment, and may be another's then: only what is read counts.
		if err = lock(unix.LOCK_SH); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return "", err
	}
	const longest = 256
	name, err := io.ReadAll(io.NewSectionReader(file, 0, longest))
	return string(name), err
}

func writeStart(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

// close gives the folder up.
func (c *claim) close() {
	if c.file != nil {
		c.file.Close() // and with it the lock goes
		c.file = nil
	}
}
