package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/backup"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// fixture is a data folder with client acme, and a folder for backups.
type fixture struct {
	data, folder string
	db           *database.DB
	catalog      *catalog.Catalog
	blobs        *blob.Dir
	acme         reports.ClientID

	mu sync.Mutex
	at time.Time // the time, a minute further with each look
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixtureOn(t, databasetest.SQLite)
}

func newFixtureOn(t *testing.T, e databasetest.Engine) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{data: filepath.Join(dir, "data"), folder: filepath.Join(dir, "backups"), at: time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)}
	check(t, os.Mkdir(f.data, 0o700))
	var err error
	f.db, _ = e.Open(t, f.data)
	f.blobs, err = blob.OpenDir(filepath.Join(f.data, "blobs"))
	check(t, err)
	t.Cleanup(func() { f.blobs.Close() })
	f.catalog = catalog.New(f.db, time.Now)
	f.acme, err = reports.ParseClientID("acme")
	check(t, err)
	check(t, f.db.Write(t.Context(), func(tx *database.Tx) error {
		return tx.InsertClient(tx.Context(), query.InsertClientParams{ID: "acme", Name: "acme"})
	}))
	check(t, os.WriteFile(filepath.Join(f.data, "hold.pgp"), []byte("secret"), 0o600))
	return f
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = f.at.Add(time.Minute)
	return f.at
}

// add uploads a file, with its digest only where it is asked for.
func (f *fixture) add(t *testing.T, name, content string) reports.Report {
	t.Helper()
	w, err := f.blobs.Create()
	check(t, err)
	_, err = w.Write([]byte(content))
	check(t, err)
	check(t, w.Commit())
	n, err := reports.ParseName(name)
	check(t, err)
	check(t, f.catalog.Upload(context.Background(), catalog.Upload{
		Client: f.acme, Name: n, Blob: w.ID(), Size: w.Size(), Modified: time.Now(), Retention: time.Hour, Actor: "client:acme",
	}))
	r, err := f.catalog.Lookup(context.Background(), f.acme, n)
	check(t, err)
	return r
}

func (f *fixture) source() backup.Source {
	return backup.Source{
		DB: f.db, Catalog: f.catalog, Blobs: f.blobs, Keys: true, Version: "test", Now: f.now,
		Files: []backup.File{{From: filepath.Join(f.data, "hold.pgp"), To: "keys/hold.pgp"}},
	}
}

func (f *fixture) backup(t *testing.T, o backup.Options) backup.Result {
	t.Helper()
	o.Folder, o.Actor = f.folder, "test"
	r, err := backup.Make(t.Context(), f.source(), o)
	check(t, err)
	return r
}

func (f *fixture) restore(t *testing.T, from string) (backup.Restored, string, error) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "new")
	r, err := backup.Restore(t.Context(), f.restoring(from, to))
	return r, to, err
}

func (f *fixture) restoring(from, to string) backup.RestoreOptions {
	return backup.RestoreOptions{
		From: from, To: to, Actor: "test", Now: f.now, Check: func(context.Context, string) error { return nil },
	}
}

// holds fails unless a data folder shows exactly these files, with their content,
// and counts them against their client's quota.
func (f *fixture) holds(t *testing.T, data string, want map[string]string) {
	t.Helper()
	db, err := database.Open(t.Context(), data)
	check(t, err)
	defer db.Close()
	list, err := catalog.New(db, time.Now).Files(t.Context(), reports.ClientID{}, "", 1000)
	check(t, err)
	if len(list) != len(want) {
		t.Errorf("%d files, want %d", len(list), len(want))
	}
	check(t, catalog.New(db, time.Now).Miscounted(t.Context(), reports.ClientID{}, func(client reports.ClientID, kept, counted reports.Usage) {
		t.Errorf("the quota of %s counts %+v, want %+v", client, kept, counted)
	}))
	for _, r := range list {
		place, _, err := blob.Path(r.Blob)
		check(t, err)
		content, err := os.ReadFile(filepath.Join(data, "blobs", place))
		if err != nil || string(content) != want[r.Name.String()] {
			t.Errorf("%s holds %q, %v", r.Name, content, err)
		}
	}
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, testBackupAndRestore)
}

