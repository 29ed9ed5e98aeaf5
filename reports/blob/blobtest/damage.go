package blobtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sealdrop/sealdrop/reports/blob"
)

// Damage changes a byte in the middle of a blob in a local store.
func Damage(tb testing.TB, root, id string) {
	tb.Helper()
	place, parts, err := blob.Path(id)
	if err != nil {
		tb.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(root, place), os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if !parts.Packed {
		info, err := f.Stat()
		if err != nil {
			tb.Fatal(err)
		}
		parts.Size = info.Size()
	}
	b := make([]byte, 1)
	at := parts.Offset + parts.Size/2
	if _, err := f.ReadAt(b, at); err != nil {
		tb.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		tb.Fatal(err)
	}
}
