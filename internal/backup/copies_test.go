package backup_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/backup"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// digested uploads a file of which the digest is known; packed with others if it says so.
func (f *fixture) digested(t *testing.T, name, content string, packed bool) reports.Report {
	t.Helper()
	var w interface {
		io.Writer
		ID() string
		Commit() error
	} = f.blobs.Stream()
	if !packed {
		var err error
		w, err = f.blobs.Create()
		check(t, err)
	}
	_, err := io.WriteString(w, content)
	check(t, errors.Join(err, w.Commit()))
	n, err := reports.ParseName(name)
	check(t, err)
	sum := sha256.Sum256([]byte(content))
	check(t, f.catalog.Upload(t.Context(), catalog.Upload{
		Client: f.acme, Name: n, Blob: w.ID(), Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
		Modified: time.Now(), Retention: time.Hour, Actor: "client:acme",
	}))
	r, err := f.catalog.Lookup(t.Context(), f.acme, n)
	check(t, err)
	return r
}

// spoil changes a file's first byte, in a new file.
func spoil(t *testing.T, path string, at int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	check(t, err)
	data[at] ^= 1
	check(t, errors.Join(os.Remove(path), os.WriteFile(path, data, 0o600)))
}

func TestCopies(t *testing.T) {
	t.Parallel()
	for name, packed := range map[string]bool{"file": false, "member": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testCopies(t, packed)
		})
	}
}

func testCopies(t *testing.T, packed bool) {
	t.Helper()
	f := newFixture(t)
	f.digested(t, "before.txt", "in front of it", packed)
	r := f.digested(t, "a.txt", "content", packed)
	place, parts, err := blob.Path(r.Blob)
	check(t, err)
	if parts.Packed != packed {
		t.Fatalf("blob %s", r.Blob)
	}
	one := f.backup(t, backup.Options{})
	two := f.backup(t, backup.Options{})
	wants := func(what, path, from, problem string) {
		t.Helper()
		copies, err := backup.FindCopies(path)
		check(t, err)
		var got string
		was, err := copies.Blob(r, func(content io.Reader) error {
			b, err := io.ReadAll(content)
			if err == nil {
				got = string(b)
			}
			return err
		})
		if was != from || (got == "content") != (from != "") || (err == nil) != (from != "") {
			t.Errorf("%s: %q from %q, %v", what, got, was, err)
		}
		if err != nil && !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wants("both", f.folder, two.Backup, "")
	wants("one of them", one.Backup, one.Backup, "")
	spoil(t, filepath.Join(two.Backup, "blobs", place), parts.Offset)
	wants("the newest is damaged", f.folder, one.Backup, "")
	wants("it is damaged", two.Backup, "", "in "+filepath.Base(two.Backup)+" the blob is not as it was stored")
	check(t, os.Remove(filepath.Join(two.Backup, "blobs", place)))
	wants("the newest has none", f.folder, one.Backup, "")
	wants("it has none", two.Backup, "", two.Backup+" has no copy of it")
	check(t, os.Truncate(filepath.Join(f.folder, filepath.Base(one.Backup), "blobs", place), parts.Offset+3))
	wants("it is cut off", f.folder, "", "has no whole copy of it: in "+filepath.Base(one.Backup))
}

func TestCopiesRefuse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var none *backup.NoBackupError
	if _, err := backup.FindCopies(f.data); !errors.As(err, &none) {
		t.Errorf("a data folder: %v", err)
	}
	bare := f.add(t, "bare.txt", "content")
	r := f.digested(t, "a.txt", "content", false)
	f.backup(t, backup.Options{})
	copies, err := backup.FindCopies(f.folder)
	check(t, err)
	if _, err := copies.Blob(bare, func(io.Reader) error { return nil }); err == nil || !strings.Contains(err.Error(), "not recorded") {
		t.Errorf("without a digest: %v", err)
	}
	full := errors.New("full")
	calls := 0
	if _, err := copies.Blob(r, func(io.Reader) error { calls++; return full }); !errors.Is(err, full) || calls != 1 {
		t.Errorf("%d calls: %v", calls, err)
	}
	if from, err := copies.Blob(r, func(io.Reader) error { return nil }); err == nil {
		t.Errorf("nothing was read, and it is from %s", from)
	}
}

// TestBackupAfterARepair: the newest backup's copy is damaged, and the gateway's was repaired.
// The next backup has the right one.
func TestBackupAfterARepair(t *testing.T) {
	t.Parallel()
	for name, packed := range map[string]bool{"file": false, "member": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			r := f.digested(t, "a.txt", "content", packed)
			place, parts, err := blob.Path(r.Blob)
			check(t, err)
			old := f.at.Add(-time.Hour)
			check(t, os.Chtimes(filepath.Join(f.data, "blobs", place), old, old))
			one := f.backup(t, backup.Options{})
			spoil(t, filepath.Join(one.Backup, "blobs", place), parts.Offset)
			check(t, f.blobs.Repair(r.Blob, strings.NewReader("content")))
			now := f.now()
			check(t, os.Chtimes(filepath.Join(f.data, "blobs", place), now, now))
			two := f.backup(t, backup.Options{})
			_, to, err := f.restore(t, two.Backup)
			check(t, err)
			f.holds(t, to, map[string]string{"a.txt": "content"})
		})
	}
}