func testBackupAndRestore(t *testing.T, e databasetest.Engine) {
	t.Helper()
	f := newFixtureOn(t, e)
	want := map[string]string{"a.txt": "first", "b.txt": "", "c.txt": strings.Repeat("third", 100_000)}
	for name, content := range want {
		f.add(t, name, content)
	}
	made := f.backup(t, backup.Options{})
	if made.Files != 5 || made.LostCount+made.Purged != 0 {
		t.Errorf("%+v", made)
	}
	f.add(t, "later.txt", "after the backup")
	restored, to, err := f.restore(t, f.folder)
	check(t, err)
	if restored.Backup != made.Backup || restored.Files != made.Files || !restored.Keys {
		t.Errorf("%+v", restored)
	}
	f.holds(t, to, want)
	if secret, err := os.ReadFile(filepath.Join(to, "keys", "hold.pgp")); err != nil || string(secret) != "secret" {
		t.Errorf("the key is %q, %v", secret, err)
	}
	private(t, made.Backup)
	private(t, to)
}

// private fails if anybody else could read something.
func private(t *testing.T, dir string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		check(t, err)
		info, err := d.Info()
		check(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	}))
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	return info.Sys().(*syscall.Stat_t).Ino
}

// TestIncremental: what the previous backup has is shared with it, and each backup
// is whole in itself.
func TestIncremental(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.add(t, "a.txt", "first")
	one := f.backup(t, backup.Options{})
	f.add(t, "b.txt", "second")
	two := f.backup(t, backup.Options{})
	place, _, err := blob.Path(r.Blob)
	check(t, err)
	if two.Linked < 1 || inode(t, filepath.Join(one.Backup, "blobs", place)) != inode(t, filepath.Join(two.Backup, "blobs", place)) {
		t.Errorf("%+v", two)
	}
	three := f.backup(t, backup.Options{Keep: 1})
	if left, err := os.ReadDir(f.folder); err != nil || len(left) != 1 || three.Removed != 2 {
		t.Errorf("left: %v, %v; %+v", left, err, three)
	}
	_, to, err := f.restore(t, f.folder)
	check(t, err)
	f.holds(t, to, map[string]string{"a.txt": "first", "b.txt": "second"})
}

// TestLiveBlobGoes: what the store deletes, a backup keeps.
func TestLiveBlobGoes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.add(t, "a.txt", "first")
	f.backup(t, backup.Options{})
	check(t, f.blobs.Delete(r.Blob))
	_, to, err := f.restore(t, f.folder)
	check(t, err)
	f.holds(t, to, map[string]string{"a.txt": "first"})
}

// TestPurgedWhileItIsCopied: the snapshot shows a report whose blob has gone since.
func TestPurgedWhileItIsCopied(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, testPurgedWhileItIsCopied)
}

func testPurgedWhileItIsCopied(t *testing.T, e databasetest.Engine) {
	t.Helper()
	f := newFixtureOn(t, e)
	var list []reports.Report
	for i := range 3 {
		list = append(list, f.add(t, fmt.Sprintf("%d.txt", i), "content"))
	}
	var gone reports.Report
	o := backup.Options{Folder: f.folder, Actor: "test", Progress: func(done, total int64) {
		if done != 1 || total != 3 {
			return
		}
		for _, r := range list { // the last to be copied
			if r.ID > gone.ID {
				gone = r
			}
		}
		_, err := f.catalog.Forget(context.Background(), "test", gone.Blob, "test")
		check(t, err)
		check(t, f.blobs.Delete(gone.Blob))
	}}
	made, err := backup.Make(t.Context(), f.source(), o)
	check(t, err)
	if made.Purged != 1 || made.LostCount != 0 {
		t.Errorf("%+v", made)
	}
	restored, to, err := f.restore(t, f.folder)
	check(t, err)
	if restored.Dropped != 1 {
		t.Errorf("%+v", restored)
	}
	want := map[string]string{"0.txt": "content", "1.txt": "content", "2.txt": "content"}
	delete(want, gone.Name.String())
	f.holds(t, to, want)
}

