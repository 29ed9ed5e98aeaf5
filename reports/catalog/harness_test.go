package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

const (
	day = 24 * time.Hour
	ops = "operator:ops"
)

// clock is a time that only moves when it is told to.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// fixture is a catalog with the clients acme and beta.
type fixture struct {
	*catalog.Catalog
	home       databasetest.Home
	db         *database.DB
	clock      *clock
	acme, beta reports.ClientID
	blobs      atomic.Int64
}

func newFixture(tb testing.TB) *fixture { return newFixtureOn(tb, databasetest.SQLite) }

func newFixtureOn(tb testing.TB, e databasetest.Engine) *fixture {
	tb.Helper()
	db, home := e.Open(tb, tb.TempDir())
	f := &fixture{home: home, db: db, clock: newClock()}
	f.Catalog = catalog.New(db, f.clock.now)
	for id, at := range map[string]*reports.ClientID{"acme": &f.acme, "beta": &f.beta} {
		var err error
		if *at, err = reports.ParseClientID(id); err != nil {
			tb.Fatal(err)
		}
		err = db.Write(tb.Context(), func(tx *database.Tx) error {
			return tx.InsertClient(tx.Context(), query.InsertClientParams{ID: id, Name: id})
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return f
}

func (f *fixture) newBlob() string { return fmt.Sprint("blob", f.blobs.Add(1)) }

func name(tb testing.TB, s string) reports.Name {
	tb.Helper()
	n, err := reports.ParseName(s)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// publication is one that nothing stands in the way of.
func (f *fixture) publication(tb testing.TB, file, source string) catalog.Publication {
	tb.Helper()
	return catalog.Publication{
		Client: f.acme, Name: name(tb, file), Blob: f.newBlob(), Size: 100, SHA256: "aa", PlainSize: 90, SealedTo: []string{"F1", "F2"},
		Modified: f.clock.now(), Retention: 100 * day, Source: source, Actor: ops,
	}
}

func (f *fixture) publish(tb testing.TB, p catalog.Publication) reports.Report {
	tb.Helper()
	r, known, err := f.Publish(context.Background(), p)
	if err != nil || known {
		tb.Fatalf("publishing %s: known %v, %v", p.Name, known, err)
	}
	return r
}

// put publishes a file, or uploads one where its name has folders.
func (f *fixture) put(tb testing.TB, file string) reports.Report {
	tb.Helper()
	if n := name(tb, file); len(n.Segments()) > 1 {
		f.upload(tb, file)
		r, err := f.Lookup(context.Background(), f.acme, n)
		if err != nil {
			tb.Fatal(err)
		}
		return r
	}
	return f.publish(tb, f.publication(tb, file, f.newBlob()))
}

func (f *fixture) upload(tb testing.TB, file string) string {
	tb.Helper()
	u := catalog.Upload{
		Client: f.acme, Name: name(tb, file), Blob: f.newBlob(), Size: 10, SHA256: "bb", Modified: f.clock.now(), Retention: 100 * day,
		Actor: "client:acme",
	}
	if err := f.Upload(context.Background(), u); err != nil {
		tb.Fatal(err)
	}
	return u.Blob
}

func (f *fixture) mkdir(tb testing.TB, dirs ...string) {
	tb.Helper()
	for _, dir := range dirs {
		if err := f.Mkdir(context.Background(), "client:acme", f.acme, name(tb, dir)); err != nil {
			tb.Fatal(err)
		}
	}
}

// names lists what acme sees in a folder.
func (f *fixture) names(tb testing.TB, dir string) []string {
	tb.Helper()
	list, err := f.Children(context.Background(), f.acme, name(tb, dir), "", 1000)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, r := range list {
		names = append(names, r.Name.Base())
	}
	return names
}

func (f *fixture) report(tb testing.TB, id string) reports.Report {
	tb.Helper()
	r, err := f.Report(context.Background(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func (f *fixture) gone(tb testing.TB, id string) bool {
	tb.Helper()
	_, err := f.Report(context.Background(), id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	return err != nil
}

// garbage returns the blobs that were let go, whenever that was.
func (f *fixture) garbage(tb testing.TB) map[string]bool {
	tb.Helper()
	blobs, err := f.Garbage(context.Background(), f.clock.now(), 10000)
	if err != nil {
		tb.Fatal(err)
	}
	set := map[string]bool{}
	for _, b := range blobs {
		set[b] = true
	}
	return set
}

// audited counts the records of an event.
func (f *fixture) audited(tb testing.TB, event audit.Event) (n int) {
	tb.Helper()
	list, err := audit.List(context.Background(), f.db.Read(), audit.Filter{Limit: 100000})
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range list {
		if r.Event == event {
			n++
		}
	}
	return n
}

func wantError(tb testing.TB, what string, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("%s: %v, want %v", what, err, want)
	}
}
