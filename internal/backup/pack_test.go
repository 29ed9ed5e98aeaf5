package backup_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/backup"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobtest"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// publish adds a report to a pack.
func (f *fixture) publish(t *testing.T, name, content string) reports.Report {
	t.Helper()
	w := f.blobs.Stream()
	_, err := w.Write([]byte(content))
	check(t, errors.Join(err, w.Commit()))
	defer w.Settle()
	n, err := reports.ParseName(name)
	check(t, err)
	digest := sha256.Sum256([]byte(content))
	r, _, err := f.catalog.Publish(context.Background(), catalog.Publication{
		Client: f.acme, Name: n, Blob: w.ID(), Size: w.Size(), SHA256: hex.EncodeToString(digest[:]), Modified: time.Now(),
		Source: name, Retention: time.Hour, Actor: "test",
	})
	check(t, err)
	return r
}

// purge drops a report's row and gives its space back at once.
func (f *fixture) purge(t *testing.T, r reports.Report) {
	t.Helper()
	_, err := f.catalog.Forget(context.Background(), "test", r.Blob, "test")
	check(t, err)
	_, parts, err := blob.Path(r.Blob)
	check(t, err)
	done, err := f.blobs.Collect(context.Background(), []string{parts.File}, func(ctx context.Context, pack string) ([]string, bool, error) {
		shown, _, err := f.catalog.Blobs(ctx, pack, time.Now())
		return shown, true, err
	})
	if err != nil || len(done) != 1 {
		t.Fatalf("%q was collected, %v", done, err)
	}
}

// storedPath is where the file lies that a report's blob is in.
func storedPath(t *testing.T, data string, r reports.Report) string {
	t.Helper()
	place, _, err := blob.Path(r.Blob)
	check(t, err)
	return filepath.Join(data, "blobs", place)
}

// packHolds is holds for members.
func packHolds(t *testing.T, data string, want map[string]string) {
	t.Helper()
	db, err := database.Open(t.Context(), data)
	check(t, err)
	defer db.Close()
	blobs, err := blob.OpenDir(filepath.Join(data, "blobs"))
	check(t, err)
	defer blobs.Close()
	list, err := catalog.New(db, time.Now).Files(t.Context(), reports.ClientID{}, "", 1000)
	check(t, err)
	if len(list) != len(want) {
		t.Errorf("%d files, want %d", len(list), len(want))
	}
	for _, r := range list {
		content, err := blobs.Open(r.Blob)
		if err != nil {
			t.Errorf("%s: %v", r.Name, err)
			continue
		}
		got := make([]byte, content.Size())
		if _, err := content.ReadAt(got, 0); err != nil || string(got) != want[r.Name.String()] {
			t.Errorf("%s holds %.30q, %v", r.Name, got, err)
		}
		content.Close()
	}
}

// ways are the file systems that a backup can be on: that of the store, where packs are linked or
// cloned, and another one, where they are copied.
func ways(t *testing.T, fn func(t *testing.T, f *fixture, copies bool)) {
	t.Helper()
	t.Run("beside the store", func(t *testing.T) {
		t.Parallel()
		fn(t, newFixture(t), false)
	})
	t.Run("on another file system", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		dir, err := os.MkdirTemp("/dev/shm", "backup")
		if err != nil {
			t.Skip("there is no other file system")
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		var store, other syscall.Stat_t
		check(t, errors.Join(syscall.Stat(f.data, &store), syscall.Stat(dir, &other)))
		if store.Dev == other.Dev {
			t.Skip("there is no other file system")
		}
		f.folder = filepath.Join(dir, "backups")
		fn(t, f, true)
	})
}

