package blob

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// Repair puts content in the place of a blob that is missing or damaged. When it returns nil
// that is durable; where content can't be read to its end, nothing was changed. The caller vouches
// for the content, and for that a row shows the blob.
//
// A blob in a file of its own gets a new file: whoever has the old one, a reader or a backup, keeps
// that. A member is written to its place, also in a pack that a backup shares, where it is as
// damaged. A pack that is missing is made; what else was in it is zeros until it is repaired, too.
func (d *Dir) Repair(id string, content io.Reader) error {
	const op = "repairing blob"
	parts, err := parse(op, id)
	if err != nil {
		return err
	}
	if parts.Packed {
		err = d.rewrite(parts, content)
	} else {
		err = d.replace(parts.File, content)
	}
	if err != nil {
		return d.fault(op+" "+id, err)
	}
	return nil
}

// replace gives a file new content by a new file.
func (d *Dir) replace(file string, content io.Reader) error {
	// What a crash leaves has the name of a blob that no row shows, for a sweep to find.
	fresh := shardOf(file) + blobid.New()[shardLength:]
	f, err := d.create(fresh)
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, content); err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = d.root.Rename(place(fresh), place(file))
	}
	if err != nil {
		return errors.Join(err, d.root.Remove(place(fresh)))
	}
	return d.syncShard(shardOf(file))
}

// rewrite writes a member to its place. It shares the pack's lock as readers do, which keeps the
// pack from being collected. That is enough: whoever else writes to it writes elsewhere, or
// the same, and who reads this member had wrong bytes before.
func (d *Dir) rewrite(m blobid.ID, content io.Reader) error {
	b, err := io.ReadAll(content) // which is little
	if err == nil && int64(len(b)) != m.Size {
		err = fmt.Errorf("its id says %d bytes, and the content has %d", m.Size, len(b))
	}
	if err == nil {
		err = d.makeShard(shardOf(m.File))
	}
	if err != nil {
		return err
	}
	f, err := d.root.OpenFile(place(m.File), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	if err = lock(f, unix.LOCK_SH); err == nil {
		_, err = f.WriteAt(b, m.Offset)
	}
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return d.syncShard(shardOf(m.File))
}
