package notify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/outbox"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

func TestOneMessageForEachContact(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example", "email:b@acme.example key.expiring", "webhook:https://acme.example/h")})
		f.client(t, "quiet", contact.Preferences{Language: "de"})
		f.client(t, "none", contact.Preferences{})
		for _, client := range []string{"acme", "quiet", "none"} {
			f.ready(t, client, "a.csv")
		}
		f.expand(t)
		f.expand(t)
		if got := summary(f.messages(t)); strings.Count(got, "report.ready email pending 0") != 1 || strings.Count(got, "\n") != 2 {
			t.Errorf("messages:\n%s", got)
		}
		if empty, err := outbox.Empty(t.Context(), f.db.Read()); err != nil || !empty {
			t.Errorf("the outbox is not empty: %v", err)
		}
	})
}

// TestNoEventWithoutItsTransaction: what is rolled back was never told.
func TestNoEventWithoutItsTransaction(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example")})
		failed := errors.New("something else failed")
		err := f.db.Write(t.Context(), func(tx *database.Tx) error {
			if err := outbox.Add(tx, f.clock.now(), outbox.Event{Kind: outbox.AccessChanged, Client: "acme"}); err != nil {
				return err
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		f.expand(t)
		if n := len(f.messages(t)); n != 0 {
			t.Errorf("%d messages", n)
		}
	})
}

// TestEventsOutliveAFailedExpansion: they are taken out of the outbox with their
// messages, or not at all.
func TestEventsOutliveAFailedExpansion(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example")})
		f.ready(t, "acme", "a.csv")
		mend := f.home.Refuse(t, "messages")
		if _, err := f.Expand(t.Context()); err == nil {
			t.Fatal("no error")
		}
		mend()
		f.expand(t)
		f.only(t)
	})
}

func TestWhatComesTogetherIsToldTogether(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		r := newReceiver(t, nil)
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, r.contact(), "email:a@acme.example"), ShowNames: true})
		for i := range 120 {
			f.ready(t, "acme", fmt.Sprintf("r%03d.csv", i))
		}
		f.expand(t)
		f.ready(t, "acme", "later.csv")
		f.clock.advance(time.Minute)
		f.dispatch(t)
		calls := r.got()
		if len(calls) != 1 {
			t.Fatalf("%d calls", len(calls))
		}
		p := decode(t, calls[0].body)
		if p.Type != "report.ready" || p.Data.Client != "acme" || len(p.Data.Items) != 1 {
			t.Fatalf("payload %s", calls[0].body)
		}
		if i := p.Data.Items[0]; i.Count != 120 || i.Bytes != 120000 || len(i.Names) != 50 {
			t.Errorf("item %+v", i)
		}
		// What came once it was being sent is a message of its own.
		f.clock.advance(time.Minute)
		f.dispatch(t)
		if calls = r.got(); len(calls) != 2 || calls[0].id() == calls[1].id() {
			t.Errorf("%d calls", len(calls))
		}
	})
}

func TestDigest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	daily, _ := contact.ParseSchedule("daily 07:00")
	berlin, _ := contact.ParseZone("Europe/Berlin")
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example"), Digest: daily, Timezone: berlin, Language: "de"})
	for i := range 5 {
		f.ready(t, "acme", fmt.Sprint(i, ".csv"))
		f.expand(t)
		f.clock.advance(time.Hour)
	}
	f.add(t, outbox.Event{Kind: outbox.AccessChanged, Client: "acme", Detail: map[string]string{outbox.Change: "password-set", outbox.Credential: "password"}})
	f.dispatch(t)
	f.clock.advance(time.Minute)
	f.dispatch(t)
	if n := len(f.post.mails()); n != 1 {
		t.Fatalf("%d mails before the digest; want that of the password alone", n)
	}
	f.clock.micros.Store(time.Date(2026, 11, 21, 5, 59, 59, 0, time.UTC).UnixMicro())
	f.dispatch(t)
	if n := len(f.post.mails()); n != 1 {
		t.Fatalf("%d mails a second before the digest", n)
	}
	f.clock.advance(time.Second)
	f.dispatch(t)
	mails := f.post.mails()
	if len(mails) != 2 || !strings.Contains(mails[1].Subject, "5") {
		t.Fatalf("%d mails, the last: %+v", len(mails), mails[len(mails)-1])
	}
	if !strings.Contains(mails[1].Body, "Berichte") {
		t.Errorf("not in German: %s", mails[1].Body)
	}
}

// TestDigestAfterAStandstill: many days' events that are found at once are one
// message.
func TestDigestAfterAStandstill(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	daily, _ := contact.ParseSchedule("daily 07:00")
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example"), Digest: daily})
	for i := range 4 {
		f.ready(t, "acme", fmt.Sprint(i, ".csv"))
		f.clock.advance(day)
	}
	f.expand(t)
	f.clock.advance(day)
	f.dispatch(t)
	if n := len(f.post.mails()); n > 2 {
		t.Errorf("%d mails", n)
	}
}

