package fsck_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/fsck"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/reports/publish"
)

const grace = 24 * time.Hour

// fixture is a gateway whose client acme has a report, an upload and an interrupted
// upload.
type fixture struct {
	dir     string
	db      *database.DB
	catalog *catalog.Catalog
	blobs   *blob.Dir
	acme    reports.ClientID
	report  reports.Report
	upload  reports.Report
	partial catalog.Partial
	cert    pgp.Certificate
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	ctx := t.Context()
	f.db = must[*database.DB](t)(database.Open(ctx, f.dir))
	t.Cleanup(func() { f.db.Close() })
	f.blobs = must[*blob.Dir](t)(blob.OpenDir(filepath.Join(f.dir, "blobs")))
	t.Cleanup(func() { f.blobs.Close() })
	f.catalog = catalog.New(f.db, time.Now)
	f.acme = must[reports.ClientID](t)(reports.ParseClientID("acme"))
	register := keys.NewRegister(f.db, time.Now)
	if err := register.AddClient(ctx, "test", keys.Client{ID: f.acme}); err != nil {
		t.Fatal(err)
	}
	f.cert = f.importKey(t, register)
	publisher := publish.New(publish.Config{
		Register: register, Catalog: f.catalog, Blobs: f.blobs, Retention: grace, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	o := must[publish.Outcome](t)(publisher.Publish(ctx, publish.Delivery{
		Client: f.acme, Name: f.name(t, "report.csv"), Size: -1, Actor: "test",
	}, strings.NewReader(strings.Repeat("a line\n", 1000))))
	f.report = o.Report
	f.addUpload(t)
	return f
}

func (f *fixture) importKey(t *testing.T, register *keys.Register) pgp.Certificate {
	t.Helper()
	key := must[pgp.PrivateKey](t)(pgp.GeneratePrivateKey("acme", time.Now().Add(-time.Hour)))
	list := must[[]keys.Public](t)(keys.Read([]byte(key.Certificate().Armored()), time.Now()))
	if _, err := register.Import(t.Context(), "test", f.acme, list); err != nil {
		t.Fatal(err)
	}
	return key.Certificate()
}

func (f *fixture) name(t *testing.T, s string) reports.Name {
	t.Helper()
	return must[reports.Name](t)(reports.ParseName(s))
}

// blob stores some bytes that no row knows of.
func (f *fixture) blob(t *testing.T) string {
	t.Helper()
	w := must[*blob.Writer](t)(f.blobs.Create())
	must[int](t)(w.Write([]byte("hello")))
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return w.ID()
}

func (f *fixture) addUpload(t *testing.T) {
	t.Helper()
	u := catalog.Upload{Client: f.acme, Name: f.name(t, "upload.txt"), Blob: f.blob(t), Size: 5, Modified: time.Now(), Retention: grace, Actor: "client:acme"}
	if err := f.catalog.Upload(t.Context(), u); err != nil { // its digest is not known yet
		t.Fatal(err)
	}
	f.upload = must[reports.Report](t)(f.catalog.Lookup(t.Context(), f.acme, u.Name))
	f.partial = catalog.Partial{Client: f.acme, Name: f.name(t, "half.txt"), Blob: f.blob(t), Size: 5}
	if err := f.catalog.SavePartial(t.Context(), f.partial); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) path(t *testing.T, id string) string {
	t.Helper()
	return filepath.Join(f.dir, "blobs", path(t, id))
}

// write changes the catalog behind everybody's back.
func (f *fixture) write(t *testing.T, fn func(*database.Tx) error) {
	t.Helper()
	if err := f.db.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) run(t *testing.T, o fsck.Options, now time.Time) ([]fsck.Finding, fsck.Summary) {
	t.Helper()
	var list []fsck.Finding
	done, err := fsck.New(fsck.Config{
		DB: f.db, Catalog: f.catalog, Blobs: f.blobs, Grace: grace, Every: time.Hour, Now: func() time.Time { return now },
		Certificate: func(_ context.Context, client reports.ClientID, fingerprint string) (pgp.Certificate, error) {
			if client == f.acme && fingerprint == f.cert.Fingerprint() {
				return f.cert, nil
			}
			return pgp.Certificate{}, nil
		},
	}).Run(t.Context(), o, func(found fsck.Finding) { list = append(list, found) })
	if err != nil {
		t.Fatal(err)
	}
	return list, done
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	file := must[*os.File](t)(os.OpenFile(path, os.O_RDWR, 0))
	defer file.Close()
	var b [1]byte
	must[int](t)(file.ReadAt(b[:], at))
	b[0] ^= 1
	must[int](t)(file.WriteAt(b[:], at))
}

func (f *fixture) setDigest(t *testing.T, r reports.Report, sha256, sealedTo string) {
	t.Helper()
	f.write(t, func(tx *database.Tx) error {
		return tx.ResealEntry(tx.Context(), query.ResealEntryParams{
			ID: r.ID, State: string(r.State), Size: r.Size, Sha256: sha256, Blob: r.Blob, SealedTo: sealedTo,
		})
	})
}

// TestEachDamageIsFound damages one thing at a time and wants exactly the finding
// that belongs to it.
func TestEachDamageIsFound(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, f *fixture)
		now    time.Duration // from now
		want   fsck.Kind     // "": none
		quick  bool          // --quick finds it, too
		global bool          // --client does not
		mend   string
	}{
		{name: "nothing", damage: func(*testing.T, *fixture) {}},
		{
			name: "a byte flipped", want: fsck.Damaged, mend: "sealdrop fsck --repair BACKUP",
			damage: func(t *testing.T, f *fixture) { flip(t, f.path(t, f.report.Blob), f.report.Size-10) },
		},
		{
			name: "the first byte flipped", want: fsck.Damaged, mend: "sealdrop fsck --repair BACKUP",
			damage: func(t *testing.T, f *fixture) { flip(t, f.path(t, f.report.Blob), 0) },
		},
		{
			name: "cut by a byte", want: fsck.Truncated, quick: true, mend: "sealdrop fsck --repair BACKUP",
			damage: func(t *testing.T, f *fixture) {
				if err := os.Truncate(f.path(t, f.report.Blob), f.report.Size-1); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "an upload grown", want: fsck.Truncated, quick: true, mend: "sealdrop fsck --repair BACKUP",
			damage: func(t *testing.T, f *fixture) {
				if err := os.Truncate(f.path(t, f.upload.Blob), 6); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "a blob deleted", want: fsck.Missing, quick: true, mend: "sealdrop fsck --repair BACKUP",
			damage: func(t *testing.T, f *fixture) {
				if err := os.Remove(f.path(t, f.report.Blob)); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "a folder in the place of a blob", want: fsck.Damaged, quick: true, mend: "sealdrop fsck --repair BACKUP",
			damage: func(t *testing.T, f *fixture) {
				path := f.path(t, f.report.Blob)
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "plaintext in the place of a report", want: fsck.Unsealed, mend: "sealdrop report remove",
			damage: func(t *testing.T, f *fixture) {
				plain := []byte(strings.Repeat("a line\n", int(f.report.Size)))[:f.report.Size]
				if err := os.WriteFile(f.path(t, f.report.Blob), plain, 0o600); err != nil {
					t.Fatal(err)
				}
				f.setDigest(t, f.report, digest(plain), f.cert.Fingerprint())
			},
		},
		{
			name: "recorded for somebody else", want: fsck.Recipients, mend: "sealdrop report reseal --client acme",
			damage: func(t *testing.T, f *fixture) {
				f.setDigest(t, f.report, f.report.SHA256, f.cert.Fingerprint()+",0123456789")
			},
		},
		{
			name: "recorded for nobody", want: fsck.Recipients, mend: "sealdrop report reseal --client acme",
			damage: func(t *testing.T, f *fixture) { f.setDigest(t, f.report, f.report.SHA256, "") },
		},
		{
			name: "an interrupted upload lost", want: fsck.Interrupt, quick: true, mend: "none needed",
			damage: func(t *testing.T, f *fixture) {
				if err := f.blobs.Delete(f.partial.Blob); err != nil {
					t.Fatal(err)
				}
			},
		},
		{name: "a delivery under way", damage: func(t *testing.T, f *fixture) { f.blob(t) }},
		{
			name: "an orphan", want: fsck.Orphan, quick: true, global: true, mend: "sealdrop retention run",
			damage: func(t *testing.T, f *fixture) {
				old := time.Now().Add(-grace - time.Hour)
				if err := os.Chtimes(f.path(t, f.blob(t)), old, old); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "garbage that is due", now: grace + time.Hour,
			damage: func(t *testing.T, f *fixture) { f.letGo(t) },
		},
		{
			name: "garbage that stays", now: grace + 3*time.Hour, want: fsck.Garbage, quick: true, global: true, mend: "sealdrop retention run",
			damage: func(t *testing.T, f *fixture) { f.letGo(t) },
		},
		{
			name: "an audit record forged", want: fsck.Audit, quick: true, global: true, mend: "sealdrop restore",
			damage: func(t *testing.T, f *fixture) {
				f.write(t, func(tx *database.Tx) error {
					return tx.InsertAudit(tx.Context(), query.InsertAuditParams{Seq: 1000, Event: "forged", Detail: "{}"})
				})
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			test.damage(t, f)
			now := time.Now().Add(test.now)
			check := func(what string, o fsck.Options, expected bool) {
				t.Helper()
				found, done := f.run(t, o, now)
				want := 0
				if expected && test.want != "" {
					want = 1
				}
				if len(found) != want || int(done.Findings) != want || done.Files != 2 {
					t.Fatalf("%s: found %+v (%+v), want %d", what, found, done, want)
				}
				if want == 1 && (found[0].Kind != test.want || found[0].Problem == "" || !strings.Contains(found[0].Mend, test.mend)) {
					t.Errorf("%s: found %+v", what, found[0])
				}
			}
			check("all", fsck.Options{}, true)
			check("quick", fsck.Options{Quick: true}, test.quick)
			check("client", fsck.Options{Client: f.acme}, !test.global)
		})
	}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// letGo has a blob become garbage.
func (f *fixture) letGo(t *testing.T) {
	t.Helper()
	n, err := f.catalog.Disown(t.Context(), []string{f.blob(t)})
	if n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

func TestUploadsWithoutADigestAreNoFinding(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if _, done := f.run(t, fsck.Options{}, time.Now()); done.Pending != 1 {
		t.Errorf("%+v", done)
	}
	u := catalog.Undigested{ID: f.upload.ID, Blob: f.upload.Blob, Size: 5}
	if err := f.catalog.SetDigest(t.Context(), u, digest([]byte("hullo"))); err != nil {
		t.Fatal(err)
	}
	found, done := f.run(t, fsck.Options{}, time.Now())
	if done.Pending != 0 || len(found) != 1 || found[0].Report != f.upload.ID || found[0].Kind != fsck.Damaged {
		t.Errorf("%+v, %+v", found, done)
	}
}

// TestPurgedWhileItIsChecked: what went between the listing and the look is no
// finding.
func TestPurgedWhileItIsChecked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	o := fsck.Options{Progress: func(int64) {
		// After the first file: the other one goes, and its blob at once.
		for _, r := range []reports.Report{f.report, f.upload} {
			f.write(t, func(tx *database.Tx) error {
				return errors.Join(tx.DeleteEntry(tx.Context(), r.ID), tx.SetUsage(tx.Context(), query.SetUsageParams{ClientID: r.Client.String()}))
			})
			_ = f.blobs.Delete(r.Blob)
		}
	}}
	if found, done := f.run(t, o, time.Now()); len(found) != 0 {
		t.Errorf("%+v, %+v", found, done)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := fsck.New(fsck.Config{DB: f.db, Catalog: f.catalog, Blobs: f.blobs, Now: time.Now}).Run(ctx, fsck.Options{}, func(found fsck.Finding) {
		t.Errorf("found %+v", found)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// path returns where a blob's file lies below the store.
func path(t *testing.T, id string) string {
	t.Helper()
	place, _, err := blob.Path(id)
	if err != nil {
		t.Fatal(err)
	}
	return place
}
