package blob_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// TestCollectIsManyDeletes: what is there goes, what is not there is no error, what is no id is told of, and the
// others go nonetheless.
func TestCollectIsManyDeletes(t *testing.T) {
	t.Parallel()
	d, err := blob.OpenDir(t.TempDir() + "/blobs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	var ids []string
	for range 20 {
		w, err := d.Create()
		if err == nil {
			err = w.Commit()
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, w.ID())
	}
	slices.Sort(ids)
	doomed := append(slices.Clone(ids[:15]), blobid.New(), blobid.New()) // two that are not there
	slices.Sort(doomed)
	gone, err := d.Collect(t.Context(), append(doomed, "../etc"), nobody)
	if err == nil || !slices.Equal(gone, doomed) {
		t.Errorf("%d of %d are gone, %v", len(gone), len(doomed), err)
	}
	var left []string
	if err := d.Files(t.Context(), func(ids []string) error { left = append(left, ids...); return nil }); err != nil || !slices.Equal(left, ids[15:]) {
		t.Errorf("%d are left, %v", len(left), err)
	}
	if n, at, err := d.Look(ids[19]); n != 1 || at.IsZero() || err != nil {
		t.Errorf("the last one: %d, %v, %v", n, at, err)
	}
	if _, _, err := d.Look(ids[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that is gone: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if gone, err := d.Collect(ended, ids[15:], nobody); len(gone) != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %q, %v", gone, err)
	}
}

// nobody is a catalog without rows.
func nobody(context.Context, string) ([]string, bool, error) { return nil, true, nil }
