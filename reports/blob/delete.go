package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// Delete removes a blob that no row shows; one that is absent already is no error. Readers that are
// open go on reading it, and its space is free once they are closed. Deletion is
// not synced: after a power loss the blob may be back, for a sweep to find. Of a
// pack it makes a hole, where the file system can; nobody may be reading the blob then.
func (d *Dir) Delete(id string) error {
	parts, err := parse("deleting blob", id)
	if err != nil {
		return err
	}
	if parts.Packed {
		return d.deleted(id, d.punch(parts))
	}
	return d.deleted(id, d.root.Remove(place(id)))
}

func (d *Dir) deleted(id string, err error) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.fault("deleting blob "+id, err)
	}
	return nil
}

// Live returns the blobs in a pack that rows show, in ascending order, and whether all others of it
// may be given back by now. Nobody adds to the pack while it is asked.
type Live = func(ctx context.Context, pack string) (blobs []string, due bool, err error)

// Collect gives back what no row shows any more of files, which are in ascending order: it
// removes them; packs of which live returns members get holes between these. It returns the files that
// are done with, also with an error, which tells of all others but those that are in use
// or not due, and are to be collected another time.
func (d *Dir) Collect(ctx context.Context, files []string, live Live) (done []string, err error) {
	var folder *os.Root
	var shard string
	leave := func() {
		if folder != nil {
			folder.Close()
		}
		folder = nil
	}
	defer func() { leave() }()
	var failed []error
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return done, errors.Join(append(failed, err)...)
		}
		err := checkFile("deleting blobs", file)
		if err == nil && (folder == nil || shardOf(file) != shard) {
			leave()
			shard = shardOf(file)
			folder, err = d.root.OpenRoot(shard)
			err = d.deleted(file, err)
		}
		switch {
		case err != nil || folder == nil:
		case blobid.IsPack(file):
			err = d.collectPack(ctx, folder, file, live)
		default:
			err = d.deleted(file, folder.Remove(file))
		}
		switch {
		case errors.Is(err, errInUse):
		case err != nil:
			failed = append(failed, err)
		default:
			done = append(done, file)
		}
	}
	return done, errors.Join(failed...)
}

// Files calls fn with the names of the files of blobs, committed or not, in ascending order and one
// folder's at a time, which is a 1024th of the store. It ends with the first error of fn, which
// it returns as it is, or with ctx's. Files made or deleted meanwhile may be left out or
// be there no more.
func (d *Dir) Files(ctx context.Context, fn func(files []string) error) error {
	shards, err := d.list(".", isShard)
	if err != nil {
		return d.fault("listing blobs", err)
	}
	for _, shard := range shards {
		if err := ctx.Err(); err != nil {
			return err
		}
		files, err := d.list(shard, func(name string) bool { return blobid.IsFile(name) && shardOf(name) == shard })
		if err != nil {
			return d.fault("listing blobs", err)
		}
		if err := fn(files); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Look returns how many blobs a file holds at most, and when it was last written to. What is there
// no more, or is no regular file, wraps [fs.ErrNotExist].
func (d *Dir) Look(file string) (most int64, modified time.Time, err error) {
	if err := checkFile("looking at blobs", file); err != nil {
		return 0, time.Time{}, err
	}
	info, err := d.root.Lstat(place(file))
	if err != nil {
		return 0, time.Time{}, d.fault("looking at blobs "+file, err)
	}
	if !info.Mode().IsRegular() {
		return 0, time.Time{}, fmt.Errorf("looking at blobs %s: %w", file, syscall.ENOENT)
	}
	most = 1
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && blobid.IsPack(file) {
		most = max(1, stat.Blocks*512/blobid.PageSize) // holes hold none
	}
	return most, info.ModTime(), nil
}
