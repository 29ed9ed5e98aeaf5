package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/blob/blobtest"
)

// files returns how many files there are in a store.
func files(t *testing.T, d *blob.Dir) (n int) {
	t.Helper()
	if err := d.Files(t.Context(), func(files []string) error { n += len(files); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRepair damages a blob that has neighbours, and puts it in place again.
func TestRepair(t *testing.T) {
	t.Parallel()
	remove := func(t *testing.T, path string, _ int64) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	cut := func(t *testing.T, path string, offset int64) {
		if err := os.Truncate(path, offset+100); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		size   int
		damage func(t *testing.T, path string, offset int64) // nil: a byte
		alone  bool                                          // the neighbours are gone, too
	}{
		{name: "a byte of a file", size: 1 << 20},
		{name: "a file missing", size: 1 << 20, damage: remove},
		{name: "a file cut off", size: 1 << 20, damage: cut},
		{name: "an empty file missing", size: 0, damage: remove},
		{name: "a byte of a member", size: 5000},
		{name: "a pack missing", size: 5000, damage: remove, alone: true},
		{name: "a pack cut off", size: 5000, damage: cut, alone: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, root := openDir(t)
			before := member(t, d, noise(3000, 1))
			want := noise(test.size, 2)
			id := member(t, d, want)
			after := member(t, d, noise(3000, 3))
			place, parts, err := blob.Path(id)
			if err != nil {
				t.Fatal(err)
			}
			if test.damage == nil {
				blobtest.Damage(t, root, id)
			} else {
				test.damage(t, filepath.Join(root, place), parts.Offset)
			}
			broken := errors.New("the backup's disk fails")
			half := io.MultiReader(bytes.NewReader(want[:test.size/2]), iotest.ErrReader(broken))
			there := files(t, d)
			if err := d.Repair(id, half); !errors.Is(err, broken) || files(t, d) != there {
				t.Errorf("half of it: %v; %d files, and there were %d", err, files(t, d), there)
			}
			for range 2 { // the second time there is nothing to repair
				if err := d.Repair(id, bytes.NewReader(want)); err != nil {
					t.Fatal(err)
				}
				wantBlob(t, d, id, want)
			}
			if info, err := os.Stat(filepath.Join(root, place)); err != nil || info.Mode() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if !test.alone {
				wantBlob(t, d, before, noise(3000, 1))
				wantBlob(t, d, after, noise(3000, 3))
			}
		})
	}
}

// TestRepairNeverWritesToABackup: but into a pack, which is damaged there, too.
func TestRepairNeverWritesToABackup(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	for _, size := range []int{5000, 1 << 20} {
		want := noise(size, 1)
		id := member(t, d, want)
		blobtest.Damage(t, root, id)
		target := filepath.Join(filepath.Dir(root), id)
		if err := d.Link(blobid.File(id), target); err != nil {
			t.Fatal(err)
		}
		damaged, err := os.ReadFile(target)
		if err != nil {
			t.Fatal(err)
		}
		open, err := d.Open(id)
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		if err := d.Repair(id, bytes.NewReader(want)); err != nil {
			t.Fatal(err)
		}
		wantBlob(t, d, id, want)
		old, err := os.ReadFile(target)
		if err != nil {
			t.Fatal(err)
		}
		if packed := size == 5000; packed != bytes.Equal(old, want) || packed == bytes.Equal(old, damaged) {
			t.Errorf("the backup of %d bytes was left alone: %v", size, bytes.Equal(old, damaged))
		}
		if got, err := io.ReadAll(io.NewSectionReader(open, 0, open.Size())); err != nil || !bytes.Equal(got, old) {
			t.Errorf("who reads it has something else: %v", err)
		}
	}
}

func TestRepairRefuses(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	id := member(t, d, noise(5000, 1))
	if err := d.Repair("../"+id[3:], bytes.NewReader(nil)); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("no id: %v", err)
	}
	for _, n := range []int{4999, 5001} {
		if err := d.Repair(id, bytes.NewReader(noise(n, 2))); err == nil {
			t.Errorf("%d bytes were put in the place of 5000", n)
		}
	}
	wantBlob(t, d, id, noise(5000, 1))
	// A folder in the place of a file is the operator's to remove.
	large := member(t, d, noise(1<<20, 1))
	place, _, err := blob.Path(large)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, place)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	there := files(t, d)
	if err := d.Repair(large, bytes.NewReader(noise(1<<20, 1))); err == nil || files(t, d) != there {
		t.Errorf("a folder was replaced: %v", err)
	}
}

// repairFirst is a role: it repairs the first file of the store, or what is first in it.
func repairFirst(root string) error {
	d, err := blob.OpenDir(root)
	if err != nil {
		return err
	}
	return d.Files(context.Background(), func(files []string) error {
		id, content := files[0], "sealed"
		if blobid.IsPack(id) {
			id = blobid.Member(id, 0, int64(len(content)))
		}
		return d.Repair(id, strings.NewReader(content))
	})
}

// TestRepairIsDurable: what strace saw is all of it, in this order.
func TestRepairIsDurable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		size int
		want []string
	}{
		{name: "file", size: 1 << 20, want: []string{
			"openat O_EXCL blobs/SHARD/FRESH", "write blobs/SHARD/FRESH", "fsync blobs/SHARD/FRESH", "renameat blobs/SHARD", "fsync blobs/SHARD",
		}},
		{name: "member", size: 6, want: []string{
			"flock LOCK_SH blobs/SHARD/ID", "pwrite64 blobs/SHARD/ID", "fsync blobs/SHARD/ID", "close blobs/SHARD/ID", "fsync blobs/SHARD",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, root := openDir(t)
			file := blobid.File(member(t, d, noise(test.size, 1)))
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			trace, _ := traced(t, "repair", root)
			got := storeCalls(trace, filepath.Dir(root), file)
			for i, call := range got {
				got[i] = regexp.MustCompile(`/[a-z2-7]{26}$`).ReplaceAllString(call, "/FRESH")
			}
			if want := append([]string{"fsync .", "fsync blobs"}, test.want...); !slices.Equal(got, want) {
				t.Errorf("the system calls were\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
		})
	}
}
