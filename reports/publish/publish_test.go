package publish_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/blob/blobtest"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// fixture is a gateway with client acme, which has no certificate yet.
type fixture struct {
	*publish.Publisher
	dir      string
	db       *database.DB
	register *keys.Register
	catalog  *catalog.Catalog
	blobs    *blob.Dir
	acme     reports.ClientID
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	dir := tb.TempDir()
	f := &fixture{dir: dir}
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	var err error
	f.db, err = database.Open(context.Background(), dir)
	must(err)
	tb.Cleanup(func() { f.db.Close() })
	f.blobs, err = blob.OpenDir(filepath.Join(dir, "blobs"))
	must(err)
	tb.Cleanup(func() { f.blobs.Close() })
	ownKeys := filepath.Join(dir, "keys")
	must(os.Mkdir(ownKeys, 0o700))
	must(keys.CreateOwn(ownKeys, time.Now().Add(-time.Hour)))
	own, err := keys.LoadOwn(ownKeys)
	must(err)
	f.acme, err = reports.ParseClientID("acme")
	must(err)
	f.register = keys.NewRegister(f.db, time.Now)
	must(f.register.AddClient(context.Background(), "test", keys.Client{ID: f.acme}))
	f.catalog = catalog.New(f.db, time.Now)
	f.Publisher = publish.New(publish.Config{
		Register: f.register, Catalog: f.catalog, Blobs: f.blobs, Own: own, Retention: 100 * 24 * time.Hour, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Compress: true,
	})
	return f
}

