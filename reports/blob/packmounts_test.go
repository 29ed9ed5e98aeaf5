package blob_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// TestDiskFullWithPacks: a blob for which there is no more space in a pack takes none, and what is in the
// pack stays as it was.
func TestDiskFullWithPacks(t *testing.T) {
	t.Parallel()
	inNamespace(t, "full, with packs", t.TempDir())
}

func fillPacks(mount string) error {
	if err := syscall.Mount("none", mount, "tmpfs", 0, "size=256k,nr_inodes=40,mode=0700"); err != nil {
		return fmt.Errorf("mounting a small file system: %w", err)
	}
	defer syscall.Unmount(mount, syscall.MNT_DETACH)
	d, err := blob.OpenDir(filepath.Join(mount, "blobs"))
	if err != nil {
		return err
	}
	defer d.Close()
	var ids []string
	large := string(noise(60_000, 1))
	for err == nil {
		var id string
		if id, err = small(d, large); err == nil {
			ids = append(ids, id)
		}
	}
	if !errors.Is(err, reports.ErrNoSpace) || hintOf(err) == "" || len(ids) != 4 {
		return fmt.Errorf("after %d blobs: %w, want one for want of space, with a hint", len(ids), err)
	}
	for range 3 {
		if _, err := small(d, large); !errors.Is(err, reports.ErrNoSpace) {
			return fmt.Errorf("once more: %w", err)
		}
	}
	last, err := small(d, "what still has room")
	if err != nil {
		return err
	}
	if blobid.File(last) != blobid.File(ids[0]) {
		return errors.New("the pack was given up for want of space")
	}
	for _, id := range ids {
		if err := reads(d, id, large); err != nil {
			return err
		}
	}
	return reads(d, last, "what still has room")
}

// TestReadOnlyStore: an edge may mount the blobs so that it can't write, and yet lock what it reads.
func TestReadOnlyStore(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	id := member(t, d, []byte("sealed"))
	put(t, d, "sealed, too")
	inNamespace(t, "read-only", root)
	wantBlob(t, d, id, []byte("sealed"))
}

func readOnly(root string) error {
	if err := syscall.Mount(root, root, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting the store: %w", err)
	}
	defer syscall.Unmount(root, syscall.MNT_DETACH)
	if err := syscall.Mount("", root, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mounting the store read-only: %w", err)
	}
	d, err := blob.OpenDir(root)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := small(d, "more"); !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("writing: %w, want %w", err, syscall.EROFS)
	}
	files, err := filepath.Glob(filepath.Join(root, "*", "*0"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("there are the packs %v, %w", files, err)
	}
	return reads(d, blobid.Member(filepath.Base(files[0]), 0, 6), "sealed")
}
