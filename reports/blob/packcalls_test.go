package blob_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// small commits a blob of one page to a pack, and settles it.
func small(d *blob.Dir, content string) (id string, err error) {
	w := d.Stream()
	if _, err := w.Write([]byte(content)); err != nil {
		return "", err
	}
	if err := w.Commit(); err != nil {
		return "", errors.Join(err, w.Abort())
	}
	w.Settle()
	return w.ID(), nil
}

// smalls opens the store and commits some.
func smalls(root string, n int) (d *blob.Dir, ids []string, err error) {
	if d, err = blob.OpenDir(root); err != nil {
		return nil, nil, err
	}
	for i := range n {
		id, err := small(d, fmt.Sprint("sealed ", i))
		if err != nil {
			return nil, nil, err
		}
		ids = append(ids, id)
	}
	return d, ids, nil
}

func commitToAPack(root string) error {
	d, ids, err := smalls(root, 2)
	if err != nil {
		return err
	}
	fmt.Println(blobid.File(ids[1]))
	return d.Close()
}

// TestSyscallOrderOfAPack holds the promise of the package comment for blobs in a pack: its name is durable
// and its lock held before anything is in it, and each blob is synced before the lock may go.
func TestSyscallOrderOfAPack(t *testing.T) {
	t.Parallel()
	wantCalls(t, "commit to a pack", []string{
		"mkdirat blobs",
		"fsync .",
		"fsync blobs", // for folders found
		"mkdirat blobs/SHARD",
		"fsync blobs",
		"openat O_EXCL blobs/SHARD/ID",
		"flock LOCK_SH|LOCK_NB blobs/SHARD/ID",
		"fsync blobs/SHARD",
		"pwrite64 blobs/SHARD/ID",
		"fsync blobs/SHARD/ID",
		"flock LOCK_UN blobs/SHARD/ID",
		"flock LOCK_SH|LOCK_NB blobs/SHARD/ID",
		"pwrite64 blobs/SHARD/ID",
		"fsync blobs/SHARD/ID",
		"flock LOCK_UN blobs/SHARD/ID",
		"close blobs/SHARD/ID",
	})
}

// asking makes a folder beside the store, which shows among the system calls, when the catalog is asked.
func asking(root string, live blob.Live) blob.Live {
	return func(ctx context.Context, pack string) ([]string, bool, error) {
		if err := os.Mkdir(filepath.Join(filepath.Dir(root), "asked"), 0o700); err != nil {
			return nil, false, err
		}
		return live(ctx, pack)
	}
}

// collectSome commits three blobs, of which rows show some.
func collectSome(root string, shown ...int) error {
	d, ids, err := smalls(root, 3)
	if err != nil {
		return err
	}
	var live []string
	for _, i := range shown {
		live = append(live, ids[i])
	}
	fmt.Println(blobid.File(ids[0]))
	done, err := d.Collect(context.Background(), []string{blobid.File(ids[0])}, asking(root, shows(live...)))
	if err == nil && len(done) != 1 {
		err = errors.New("it was not collected")
	}
	return err
}

// TestSyscallOrderOfCollect: nothing is given back before the catalog was asked under the lock, and holes
// are durable before anybody hears that it is done.
func TestSyscallOrderOfCollect(t *testing.T) {
	t.Parallel()
	for role, want := range map[string][]string{
		"thin": {
			"flock LOCK_EX|LOCK_NB blobs/SHARD/ID", "mkdirat asked",
			"fallocate blobs/SHARD/ID", "fallocate blobs/SHARD/ID", "fsync blobs/SHARD/ID", "flock LOCK_UN blobs/SHARD/ID", "close blobs/SHARD/ID",
		},
		"remove": {"flock LOCK_EX|LOCK_NB blobs/SHARD/ID", "mkdirat asked", "unlinkat blobs/SHARD/ID", "flock (deleted), LOCK_UN blobs/SHARD/ID", "close blobs/SHARD/ID"},
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			calls := calledBy(t, role)
			if len(calls) < len(want) || strings.Join(calls[len(calls)-len(want):], "\n") != strings.Join(want, "\n") {
				t.Errorf("the last system calls were\n\t%s\nwant\n\t%s", strings.Join(calls, "\n\t"), strings.Join(want, "\n\t"))
			}
			for _, call := range calls[:len(calls)-len(want)] {
				if strings.HasPrefix(call, "fallocate") || strings.HasPrefix(call, "unlinkat") {
					t.Errorf("too early: %s", call)
				}
			}
		})
	}
}

