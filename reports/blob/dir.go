package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/internal/durable"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

const (
	folderMode fs.FileMode = 0o700
	fileMode   fs.FileMode = 0o600
)

// Dir is a store in a local directory. All methods may be called concurrently,
// and several processes may use one directory at once.
type Dir struct {
	path string // absolute, for messages
	root *os.Root

	broken atomic.Pointer[hintedError] // set by the first failed fsync of a folder

	shardSyncs durable.Shared // of the store's folder, for new folders in it

	mu     sync.Mutex
	shards map[string]*shard // folders that this process knows to be durable
	fill   string            // the folder that new files are put into
	left   int               // how many more of them

	packing sync.Mutex
	current *pack          // that is being filled, nil for none
	retired map[*pack]bool // others with members that are not settled
}

// shard is a folder of the store.
type shard struct {
	syncs durable.Shared // of blobs committed at once
}

// fillRun is how many files are put into one folder before another has its turn. Those
// that are committed at the same time are then in one folder, and share its sync; and a
// file system is faster at making files side by side than all over the disk.
const fillRun = 256

// OpenDir opens the store in the folder root, which belongs to the store alone;
// its parent must exist. A missing root is created, readable by the own user
// only. A root that another user owns, or that group or others may write, is
// refused. The error then has a Hint.
func OpenDir(root string) (*Dir, error) {
	path, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("opening blob store: %w", err)
	}
	if err := makeDurable(path); err != nil {
		return nil, fmt.Errorf("opening blob store: %w", err)
	}
	top, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening blob store: %w", err)
	}
	// The check is on the opened folder, so nobody can swap it in between.
	if err := checkPrivate(path, top); err != nil {
		return nil, errors.Join(err, top.Close())
	}
	d := &Dir{path: path, root: top, shards: make(map[string]*shard), retired: make(map[*pack]bool)}
	if err := d.findShards(); err != nil {
		return nil, errors.Join(d.fault("opening blob store", err), top.Close())
	}
	return d, nil
}

// makeDurable makes the folder at path if it is missing, and its entry in the
// parent durable.
func makeDurable(path string) error {
	err := os.Mkdir(path, folderMode)
	existed := errors.Is(err, fs.ErrExist)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &hintedError{
			err:  err,
			hint: fmt.Sprintf("create %s first, or mount the disk that should be there", filepath.Dir(path)),
		}
	case err != nil && !existed:
		return err
	}
	parent, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = parent.Sync()
		err = errors.Join(err, parent.Close())
	}
	// For a folder that was there before, this covers an earlier start killed
	// between the two steps. A parent that can't be synced by us (a read-only
	// file system around a mounted volume, say) then is no fault.
	if existed {
		return nil
	}
	return err
}

// checkPrivate refuses a folder that anyone but the own user may write.
func checkPrivate(path string, root *os.Root) error {
	info, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("opening blob store: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int64(stat.Uid) != int64(os.Geteuid()) {
		return &hintedError{
			err:  fmt.Errorf("opening blob store: %s belongs to user id %d, and this is user id %d", path, stat.Uid, os.Geteuid()),
			hint: "run the command as the user that the gateway runs as, or give the folder to that user with chown -R",
		}
	}
	// An access control list that lets someone write shows as a group's right.
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return &hintedError{
			err:  fmt.Errorf("opening blob store: other users may write to %s (mode %04o)", path, perm),
			hint: fmt.Sprintf("chmod 700 %s", path),
		}
	}
	return nil
}

// Close releases the store's folder. Writers, Streams and Readers must be done.
func (d *Dir) Close() error {
	d.packing.Lock()
	defer d.packing.Unlock()
	d.retire()
	for p := range d.retired {
		_ = lock(p.f, unix.LOCK_UN) // a program that is just being started may have the file for a moment, too
		p.f.Close()                 // what it holds is durable
	}
	clear(d.retired)
	return d.root.Close()
}

