package torture

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
	"github.com/sealdrop/sealdrop/retention"
	"github.com/sealdrop/sealdrop/server/folder"
)

// operations is how many random operations a run has; TORTURE_OPERATIONS changes
// it.
const operations = 3000

// TestMisdelivery does whatever producers, clients and operators can do, in
// random order, and keeps a model of what each client may see and of which keys
// may open it. Each report that is published, released or readdressed is then
// opened with the keys of all clients: those in the model open it and no others
// do, and its plaintext names its client. Each folder must be as in the model.
func TestMisdelivery(t *testing.T) {
	t.Parallel()
	m := newMisdelivery(t, dice(t, 2000))
	total := number(t, "TORTURE_OPERATIONS", operations)
	began := time.Now()
	for i := range total {
		m.clock.advance(time.Duration(1+m.IntN(1200)) * time.Second)
		p := m.people[m.IntN(len(m.people))]
		m.step(p)
		if i%100 == 99 {
			m.purge()
		}
		if i%10 == 9 {
			m.checkFolder(p)
		}
		if i%1000 == 999 {
			m.checkAll()
		}
		if t.Failed() {
			t.Fatalf("after %d operations", i+1)
		}
	}
	m.checkAll()
	t.Logf("%d operations on %d clients in %.0f s: %v; %d sealed files opened, %d tries with %d keys refused, %d files fetched",
		total, len(m.people), time.Since(began).Seconds(), m.done, m.opened, m.denied, m.keyCount(), m.fetched)
	for _, op := range []string{"delivered", "held", "released", "replaced", "known", "uploaded", "renamed", "removed", "restored", "purged", "retired", "revoked", "expired", "resealed", "foreign key refused"} {
		if m.done[op] == 0 {
			t.Errorf("the run proves too little: nothing was %s", op)
		}
	}
}

var misdeliveryStart = time.Date(2026, 11, 1, 0, 0, 0, 500_000_000, time.UTC)

// place is a folder: the client's own, or the one in it, which has a name.
type place struct{ name string }

// entry is a file in the model.
type entry struct {
	id      string
	report  bool
	base    string
	at      *place
	body    []byte
	openers []*testKey // who can open it
	state   reports.State
	held    bool // it waits for a key, or did when it was removed
	replace bool
	onHold  bool
	expires time.Time
	foreign bool // its body names another client on purpose
}

func (e *entry) visible() bool {
	return e.state == reports.Published || e.state == reports.Collected
}

func (e *entry) path() string {
	if e.at.name == "" {
		return e.base
	}
	return e.at.name + "/" + e.base
}

// person is a client in the model.
type person struct {
	id      reports.ClientID
	fs      *folder.FS
	keys    []*testKey
	places  [2]*place
	entries []*entry
}

// named returns the visible file of a name.
func (p *person) named(at *place, base string) *entry {
	for _, e := range p.entries {
		if e.visible() && e.at == at && e.base == base {
			return e
		}
	}
	return nil
}

// usable returns the keys that a report is sealed to now.
func (p *person) usable(now time.Time) (list []*testKey) {
	for _, k := range p.keys {
		if k.usable(now) {
			list = append(list, k)
		}
	}
	return list
}

type misdelivery struct {
	*inner
	*rand.Rand
	people   []*person
	bodies   int
	done     map[string]int
	opened   int
	denied   int
	fetched  int
	rigorous int
}

func newMisdelivery(t *testing.T, r *rand.Rand) *misdelivery {
	m := &misdelivery{
		inner: newInner(t, misdeliveryStart, retention.Policy{MaxShare: 100, MaxGap: 10000 * day}),
		Rand:  r, done: map[string]int{},
	}
	m.publisher.Retention = 6 * day
	for i := range 12 {
		p := &person{id: m.addClient(fmt.Sprintf("client-%02d", i)), places: [2]*place{{}, {name: "box"}}}
		p.fs = m.store.Folder(folder.Session{Client: p.id, Retention: 5 * day, Protocol: "test", Address: "127.0.0.1"})
		m.must("making a folder", p.fs.Mkdir(t.Context(), m.name("box")))
		m.people = append(m.people, p)
	}
	return m
}

