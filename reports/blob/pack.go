package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/internal/durable"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

const (
	// largestMember is the size from which on a blob has a file of its own: what is
	// saved is felt no more then.
	largestMember = 128 << 10
	// mostMembers, largestPack (in bytes) and packAge bound a pack, and with it what is copied for a
	// backup that lacks a few of its members. What is put together in little time is
	// also purged together.
	mostMembers = 1024
	largestPack = 16 << 20
	packAge     = time.Hour
)

// pack is a file that members are added to. It belongs to the process that made it. Its
// fields are guarded by [Dir.packing] but for those that say otherwise.
type pack struct {
	id    string
	f     *os.File
	born  time.Time
	syncs durable.Shared        // of members that are committed at once
	fault atomic.Pointer[error] // the first failed fsync; by itself safe

	end     int64 // where the next member begins
	members int
	// unsettled counts members that rows may still come to show. While there are any the
	// file's lock is held.
	unsettled int
	retired   bool // it takes no more, and is closed once all members are settled
}

// pages returns the length in bytes of the pages that n bytes take.
func pages(n int64) int64 { return (n + blobid.PageSize - 1) &^ (blobid.PageSize - 1) }

// takes reports whether a pack has room for n more bytes.
func (p *pack) takes(n int64) bool {
	return p.members < mostMembers && p.end+n <= largestPack && time.Since(p.born) < packAge && p.fault.Load() == nil
}

// hold keeps a pack from being collected. It returns errInUse where that is just being
// done, or was.
func (d *Dir) hold(p *pack) error {
	if p.unsettled == 0 {
		if err := lock(p.f, unix.LOCK_SH|unix.LOCK_NB); err != nil {
			return err
		}
		// Nothing in it may have been shown any more. That it has a name by now says
		// nothing: a backup may have given it one.
		switch there, err := isAt(d.root, place(p.id), p.f); {
		case err != nil:
			return err
		case !there:
			return errInUse
		}
	}
	p.unsettled++
	return nil
}

// sync makes durable what was written. After the first failure it only ever returns that one again.
func (p *pack) sync() error {
	if fault := p.fault.Load(); fault != nil {
		return *fault
	}
	err := p.f.Sync()
	if err != nil {
		p.fault.Store(&err)
	}
	return err
}

// reserve returns room for n bytes in a pack, which is held for them until [Dir.settle].
func (d *Dir) reserve(n int64) (*pack, int64, error) {
	d.packing.Lock()
	defer d.packing.Unlock()
	if d.current == nil || !d.current.takes(n) || d.hold(d.current) != nil {
		d.retire()
		err := errInUse
		for errors.Is(err, errInUse) { // a sweep may be faster than the lock
			err = d.newPack()
		}
		if err != nil {
			return nil, 0, err
		}
	}
	p := d.current
	offset := p.end
	p.end += pages(n)
	p.members++
	return p, offset, nil
}

// newPack makes a pack that is held once, and its name durable.
func (d *Dir) newPack() error {
	id := d.inFill(blobid.NewPack())
	f, err := d.create(id)
	if err != nil {
		return err
	}
	p := &pack{id: id, f: f, born: time.Now()}
	if err = d.hold(p); err == nil {
		err = d.syncShard(shardOf(id))
	} else if !errors.Is(err, errInUse) {
		err = fmt.Errorf("%w: %w", errNoLocks, err)
	}
	if err != nil {
		return errors.Join(err, f.Close(), d.deleted(id, d.root.Remove(place(id))))
	}
	d.current = p
	return nil
}

// retire has the current pack take no more.
func (d *Dir) retire() {
	p := d.current
	if p == nil {
		return
	}
	d.current, p.retired = nil, true
	if p.unsettled == 0 {
		d.end(p)
		return
	}
	d.retired[p] = true // or else the runtime might close it, and with that let its lock go
}

// giveUp takes back a member that could not be written, and has its pack take no more,
// unless it was for want of space.
func (d *Dir) giveUp(p *pack, offset, n int64, why error) {
	_ = hole(p.f, offset, offset+pages(n)) // what it has not given back, a sweep will
	if !isNoSpace(why) {
		d.packing.Lock()
		if d.current == p {
			d.retire()
		}
		d.packing.Unlock()
	}
	d.settle(p)
}

// settle lets a member's hold of its pack go.
func (d *Dir) settle(p *pack) {
	d.packing.Lock()
	defer d.packing.Unlock()
	if p.unsettled--; p.unsettled > 0 {
		return
	}
	_ = lock(p.f, unix.LOCK_UN) // a program that is just being started may have the file for a moment, too
	if p.retired {
		delete(d.retired, p)
		d.end(p)
	}
}

// end closes a pack that takes no more, and whose members are settled. One of which nothing is
// left, because no row came to show any of them, goes: a sweep would wait for its grace.
func (d *Dir) end(p *pack) {
	if _, err := p.f.Seek(0, unix.SEEK_DATA); errors.Is(err, unix.ENXIO) {
		_ = d.root.Remove(place(p.id)) // or else a sweep will
	}
	p.f.Close() // what it holds is durable
}

