package publish_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// collectAll collects whatever no row shows, with no grace at all.
func (f *fixture) collectAll(ctx context.Context, blobs *blob.Dir) error {
	live := func(ctx context.Context, pack string) ([]string, bool, error) {
		shown, _, err := f.catalog.Blobs(ctx, pack, time.Now())
		return shown, true, err
	}
	return blobs.Files(ctx, func(files []string) error {
		_, err := blobs.Collect(ctx, files, live)
		return err
	})
}

// TestBlobIsNotCollectedBeforeItsRow: what is durable and about to get its row is no garbage, although no
// row shows it yet.
func TestBlobIsNotCollectedBeforeItsRow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certify(t)
	for i := range 3 {
		d := f.delivery(t, fmt.Sprintf("%d.csv", i))
		d.Record = func(*database.Tx, publish.Outcome) error {
			return f.collectAll(context.Background(), f.blobs) // which reads what was committed before
		}
		f.wantWhole(t, f.deliver(t, d, "content").Report)
	}
}

// TestNothingIsLostWithoutAGrace publishes, reseals, holds and releases while another program gives back
// without end what no row shows: that no row is too late does not depend on the grace.
func TestNothingIsLostWithoutAGrace(t *testing.T) {
	t.Parallel()
	f, _ := newResealFixture(t, 0)
	other, err := blob.OpenDir(filepath.Join(f.dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, stop := context.WithCancel(t.Context())
	var sweeper sync.WaitGroup
	sweeper.Go(func() {
		for ctx.Err() == nil {
			if err := f.collectAll(ctx, other); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
	only := f.deliver(t, f.delivery(t, "only.csv"), "only").Report
	for range 15 { // one at a time: many keep each other's pack
		f.lost = f.rekey(t)
		f.reseal(t, publish.ResealOptions{With: []pgp.PrivateKey{f.escrow}})
		if only, err = f.catalog.Report(ctx, only.ID); err != nil {
			t.Fatal(err)
		}
		f.wantWhole(t, only)
	}
	const each = 30
	var producers sync.WaitGroup
	for lane := range 3 {
		producers.Go(func() {
			for i := range each {
				name := fmt.Sprintf("%d-%d.csv", lane, i)
				if _, err := f.Publish(ctx, f.delivery(t, name), strings.NewReader(name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	producers.Wait()
	f.rekey(t)
	if done := f.reseal(t, publish.ResealOptions{With: []pgp.PrivateKey{f.escrow}}); done.Resealed != 3*each+1 {
		t.Errorf("%+v", done)
	}
	borealis, err := reports.ParseClientID("borealis")
	if err == nil {
		err = f.register.AddClient(ctx, "test", keys.Client{ID: borealis})
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range each {
		d := f.delivery(t, fmt.Sprintf("held %d.csv", i))
		d.Client = borealis
		f.deliver(t, d, fmt.Sprint("held ", i))
	}
	f.acme = borealis
	f.certify(t)
	if n, err := f.Release(ctx, "test", borealis, nil); n != each || err != nil {
		t.Errorf("%d are released, %v", n, err)
	}
	stop()
	sweeper.Wait()
	all, err := f.catalog.Files(t.Context(), reports.ClientID{}, "", 1000)
	if err != nil || len(all) != 4*each+1 {
		t.Fatalf("%d reports, %v", len(all), err)
	}
	for _, r := range all {
		f.wantWhole(t, r)
	}
}

// wantWhole fails unless a report's blob is as the catalog says.
func (f *fixture) wantWhole(t *testing.T, r reports.Report) {
	t.Helper()
	content, err := f.blobs.Open(r.Blob)
	if err != nil {
		t.Errorf("%s: %v", r.Name, err)
		return
	}
	defer content.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(content, 0, content.Size())); err != nil || hex.EncodeToString(h.Sum(nil)) != r.SHA256 {
		t.Errorf("%s (%s) has other bytes than were stored, %v", r.Name, r.State, err)
	}
}