// TestLostBlobs: a backup of a damaged gateway is made, says so, removes no older
// one, and is restored only by somebody who accepts it.
func TestLostBlobs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lost := f.add(t, "lost.txt", "content")
	f.add(t, "kept.txt", "content")
	check(t, f.blobs.Delete(lost.Blob))
	check(t, os.MkdirAll(filepath.Join(f.folder, "20200101T000000Z"), 0o700))
	made, err := backup.Make(t.Context(), f.source(), backup.Options{Folder: f.folder, Keep: 1})
	var told *backup.LostError
	if !errors.As(err, &told) || made.LostCount != 1 || made.Lost[0] != lost.ID || made.Removed != 0 {
		t.Fatalf("%+v, %v", made, err)
	}
	var damaged *backup.DamagedError
	if _, to, err := f.restore(t, made.Backup); !errors.As(err, &damaged) || exists(to) {
		t.Errorf("error %v", err)
	}
	to := filepath.Join(t.TempDir(), "new")
	o := f.restoring(made.Backup, to)
	o.AcceptLosses = true
	restored, err := backup.Restore(t.Context(), o)
	if err != nil || restored.Lost != 1 {
		t.Errorf("%+v, %v", restored, err)
	}
	f.holds(t, to, map[string]string{"kept.txt": "content"})
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestRestoreTakesNothingDamaged damages one thing of a backup at a time.
func TestRestoreTakesNothingDamaged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.add(t, "a.txt", "content")
	made := f.backup(t, backup.Options{})
	place, _, err := blob.Path(r.Blob)
	check(t, err)
	edit := func(name string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			data, err := os.ReadFile(path)
			check(t, err)
			check(t, os.WriteFile(path, change(data), 0o600))
		}
	}
	flip := func(data []byte) []byte { data[len(data)/2] ^= 1; return data }
	cut := func(data []byte) []byte { return data[:len(data)-1] }
	lastLine := func(data []byte) []byte {
		lines := strings.SplitAfter(string(data), "\n")
		return []byte(strings.Join(lines[:len(lines)-2], ""))
	}
	for name, damage := range map[string]func(*testing.T, string){
		"a byte of a report": edit("blobs/"+place, flip),
		"a report cut":       edit("blobs/"+place, cut),
		"a report gone":      func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "blobs", place))) },
		"a link out of it": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "blobs", place)
			check(t, os.Remove(path))
			outside := filepath.Join(t.TempDir(), "outside")
			check(t, os.WriteFile(outside, []byte("content"), 0o600))
			check(t, os.Symlink(outside, path))
		},
		"a byte of the catalog": edit(database.FileName, flip),
		"a byte of a key":       edit("keys/hold.pgp", flip),
		"the manifest's end":    edit("manifest.jsonl", lastLine),
		"a line of the manifest": edit("manifest.jsonl", func(data []byte) []byte {
			lines := strings.SplitAfter(string(data), "\n")
			return []byte(strings.Join(append(lines[:1:1], lines[2:]...), ""))
		}),
		"a path that leads out": edit("manifest.jsonl", func(data []byte) []byte {
			return []byte(strings.Replace(string(data), "keys/hold.pgp", "../hold.pgp", 1))
		}),
		"the audit's head": edit("manifest.jsonl", func(data []byte) []byte {
			return []byte(strings.Replace(string(data), `"seq":`, `"seq":9`, 1))
		}),
		"another format": edit("manifest.jsonl", func(data []byte) []byte {
			return []byte(strings.Replace(string(data), `"sealdrop_backup":1`, `"sealdrop_backup":2`, 1))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), filepath.Base(made.Backup))
			check(t, os.CopyFS(dir, os.DirFS(made.Backup)))
			damage(t, dir)
			_, to, err := f.restore(t, dir)
			var damaged *backup.DamagedError
			if !errors.As(err, &damaged) {
				t.Errorf("error %v", err)
			}
			if exists(to) || exists(to+".partial") {
				t.Error("something was left")
			}
		})
	}
}

func TestRestoreOverwritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "a.txt", "content")
	made := f.backup(t, backup.Options{})
	full, empty := t.TempDir(), t.TempDir()
	check(t, os.WriteFile(filepath.Join(full, "mine"), nil, 0o600))
	var notEmpty *backup.NotEmptyError
	if _, err := backup.Restore(t.Context(), f.restoring(made.Backup, full)); !errors.As(err, &notEmpty) {
		t.Errorf("error %v", err)
	}
	if _, err := backup.Restore(t.Context(), f.restoring(made.Backup, filepath.Join(full, "mine"))); err == nil {
		t.Error("a file was taken for a target")
	}
	if _, err := backup.Restore(t.Context(), f.restoring(made.Backup, empty)); err != nil {
		t.Error(err)
	}
	var none *backup.NoBackupError
	for _, from := range []string{full, filepath.Join(full, "absent")} {
		if _, err := backup.Restore(t.Context(), f.restoring(from, filepath.Join(full, "to"))); !errors.As(err, &none) {
			t.Errorf("from %s: %v", from, err)
		}
	}
	o := f.restoring(made.Backup, filepath.Join(full, "to"))
	o.Check = func(context.Context, string) error { return errors.New("a finding") }
	if _, err := backup.Restore(t.Context(), o); err == nil || exists(o.To) {
		t.Errorf("with findings: %v", err)
	}
}

// TestLeftoversOfAKilledRun: both kinds of partial folders go with the next run, and
// neither is ever taken for a backup.
func TestLeftoversOfAKilledRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "a.txt", "content")
	left := filepath.Join(f.folder, "20251231T235959Z.partial")
	check(t, os.MkdirAll(filepath.Join(left, "blobs"), 0o700))
	check(t, os.WriteFile(filepath.Join(left, "manifest.jsonl"), []byte("{}"), 0o600))
	other := filepath.Join(f.folder, "notes.partial")
	check(t, os.WriteFile(other, nil, 0o600))
	for _, from := range []string{f.folder, left} {
		var none *backup.NoBackupError
		if _, _, err := f.restore(t, from); !errors.As(err, &none) {
			t.Errorf("restoring %s: %v", from, err)
		}
	}
	made := f.backup(t, backup.Options{})
	if exists(left) || !exists(other) {
		t.Error("the partial one is still there, or somebody else's file is not")
	}
	to := filepath.Join(t.TempDir(), "new")
	check(t, os.MkdirAll(filepath.Join(to+".partial", "blobs", "aa"), 0o700))
	if _, err := backup.Restore(t.Context(), f.restoring(made.Backup, to)); err != nil || exists(to+".partial") {
		t.Errorf("error %v", err)
	}
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "a.txt", "content")
	var busy *backup.BusyError
	o := backup.Options{Folder: f.folder, Progress: func(int64, int64) {
		if _, err := backup.Make(context.Background(), f.source(), backup.Options{Folder: f.folder}); !errors.As(err, &busy) {
			t.Errorf("the second run: %v", err)
		}
	}}
	_, err := backup.Make(t.Context(), f.source(), o)
	check(t, err)
}

// TestWhileReportsCome: a backup that is taken under load restores to a state that
// was, with every report of before it.
func TestWhileReportsCome(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, testWhileReportsCome)
}

func testWhileReportsCome(t *testing.T, e databasetest.Engine) {
	t.Helper()
	f := newFixtureOn(t, e)
	want := map[string]bool{}
	for i := range 50 {
		name := fmt.Sprintf("before-%d.txt", i)
		f.add(t, name, "content")
		want[name] = true
	}
	stop, group := make(chan struct{}), sync.WaitGroup{}
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				f.add(t, fmt.Sprintf("during-%d.txt", i), "content")
			}
		}
	})
	f.backup(t, backup.Options{})
	close(stop)
	group.Wait()
	_, to, err := f.restore(t, f.folder)
	check(t, err)
	db, err := database.Open(t.Context(), to)
	check(t, err)
	defer db.Close()
	list, err := catalog.New(db, time.Now).Files(t.Context(), f.acme, "", 100_000)
	check(t, err)
	for _, r := range list {
		delete(want, r.Name.String())
		place, _, err := blob.Path(r.Blob)
		check(t, err)
		if !exists(filepath.Join(to, "blobs", place)) {
			t.Errorf("%s lacks its blob", r.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("not there: %v", want)
	}
}
