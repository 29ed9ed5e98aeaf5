package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports/notify"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

func (f *fixture) watch(tb testing.TB) {
	tb.Helper()
	if err := f.Watch(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	f.expand(tb)
}

// kinds counts the messages of each kind.
func (f *fixture) kinds(tb testing.TB) map[string]int {
	tb.Helper()
	n := map[string]int{}
	for _, m := range f.messages(tb) {
		n[m.Kind]++
	}
	return n
}

// TestExpiringIsToldOnceForEachSpan: however often it is looked for, by however many
// gateways.
func TestExpiringIsToldOnceForEachSpan(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		f.Gather = 0
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example")})
		start := f.clock.now()
		f.ends["acme"] = []notify.Ending{
			{ID: "k1", Kind: "ssh", Fingerprint: "SHA256:abc", At: start.Add(70 * day)},
			{ID: "k2", Kind: "pgp", Fingerprint: "ABCD"},
			{ID: "old", Kind: "ssh", Fingerprint: "SHA256:old", At: start.Add(-30 * day)},
		}
		other := f.dispatcher(t, f.home.Open(t))
		var told []string
		d := 0
		for _, next := range []int{1, 9, 10, 11, 39, 40, 41, 62, 63, 64, 69, 70, 71, 76, 77, 90} {
			f.watch(t)
			f.watch(t)
			if err := other.Watch(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.dispatch(t)
			for range len(f.post.mails()) - len(told) {
				told = append(told, fmt.Sprint(70-d))
			}
			f.clock.advance(time.Duration(next-d) * day)
			d = next
		}
		if got := strings.Join(told, " "); got != "60 30 7 0" {
			t.Errorf("told with %s days left; want 60 30 7 0", got)
		}
		for _, m := range f.post.mails() {
			if !strings.Contains(m.Body, "SHA256:abc") {
				t.Errorf("told of something else: %s", m.Body)
			}
		}
		// One that is extended has new ends.
		f.ends["acme"] = []notify.Ending{{ID: "k1", Kind: "ssh", Fingerprint: "SHA256:abc", At: f.clock.now().Add(7 * day)}}
		f.watch(t)
		f.dispatch(t)
		if n := len(f.post.mails()); n != 5 {
			t.Errorf("%d mails after it was extended", n)
		}
	})
}

func (f *fixture) publish(tb testing.TB, client, id string, expires time.Duration, state string) {
	tb.Helper()
	f.write(tb, func(tx *database.Tx) error {
		return tx.InsertEntry(tx.Context(), query.InsertEntryParams{
			ID: id, ClientID: client, Name: id, Kind: "report", State: state, Size: 100, Blob: "b" + id,
			ReceivedAt: database.Micros(f.clock.now()), PublishedAt: database.Micros(f.clock.now()),
			ExpiresAt: database.Micros(f.clock.now().Add(expires)),
		})
	})
}

func TestUncollectedIsRemindedOfBeforeEachSpan(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		f.Gather = 0
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example")})
		f.client(t, "silent", contact.Preferences{})
		f.publish(t, "acme", "a", 20*day, "published")
		f.publish(t, "acme", "b", 20*day, "published")
		f.publish(t, "acme", "c", 20*day, "collected")
		f.publish(t, "acme", "soon", 2*day, "published")
		f.publish(t, "silent", "d", 20*day, "published")
		var told []string
		for hour := 0; hour < 21*24; hour += 12 {
			f.watch(t)
			before := len(f.post.mails())
			f.dispatch(t)
			for _, m := range f.post.mails()[before:] {
				two := strings.Contains(m.Body, "2 ")
				told = append(told, fmt.Sprint(20-hour/24, two))
			}
			f.clock.advance(12 * time.Hour)
		}
		// The one that is purged in two days is told of at once; the two others 14 and
		// 3 days before.
		if len(told) != 3 || !strings.HasPrefix(told[0], "20") || !strings.HasPrefix(told[1], "14") && !strings.HasPrefix(told[1], "13") || !strings.HasPrefix(told[2], "3") && !strings.HasPrefix(told[2], "2") {
			t.Errorf("told %v", told)
		}
	})
}

func (f *fixture) refuse(tb testing.TB, client, reason string, times int) {
	tb.Helper()
	f.write(tb, func(tx *database.Tx) error {
		return audit.Append(tx, f.clock.now(), audit.Entry{
			Event: "login.refused", Actor: "gateway", Client: client,
			Detail: map[string]string{"reason": reason, "times": fmt.Sprint(times), "address": "192.0.2.1"},
		})
	})
}

func TestRefusalsAreToldOnceADayForEachCause(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		f.Gather = 0
		f.Operators = contacts(t, "email:operator@example.com")
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example")})
		f.client(t, "globex", contact.Preferences{})
		f.refuse(t, "acme", "key-unknown", 2)
		f.watch(t)
		if n := f.kinds(t); len(n) != 0 {
			t.Fatalf("told of two refusals: %v", n)
		}
		f.clock.advance(time.Hour)
		f.refuse(t, "acme", "key-unknown", 1)
		f.refuse(t, "acme", "key-expired", 1)
		f.refuse(t, "globex", "address-not-allowed", 500)
		for range 5 { // hours in which it goes on
			f.watch(t)
			f.dispatch(t)
			f.clock.advance(time.Hour)
			f.refuse(t, "acme", "key-unknown", 50)
		}
		if n := f.kinds(t); n["access.refused"] != 1 || n["digest.operator"] != 1 {
			t.Errorf("messages %v", n)
		}
		f.clock.advance(20 * time.Hour)
		f.watch(t)
		f.dispatch(t)
		if n := f.kinds(t); n["access.refused"] != 2 {
			t.Errorf("the next day: %v", n)
		}
		f.clock.advance(10 * day)
		f.watch(t)
		f.dispatch(t)
		if n := f.kinds(t); n["access.refused"] != 2 {
			t.Errorf("once it has stopped: %v", n)
		}
	})
}