// Create makes an empty blob with a new id, to be filled and committed. An error
// for want of space or inodes wraps [reports.ErrNoSpace].
func (d *Dir) Create() (*Writer, error) {
	const op = "creating blob"
	id := d.inFill(blobid.New())
	f, err := d.create(id)
	if err != nil {
		return nil, d.fault(op, err)
	}
	return &Writer{dir: d, id: id, f: f}, nil
}

// create makes a new file.
func (d *Dir) create(file string) (*os.File, error) {
	if err := d.makeShard(shardOf(file)); err != nil {
		return nil, err
	}
	return d.root.OpenFile(place(file), os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
}

// inFill returns the random name of a file, but in the folder that is being filled.
func (d *Dir) inFill(file string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == 0 {
		d.fill, d.left = shardOf(file), fillRun
	}
	d.left--
	return d.fill + file[shardLength:]
}

// findShards makes durable the folders that are there. Whoever made one (another
// process, or an earlier one that was killed) may not have got to it.
func (d *Dir) findShards() error {
	shards, err := d.list(".", isShard)
	if err != nil {
		return err
	}
	if err := d.syncFolder("."); err != nil {
		return err
	}
	for _, name := range shards {
		d.shards[name] = new(shard)
	}
	return nil
}

// makeShard creates a folder of the store and makes its entry durable; also if
// another process has just created it, for the reason that findShards gives.
func (d *Dir) makeShard(name string) error {
	d.mu.Lock()
	known := d.shards[name] != nil
	d.mu.Unlock()
	if known {
		return d.usable()
	}
	if err := d.root.Mkdir(name, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.shardSyncs.Do(func() error { return d.syncFolder(".") }); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shards[name] == nil { // nobody else was faster
		d.shards[name] = new(shard)
	}
	return nil
}

// syncShard makes the entries of one of the store's folders durable, together with who
// else waits for that.
func (d *Dir) syncShard(name string) error {
	d.mu.Lock()
	known := d.shards[name]
	d.mu.Unlock()
	sync := func() error { return d.syncFolder(name) }
	if known == nil { // the blob's folder was made by another process since
		return sync()
	}
	return known.syncs.Do(sync)
}

// syncFolder makes the entries of a folder of the store durable. After the first
// failure it only ever returns that one again.
func (d *Dir) syncFolder(name string) error {
	if err := d.usable(); err != nil {
		return err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return err // not a failed fsync: nothing was lost
	}
	defer f.Close() // only read from
	if err := f.Sync(); err != nil {
		d.broken.CompareAndSwap(nil, &hintedError{
			err:  fmt.Errorf("blob store takes no more writes: %w", d.fault("syncing folder "+name, err)),
			hint: "the disk may be failing: look into the kernel's log (dmesg), mend what it reports, then restart the gateway",
		})
		return d.usable()
	}
	return nil
}

// usable returns the error of the first failed fsync of a folder.
func (d *Dir) usable() error {
	if err := d.broken.Load(); err != nil {
		return err
	}
	return nil
}

// Reopen opens a blob for more writing, to continue an upload that was broken off
// and committed aside. Whatever was committed stays durable; what is added is
// after the next Commit. Abort deletes all of it.
//
// The caller sees to it that no catalog row shows the blob to a reader and that
// it is reopened only once at a time. A missing blob wraps [fs.ErrNotExist].
func (d *Dir) Reopen(id string) (*Writer, error) {
	parts, err := parse("reopening blob", id)
	if err != nil {
		return nil, err
	}
	if parts.Packed {
		return nil, fmt.Errorf("reopening blob %s: it is packed with others: %w", id, fs.ErrInvalid)
	}
	f, size, err := d.open(id, os.O_RDWR)
	if err != nil {
		return nil, d.fault("reopening blob "+id, err)
	}
	w := &Writer{dir: d, id: id, f: f}
	w.size.Store(size)
	return w, nil
}

// Open opens a blob for reading. A missing blob wraps [fs.ErrNotExist].
func (d *Dir) Open(id string) (*Reader, error) {
	parts, err := parse("opening blob", id)
	if err != nil {
		return nil, err
	}
	f, size, err := d.open(parts.File, os.O_RDONLY)
	if err != nil {
		return nil, d.fault("opening blob "+id, err)
	}
	if !parts.Packed {
		return &Reader{f: f, size: size}, nil
	}
	if err := lock(f, unix.LOCK_SH); err != nil {
		f.Close()
		return nil, &hintedError{
			err:  d.fault("locking blob "+id, err),
			hint: fmt.Sprintf("mount %s so that files can be locked there (flock; on NFS not with nolock): what is read must not be given back meanwhile", d.path),
		}
	}
	return &Reader{f: f, packed: true, base: parts.Offset, size: max(0, min(parts.Size, size-parts.Offset))}, nil
}

// open opens a file of blobs.
func (d *Dir) open(file string, flag int) (*os.File, int64, error) {
	f, err := d.root.OpenFile(place(file), flag, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// Walk calls fn for every file of blobs in ascending order of ids, committed or not, with
// its size in bytes and the time of its last change. It ends with the first error
// of fn, which it returns as it is, or with ctx's. Files made or deleted meanwhile
// may be left out; fn may delete. What is not a file of blobs is passed over.
//
// It holds the names of one folder at a time, which is a 1024th of the store.
func (d *Dir) Walk(ctx context.Context, fn func(file string, size int64, modified time.Time) error) error {
	return d.Files(ctx, func(files []string) error {
		for _, file := range files {
			if err := d.visit(ctx, file, fn); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *Dir) visit(ctx context.Context, file string, fn func(string, int64, time.Time) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := d.root.Lstat(place(file))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // deleted since it was listed
	case err != nil:
		return d.fault("listing blobs "+file, err)
	case !info.Mode().IsRegular():
		return nil
	}
	return fn(file, info.Size(), info.ModTime())
}

// list returns the names in a folder of the store that keep accepts, in order.
// What is no folder is taken for an empty one.
func (d *Dir) list(folder string, keep func(name string) bool) ([]string, error) {
	f, err := d.root.OpenFile(folder, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	const batch = 1024
	var kept []string
	for {
		names, err := f.Readdirnames(batch)
		for _, name := range names {
			if keep(name) {
				kept = append(kept, name)
			}
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(kept)
			return kept, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Space returns the size of the file system that holds the store and what the
// gateway's user may still fill of it, in bytes.
func (d *Dir) Space() (total, free uint64, err error) {
	const op = "asking for free space"
	f, err := d.root.Open(".")
	if err != nil {
		return 0, 0, d.fault(op, err)
	}
	defer f.Close() // only read from
	var stat syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &stat); err != nil {
		return 0, 0, d.fault(op, err)
	}
	unit := uint64(stat.Frsize) // what blocks are counted in, where it differs from Bsize
	if unit == 0 {
		unit = uint64(stat.Bsize)
	}
	return stat.Blocks * unit, stat.Bavail * unit, nil
}

// maxReserve is the most that [Dir.Spare] keeps back, in bytes.
const maxReserve = 256 << 20

// Reserve returns how much of a file system of a size [Dir.Spare] keeps back.
func (d *Dir) Reserve(total uint64) uint64 { return min(total/20, maxReserve) }

// Spare returns an error that wraps [reports.ErrNoSpace] when the file system has
// come down to its reserve: a twentieth of it, 256 MiB at most. Who is about to
// store something that can wait asks first. What is kept back is for what can't:
// without room for the catalog nobody can log in, and nobody be locked out.
func (d *Dir) Spare() error {
	total, free, err := d.Space()
	if err != nil {
		return err
	}
	if reserve := d.Reserve(total); free < reserve {
		return d.fault("storing a blob", syscall.ENOSPC)
	}
	return nil
}
