package torture

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/reports/publish"
	"github.com/sealdrop/sealdrop/retention"
)

// decadePolicy is the one that `sealdrop init` sets.
var decadePolicy = retention.Policy{MaxShare: 25, MaxGap: 14 * day}

// TestDecadeOfRetention lives through ten years, three leap days among them, and
// keeps a book of its own about what expires when. Each sweep must refuse exactly
// what the book says it must refuse, and else purge exactly what is due by the
// book: nothing early, nothing late, and nothing that is on legal hold.
//
// Nothing is published while the clock is wrong: what would be could not be held
// to any calendar. TORTURE_DECADES lives through more of them.
func TestDecadeOfRetention(t *testing.T) {
	t.Parallel()
	for i := range number(t, "TORTURE_DECADES", 1) {
		d := newDecade(t, dice(t, 1000+uint64(i)))
		for date := decadeStart; date.Year() < decadeStart.Year()+10; date = date.AddDate(0, 0, 1) {
			d.live(date)
			if t.Failed() {
				t.Fatalf("it was %s", date.Format(time.DateOnly))
			}
		}
		d.compare()
		t.Logf("ten years, %d leap days: %d files published, %d purged in %d sweeps (%d pairs of them a microsecond apart), %d legal holds, %d sweeps refused (%d for the clock), %d confirmed; %d blobs given back of files that others stayed in",
			d.leapDays, d.published, d.purged, d.sweeps, d.moments, d.holds, d.refused, d.doubted, d.confirmed, d.thinned)
		if d.leapDays != 3 || d.purged < 1000 || d.doubted < 20 || d.refused == d.doubted || d.confirmed == 0 || d.holds < 20 || d.moments < 50 || d.thinned < 200 {
			t.Error("the run proves too little")
		}
	}
}

var decadeStart = time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)

// booked is one file in the book.
type booked struct {
	client  int
	blob    string
	expires time.Time // zero: not until it is released
	waits   bool      // held for want of a key, or was when it was removed
	removed bool
	onHold  bool
}

func (b *booked) due(now time.Time) bool {
	return !b.expires.IsZero() && !b.onHold && !b.expires.After(now)
}

// decade is a gateway and the book about it.
type decade struct {
	*inner
	*rand.Rand
	clients []reports.ClientID
	certs   [][]keys.Public
	keyless []bool
	own     []int // days that each client's files are kept, 0: as the default says
	days    int   // the default
	book    map[string]*booked
	ids     []string             // of the book, in the order of their publication
	buried  map[string]time.Time // blobs of what was purged, and when
	letGo   map[string]time.Time // when something was last let go of a file
	last    time.Time            // sweep

	published, purged, sweeps, holds, refused, doubted, confirmed, leapDays, moments int

	// thinned counts blobs whose space was given back while others stayed in their file.
	thinned int
}

func newDecade(t *testing.T, r *rand.Rand) *decade {
	d := &decade{
		inner: newInner(t, decadeStart, decadePolicy), Rand: r, days: 100,
		book: map[string]*booked{}, buried: map[string]time.Time{}, letGo: map[string]time.Time{},
	}
	for i := range 4 {
		client := d.addClient(fmt.Sprint("client", i))
		key, err := pgp.GeneratePrivateKey(client.String(), decadeStart.Add(-time.Hour))
		d.must("making a key", err)
		cert, err := keys.Read([]byte(key.Certificate().Armored()), decadeStart)
		d.must("reading a key", err)
		d.clients, d.certs = append(d.clients, client), append(d.certs, cert)
		d.keyless, d.own = append(d.keyless, true), append(d.own, 0)
		d.giveKey(i)
	}
	return d
}

