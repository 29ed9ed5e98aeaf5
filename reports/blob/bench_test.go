package blob_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// BenchmarkCommit writes durable blobs of 64 KiB, beside the least that would make
// a file durable by a rename.
func BenchmarkCommit(b *testing.B) {
	content := make([]byte, 64<<10)
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("plain/writers=%d", writers), func(b *testing.B) {
			folder := b.TempDir()
			share(b, writers, func() error { return plain(folder, content) })
		})
		b.Run(fmt.Sprintf("blob/writers=%d", writers), func(b *testing.B) {
			d := warmDir(b)
			share(b, writers, func() error {
				w, err := d.Create()
				if err != nil {
					return err
				}
				defer w.Abort()
				if _, err := w.Write(content); err != nil {
					return err
				}
				return w.Commit()
			})
		})
	}
}

// warmDir opens a store whose folders are all there, as they are in one that has
// been used.
func warmDir(b *testing.B) *blob.Dir {
	_, root := openDir(b)
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	for _, first := range alphabet {
		for _, second := range alphabet {
			if err := os.Mkdir(filepath.Join(root, string(first)+string(second)), 0o700); err != nil {
				b.Fatal(err)
			}
		}
	}
	d, err := blob.OpenDir(root)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	return d
}

// share spreads b.N calls of work over some goroutines.
func share(b *testing.B, writers int, work func() error) {
	b.ReportAllocs()
	b.ResetTimer()
	var done atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for done.Add(1) <= int64(b.N) {
				if err := work(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func plain(folder string, content []byte) error {
	path := filepath.Join(folder, blobid.New())
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
