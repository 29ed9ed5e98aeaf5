package spool

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
)

// trouble is a fault that keeps all files waiting, and what to do about it.
type trouble struct {
	err    error
	advice string
}

func (t *trouble) Error() string { return t.err.Error() }

func (t *trouble) Unwrap() error { return t.err }

// Hint says what an operator can do.
func (t *trouble) Hint() string { return t.advice }

func missing(path string, err error) error {
	return &trouble{err, fmt.Sprintf("make the folder %s, or mount it, and let the gateway's user (uid %d) read and write it", path, os.Geteuid())}
}

// unusable is a client's folder that the gateway may not use.
func unusable(err error) error {
	return &trouble{err, fmt.Sprintf("let the gateway's user (uid %d) read and write the folder: files are removed once they are delivered", os.Geteuid())}
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// cause is what an error is about, without what differs from one time to the next.
func cause(err error) string {
	switch {
	case errors.Is(err, reports.ErrNoSpace), errors.Is(err, database.ErrFull):
		return "space"
	default:
		return err.Error()
	}
}

// rejection is why a file can't become a report, and what to do about it.
type rejection struct{ why, hint string }

// refusal puts an error that is final into words for who handed the file in.
func refusal(err error) rejection {
	r := rejection{err.Error(), hintOf(err)}
	switch {
	case r.hint != "":
	case errors.Is(err, reports.ErrUnknownClient):
		r.hint = "correct the folder's name, or add the client with `sealdrop client add`"
	case errors.Is(err, reports.ErrClientID):
		r.hint = "name the folder after a client; `sealdrop client list` shows them"
	case errors.Is(err, reports.ErrName):
		r.hint = "give the file another name; the report's is that with .pgp behind it"
	case errors.Is(err, reports.ErrTooLarge):
		r.hint = "split it"
	}
	return r
}

// unfit says what is wrong with an entry that is no file, or that nobody may read.
func unfit(e entry) (rejection, bool) {
	const file = "hand in the file itself"
	switch e.kind() {
	case unix.S_IFREG:
		if e.mode&0o444 == 0 {
			return rejection{fmt.Sprintf("nobody may read it (mode %04o)", e.mode&0o7777), "give it a mode like 0640 when it is written"}, true
		}
		return rejection{}, false
	case unix.S_IFLNK:
		return rejection{"it is a symbolic link, and those are not followed", file}, true
	case unix.S_IFDIR:
		return rejection{"it is a folder; a report is a file in its client's own folder", "put its files into the client's folder, one by one"}, true
	case unix.S_IFIFO:
		return rejection{"it is a named pipe", file + ", or pipe it into `sealdrop deliver --name NAME -`"}, true
	case unix.S_IFSOCK:
		return rejection{"it is a socket", file}, true
	}
	return rejection{"it is a device", file}, true
}

func unreadable(e entry) rejection {
	return rejection{
		fmt.Sprintf("the gateway's user (uid %d) may not read it (owner uid %d, mode %04o)", os.Geteuid(), e.owner, e.mode&0o7777),
		"let that user read it, for example through a common group and mode 0640",
	}
}