// TestNamesAreNotTold: a report's name is in no message, unless its client wants it
// there, and its content in none.
func TestNamesAreNotTold(t *testing.T) {
	t.Parallel()
	const canary = "CANARY-Activity-4711"
	for _, shown := range []bool{false, true} {
		t.Run(fmt.Sprint(shown), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, databasetest.SQLite)
			hook, sms := newReceiver(t, nil), newReceiver(t, nil)
			f.Channels.SMS = newSMS(t, sms.URL, "", `{"to":"{{.To}}","text":"{{.Text}}"}`)
			f.Operators = contacts(t, "email:operator@example.com")
			daily, _ := contact.ParseSchedule("daily 07:00")
			for id, digest := range map[string]contact.Schedule{"acme": {}, "globex": daily} {
				f.client(t, id, contact.Preferences{
					Contacts:  contacts(t, hook.contact()+"?"+id, "email:"+id+"@acme.example", "sms:+4915112345678"),
					ShowNames: shown, Digest: digest,
				})
				for _, kind := range contact.Kinds() {
					detail := map[string]string{
						outbox.Name: canary + ".csv", outbox.Change: "key-imported", outbox.Credential: "ssh", outbox.Fingerprint: "SHA256:x",
						outbox.Until: f.clock.now().Add(3 * day).Format(time.RFC3339), outbox.Reason: "key-unknown",
					}
					f.add(t, outbox.Event{Kind: kind, Client: id, Subject: "r1", Detail: detail})
					f.add(t, outbox.Event{Kind: kind, Client: id, Subject: "r2", Detail: detail})
				}
			}
			f.expand(t)
			f.clock.advance(2 * day)
			for range 3 {
				f.dispatch(t)
			}
			for _, m := range f.messages(t) {
				if m.State != "sent" {
					t.Errorf("%s by %s is %s: %s", m.Kind, m.Channel, m.State, m.Error)
				}
			}
			var said strings.Builder
			for _, c := range append(hook.got(), sms.got()...) {
				fmt.Fprintf(&said, "%s %s\n", c.header, c.body)
			}
			told := said.String()
			mails := f.post.mails()
			for _, m := range mails {
				told += m.Subject + m.Body
				if m.To[0] == "operator@example.com" && strings.Contains(m.Subject+m.Body, canary) {
					t.Errorf("an operator's mail has a name: %s", m.Body)
				}
			}
			if len(hook.got()) < 10 || len(sms.got()) < 10 || len(mails) < 11 {
				t.Errorf("%d calls, %d text messages, %d mails", len(hook.got()), len(sms.got()), len(mails))
			}
			if got := strings.Contains(told, canary); got != shown {
				t.Errorf("the name is told: %v", got)
			}
			if strings.Contains(f.log.String(), canary) {
				t.Error("the log has the name")
			}
			for _, c := range sms.got() {
				if strings.Contains(string(c.body), canary) {
					t.Error("a text message has the name")
				}
			}
		})
	}
}

// TestNamesThatAreNoLongerWanted: what was chosen since counts.
func TestNamesThatAreNoLongerWanted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	to := contacts(t, "email:a@acme.example")
	f.client(t, "acme", contact.Preferences{Contacts: to, ShowNames: true})
	f.ready(t, "acme", "CANARY.csv")
	f.expand(t)
	f.client(t, "acme", contact.Preferences{Contacts: to})
	f.clock.advance(time.Minute)
	f.dispatch(t)
	mails := f.post.mails()
	if len(mails) != 1 || strings.Contains(mails[0].Body, "CANARY") {
		t.Errorf("mails: %+v", mails)
	}
}

// TestRemovedContactGetsNothingMore: also of what waited for it.
func TestRemovedContactGetsNothingMore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:wrong@acme.example")})
	f.ready(t, "acme", "a.csv")
	f.expand(t)
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:right@acme.example")})
	f.clock.advance(time.Minute)
	f.dispatch(t)
	if m := f.only(t); m.State != "dead" || m.Error != "it is nobody's contact any more" || len(f.post.mails()) != 0 {
		t.Errorf("%+v, %d mails", m, len(f.post.mails()))
	}
}

func TestOperatorsDigest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	f.Operators = contacts(t, "email:one@example.com", "email:two@example.com")
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example")})
	f.client(t, "globex", contact.Preferences{})
	for _, c := range []string{"acme", "globex"} {
		f.add(t, outbox.Event{Kind: outbox.ReportHeld, Client: c, Subject: "r", Detail: map[string]string{outbox.Name: "x"}})
	}
	f.add(t, outbox.Event{Kind: outbox.AccessRefused, Client: "globex", Detail: map[string]string{outbox.Reason: "key-unknown", outbox.Count: "40"}})
	f.post.fail = permanent{}
	f.expand(t)
	f.clock.advance(time.Minute)
	f.dispatch(t) // acme's own mail is given up
	f.post.fail = nil
	f.clock.micros.Store(time.Date(2026, 11, 21, 7, 0, 0, 0, time.UTC).UnixMicro())
	f.dispatch(t)
	mails := f.post.mails()
	if len(mails) != 2 {
		t.Fatalf("%d mails: %s", len(mails), summary(f.messages(t)))
	}
	for _, want := range []string{"acme", "globex", "40"} {
		if !strings.Contains(mails[0].Body, want) {
			t.Errorf("nothing of %s in %s", want, mails[0].Body)
		}
	}
	state, err := f.queue(context.Background())
	if err != nil || state.Dead != 1 || state.Pending != 0 {
		t.Errorf("queue %+v, %v", state, err)
	}
}
