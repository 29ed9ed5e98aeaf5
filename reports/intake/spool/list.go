package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
)

// Item is a file that waits in a spool folder, or was rejected from it.
type Item struct {
	Folder string // the spool folder
	// Client is the name of the folder that it was handed in to; "_" if it lay
	// beside those.
	Client string
	// Name is the file's; of a rejected one, that in rejected, which may differ
	// from the one it was handed in with.
	Name     string
	Size     int64
	Modified time.Time
	Rejected bool
	// Reason, Hint and At say why, what to do and when, of a rejected file.
	Reason, Hint string
	At           time.Time
}

// List returns what waits in a spool folder, in the order of arrival for each
// client, and then what was rejected from it. Files that are passed over are not
// listed.
func List(path string) ([]Item, error) {
	root, err := openFolder(path)
	if err != nil {
		return nil, missing(path, err)
	}
	defer root.Close()
	waiting, err := listClients(root, path, false)
	if err != nil {
		return nil, err
	}
	outer, err := root.open(rejectedFolder)
	if gone(err) {
		return waiting, nil
	}
	if err != nil {
		return nil, err
	}
	defer outer.Close()
	rejected, err := listClients(outer, path, true)
	return append(waiting, rejected...), err
}

func listClients(root *folder, path string, rejected bool) ([]Item, error) {
	var clients []string
	var list []Item
	err := root.names(func(name string) {
		if e, err := root.stat(name); err == nil && (rejected || !reserved(name)) {
			if e.isFolder() {
				clients = append(clients, name)
			} else if !rejected {
				list = append(list, Item{Folder: path, Client: nobodyFolder, Name: name, Size: e.size, Modified: e.modified})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(clients)
	for _, client := range clients {
		dir, err := root.open(client)
		if err != nil {
			return nil, err
		}
		items, err := listFiles(dir, rejected)
		if err := closing(dir, err); err != nil {
			return nil, err
		}
		for _, i := range items {
			i.Folder, i.Client, i.Rejected = path, client, rejected
			list = append(list, i)
		}
	}
	return list, nil
}

func listFiles(dir *folder, rejected bool) ([]Item, error) {
	var files []entry
	err := dir.names(func(name string) {
		if !rejected && passedOver(name) || rejected && isReason(dir, name) {
			return
		}
		if e, err := dir.stat(name); err == nil {
			files = append(files, e)
		}
	})
	slices.SortFunc(files, older)
	list := make([]Item, 0, len(files))
	for _, e := range files {
		i := Item{Name: e.name, Size: e.size, Modified: e.modified}
		if rejected {
			r, _ := readReason(dir, e.name)
			i.Reason, i.Hint, i.At = r.why, r.hint, r.when
		}
		list = append(list, i)
	}
	return list, err
}

// isReason reports whether an entry of a rejected folder is a reason. A rejected
// file may have a name like that, and then has a reason itself.
func isReason(dir *folder, name string) bool {
	if !strings.HasSuffix(name, reasonSuffix) {
		return false
	}
	_, err := dir.stat(name + reasonSuffix)
	return gone(err)
}

// closing closes d after an operation.
func closing(d *folder, err error) error { return errors.Join(err, d.Close()) }

// Retry puts a rejected file back where it was handed in, under the name that it
// had there, and records that. The error is an [fs.ErrNotExist] if there is no
// such file, and an [fs.ErrExist] if there is another one in its place.
func Retry(ctx context.Context, db *database.DB, now time.Time, actor string, i Item) error {
	root, err := openFolder(i.Folder)
	if err != nil {
		return missing(i.Folder, err)
	}
	defer root.Close()
	outer, err := root.open(rejectedFolder)
	if err != nil {
		return err
	}
	defer outer.Close()
	from, err := outer.open(i.Client)
	if err != nil {
		return err
	}
	defer from.Close()
	to := root
	if i.Client != nobodyFolder {
		if to, err = reopen(root, i.Client); err != nil {
			return err
		}
		defer to.Close()
	}
	why, explained := readReason(from, i.Name)
	name := i.Name
	if explained && why.name != "" {
		name = why.name
	}
	if _, err := to.stat(name); !gone(err) {
		return errors.Join(err, &fs.PathError{Op: "retry", Path: to.path(name), Err: fs.ErrExist})
	}
	err = db.Write(ctx, func(tx *database.Tx) error {
		return audit.Append(tx, now, audit.Entry{Event: eventRetried, Actor: actor, Client: i.Client, Subject: fmt.Sprintf("%q", name)})
	})
	if err != nil {
		return err
	}
	if err := from.move(i.Name, to, name); err != nil {
		return err
	}
	if explained {
		return from.remove(i.Name + reasonSuffix)
	}
	return nil
}

// reopen opens a client's folder, and makes it anew, for the users who could use
// the spool folder, if it is gone.
func reopen(root *folder, client string) (*folder, error) {
	dir, err := root.open(client)
	if !gone(err) {
		return dir, err
	}
	dir, err = root.make(client)
	if err != nil {
		return nil, err
	}
	info, err := root.f.Stat()
	if err == nil {
		err = dir.f.Chmod(info.Mode() & (os.ModePerm | os.ModeSetgid))
	}
	if err != nil {
		return nil, closing(dir, err)
	}
	return dir, nil
}
