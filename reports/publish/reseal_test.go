package publish_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// resealFixture is a gateway with an escrow key, whose client has reports sealed to
// a key that it is about to lose.
type resealFixture struct {
	*fixture
	escrow pgp.PrivateKey
	lost   pgp.Certificate
}

func newResealFixture(t *testing.T, files int) (*resealFixture, []reports.Report) {
	t.Helper()
	f := &resealFixture{fixture: newFixture(t)}
	var err error
	if f.escrow, err = pgp.GeneratePrivateKey("escrow", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	f.Escrow = []pgp.Certificate{f.escrow.Certificate()}
	f.lost = f.certify(t)
	var list []reports.Report
	for i := range files {
		list = append(list, f.deliver(t, f.delivery(t, fmt.Sprintf("%d.csv", i)), fmt.Sprintf("content of %d", i)).Report)
	}
	return f, list
}

// rekey gives acme another certificate and revokes the lost one.
func (f *resealFixture) rekey(t *testing.T) pgp.Certificate {
	t.Helper()
	cert := f.certify(t)
	if _, err := f.register.Revoke(t.Context(), "test", f.lost.Fingerprint(), "lost"); err != nil {
		t.Fatal(err)
	}
	return cert
}

func (f *resealFixture) reseal(t *testing.T, o publish.ResealOptions) publish.ResealResult {
	t.Helper()
	result, err := f.Reseal(t.Context(), "test", f.acme, o)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (f *resealFixture) content(t *testing.T, r reports.Report) []byte {
	t.Helper()
	b, err := f.blobs.Open(r.Blob)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	data, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// body is what comes behind the session-key packets, whose lengths take one octet
// here.
func body(t *testing.T, sealed []byte) []byte {
	t.Helper()
	for len(sealed) > 2 && (sealed[0] == 0xc1 || sealed[0] == 0x84) {
		sealed = sealed[2+int(sealed[1]):]
	}
	if len(sealed) == 0 || sealed[0]&0x80 == 0 {
		t.Fatal("it is not a sealed file")
	}
	return sealed
}

func TestReseal(t *testing.T) {
	t.Parallel()
	f, before := newResealFixture(t, 30)
	cert := f.rekey(t)
	with := publish.ResealOptions{With: []pgp.PrivateKey{f.escrow}}

	dry := with
	dry.DryRun = true
	if got := f.reseal(t, dry); got != (publish.ResealResult{Resealed: 30}) {
		t.Fatalf("dry run: %+v", got)
	}
	if now, _ := f.catalog.Report(t.Context(), before[0].ID); now.Blob != before[0].Blob {
		t.Fatal("the dry run changed something")
	}
	seen := 0
	with.Each = func(reports.Report, publish.ResealOutcome) { seen++ }
	if got := f.reseal(t, with); got != (publish.ResealResult{Resealed: 30}) || seen != 30 {
		t.Fatalf("%+v, %d seen", got, seen)
	}
	for _, was := range before {
		now, err := f.catalog.Report(t.Context(), was.ID)
		if err != nil {
			t.Fatal(err)
		}
		old, sealed := f.content(t, was), f.content(t, now) // what was is garbage, and there until the grace is over
		if !bytes.Equal(body(t, old), body(t, sealed)) {
			t.Errorf("%s: the body was changed", now.Name)
		}
		digest := sha256.Sum256(sealed)
		if now.SHA256 != hex.EncodeToString(digest[:]) || now.Size != int64(len(sealed)) {
			t.Errorf("%s: digest or size do not fit", now.Name)
		}
		want := []string{cert.Fingerprint(), f.escrow.Certificate().Fingerprint()}
		if !slices.Equal(now.SealedTo, want) {
			t.Errorf("%s: sealed to %v, want %v", now.Name, now.SealedTo, want)
		}
		for _, id := range f.lost.EncryptionKeyIDs() {
			if slices.Contains(f.sealedTo(t, now), id) {
				t.Errorf("%s: still addressed to the lost key", now.Name)
			}
		}
		now.Blob, now.SHA256, now.Size, now.SealedTo = was.Blob, was.SHA256, was.Size, was.SealedTo
		if fmt.Sprint(now) != fmt.Sprint(was) {
			t.Errorf("resealing changed more:\n%v\n%v", was, now)
		}
	}
	if n := f.blobCount(t); n != 30 { // those from before are garbage
		t.Errorf("%d blobs", n)
	}
	if got := f.reseal(t, with); got != (publish.ResealResult{Current: 30}) {
		t.Errorf("once more: %+v", got)
	}
}

// TestResealedIsNoLongerCollected: what a receipt vouches for are the bytes that
// went out, and the resealed file has others.
func TestResealedIsNoLongerCollected(t *testing.T) {
	t.Parallel()
	f, list := newResealFixture(t, 1)
	var whole reports.Coverage
	whole.Add(0, list[0].Size)
	transfer := catalog.Transfer{Report: list[0], Protocol: "sftp", Started: time.Now(), Ended: time.Now(), Covered: whole}
	if err := f.catalog.Collect(t.Context(), transfer); err != nil {
		t.Fatal(err)
	}
	if r, _ := f.catalog.Report(t.Context(), list[0].ID); r.State != reports.Collected {
		t.Fatalf("it is %s", r.State)
	}
	f.rekey(t)
	f.reseal(t, publish.ResealOptions{With: []pgp.PrivateKey{f.escrow}})
	// A download of the earlier bytes that ends only now is no proof of these.
	if err := f.catalog.Collect(t.Context(), transfer); err != nil {
		t.Fatal(err)
	}
	r, err := f.catalog.Report(t.Context(), list[0].ID)
	if err != nil || r.State != reports.Published || !r.Collected.IsZero() {
		t.Errorf("it is %s since %v, %v", r.State, r.Collected, err)
	}
	receipts, err := f.catalog.Receipts(t.Context(), r.ID)
	if err != nil || len(receipts) != 2 {
		t.Errorf("%d receipts, %v", len(receipts), err)
	}
}

func TestResealPassesBy(t *testing.T) {
	t.Parallel()
	f, list := newResealFixture(t, 4)
	ctx := t.Context()
	if _, err := f.catalog.SetLegalHold(ctx, "test", list[0].ID, true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.catalog.RemoveReport(ctx, "test", list[1].ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := f.blobs.Delete(list[2].Blob); err != nil {
		t.Fatal(err)
	}
	f.rekey(t)
	got, err := f.Reseal(ctx, "test", f.acme, publish.ResealOptions{})
	if want := (publish.ResealResult{OnHold: 1, Locked: 2, Failed: 1}); got != want || !strings.Contains(fmt.Sprint(err), "2.csv") {
		t.Errorf("without the escrow key: %+v, %v", got, err)
	}
	got, err = f.Reseal(ctx, "test", f.acme, publish.ResealOptions{With: []pgp.PrivateKey{f.escrow}})
	if want := (publish.ResealResult{OnHold: 1, Resealed: 2, Failed: 1}); got != want || !strings.Contains(fmt.Sprint(err), "2.csv") {
		t.Errorf("with it: %+v, %v", got, err)
	}
	restored, err := f.catalog.RestoreReport(ctx, "test", list[1].ID)
	if err != nil || restored.State != reports.Published || slices.Equal(restored.SealedTo, list[1].SealedTo) {
		t.Errorf("what was removed: %+v, %v", restored, err)
	}
	if r, _ := f.catalog.Report(ctx, list[0].ID); r.Blob != list[0].Blob {
		t.Error("what is on legal hold was changed")
	}
}

func TestResealForNobody(t *testing.T) {
	t.Parallel()
	f, list := newResealFixture(t, 1)
	if _, err := f.register.Revoke(t.Context(), "test", f.lost.Fingerprint(), "lost"); err != nil {
		t.Fatal(err)
	}
	_, err := f.Reseal(t.Context(), "test", f.acme, publish.ResealOptions{With: []pgp.PrivateKey{f.escrow}})
	if !errors.Is(err, keys.ErrNoRecipient) {
		t.Errorf("error %v", err)
	}
	if r, _ := f.catalog.Report(t.Context(), list[0].ID); r.Blob != list[0].Blob {
		t.Error("it was changed")
	}
	nobody, _ := reports.ParseClientID("nobody")
	if _, err := f.Reseal(t.Context(), "test", nobody, publish.ResealOptions{}); !errors.Is(err, reports.ErrUnknownClient) {
		t.Errorf("error %v", err)
	}
}

// TestResealGoesOn: an interrupted run leaves reports that are resealed and reports
// that are not, and the next one does the rest.
func TestResealGoesOn(t *testing.T) {
	t.Parallel()
	f, _ := newResealFixture(t, 60)
	f.rekey(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := publish.ResealOptions{With: []pgp.PrivateKey{f.escrow}}
	o.Each = func(reports.Report, publish.ResealOutcome) { cancel() }
	first, err := f.Reseal(ctx, "test", f.acme, o)
	if !errors.Is(err, context.Canceled) || first.Resealed == 0 || first.Resealed > 20 {
		t.Fatalf("%+v, %v", first, err)
	}
	o.Each = nil
	second := f.reseal(t, o)
	if second.Current != first.Resealed || second.Resealed != 60-first.Resealed {
		t.Errorf("%+v, then %+v", first, second)
	}
	records, err := audit.List(t.Context(), f.db.Read(), audit.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range records {
		if r.Event == "report.resealed" {
			n++
		}
	}
	if n != 60 {
		t.Errorf("%d audit records", n)
	}
}

// TestResealLosesARace: a report that changed while it was resealed stays as it is,
// and the new blob is let go.
func TestResealLosesARace(t *testing.T) {
	t.Parallel()
	f, list := newResealFixture(t, 1)
	for name, r := range map[string]catalog.Resealed{
		"another blob": {ID: list[0].ID, Was: "other", Blob: "new1"},
		"purged":       {ID: "gone", Was: list[0].Blob, Blob: "new2"},
	} {
		if _, done, err := f.catalog.Reseal(t.Context(), r); done || err != nil {
			t.Errorf("%s: %v, %v", name, done, err)
		}
		if known, err := f.catalog.BlobKnown(t.Context(), r.Blob); !known || err != nil {
			t.Errorf("%s: the new blob was not let go: %v", name, err)
		}
	}
	if r, _ := f.catalog.Report(t.Context(), list[0].ID); r.Blob != list[0].Blob {
		t.Error("it was changed")
	}
}
