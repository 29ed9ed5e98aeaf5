package spool_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/reports/intake/spool"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// fixture is a spool folder with the clients acme and borealis, before a real
// publisher, whose reports are held for want of keys.
type fixture struct {
	t       testing.TB
	folder  string
	db      *database.DB
	catalog *catalog.Catalog
	own     *publish.Publisher
	config  spool.Config
	log     transcript

	mu    sync.Mutex
	taken []publish.Delivery
	// before is called at the beginning of every publication.
	before func(publish.Delivery, io.Reader) (io.Reader, error)
}

type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{t: t, folder: filepath.Join(dir, "spool")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	f.db, err = database.Open(context.Background(), dir)
	must(err)
	t.Cleanup(func() { f.db.Close() })
	blobs, err := blob.OpenDir(filepath.Join(dir, "blobs"))
	must(err)
	t.Cleanup(func() { blobs.Close() })
	ownKeys := filepath.Join(dir, "keys")
	must(os.Mkdir(ownKeys, 0o700))
	must(keys.CreateOwn(ownKeys, time.Now().Add(-time.Hour)))
	own, err := keys.LoadOwn(ownKeys)
	must(err)
	register := keys.NewRegister(f.db, time.Now)
	for _, client := range []string{"acme", "borealis"} {
		id, err := reports.ParseClientID(client)
		must(err)
		must(register.AddClient(context.Background(), "test", keys.Client{ID: id}))
		must(os.MkdirAll(filepath.Join(f.folder, client), 0o755))
	}
	f.catalog = catalog.New(f.db, time.Now)
	f.own = publish.New(publish.Config{
		Register: register, Catalog: f.catalog, Blobs: blobs, Own: own, Retention: 100 * 24 * time.Hour, Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
	})
	f.config = spool.Config{
		Folder: f.folder, Settle: 50 * time.Millisecond, Rescan: 200 * time.Millisecond, Workers: 2, Publisher: f, DB: f.db,
		Now: time.Now, Log: slog.New(slog.NewTextHandler(&f.log, nil)),
	}
	return f
}

// Publish is the real publisher's, observed.
func (f *fixture) Publish(ctx context.Context, d publish.Delivery, r io.Reader) (publish.Outcome, error) {
	if f.before != nil {
		var err error
		if r, err = f.before(d, r); err != nil {
			return publish.Outcome{}, err
		}
	}
	o, err := f.own.Publish(ctx, d, r)
	if err == nil {
		f.mu.Lock()
		f.taken = append(f.taken, d)
		f.mu.Unlock()
	}
	return o, err
}

// run runs the intake until the test ends or stop is called.
func (f *fixture) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		spool.New(f.config).Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	f.t.Cleanup(func() {
		stop()
		if f.t.Failed() {
			f.t.Log(f.log.String())
		}
	})
	return stop
}

func (f *fixture) path(name string) string { return filepath.Join(f.folder, name) }

func (f *fixture) write(name, content string) {
	f.t.Helper()
	if err := os.MkdirAll(filepath.Dir(f.path(name)), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(f.path(name), []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// deliveries are what was taken so far.
func (f *fixture) deliveries() []publish.Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.taken)
}

// names are what was taken so far, as "client/name", in order.
func (f *fixture) names() []string {
	list := []string{}
	for _, d := range f.deliveries() {
		list = append(list, d.Client.String()+"/"+d.Name.String())
	}
	return list
}

func (f *fixture) reports() (list []reports.Report) {
	f.t.Helper()
	for _, client := range []string{"acme", "borealis"} {
		id, err := reports.ParseClientID(client)
		if err != nil {
			f.t.Fatal(err)
		}
		found, err := f.catalog.Reports(context.Background(), catalog.Filter{Client: id, Limit: 100_000})
		if err != nil {
			f.t.Fatal(err)
		}
		list = append(list, found...)
	}
	return list
}

// eventually waits until what it is given holds.
func (f *fixture) eventually(what string, holds func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("waited in vain: %s\n%s", what, f.log.String())
		}
	}
}

// awaitGone waits until files have gone, and not only as far as to .taken.
func (f *fixture) awaitGone(names ...string) {
	f.t.Helper()
	for _, name := range names {
		f.eventually(name+" goes", func() bool { return !f.there(name) && !f.there(".taken/"+name) })
	}
}

func (f *fixture) there(name string) bool {
	_, err := os.Lstat(f.path(name))
	return err == nil
}

// rejected waits for a rejection, and returns its item.
func (f *fixture) rejected(client, name string) (item spool.Item) {
	f.t.Helper()
	f.eventually(client+"/"+name+" is rejected", func() bool {
		list, err := spool.List(f.folder)
		if err != nil {
			f.t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(i spool.Item) bool { return i.Rejected && i.Client == client && i.Name == name })
		if i >= 0 {
			item = list[i]
		}
		return i >= 0
	})
	return item
}

func (f *fixture) audited(event audit.Event) int {
	f.t.Helper()
	list, err := audit.List(context.Background(), f.db.Read(), audit.Filter{Limit: 10_000})
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	for _, r := range list {
		if r.Event == event {
			n++
		}
	}
	return n
}

func (f *fixture) count(text string) int { return strings.Count(f.log.String(), text) }