var (
	// errInUse says that a pack can't be had, because somebody else is at it.
	errInUse = errors.New("in use")
	// errNoLocks says that there can be no packs.
	errNoLocks = errors.New("the file system has no locks")
)

// collectPack gives back what no row shows any more of a pack.
func (d *Dir) collectPack(ctx context.Context, folder *os.Root, id string, live Live) error {
	f, err := folder.OpenFile(id, os.O_RDWR, 0)
	if err != nil {
		return d.deleted(id, err)
	}
	defer f.Close() // and with it the lock
	switch err := lock(f, unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, errInUse):
		return err
	case err != nil:
		return d.fault("deleting blobs "+id, err)
	}
	switch there, err := isAt(folder, id, f); {
	case err != nil:
		return d.fault("deleting blobs "+id, err)
	case !there: // somebody has removed it since, or it is a link
		return errInUse
	}
	defer func() { _ = lock(f, unix.LOCK_UN) }() // see [Reader.Close]
	// From here on nobody reads it, and nobody adds to it.
	members, due, err := live(ctx, id)
	if err != nil {
		return err
	}
	if !due {
		return errInUse
	}
	if len(members) == 0 {
		return d.deleted(id, folder.Remove(id))
	}
	if err := d.keepOnly(members, folder, id, f); err != nil {
		return d.fault("deleting blobs from "+id, err)
	}
	return nil
}

// keepOnly gives back all of a pack but some members, and makes that durable: nobody would look for
// the rest again.
func (d *Dir) keepOnly(ids []string, folder *os.Root, pack string, f *os.File) error {
	members := make([]blobid.ID, 0, len(ids))
	end := int64(0)
	for _, id := range ids {
		m, err := parse("deleting blobs", id)
		if err != nil {
			return err
		}
		if m.Offset < end {
			return fmt.Errorf("member %s lies in another one", id)
		}
		end = m.Offset + pages(m.Size)
		members = append(members, m)
	}
	n, err := links(f)
	if err != nil {
		return err
	}
	if n > 1 {
		return d.part(members, folder, pack, f)
	}
	return thin(members, f)
}

// thin makes holes of all that lies between members. Where it can't, the space is free when the whole pack is.
func thin(members []blobid.ID, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	from := int64(0)
	for _, m := range members {
		if err := hole(f, from, m.Offset); err != nil {
			return err
		}
		from = m.Offset + pages(m.Size)
	}
	if err := hole(f, from, pages(info.Size())); err != nil {
		return err
	}
	return f.Sync()
}

// part has members go on in a file of their own under the pack's name, because a backup has a link of the pack: that
// one stays as it is, and what is given back here is not kept by it for longer than the backup is. A crash leaves
// what looks like a pack that nobody knows.
func (d *Dir) part(members []blobid.ID, folder *os.Root, pack string, f *os.File) (err error) {
	name := shardOf(pack) + blobid.NewPack()[shardLength:]
	out, err := folder.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		out.Close() // it is synced, or of no use
		if err != nil {
			_ = folder.Remove(name) // or else a sweep will
		}
	}()
	for _, m := range members {
		if _, err := io.Copy(io.NewOffsetWriter(out, m.Offset), io.NewSectionReader(f, m.Offset, m.Size)); err != nil {
			return err
		}
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := folder.Rename(name, pack); err != nil {
		return err
	}
	return d.syncShard(shardOf(pack))
}

// punch makes a hole of one member of a pack.
func (d *Dir) punch(m blobid.ID) error {
	f, _, err := d.open(m.File, os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := links(f); n != 1 || err != nil {
		return err // a backup has it, too
	}
	return hole(f, m.Offset, m.Offset+pages(m.Size))
}

// hole gives back what lies between two places. Where the file system can't, it does nothing.
func hole(f *os.File, from, to int64) error {
	if from >= to {
		return nil
	}
	err := control(f, func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// lock takes or leaves a file's lock; errInUse says that somebody else has it.
func lock(f *os.File, how int) error {
	err := control(f, func(fd int) error { return unix.Flock(fd, how) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errInUse
	}
	return err
}

// isAt reports whether a file is what has a name in a folder.
func isAt(folder *os.Root, name string, f *os.File) (bool, error) {
	named, err := folder.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(named, info), err
}

// links returns how many names a file has.
func links(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.New("the system does not tell how many names a file has")
	}
	return uint64(stat.Nlink), nil
}

// control calls fn with a file's descriptor, again when a signal came between.
func control(f *os.File, fn func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	err = conn.Control(func(fd uintptr) {
		for done = fn(int(fd)); errors.Is(done, unix.EINTR); done = fn(int(fd)) {
		}
	})
	return errors.Join(err, done)
}