func (m *misdelivery) keyCount() (n int) {
	for _, p := range m.people {
		n += len(p.keys)
	}
	return n
}

func (m *misdelivery) step(p *person) {
	switch n := m.IntN(100); {
	case n < 34:
		m.deliver(p)
	case n < 38:
		m.deliverAgain(p)
	case n < 50:
		m.upload(p)
	case n < 60:
		m.rename(p)
	case n < 62:
		m.renameFolder(p)
	case n < 69:
		m.remove(p)
	case n < 73:
		m.removeByOperator(p)
	case n < 80:
		m.restore(p)
	case n < 84:
		m.toggleHold(p)
	case n < 91:
		m.newKey(p)
	case n < 93:
		m.reimport(p)
	case n < 96:
		m.endKey(p)
	case n < 98:
		m.importForeign(p)
	default:
		m.reseal(p)
	}
}

// body is a file's content, which names its client.
func (m *misdelivery) body(p *person) []byte {
	m.bodies++
	text := fmt.Sprintf("for=%s;n=%d;", p.id, m.bodies)
	return []byte(text + strings.Repeat("x", m.IntN(400)))
}

var words = []string{"Activity.csv", "Trades.csv", "Zürich.pdf", "a", "b.txt", "Activity.csv.pgp", "Activity~2.csv.pgp"}

func (m *misdelivery) deliver(p *person) {
	e := &entry{report: true, body: m.body(p), at: p.places[0], replace: m.IntN(4) == 0}
	m.handIn(p, e, words[m.IntN(len(words))])
}

func (m *misdelivery) handIn(p *person, e *entry, word string) {
	to := p.usable(m.clock.now())
	old := p.named(e.at, word+publish.Suffix)
	o, err := m.publisher.Publish(m.t.Context(), publish.Delivery{
		Client: p.id, Name: m.name(word), Modified: m.clock.now(), Size: int64(len(e.body)), Replace: e.replace, Actor: "test",
	}, bytes.NewReader(e.body))
	if old != nil && e.replace && old.onHold && len(to) > 0 {
		m.wantError("replacing what is on legal hold", err, reports.ErrOnHold)
		return
	}
	m.must("delivering", err)
	r := o.Report
	if o.Known || (o.HeldBecause != nil) != (len(to) == 0) || r.Client != p.id {
		m.t.Errorf("delivered as %+v, with %d keys", o, len(to))
		return
	}
	e.id, e.expires, e.openers, e.base = r.ID, r.Expires, to, word+publish.Suffix
	if e.held = len(to) == 0; e.held {
		e.state = r.State
		m.count("held")
	} else {
		m.settle(p, e, e.replace, r)
		m.count("delivered")
	}
	p.entries = append(p.entries, e)
	m.checkSealed(p, e, r)
}

// settle takes over the name that a file has got: the one it should have, whose
// bearer it may replace, or a version of it if that was taken.
func (m *misdelivery) settle(p *person, e *entry, replace bool, r reports.Report) {
	wanted, got := e.base, r.Name.Base()
	old := p.named(e.at, wanted)
	switch {
	case old == nil || replace:
		if got != wanted {
			m.t.Errorf("%s got the name %s for %s", e.id, got, wanted)
		}
		if old != nil {
			old.state = reports.Removed
			m.count("replaced")
		}
	case p.named(e.at, got) != nil || !isVersion(m.name(wanted), got, 4*len(p.entries)+4):
		m.t.Errorf("%s got the name %s for %s, which was taken", e.id, got, wanted)
	}
	e.base, e.state = got, r.State
}

func isVersion(of reports.Name, got string, most int) bool {
	for k := 2; k <= most; k++ {
		if of.Version(k).Base() == got {
			return true
		}
	}
	return false
}

func (m *misdelivery) count(what string) { m.done[what]++ }

