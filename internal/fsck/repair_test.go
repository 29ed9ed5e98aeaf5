package fsck_test

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/backup"
	"github.com/sealdrop/sealdrop/internal/fsck"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// upload adds an upload whose digest is known, in a file of its own or packed.
func (f *fixture) uploaded(t *testing.T, name, content string, packed bool) reports.Report {
	t.Helper()
	var w interface {
		io.Writer
		ID() string
		Commit() error
	} = f.blobs.Stream()
	if !packed {
		w = must[*blob.Writer](t)(f.blobs.Create())
	}
	must[int](t)(io.WriteString(w, content))
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	u := catalog.Upload{
		Client: f.acme, Name: f.name(t, name), Blob: w.ID(), Size: int64(len(content)), SHA256: digest([]byte(content)),
		Modified: time.Now(), Retention: grace, Actor: "client:acme",
	}
	if err := f.catalog.Upload(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return must[reports.Report](t)(f.catalog.Lookup(t.Context(), f.acme, u.Name))
}

// offset returns where a file's blob begins in its pack.
func offset(t *testing.T, r reports.Report) int64 {
	t.Helper()
	_, parts, err := blob.Path(r.Blob)
	if err != nil || !parts.Packed {
		t.Fatalf("blob %s is in no pack, %v", r.Blob, err)
	}
	return parts.Offset
}

// shelf is a gateway with files of both kinds, and a backup of it that shares nothing with it.
type shelf struct {
	*fixture
	folder string
	files  map[string]reports.Report
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{fixture: newFixture(t), folder: filepath.Join(t.TempDir(), "backups"), files: map[string]reports.Report{}}
	for _, name := range []string{"one", "two", "three"} {
		s.files[name] = s.uploaded(t, name+".txt", strings.Repeat(name, 2000), true)
	}
	s.files["own"] = s.uploaded(t, "own.txt", strings.Repeat("own", 2000), false)
	s.files["report"] = s.report
	made := must[backup.Result](t)(backup.Make(t.Context(), backup.Source{
		DB: s.db, Catalog: s.catalog, Blobs: s.blobs, Version: "test", Now: time.Now,
	}, backup.Options{Folder: s.folder, Actor: "test"}))
	s.unshare(t, made.Backup)
	return s
}

// unshare gives a backup's blobs files of their own.
func (s *shelf) unshare(t *testing.T, backup string) {
	t.Helper()
	for _, r := range s.files {
		at := filepath.Join(backup, "blobs", path(t, r.Blob))
		data := must[[]byte](t)(os.ReadFile(at))
		if err := errors.Join(os.Remove(at), os.WriteFile(at, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *shelf) repair(t *testing.T) (map[string]fsck.Finding, fsck.Summary) {
	t.Helper()
	copies := must[*backup.Copies](t)(backup.FindCopies(s.folder))
	list, done := s.run(t, fsck.Options{Copies: copies, Actor: "operator"}, time.Now())
	found := map[string]fsck.Finding{}
	for _, f := range list {
		if found[f.Name].Name != "" {
			t.Errorf("%s was found twice: %+v", f.Name, f)
		}
		found[f.Name] = f
	}
	return found, done
}

// TestRepair damages the gateway in each way; what is found is told as repaired, and
// not found again.
func TestRepair(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		damage func(t *testing.T, s *shelf) error
		want   map[string]fsck.Kind // by name
	}{
		"nothing": {damage: func(*testing.T, *shelf) error { return nil }},
		"a file missing": {
			damage: func(t *testing.T, s *shelf) error { return os.Remove(s.path(t, s.files["own"].Blob)) },
			want:   map[string]fsck.Kind{"own.txt": fsck.Missing},
		},
		"a file damaged": {
			damage: func(t *testing.T, s *shelf) error { flip(t, s.path(t, s.files["own"].Blob), 77); return nil },
			want:   map[string]fsck.Kind{"own.txt": fsck.Damaged},
		},
		"a file cut off": {
			damage: func(t *testing.T, s *shelf) error { return os.Truncate(s.path(t, s.files["own"].Blob), 77) },
			want:   map[string]fsck.Kind{"own.txt": fsck.Truncated},
		},
		"a member damaged": {
			damage: func(t *testing.T, s *shelf) error {
				flip(t, s.path(t, s.files["two"].Blob), offset(t, s.files["two"])+77)
				return nil
			},
			want: map[string]fsck.Kind{"two.txt": fsck.Damaged},
		},
		"a pack cut off": {
			damage: func(t *testing.T, s *shelf) error {
				return os.Truncate(s.path(t, s.files["two"].Blob), offset(t, s.files["two"])+77)
			},
			// Once what comes after it is back, the second is not too short any more, but has other bytes.
			want: map[string]fsck.Kind{"two.txt": "", "three.txt": fsck.Truncated},
		},
		"a pack missing": {
			damage: func(t *testing.T, s *shelf) error { return os.Remove(s.path(t, s.files["two"].Blob)) },
			want:   map[string]fsck.Kind{"report.csv.pgp": "", "one.txt": "", "two.txt": "", "three.txt": ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			if err := test.damage(t, s); err != nil {
				t.Fatal(err)
			}
			if list, done := s.run(t, fsck.Options{}, time.Now()); len(list) != len(test.want) || done.Repaired != 0 {
				t.Errorf("looking found %+v", list)
			}
			found, done := s.repair(t)
			if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, slices.Sorted(maps.Keys(test.want))) {
				t.Errorf("found %q", got)
			}
			if n := int64(len(test.want)); done.Findings != n || done.Repaired != n || s.records(t) != n {
				t.Errorf("%+v; %d records", done, s.records(t))
			}
			for name, f := range found {
				if !f.Repaired || f.Unrepaired != "" || !strings.Contains(f.Mend, s.folder) || test.want[name] != "" && f.Kind != test.want[name] {
					t.Errorf("%+v", f)
				}
			}
			if list, _ := s.run(t, fsck.Options{}, time.Now()); len(list) != 0 {
				t.Errorf("found again: %+v", list)
			}
		})
	}
}

// records counts what the audit says of repairs, and looks at each.
func (s *shelf) records(t *testing.T) (n int64) {
	t.Helper()
	_, err := audit.Verify(t.Context(), s.db.Read(), audit.Head{})
	if err != nil {
		t.Error(err)
	}
	for _, r := range must[[]audit.Record](t)(audit.List(t.Context(), s.db.Read(), audit.Filter{Limit: 100})) {
		if r.Event != "report.repaired" {
			continue
		}
		n++
		file := must[reports.Report](t)(s.catalog.Report(t.Context(), r.Subject))
		if r.Actor != "operator" || r.Client != "acme" || r.Detail["blob"] != file.Blob || r.Detail["sha256"] != file.SHA256 || !strings.HasPrefix(r.Detail["backup"], s.folder) {
			t.Errorf("%+v", r)
		}
	}
	return n
}

// TestWhatIsNotRepaired says why, changes nothing, and tells what else there is to do.
func TestWhatIsNotRepaired(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	copied := func(name string) string {
		backups := must[[]string](t)(filepath.Glob(filepath.Join(s.folder, "*")))
		return filepath.Join(backups[0], "blobs", path(t, s.files[name].Blob))
	}
	late := s.uploaded(t, "late.txt", "after the backup", false)
	flip(t, copied("two"), offset(t, s.files["two"])+7)
	flip(t, copied("report"), offset(t, s.report)+7)
	for _, r := range []reports.Report{s.files["two"], s.files["own"], late, s.upload} { // the first takes the others of its pack along
		if err := os.Remove(s.path(t, r.Blob)); err != nil {
			t.Fatal(err)
		}
	}
	found, done := s.repair(t)
	for name, want := range map[string]struct{ why, mend string }{
		"one.txt":        {},
		"two.txt":        {"the blob is not as it was stored", "have the client upload it again"},
		"three.txt":      {},
		"report.csv.pgp": {"has no whole copy of it", "sealdrop deliver --client acme --again --replace FILE"},
		"own.txt":        {},
		"late.txt":       {"has no copy of it", "have the client upload it again"},
		"upload.txt":     {"not recorded yet", "have the client upload it again"},
	} {
		f := found[name]
		if f.Repaired != (want.why == "") || !strings.Contains(f.Unrepaired, want.why) || !strings.Contains(f.Mend, want.mend) {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if done.Findings != 7 || done.Repaired != 3 || s.records(t) != 3 {
		t.Errorf("%+v", done)
	}
}

// TestRepairedAndStillWrong: a report whose bytes came back, and were addressed to others than
// was recorded all along.
func TestRepairedAndStillWrong(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.setDigest(t, s.report, s.report.SHA256, "")
	flip(t, s.path(t, s.report.Blob), offset(t, s.report)+77)
	copies := must[*backup.Copies](t)(backup.FindCopies(s.folder))
	list, done := s.run(t, fsck.Options{Copies: copies}, time.Now())
	if len(list) != 2 || !list[0].Repaired || list[1].Kind != fsck.Recipients || list[1].Repaired || done.Repaired != 1 {
		t.Errorf("%+v, %+v", list, done)
	}
}

// forgetful says that it handed out a copy, and did not.
type forgetful struct{}

func (forgetful) Blob(reports.Report, func(io.Reader) error) (string, error) { return "nowhere", nil }

// TestDamagedAgain: what does not stay repaired is not repaired for ever.
func TestDamagedAgain(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	flip(t, s.path(t, s.report.Blob), offset(t, s.report)+77)
	list, done := s.run(t, fsck.Options{Copies: forgetful{}}, time.Now())
	if len(list) != 2 || list[1].Repaired || !strings.Contains(list[1].Unrepaired, "damaged again") || done.Findings != 2 || done.Repaired != 1 {
		t.Errorf("%+v, %+v", list, done)
	}
}
