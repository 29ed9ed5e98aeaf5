package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Delete removes a blob; one that is absent already is no error. Readers that are
// open go on reading it, and its space is free once they are closed. Deletion is
// not synced: after a power loss the blob may be back, for a sweep to find.
func (d *Dir) Delete(id string) error {
	if err := checkID("deleting blob", id); err != nil {
		return err
	}
	return d.deleted(id, d.root.Remove(place(id)))
}

func (d *Dir) deleted(id string, err error) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.fault("deleting blob "+id, err)
	}
	return nil
}

// DeleteAll is [Dir.Delete] for many blobs in ascending order: each folder is opened
// only once. It returns those that are gone, also with an error, which tells of all others.
func (d *Dir) DeleteAll(ctx context.Context, ids []string) (gone []string, err error) {
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
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return gone, errors.Join(append(failed, err)...)
		}
		err := checkID("deleting blob", id)
		if err == nil && (folder == nil || shardOf(id) != shard) {
			leave()
			shard = shardOf(id)
			folder, err = d.root.OpenRoot(shard)
			err = d.deleted(id, err)
		}
		if err == nil && folder != nil {
			err = d.deleted(id, folder.Remove(id))
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		gone = append(gone, id)
	}
	return gone, errors.Join(failed...)
}

// IDs calls fn with the ids of the blobs, committed or not, in ascending order and one
// folder's at a time, which is a 1024th of the store. It ends with the first error of fn, which
// it returns as it is, or with ctx's. Blobs made or deleted meanwhile may be left out or
// be there no more.
func (d *Dir) IDs(ctx context.Context, fn func(ids []string) error) error {
	shards, err := d.list(".", isShard)
	if err != nil {
		return d.fault("listing blobs", err)
	}
	for _, shard := range shards {
		if err := ctx.Err(); err != nil {
			return err
		}
		ids, err := d.list(shard, func(name string) bool { return ValidID(name) && shardOf(name) == shard })
		if err != nil {
			return d.fault("listing blobs", err)
		}
		if err := fn(ids); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Modified returns when a blob was last written to. What is there no more, or is no regular
// file, wraps [fs.ErrNotExist].
func (d *Dir) Modified(id string) (time.Time, error) {
	if err := checkID("looking at blob", id); err != nil {
		return time.Time{}, err
	}
	info, err := d.root.Lstat(place(id))
	if err != nil {
		return time.Time{}, d.fault("looking at blob "+id, err)
	}
	if !info.Mode().IsRegular() {
		return time.Time{}, fmt.Errorf("looking at blob %s: %w", id, syscall.ENOENT)
	}
	return info.ModTime(), nil
}