func TestPacksComeBack(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, f *fixture, copies bool) {
		want := map[string]string{}
		add := func(from, to int) {
			for i := from; i < to; i++ {
				name := fmt.Sprintf("%d.csv", i)
				want[name] = strings.Repeat(fmt.Sprint(i, ","), 500+i*300)
				f.publish(t, name, want[name])
			}
		}
		add(0, 10)
		one := f.backup(t, backup.Options{})
		if copies != (one.Copied == 10) || one.Copied+one.Linked+one.Cloned != 10 {
			t.Errorf("%+v", one)
		}
		add(10, 20) // into the same pack
		f.backup(t, backup.Options{})
		three := f.backup(t, backup.Options{Keep: 1})
		if three.Removed != 2 {
			t.Errorf("%+v", three)
		}
		_, to, err := f.restore(t, f.folder)
		check(t, err)
		packHolds(t, to, want)
		private(t, to)
	})
}

// TestADamagedMemberTakesNoOthersFromTheBackup: of a pack, what is whole is in the backup, whatever
// there is beside it.
func TestADamagedMemberTakesNoOthersFromTheBackup(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, f *fixture, copies bool) {
		want := map[string]string{}
		var list []reports.Report
		for i := range 5 {
			name := fmt.Sprintf("%d.csv", i)
			want[name] = strings.Repeat(name, 2000)
			list = append(list, f.publish(t, name, want[name]))
		}
		slices.SortFunc(list, func(a, b reports.Report) int { return strings.Compare(a.ID, b.ID) })
		bad := list[2]
		if copies {
			blobtest.Damage(t, filepath.Join(f.data, "blobs"), bad.Blob)
		} else { // a link is not read: what shows at once is that it is cut off
			bad = slices.MaxFunc(list, func(a, b reports.Report) int { return strings.Compare(a.Blob, b.Blob) })
			_, parts, err := blob.Path(bad.Blob)
			check(t, err)
			check(t, os.Truncate(storedPath(t, f.data, bad), parts.Offset+10))
		}
		made, err := backup.Make(t.Context(), f.source(), backup.Options{Folder: f.folder})
		var told *backup.LostError
		if !errors.As(err, &told) || made.LostCount != 1 || made.Lost[0] != bad.ID {
			t.Fatalf("%+v, %v", made, err)
		}
		if _, _, err := f.restore(t, f.folder); err == nil {
			t.Error("the loss was not told")
		}
		to := filepath.Join(t.TempDir(), "new")
		o := f.restoring(f.folder, to)
		o.AcceptLosses = true
		restored, err := backup.Restore(t.Context(), o)
		if err != nil || restored.Lost != 1 {
			t.Errorf("%+v, %v", restored, err)
		}
		delete(want, bad.Name.String())
		packHolds(t, to, want)
	})
}

// TestAMemberDamagedInTheBackup: --accept-losses leaves out that one only.
func TestAMemberDamagedInTheBackup(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, f *fixture, _ bool) {
		bad := f.publish(t, "bad.csv", "what will be damaged")
		f.publish(t, "good.csv", "what will not")
		made := f.backup(t, backup.Options{})
		blobtest.Damage(t, filepath.Join(made.Backup, "blobs"), bad.Blob)
		var damaged *backup.DamagedError
		if _, _, err := f.restore(t, f.folder); !errors.As(err, &damaged) {
			t.Errorf("error %v", err)
		}
		to := filepath.Join(t.TempDir(), "new")
		o := f.restoring(f.folder, to)
		o.AcceptLosses = true
		restored, err := backup.Restore(t.Context(), o)
		if err != nil || restored.Lost != 1 {
			t.Errorf("%+v, %v", restored, err)
		}
		packHolds(t, to, map[string]string{"good.csv": "what will not"})
	})
}