// certify gives acme a certificate.
func (f *fixture) certify(tb testing.TB) pgp.Certificate {
	tb.Helper()
	k, err := pgp.GeneratePrivateKey("acme", time.Now().Add(-time.Hour))
	if err != nil {
		tb.Fatal(err)
	}
	list, err := keys.Read([]byte(k.Certificate().Armored()), time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := f.register.Import(context.Background(), "test", f.acme, list); err != nil {
		tb.Fatal(err)
	}
	return k.Certificate()
}

func (f *fixture) delivery(tb testing.TB, file string) publish.Delivery {
	tb.Helper()
	name, err := reports.ParseName(file)
	if err != nil {
		tb.Fatal(err)
	}
	return publish.Delivery{Client: f.acme, Name: name, Modified: time.Now(), Size: -1, Actor: "test"}
}

func (f *fixture) deliver(tb testing.TB, d publish.Delivery, content string) publish.Outcome {
	tb.Helper()
	o, err := f.Publish(context.Background(), d, strings.NewReader(content))
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// blobCount counts the blobs in the store, of which each takes a page, without what is garbage.
func (f *fixture) blobCount(tb testing.TB) (n int) {
	tb.Helper()
	garbage, err := f.catalog.Garbage(context.Background(), time.Now().Add(time.Hour), 10000)
	if err != nil {
		tb.Fatal(err)
	}
	slices.Sort(garbage)
	live := func(ctx context.Context, pack string) ([]string, bool, error) {
		return f.catalog.Blobs(ctx, pack, time.Now().Add(time.Hour))
	}
	if done, err := f.blobs.Collect(context.Background(), garbage, live); err != nil || len(done) != len(garbage) {
		tb.Fatalf("of %d files, %d are collected, %v", len(garbage), len(done), err)
	}
	err = f.blobs.Walk(context.Background(), func(file string, _ int64, _ time.Time) error {
		content, err := f.blobs.OpenFile(file)
		if err == nil {
			defer content.Close()
			n += int(blobtest.Data(tb, content) / blobid.PageSize)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func (f *fixture) sealedTo(tb testing.TB, r reports.Report) []string {
	tb.Helper()
	content, err := f.blobs.Open(r.Blob)
	if err != nil {
		tb.Fatal(err)
	}
	defer content.Close()
	list, err := pgp.Recipients(io.NewSectionReader(content, 0, content.Size()))
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

func TestPublish(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cert := f.certify(t)
	o := f.deliver(t, f.delivery(t, "Activity.csv"), "a;b;c\n")
	r := o.Report
	if o.Known || o.HeldBecause != nil || r.State != reports.Published || r.Name.String() != "Activity.csv.pgp" || r.PlainSize != 6 ||
		len(r.SealedTo) != 1 || r.SealedTo[0] != cert.Fingerprint() {
		t.Errorf("published as %+v", o)
	}
	if to := f.sealedTo(t, r); len(to) != 1 || to[0] != cert.EncryptionKeyIDs()[0] {
		t.Errorf("sealed to %q", to)
	}
	again := f.deliver(t, f.delivery(t, "Activity.csv"), "a;b;c\n")
	if !again.Known || again.Report.ID != r.ID {
		t.Errorf("again: %+v", again)
	}
	other := f.deliver(t, f.delivery(t, "Activity.csv"), "d;e;f\n")
	if other.Known || other.Report.Name.String() != "Activity~2.csv.pgp" {
		t.Errorf("other content: %+v", other)
	}
	if n := f.blobCount(t); n != 2 {
		t.Errorf("%d blobs", n)
	}
}

// TestPlaintextNeverTouchesTheDisk looks for a marker in every file below the data
// folder: while the report streams in, after it, and after it was held and
// released.
func TestPlaintextNeverTouchesTheDisk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Compress = false
	marker := []byte("TOP-SECRET-MARKER-4711")
	content := bytes.Repeat(marker, 100_000)
	look := func(when string) {
		err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // a journal may have just gone
			}
			data, err := os.ReadFile(path)
			if err == nil && bytes.Contains(data, marker[:12]) {
				t.Errorf("%s, %s holds plaintext", when, path)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	read := 0
	stream := readerFunc(func(p []byte) (int, error) {
		if read++; read == 5 {
			look("while it streams in")
		}
		n := copy(p, content)
		if content = content[n:]; n == 0 {
			return 0, io.EOF
		}
		return n, nil
	})
	o, err := f.Publish(t.Context(), f.delivery(t, "a"), stream)
	if err != nil || o.Report.State != reports.Held || read < 5 {
		t.Fatalf("published as %+v after %d reads, %v", o, read, err)
	}
	look("while it is held")
	f.certify(t)
	if n, err := f.Release(t.Context(), "test", f.acme, nil); n != 1 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
	look("once it is released")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestHeldAndReleased(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var ids []string
	for i := range 3 {
		o := f.deliver(t, f.delivery(t, fmt.Sprint(i)), fmt.Sprint("content ", i))
		if o.Report.State != reports.Held || !errors.Is(o.HeldBecause, keys.ErrNoRecipient) {
			t.Errorf("delivered as %+v", o)
		}
		ids = append(ids, o.Report.ID)
		if to := f.sealedTo(t, o.Report); len(to) != 1 || to[0] != f.Own.Hold.Certificate().EncryptionKeyIDs()[0] {
			t.Errorf("held, and sealed to %q", to)
		}
	}
	if n, err := f.ReleaseAll(t.Context(), "test"); n != 0 || err != nil {
		t.Errorf("released without a certificate: %d, %v", n, err)
	}
	cert := f.certify(t)
	var released []string
	n, err := f.Release(t.Context(), "test", f.acme, func(r reports.Report) { released = append(released, r.ID) })
	if n != 3 || err != nil || len(released) != 3 {
		t.Errorf("released %d, %v", n, err)
	}
	for _, id := range ids {
		r, err := f.catalog.Report(t.Context(), id)
		if err != nil || r.State != reports.Published || r.SealedTo[0] != cert.Fingerprint() {
			t.Errorf("%+v, %v", r, err)
		}
		if to := f.sealedTo(t, r); len(to) != 1 || to[0] != cert.EncryptionKeyIDs()[0] {
			t.Errorf("released, and sealed to %q", to)
		}
	}
	if n := f.blobCount(t); n != 3 {
		t.Errorf("%d blobs", n)
	}
}

// TestHeldReportForgetsToReplace: a correction that was held takes the place of
// what it corrects, be that published or held before it.
func TestHeldReportForgetsToReplace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.deliver(t, f.delivery(t, "a"), "wrong")
	d := f.delivery(t, "a")
	d.Replace = true
	right := f.deliver(t, d, "right").Report
	f.certify(t)
	if n, err := f.ReleaseAll(t.Context(), "test"); n != 2 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
	name := right.Name
	if r, err := f.catalog.Lookup(t.Context(), f.acme, name); err != nil || r.ID != right.ID {
		t.Errorf("%s is %+v, %v", name, r, err)
	}
	if list, err := f.catalog.Children(t.Context(), f.acme, reports.Name{}, "", 10); err != nil || len(list) != 1 {
		t.Errorf("the folder holds %+v, %v", list, err)
	}
}

// TestOneDamagedReportKeepsBackNoOther from being released.
func TestOneDamagedReportKeepsBackNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	bad := f.deliver(t, f.delivery(t, "bad"), "1").Report
	f.deliver(t, f.delivery(t, "good"), "2")
	if err := f.blobs.Delete(bad.Blob); err != nil {
		t.Fatal(err)
	}
	f.certify(t)
	if n, err := f.ReleaseAll(t.Context(), "test"); n != 1 || err == nil || !strings.Contains(err.Error(), bad.ID) {
		t.Errorf("released %d, %v", n, err)
	}
	if r, err := f.catalog.Report(t.Context(), bad.ID); err != nil || r.State != reports.Held {
		t.Errorf("the damaged one is %s, %v", r.State, err)
	}
}

func TestEscrowAndSigning(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	escrow, err := pgp.GeneratePrivateKey("escrow", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	f.Escrow, f.Sign = []pgp.Certificate{escrow.Certificate()}, true
	held := f.deliver(t, f.delivery(t, "a"), "1").Report
	cert := f.certify(t)
	sealed := f.deliver(t, f.delivery(t, "b"), "2").Report
	if _, err := f.ReleaseAll(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	released, err := f.catalog.Report(t.Context(), held.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []reports.Report{sealed, released} {
		to := f.sealedTo(t, r)
		if len(to) != 2 || to[0] != cert.EncryptionKeyIDs()[0] || to[1] != escrow.Certificate().EncryptionKeyIDs()[0] {
			t.Errorf("%s is sealed to %q", r.Name, to)
		}
	}
}

// TestFailedDeliveryLeavesNothing: neither a row, nor a blob, nor the memory of
// having been delivered.
func TestFailedDeliveryLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certify(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	sized := func(n int64) publish.Delivery {
		d := f.delivery(t, "a")
		d.Size = n
		return d
	}
	nobody := f.delivery(t, "a")
	nobody.Client, _ = reports.ParseClientID("nobody")
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		ctx    context.Context
		d      publish.Delivery
		r      io.Reader
		reason error // nil: any
	}{
		"reader-fails":        {t.Context(), sized(-1), io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), broken},
		"shorter-than-said":   {t.Context(), sized(100), strings.NewReader("half"), nil},
		"longer-than-said":    {t.Context(), sized(2), strings.NewReader("more"), nil},
		"context-ended":       {ended, sized(-1), strings.NewReader("x"), context.Canceled},
		"unknown-client":      {t.Context(), nobody, strings.NewReader("x"), reports.ErrUnknownClient},
		"no-name":             {t.Context(), f.delivery(t, ""), strings.NewReader("x"), reports.ErrName},
		"name-with-a-folder":  {t.Context(), f.delivery(t, "a/b"), strings.NewReader("x"), reports.ErrName},
		"name-with-no-room":   {t.Context(), f.delivery(t, strings.Repeat("a", 252)), strings.NewReader("x"), reports.ErrName},
		"zero-size-with-data": {t.Context(), sized(0), strings.NewReader("x"), nil},
	} {
		_, err := f.Publish(test.ctx, test.d, test.r)
		if err == nil || test.reason != nil && !errors.Is(err, test.reason) {
			t.Errorf("%s: %v, want %v", name, err, test.reason)
		}
		if n := f.blobCount(t); n != 0 {
			t.Errorf("%s: %d blobs are left", name, n)
		}
	}
	list, err := f.catalog.Reports(t.Context(), catalog.Filter{Limit: 10})
	if err != nil || len(list) != 0 {
		t.Errorf("%d reports, %v", len(list), err)
	}
	// And what failed can be delivered.
	if o := f.deliver(t, sized(4), "half"); o.Known {
		t.Error("it counts as delivered")
	}
}

func TestRefusedByTheCatalogLeavesNoBlob(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certify(t)
	first := f.deliver(t, f.delivery(t, "a"), "1").Report
	if _, err := f.catalog.SetLegalHold(t.Context(), "test", first.ID, true); err != nil {
		t.Fatal(err)
	}
	d := f.delivery(t, "a")
	d.Replace = true
	if _, err := f.Publish(t.Context(), d, strings.NewReader("2")); !errors.Is(err, reports.ErrOnHold) {
		t.Errorf("replacing what is on hold: %v", err)
	}
	if n := f.blobCount(t); n != 1 {
		t.Errorf("%d blobs", n)
	}
}

// TestSameContentForAnotherNameOrClientIsAnotherReport: the keyed hash covers all
// three, each with its length.
func TestSameContentForAnotherNameOrClientIsAnotherReport(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	acmea, err := reports.ParseClientID("acmea")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.register.AddClient(t.Context(), "test", keys.Client{ID: acmea}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []publish.Delivery{f.delivery(t, "ab"), f.delivery(t, "b"), f.delivery(t, "abc")} {
		if o := f.deliver(t, d, "content"); o.Known {
			t.Errorf("%s for %s is known", d.Name, d.Client)
		}
		d.Client = acmea
		if o := f.deliver(t, d, "content"); o.Known {
			t.Errorf("%s for %s is known", d.Name, d.Client)
		}
	}
}

func TestManyProducersOfOneReport(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certify(t)
	var fresh atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if o := f.deliver(t, f.delivery(t, "a"), "content"); !o.Known {
				fresh.Add(1)
			}
		})
	}
	group.Wait()
	if fresh.Load() != 1 || f.blobCount(t) != 1 {
		t.Errorf("%d were published, %d blobs", fresh.Load(), f.blobCount(t))
	}
}

// BenchmarkPublish publishes whole reports: sealed, on the disk, in the catalog.
func BenchmarkPublish(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, size := range []int{20 << 10, 64 << 10} {
		content := make([]byte, size)
		for i := range content {
			content[i] = "0123456789;,\n"[random.IntN(13)]
		}
		for _, producers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%dKiB/producers=%d", size>>10, producers), func(b *testing.B) { benchmarkPublish(b, content, producers) })
		}
	}
}

func benchmarkPublish(b *testing.B, content []byte, producers int) {
	f := newFixture(b)
	f.certify(b)
	b.SetBytes(int64(len(content)))
	var n atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range producers {
		group.Go(func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					return
				}
				if _, err := f.Publish(context.Background(), f.delivery(b, fmt.Sprint(i)), bytes.NewReader(content)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