func (m *misdelivery) wantError(what string, err, want error) {
	m.t.Helper()
	if !errors.Is(err, want) {
		m.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// deliverAgain hands a report in twice, and then the same to somebody else: that is
// another report, and must not be answered with the first one.
func (m *misdelivery) deliverAgain(p *person) {
	const word = "again.csv"
	body := m.body(p)
	m.handIn(p, &entry{report: true, body: body, at: p.places[0]}, word)
	last := p.entries[len(p.entries)-1]
	o, err := m.publisher.Publish(m.t.Context(), publish.Delivery{
		Client: p.id, Name: m.name(word), Modified: m.clock.now(), Size: -1, Actor: "test",
	}, bytes.NewReader(body))
	m.must("delivering again", err)
	if !o.Known || o.Report.ID != last.id {
		m.t.Errorf("delivered again as %+v", o)
	}
	m.count("known")
	other := m.people[m.IntN(len(m.people))]
	if other == p {
		return
	}
	m.handIn(other, &entry{report: true, body: body, foreign: true, at: other.places[0]}, word)
}

func (m *misdelivery) some(p *person, fit func(*entry) bool) *entry {
	var list []*entry
	for _, e := range p.entries {
		if fit(e) {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[m.IntN(len(list))]
}

func (m *misdelivery) upload(p *person) {
	e := &entry{body: m.body(p), at: p.places[m.IntN(2)], base: words[m.IntN(len(words))], state: reports.Published}
	old := p.named(e.at, e.base)
	u, err := p.fs.Create(m.t.Context(), m.name(e.path()), folder.Truncate)
	if err == nil {
		_, err = u.WriteAt(e.body, 0)
		err = errors.Join(err, u.Close())
	}
	if old != nil && old.onHold {
		m.wantError("overwriting what is on legal hold", err, reports.ErrOnHold)
		return
	}
	m.must("uploading", err)
	if old != nil {
		old.state = reports.Removed
	}
	r, err := m.catalog.Lookup(m.t.Context(), p.id, m.name(e.path()))
	m.must("looking an upload up", err)
	e.id, e.expires = r.ID, r.Expires
	p.entries = append(p.entries, e)
	m.count("uploaded")
}

func (m *misdelivery) rename(p *person) {
	e := m.some(p, (*entry).visible)
	if e == nil {
		return
	}
	to, base, replace := p.places[m.IntN(2)], words[m.IntN(len(words))], m.IntN(2) == 0
	target := entry{at: to, base: base}
	old := p.named(to, base)
	if old == e {
		return
	}
	err := p.fs.Rename(m.t.Context(), m.name(e.path()), m.name(target.path()), replace)
	switch {
	case e.onHold:
		m.wantError("renaming what is on legal hold", err, reports.ErrOnHold)
		return
	case old != nil && !replace:
		m.wantError("renaming to a taken name", err, fs.ErrExist)
		return
	case old != nil && old.onHold:
		m.wantError("replacing what is on legal hold", err, reports.ErrOnHold)
		return
	}
	m.must("renaming", err)
	if old != nil {
		old.state = reports.Removed
	}
	e.at, e.base = to, base
	m.count("renamed")
}

func (m *misdelivery) renameFolder(p *person) {
	box := p.places[1]
	to := pickOne(m.Rand, "box", "Archive", "x")
	if to != box.name {
		m.must("renaming a folder", p.fs.Rename(m.t.Context(), m.name(box.name), m.name(to), false))
		box.name = to
	}
}

func (m *misdelivery) remove(p *person) {
	e := m.some(p, (*entry).visible)
	if e == nil {
		return
	}
	err := p.fs.Remove(m.t.Context(), m.name(e.path()))
	if e.onHold {
		m.wantError("removing what is on legal hold", err, reports.ErrOnHold)
		return
	}
	m.must("removing", err)
	e.state = reports.Removed
	m.count("removed")
}

func (m *misdelivery) removeByOperator(p *person) {
	e := m.some(p, func(e *entry) bool { return e.state != reports.Removed && !e.onHold })
	if e == nil {
		return
	}
	r, err := m.catalog.RemoveReport(m.t.Context(), "test", e.id, 6*day)
	m.must("removing", err)
	e.state, e.expires = reports.Removed, r.Expires
}

func (m *misdelivery) restore(p *person) {
	e := m.some(p, func(e *entry) bool { return e.state == reports.Removed })
	if e == nil {
		return
	}
	r, err := m.catalog.RestoreReport(m.t.Context(), "test", e.id)
	m.must("restoring", err)
	m.count("restored")
	if e.held {
		e.state, e.expires = reports.Held, time.Time{}
		return
	}
	m.settle(p, e, false, r) // it comes back beside what has its name now
}

func (m *misdelivery) toggleHold(p *person) {
	e := m.some(p, func(e *entry) bool { return e.onHold })
	if e == nil || m.IntN(3) == 0 {
		e = m.some(p, func(*entry) bool { return true })
	}
	if e == nil {
		return
	}
	e.onHold = !e.onHold
	_, err := m.catalog.SetLegalHold(m.t.Context(), "test", e.id, e.onHold)
	m.must("setting a legal hold", err)
}

// purge runs the sweep, and takes out of the model what is due.
func (m *misdelivery) purge() {
	now := m.clock.now()
	due := 0
	for _, p := range m.people {
		p.entries = slices.DeleteFunc(p.entries, func(e *entry) bool {
			gone := !e.onHold && !e.expires.IsZero() && !e.expires.After(now)
			if gone {
				due++
			}
			return gone
		})
		m.forgetKeys(p)
	}
	done, err := m.sweeper.Sweep(m.t.Context(), "test", retention.Options{})
	m.must("sweeping", err)
	if done.Purged != due {
		m.t.Errorf("%d were purged, and %d are due", done.Purged, due)
	}
	m.done["purged"] += due
}

// release has what a client waited for come out, as commands that import a key do.
func (m *misdelivery) release(p *person) {
	to := p.usable(m.clock.now())
	stuck := 0
	var came []string
	_, err := m.publisher.Release(m.t.Context(), "test", p.id, func(r reports.Report) {
		came = append(came, r.ID)
		e := m.byID(p, r.ID)
		if e == nil || e.state != reports.Held || len(to) == 0 || r.Client != p.id {
			m.t.Errorf("%s was released, which was not waiting", r.ID)
			return
		}
		m.settle(p, e, e.replace, r)
		e.held, e.openers, e.expires = false, to, r.Expires
		m.checkSealed(p, e, r)
		m.count("released")
	})
	for _, e := range p.entries {
		if e.state != reports.Held || len(to) == 0 {
			continue
		}
		if old := p.named(e.at, e.base); !e.replace || old == nil || !old.onHold {
			m.t.Errorf("%s (%s) was not released; %d were", e.id, e.base, len(came))
		}
		stuck++ // it would replace what is on legal hold
	}
	if stuck > 0 {
		m.wantError("releasing over what is on legal hold", err, reports.ErrOnHold)
		return
	}
	m.must("releasing", err)
}

func (m *misdelivery) byID(p *person, id string) *entry {
	for _, e := range p.entries {
		if e.id == id {
			return e
		}
	}
	return nil
}

// reseal readdresses what a client has, with its own earlier keys.
func (m *misdelivery) reseal(p *person) {
	to := p.usable(m.clock.now())
	o := publish.ResealOptions{Each: func(r reports.Report, what publish.ResealOutcome) {
		e := m.byID(p, r.ID)
		if e == nil {
			m.t.Errorf("%s was looked at, which is not %s's", r.ID, p.id)
			return
		}
		want := publish.Resealed
		switch {
		case sameKeys(e.openers, to):
			want = publish.Current
		case e.onHold:
			want = publish.OnHold
		}
		if what != want {
			m.t.Errorf("%s is %s, want %s", r.ID, what, want)
		}
		if what == publish.Resealed {
			e.openers = to
			m.count("resealed")
		}
		now, err := m.catalog.Report(m.t.Context(), r.ID)
		m.must("looking a report up", err)
		m.checkSealed(p, e, now)
	}}
	for _, k := range p.keys {
		o.With = append(o.With, k.private)
	}
	_, err := m.publisher.Reseal(m.t.Context(), "test", p.id, o)
	if len(to) == 0 {
		m.wantError("resealing without a key", err, keys.ErrNoRecipient)
		return
	}
	m.must("resealing", err)
}