// live is one day of the gateway's life.
func (d *decade) live(date time.Time) {
	if date.Month() == time.February && date.Day() == 29 {
		d.leapDays++
	}
	d.clock.set(date.Add(time.Duration(d.Int64N(int64(8 * time.Hour)))))
	if d.IntN(2) == 0 {
		d.publish(d.IntN(len(d.clients)))
	}
	if date.Day() == 1 && date.Month()%6 == 0 {
		client := d.IntN(len(d.clients))
		for range 80 { // half a year's reports: all of them are due at one moment
			d.publish(client)
		}
	}
	if date.Day() == 20 { // at once, for clients that keep theirs for different times
		for range 12 {
			d.publish(d.IntN(len(d.clients)))
		}
	}
	if d.IntN(3) == 0 {
		d.reopenBlobs() // what is filled by then takes no more, as each hour
	}
	for range 2 {
		d.clock.advance(time.Minute)
		d.event()
	}
	switch d.IntN(60) {
	case 0:
		d.jump()
	case 1, 2:
		return // no sweep today
	case 3:
		if d.IntN(4) == 0 {
			d.clock.advance(8 * time.Hour)
			d.sweepAll()
		}
	}
	if date.Month() == time.July && date.Day() < 20 {
		return // the gateway is off each summer: longer than is believed
	}
	if d.IntN(3) == 0 {
		d.sweepToTheMoment(date.Add(20 * time.Hour))
	}
	d.clock.set(date.Add(20 * time.Hour).Add(time.Duration(d.Int64N(int64(3 * time.Hour)))))
	d.sweepAll()
	if date.YearDay()%30 == 0 {
		d.compare()
	}
}

func (d *decade) kept(client int) int {
	if d.own[client] > 0 {
		return d.own[client]
	}
	return d.days
}

func (d *decade) publish(i int) {
	d.published++
	if d.IntN(4) == 0 {
		d.upload(i)
		return
	}
	o, err := d.publisher.Publish(d.t.Context(), publish.Delivery{
		Client: d.clients[i], Name: d.name(fmt.Sprintf("%d.csv", d.published)), Modified: d.clock.now(), Size: -1, Actor: "test",
	}, bytes.NewReader(fmt.Appendf(nil, "report %d", d.published)))
	d.must("publishing", err)
	b := &booked{client: i, blob: o.Report.Blob, waits: d.keyless[i]}
	if !b.waits {
		b.expires = d.clock.now().AddDate(0, 0, d.kept(i))
	}
	d.enter(o.Report.ID, b)
}

func (d *decade) enter(id string, b *booked) {
	d.book[id] = b
	d.ids = append(d.ids, id)
}

func (d *decade) upload(i int) {
	w, err := d.blobs.Create()
	d.must("making a blob", err)
	_, err = w.Write([]byte("from a client"))
	d.must("writing a blob", err)
	d.must("committing a blob", w.Commit())
	name := d.name(fmt.Sprintf("upload %d", d.published))
	d.must("uploading", d.catalog.Upload(d.t.Context(), catalog.Upload{
		Client: d.clients[i], Name: name, Blob: w.ID(), Size: w.Size(), SHA256: "x", Modified: d.clock.now(),
		Retention: time.Duration(d.kept(i)) * day, Actor: "test",
	}))
	r, err := d.catalog.Lookup(d.t.Context(), d.clients[i], name)
	d.must("looking an upload up", err)
	d.enter(r.ID, &booked{client: i, blob: w.ID(), expires: d.clock.now().AddDate(0, 0, d.kept(i))})
}

// some picks a file in the book, the later ones as likely as the earlier.
func (d *decade) some() (string, *booked) {
	for len(d.ids) > 0 {
		i := d.IntN(len(d.ids))
		if b := d.book[d.ids[i]]; b != nil {
			return d.ids[i], b
		}
		d.ids[i] = d.ids[len(d.ids)-1] // it is gone
		d.ids = d.ids[:len(d.ids)-1]
	}
	return "", nil
}

func (d *decade) event() {
	i := d.IntN(len(d.clients))
	switch n := d.IntN(200); {
	case n < 6: // the default changes; what is there keeps its time
		d.days = pickOne(d.Rand, 1, 7, 30, 100, 365, 366)
		d.publisher.Retention = time.Duration(d.days) * day
	case n < 12:
		d.own[i] = pickOne(d.Rand, 0, 0, 2, 90, 365, 730)
		kept := time.Duration(d.own[i]) * day
		_, err := d.register.UpdateClient(d.t.Context(), "test", d.clients[i], keys.Change{Retention: &kept})
		d.must("changing a client", err)
	case n < 18:
		d.takeKey(i)
	case n < 36:
		d.giveKey(i)
	case n < 48:
		d.toggleHold(d.some())
	case n < 75:
		d.remove(d.some())
	case n < 95:
		d.restore(d.some())
	case n == 199 && d.IntN(4) == 0:
		d.deleteAll(i)
	}
}