// TestFailingPacks makes the kernel fail one system call, and lets all others succeed.
func TestFailingPacks(t *testing.T) {
	t.Parallel()
	for role, inject := range map[string]string{
		// Before the sync of a pack come those of the store's parent, of the store when it is
		// opened and for the new folder, and of the folder.
		"pack fsync fails":          "fsync:error=EIO:delay_enter=300000:when=5",
		"pack's folder fsync fails": "fsync:error=EIO:when=4",
		"pack write fails":          "pwrite64:error=EIO:when=1",
		"no space in a pack":        "pwrite64:error=ENOSPC:when=1",
		"no locks":                  "flock:error=EOPNOTSUPP",
		"no holes":                  "fallocate:error=EOPNOTSUPP",
		"holes' fsync fails":        "fsync:error=EIO:when=8",
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(t.TempDir(), "blobs")
			cmd := inRole(t, role, root, "strace", "-f", "-o", filepath.Join(t.TempDir(), "strace"),
				"-e", "trace=fsync,pwrite64,flock,fallocate", "-e", "inject="+inject)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// packSyncFails: whoever waits for the sync that fails is told so, also who came while it was under
// way and would need another one, which might succeed; the next goes to another pack.
func packSyncFails(root string) error {
	d, err := blob.OpenDir(root)
	if err != nil {
		return err
	}
	type outcome struct {
		failed string // the pack that was there before
		id     string
		err    error
	}
	second := make(chan outcome)
	go func() {
		var o outcome
		for o.failed == "" { // until the first is written, and being synced
			files, _ := filepath.Glob(filepath.Join(root, "*", "*"))
			if len(files) == 1 {
				if info, err := os.Stat(files[0]); err == nil && info.Size() > 0 {
					o.failed = filepath.Base(files[0])
				}
			}
		}
		o.id, o.err = small(d, "second")
		second <- o
	}()
	w := d.Stream()
	if _, err := w.Write([]byte("first")); err != nil {
		return err
	}
	first := w.Commit()
	if !errors.Is(first, syscall.EIO) {
		return fmt.Errorf("the first: %w, want EIO", first)
	}
	if again := w.Commit(); again != first {
		return fmt.Errorf("once more: %w", again)
	}
	if err := w.Abort(); err != nil {
		return err
	}
	o := <-second
	// On a slow machine the second may have come after the failure, and to a pack of its own.
	if o.err == nil && blobid.File(o.id) == o.failed || o.err != nil && !errors.Is(o.err, syscall.EIO) {
		return fmt.Errorf("the second is %s: %w", o.id, o.err)
	}
	third, err := small(d, "third")
	if err != nil {
		return fmt.Errorf("the third: %w", err)
	}
	if blobid.File(third) == o.failed {
		return errors.New("the third went into the pack whose sync failed")
	}
	if files, err := filepath.Glob(filepath.Join(root, "*", o.failed)); len(files) > 0 || err != nil {
		return fmt.Errorf("the pack whose sync failed is left: %w", err)
	}
	return reads(d, third, "third")
}

// reads checks what a blob holds.
func reads(d *blob.Dir, id, want string) error {
	r, err := d.Open(id)
	if err != nil {
		return err
	}
	defer r.Close()
	got := make([]byte, r.Size())
	if _, err := r.ReadAt(got, 0); err != nil || string(got) != want {
		return fmt.Errorf("blob %s holds %q, %w", id, got, err)
	}
	return nil
}

// packFolderSyncFails: nothing more is taken, and no pack is left.
func packFolderSyncFails(root string) error {
	d, err := blob.OpenDir(root)
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := small(d, "sealed"); !strings.Contains(hintOf(err), "restart") {
			return fmt.Errorf("after a folder's failed fsync: %w, want an error with a hint", err)
		}
	}
	if files, err := filepath.Glob(filepath.Join(root, "*", "*")); err != nil || len(files) > 0 {
		return fmt.Errorf("%v are left, %w", files, err)
	}
	return d.Close()
}

// packWriteFails: what can't be written has its pack take no more, unless it is for want of space.
func packWriteFails(root string, want error, same bool) error {
	d, err := blob.OpenDir(root)
	if err != nil {
		return err
	}
	if _, err := small(d, "first"); !errors.Is(err, want) {
		return fmt.Errorf("error is %w, want %w", err, want)
	}
	second, err := small(d, "second")
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "*", "*"))
	parts, _ := blobid.Parse(second) // the first had the first page
	if err != nil || len(files) != 1 || same != (parts.Offset > 0) {
		return fmt.Errorf("the second is at %d, and there are the packs %v, %w", parts.Offset, files, err)
	}
	return reads(d, second, "second")
}

