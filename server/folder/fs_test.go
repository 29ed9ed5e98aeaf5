package folder_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/folder/foldertest"
)

var _ foldertest.Folder = (*folder.FS)(nil)

// gateway is a store with the clients one and two.
type gateway struct {
	*folder.Store
	db            *database.DB
	closeRecorder func()
}

func newGateway(tb testing.TB) *gateway { return newGatewayOn(tb, databasetest.SQLite) }

func newGatewayOn(tb testing.TB, e databasetest.Engine) *gateway {
	tb.Helper()
	dir := tb.TempDir()
	db, _ := e.Open(tb, dir)
	for _, id := range []string{"one", "two"} {
		err := db.Write(context.Background(), func(tx *database.Tx) error {
			return tx.InsertClient(tx.Context(), query.InsertClientParams{ID: id, Name: id})
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	blobs, err := blob.OpenDir(filepath.Join(dir, "blobs"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { blobs.Close() })
	log := slog.New(slog.DiscardHandler)
	c := catalog.New(db, time.Now)
	g := &gateway{db: db, Store: &folder.Store{Catalog: c, Blobs: blobs, Recorder: folder.NewRecorder(c, log), Now: time.Now, Log: log}}
	g.closeRecorder = sync.OnceFunc(func() { g.Recorder.Close() })
	tb.Cleanup(func() { g.closeRecorder() })
	return g
}

func clientID(tb testing.TB, s string) reports.ClientID {
	tb.Helper()
	id, err := reports.ParseClientID(s)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func (g *gateway) session(tb testing.TB, client string) *folder.FS {
	tb.Helper()
	return g.Folder(folder.Session{
		Client: clientID(tb, client), Retention: 24 * time.Hour, Protocol: "sftp", Address: "192.0.2.1", Fingerprint: "SHA256:x",
	})
}

func (g *gateway) lookup(tb testing.TB, client string, name reports.Name) reports.Report {
	tb.Helper()
	r, err := g.Catalog.Lookup(context.Background(), clientID(tb, client), name)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// collected waits for the receipts under way by writing them with a recorder of
// their own.
func (g *gateway) collected(tb testing.TB, client string, name reports.Name) bool {
	tb.Helper()
	g.closeRecorder()
	g.Recorder = folder.NewRecorder(g.Catalog, g.Log)
	g.closeRecorder = sync.OnceFunc(g.Recorder.Close)
	return g.lookup(tb, client, name).State == reports.Collected
}

func TestConformance(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		foldertest.Run(t, func(t *testing.T) foldertest.Gateway {
			g := newGatewayOn(t, e)
			return foldertest.Gateway{
				Session:   func(client string) foldertest.Folder { return g.session(t, client) },
				SHA256:    func(client string, name reports.Name) string { return g.lookup(t, client, name).SHA256 },
				Collected: func(client string, name reports.Name) bool { return g.collected(t, client, name) },
			}
		})
	})
}

func parseName(tb testing.TB, s string) reports.Name {
	tb.Helper()
	name, err := reports.ParseName(s)
	if err != nil {
		tb.Fatal(err)
	}
	return name
}

func put(tb testing.TB, f *folder.FS, name, data string) {
	tb.Helper()
	u, err := f.Create(context.Background(), parseName(tb, name), folder.Truncate)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := u.WriteAt([]byte(data), 0); err != nil {
		tb.Fatal(err)
	}
	if err := u.Close(); err != nil {
		tb.Fatal(err)
	}
}

func (g *gateway) blobs(tb testing.TB) (n int) {
	tb.Helper()
	err := g.Blobs.Walk(context.Background(), func(string, int64, time.Time) error { n++; return nil })
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestUploadWithANameOnLegalHold(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	f := g.session(t, "one")
	put(t, f, "a", "x")
	// The hold comes while the upload runs.
	u, err := f.Create(t.Context(), parseName(t, "a"), folder.Truncate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.WriteAt([]byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Catalog.SetLegalHold(t.Context(), "operator:ops", g.lookup(t, "one", parseName(t, "a")).ID, true); err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); !errors.Is(err, reports.ErrOnHold) {
		t.Errorf("closing: %v", err)
	}
	if n := g.blobs(t); n != 1 {
		t.Errorf("%d blobs are left", n)
	}
	if _, err := f.Create(t.Context(), parseName(t, "a"), folder.Truncate); !errors.Is(err, reports.ErrOnHold) {
		t.Errorf("creating: %v", err)
	}
}

// TestMissingContentSaysNothingToTheClient: that a blob is gone is the gateway's
// fault, and must not look like a name that is not there.
func TestMissingContentSaysNothingToTheClient(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	f := g.session(t, "one")
	put(t, f, "a", "x")
	if err := g.Blobs.Delete(g.lookup(t, "one", parseName(t, "a")).Blob); err != nil {
		t.Fatal(err)
	}
	_, err := f.Open(t.Context(), parseName(t, "a"))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening: %v", err)
	}
	_, err = f.Create(t.Context(), parseName(t, "a"), folder.Continue)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("continuing: %v", err)
	}
	put(t, f, "a", "anew") // the name is free again, after a failed Create as well
}

// TestPartialWithoutItsBlob: what was cut off is a courtesy; where it is gone,
// the upload starts from nothing.
func TestPartialWithoutItsBlob(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	f := g.session(t, "one")
	err := g.Catalog.SavePartial(t.Context(), catalog.Partial{
		Client: clientID(t, "one"), Name: parseName(t, "a"), Blob: blobid.New(), Size: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := f.Create(t.Context(), parseName(t, "a"), folder.Continue)
	if err != nil || u.Size() != 0 {
		t.Fatalf("continuing: %v", err)
	}
	u.TransferError(io.ErrUnexpectedEOF)
	if err := u.Close(); err == nil || g.blobs(t) != 0 {
		t.Errorf("closing: %v; %d blobs", err, g.blobs(t))
	}
}

// TestOverlappingWritesInFlight is a race between two writes of the same bytes
// whose order in the file only the file knows.
func TestOverlappingWritesInFlight(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	f := g.session(t, "one")
	for range 30 {
		u, err := f.Create(t.Context(), parseName(t, "a"), folder.Truncate)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				if _, err := u.WriteAt([]byte(strings.Repeat(string(rune('a'+i)), 3000)), int64(i)*1000); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		r := g.lookup(t, "one", parseName(t, "a"))
		content, err := g.Blobs.Open(r.Blob)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(content, 0, content.Size())); err != nil {
			t.Fatal(err)
		}
		content.Close()
		if sum := hex.EncodeToString(h.Sum(nil)); sum != r.SHA256 {
			t.Fatalf("the file's SHA-256 is %s, the catalog's %s", sum, r.SHA256)
		}
	}
}

func TestReadsWhileAFileIsClosed(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	f := g.session(t, "one")
	put(t, f, "a", strings.Repeat("x", 100000))
	for range 20 {
		file, err := f.Open(t.Context(), parseName(t, "a"))
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				for off := range int64(20) {
					_, _ = file.ReadAt(make([]byte, 100), off*5000+int64(i)*200) // may find it closed
				}
			})
		}
		file.Close()
		group.Wait()
	}
	g.closeRecorder()
}

// TestCutOffBlobIsNotServed: a client would take what is left of it for the whole file.
func TestCutOffBlobIsNotServed(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	f := g.session(t, "one")
	put(t, f, "statement", "sealed content")
	w, err := g.Blobs.Reopen(g.lookup(t, "one", parseName(t, "statement")).Blob)
	if err == nil {
		err = errors.Join(w.Truncate(6), w.Commit())
	}
	if err != nil {
		t.Fatal(err)
	}
	if file, err := f.Open(t.Context(), parseName(t, "statement")); err == nil || !strings.Contains(err.Error(), "6 bytes of 14") {
		t.Errorf("%v, %v", file, err)
	}
}