// TestAMemberThatIsPurgedBeforeItsPackIsCopied: the snapshot shows it, and its space was given back.
// The backup must not claim to have it, or no restore of it would succeed.
func TestAMemberThatIsPurgedBeforeItsPackIsCopied(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, f *fixture, _ bool) {
		want := map[string]string{}
		var list []reports.Report
		for _, name := range []string{"a1.csv", "a2.csv", "b1.csv", "b2.csv"} {
			if name == "b1.csv" { // a process fills a pack of its own
				blobs, err := blob.OpenDir(filepath.Join(f.data, "blobs"))
				check(t, err)
				defer blobs.Close()
				f.blobs = blobs
			}
			want[name] = strings.Repeat(name, 2000)
			list = append(list, f.publish(t, name, want[name]))
		}
		first := slices.IndexFunc(list, func(r reports.Report) bool {
			return !slices.ContainsFunc(list, func(other reports.Report) bool { return other.ID < r.ID })
		})
		gone := list[3-first/2*2] // of the other pack
		made, err := backup.Make(t.Context(), f.source(), backup.Options{Folder: f.folder, Actor: "test", Progress: func(done, _ int64) {
			if done == 1 {
				f.purge(t, gone)
			}
		}})
		check(t, err)
		if made.Purged != 1 || made.LostCount != 0 {
			t.Errorf("%+v", made)
		}
		restored, to, err := f.restore(t, f.folder)
		check(t, err)
		if restored.Dropped != 1 {
			t.Errorf("%+v", restored)
		}
		delete(want, gone.Name.String())
		packHolds(t, to, want)
	})
}

// TestWhileAPackIsFilled: a backup is taken of a pack that others are added to.
func TestWhileAPackIsFilled(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, f *fixture, _ bool) {
		want := map[string]string{}
		for i := range 20 {
			name := fmt.Sprintf("before-%d.csv", i)
			want[name] = strings.Repeat(name, 500)
			f.publish(t, name, want[name])
		}
		stop, group := make(chan struct{}), sync.WaitGroup{}
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					f.publish(t, fmt.Sprintf("during-%d.csv", i), strings.Repeat("during", 500))
				}
			}
		})
		for range 3 {
			f.backup(t, backup.Options{})
		}
		close(stop)
		group.Wait()
		_, to, err := f.restore(t, f.folder) // which checks every byte of what the snapshot shows
		check(t, err)
		db, err := database.Open(t.Context(), to)
		check(t, err)
		defer db.Close()
		list, err := catalog.New(db, time.Now).Files(t.Context(), f.acme, "", 100_000)
		check(t, err)
		for _, r := range list {
			delete(want, r.Name.String())
		}
		if len(want) > 0 {
			t.Errorf("%d reports are not there", len(want))
		}
	})
}

// TestACopyOfAPackKeepsItsHoles: a pack of which little is left takes little in a backup, too.
func TestACopyOfAPackKeepsItsHoles(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, f *fixture, _ bool) {
		want := map[string]string{}
		var list []reports.Report
		for i := range 9 {
			name := fmt.Sprintf("%d.csv", i)
			want[name] = strings.Repeat(name, 2000) // three pages
			list = append(list, f.publish(t, name, want[name]))
		}
		for i, r := range list {
			if i%4 != 1 {
				f.purge(t, r)
				delete(want, r.Name.String())
			}
		}
		made := f.backup(t, backup.Options{})
		place, _, err := blob.Path(list[0].Blob)
		check(t, err)
		pack, err := os.Open(filepath.Join(made.Backup, "blobs", place))
		check(t, err)
		defer pack.Close()
		if got := blobtest.Data(t, pack); got != 2*3*4096 {
			t.Errorf("it takes %d bytes", got)
		}
		_, to, err := f.restore(t, f.folder)
		check(t, err)
		packHolds(t, to, want)
	})
}

// TestAClockThatWasSetBackLeavesNothingOut: what was written to a pack since the previous backup
// looks older than that.
func TestAClockThatWasSetBackLeavesNothingOut(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, f *fixture, _ bool) {
		f.publish(t, "a.csv", "before")
		f.backup(t, backup.Options{})
		r := f.publish(t, "b.csv", strings.Repeat("after", 2000))
		long := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		check(t, os.Chtimes(storedPath(t, f.data, r), long, long))
		f.backup(t, backup.Options{})
		_, to, err := f.restore(t, f.folder)
		check(t, err)
		packHolds(t, to, map[string]string{"a.csv": "before", "b.csv": strings.Repeat("after", 2000)})
	})
}