// noLocks: each blob has a file of its own, and no empty packs are left.
func noLocks(root string) error {
	d, ids, err := smalls(root, 2)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if parts, ok := blobid.Parse(id); !ok || parts.Packed {
			return fmt.Errorf("%s is packed", id)
		}
	}
	if files, err := filepath.Glob(filepath.Join(root, "*", "*")); err != nil || len(files) != 2 {
		return fmt.Errorf("there are %v, %w", files, err)
	}
	return reads(d, ids[1], "sealed 1")
}

// noHoles: a pack is given back as a whole.
func noHoles(root string) error {
	d, ids, err := smalls(root, 3)
	if err != nil {
		return err
	}
	pack := []string{blobid.File(ids[0])}
	if done, err := d.Collect(context.Background(), pack, shows(ids[1])); len(done) != 1 || err != nil {
		return fmt.Errorf("%v are done, %w", done, err)
	}
	if err := errors.Join(reads(d, ids[1], "sealed 1"), d.Delete(ids[2])); err != nil {
		return err
	}
	if done, err := d.Collect(context.Background(), pack, nobody); len(done) != 1 || err != nil {
		return fmt.Errorf("%v are done, %w", done, err)
	}
	return nil
}

// holesSyncFails: it is not done, and what is shown stays.
func holesSyncFails(root string) error {
	d, ids, err := smalls(root, 3)
	if err != nil {
		return err
	}
	pack := []string{blobid.File(ids[0])}
	if done, err := d.Collect(context.Background(), pack, shows(ids[1])); len(done) != 0 || !errors.Is(err, syscall.EIO) {
		return fmt.Errorf("%v are done, %w", done, err)
	}
	if done, err := d.Collect(context.Background(), pack, shows(ids[1])); len(done) != 1 || err != nil {
		return fmt.Errorf("%v are done, %w", done, err)
	}
	return reads(d, ids[1], "sealed 1")
}

// packRoles are those of these tests.
var packRoles = map[string]func(root string) error{
	"commit to a pack":          commitToAPack,
	"thin":                      func(root string) error { return collectSome(root, 1) },
	"remove":                    func(root string) error { return collectSome(root) },
	"pack fsync fails":          packSyncFails,
	"pack's folder fsync fails": packFolderSyncFails,
	"pack write fails":          func(root string) error { return packWriteFails(root, syscall.EIO, false) },
	"no space in a pack":        func(root string) error { return packWriteFails(root, reports.ErrNoSpace, true) },
	"no locks":                  noLocks,
	"no holes":                  noHoles,
	"holes' fsync fails":        holesSyncFails,
	"full, with packs":          fillPacks,
	"read-only":                 readOnly,
}