func pickOne[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (d *decade) takeKey(i int) {
	if d.keyless[i] {
		return
	}
	_, err := d.register.Retire(d.t.Context(), "test", d.certs[i][0].Fingerprint, d.clock.now())
	d.must("retiring a key", err)
	d.keyless[i] = true
}

// giveKey takes a client's key back into use; the time of what waited for it
// begins now.
func (d *decade) giveKey(i int) {
	if !d.keyless[i] {
		return
	}
	_, err := d.register.Import(d.t.Context(), "test", d.clients[i], d.certs[i])
	d.must("importing a key", err)
	d.keyless[i] = false
	_, err = d.publisher.Release(d.t.Context(), "test", d.clients[i], func(r reports.Report) {
		b := d.book[r.ID]
		if b == nil || !b.waits || b.removed {
			d.t.Errorf("%s was released, which was not waiting", r.ID)
			return
		}
		d.buryBlob(b.blob)
		b.waits, b.blob, b.expires = false, r.Blob, d.clock.now().AddDate(0, 0, d.kept(i))
	})
	d.must("releasing", err)
	for id, b := range d.book {
		if b.client == i && b.waits && !b.removed {
			d.t.Errorf("%s was not released", id)
		}
	}
}

func (d *decade) toggleHold(id string, b *booked) {
	if b == nil {
		return
	}
	if b.onHold && d.IntN(2) == 0 {
		return // longer ones, so that many outlast their time
	}
	b.onHold = !b.onHold
	if b.onHold {
		d.holds++
	}
	_, err := d.catalog.SetLegalHold(d.t.Context(), "test", id, b.onHold)
	d.must("setting a legal hold", err)
}

func (d *decade) remove(id string, b *booked) {
	if b == nil || b.removed {
		return
	}
	_, err := d.catalog.RemoveReport(d.t.Context(), "test", id, 50*day)
	if b.onHold {
		if !errors.Is(err, reports.ErrOnHold) {
			d.t.Errorf("removing %s, which is on legal hold: %v", id, err)
		}
		return
	}
	d.must("removing", err)
	b.removed = true
	if b.waits {
		b.expires = d.clock.now().AddDate(0, 0, 50)
	}
}

func (d *decade) restore(id string, b *booked) {
	if b == nil || !b.removed {
		return
	}
	_, err := d.catalog.RestoreReport(d.t.Context(), "test", id)
	d.must("restoring", err)
	b.removed = false
	if !b.waits {
		return
	}
	b.expires = time.Time{} // it waits again
	if i := b.client; !d.keyless[i] {
		d.keyless[i] = true // its key is there, but nobody has released it
		d.giveKey(i)
	}
}

// deleteAll deletes what a client has, or nothing if any of it is on legal hold.
func (d *decade) deleteAll(i int) {
	held := false
	for _, b := range d.book {
		held = held || b.client == i && b.onHold
	}
	_, err := d.catalog.RemoveClientReports(d.t.Context(), "test", d.clients[i])
	if held {
		if !errors.Is(err, reports.ErrOnHold) {
			d.t.Errorf("deleting a client with legal holds: %v", err)
		}
		return
	}
	d.must("deleting a client's files", err)
	for id, b := range d.book {
		if b.client == i {
			d.bury(id, b)
		}
	}
}

func (d *decade) bury(id string, b *booked) {
	d.buryBlob(b.blob)
	delete(d.book, id)
}

func (d *decade) buryBlob(blob string) {
	d.buried[blob] = d.clock.now()
	d.letGo[blobid.File(blob)] = d.clock.now()
}

// jump has the clock wrong for a while, by more than is believed or backwards.
func (d *decade) jump() {
	right := d.clock.now()
	for range 1 + d.IntN(3) {
		off := time.Duration(15+d.IntN(4000)) * day
		if d.IntN(2) == 0 {
			off = -off + 14*day // by a day at least
		}
		d.clock.set(right.Add(off))
		d.sweep(false)
		for range d.IntN(3) {
			d.clock.advance(time.Hour)
			d.sweep(false)
		}
	}
	d.clock.set(right)
}

// sweepToTheMoment sweeps just before the next file expires, and when it does, if
// that is before a time.
func (d *decade) sweepToTheMoment(before time.Time) {
	next := before
	for _, b := range d.book {
		if !b.onHold && b.expires.After(d.clock.now()) && b.expires.Before(next) {
			next = b.expires
		}
	}
	if next.Equal(before) {
		return
	}
	d.moments++
	d.clock.set(next.Add(-time.Microsecond))
	d.sweepAll()
	d.clock.set(next)
	d.sweepAll()
}

// sweepAll sweeps with the right clock, and confirms what is refused.
func (d *decade) sweepAll() {
	if d.sweep(false) {
		d.confirmed++
		d.sweep(true)
	}
}

// sweep sweeps, and checks that it does as the book says.
func (d *decade) sweep(confirmed bool) (refused bool) {
	now := d.clock.now()
	var due []string
	files := 0
	for id, b := range d.book {
		if !b.expires.IsZero() && !b.onHold {
			files++
		}
		if b.due(now) {
			due = append(due, id)
		}
	}
	doubt := !d.last.IsZero() && (now.Before(d.last) || now.Sub(d.last) > decadePolicy.MaxGap)
	want := files > 0 && !confirmed && (doubt || len(due) > 10 && len(due)*100 > files*decadePolicy.MaxShare)
	done, err := d.sweeper.Sweep(d.t.Context(), "test", retention.Options{Confirmed: confirmed, Orphans: now.Day() == 1})
	var no *retention.RefusedError
	if errors.As(err, &no) != want || err != nil && no == nil {
		d.t.Errorf("a sweep at %s (the last was at %s) with %d of %d due: %v", now, d.last, len(due), files, err)
	}
	if no != nil {
		d.refused++
		if doubt {
			d.doubted++
		}
		d.checkSpared(due)
		return true
	}
	d.sweeps++
	d.last = now
	d.checkPurged(due, done)
	d.checkBuried(now)
	return false
}

// checkSpared checks that a refused sweep has purged nothing.
func (d *decade) checkSpared(due []string) {
	for _, id := range due {
		if _, err := d.catalog.Report(d.t.Context(), id); err != nil {
			d.t.Errorf("a refused sweep has purged %s: %v", id, err)
		}
	}
	d.checkCount()
}

func (d *decade) checkPurged(due []string, done retention.Result) {
	if done.Purged != len(due) || done.Orphans != 0 {
		d.t.Errorf("%d were purged and %d orphans found, %d are due", done.Purged, done.Orphans, len(due))
	}
	for _, id := range due {
		if _, err := d.catalog.Report(d.t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
			d.t.Errorf("%s is late: %v", id, err)
		}
		d.bury(id, d.book[id])
		d.purged++
	}
	d.checkCount()
}

// checkCount checks that the catalog has as many files as the book. Since those
// that had to go are gone by then, no other is.
func (d *decade) checkCount() {
	n, _, err := d.catalog.Total(d.t.Context(), reports.ClientID{})
	d.must("counting", err)
	if int(n) != len(d.book) {
		d.t.Errorf("there are %d files, and %d in the book", n, len(d.book))
	}
}

// checkBuried checks that blobs outlive their rows by the grace, and go with the
// next sweep: of a file with many, once nothing was let go of it for as long.
func (d *decade) checkBuried(now time.Time) {
	shared := map[string]bool{}
	for _, b := range d.book {
		shared[blobid.File(b.blob)] = true
	}
	for blob, since := range d.buried {
		file := blobid.File(blob)
		old := now.Sub(d.letGo[file]) >= grace
		if d.blobThere(blob) == old {
			d.t.Errorf("%s after its row, blob %s is there: %t", now.Sub(since), blob, old)
		}
		if !old {
			continue
		}
		delete(d.buried, blob)
		if shared[file] {
			d.thinned++
		}
	}
}

// compare holds the whole catalog and blob store against the book.
func (d *decade) compare() {
	all := d.files()
	for id, b := range d.book {
		r, found := all[id]
		if !found {
			d.t.Errorf("%s was purged early: it expires %s", id, b.expires)
			continue
		}
		if !r.Expires.Equal(b.expires) || r.LegalHold != b.onHold || (r.State == reports.Removed) != b.removed {
			d.t.Errorf("%s is %+v, and in the book %+v", id, r, *b)
		}
		sum := sha256.Sum256(d.content(r.Blob))
		if r.Kind == reports.KindReport && hex.EncodeToString(sum[:]) != r.SHA256 || !d.blobThere(r.Blob) {
			d.t.Errorf("%s has lost its blob", id)
		}
	}
	if len(all) != len(d.book) {
		d.t.Errorf("there are %d files, and %d in the book", len(all), len(d.book))
	}
}
