package notify_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/outbox"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/reports/notify/courier"
	"github.com/sealdrop/sealdrop/reports/notify/mail"
	"github.com/sealdrop/sealdrop/reports/notify/message"
)

// van takes the reports that are to be sent.
type van struct {
	mu   sync.Mutex
	sent []courier.Parcel
	fail error
}

func (v *van) Deliver(_ context.Context, p courier.Parcel) (mail.Handed, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sent = append(v.sent, p)
	return mail.Handed{Server: "smtp.example:587", Reply: "250 2.0.0 queued"}, v.fail
}

// TestReportsAreSentOneByOne: to email contacts, at once, whatever the digest says;
// other contacts and other events are told as ever.
func TestReportsAreSentOneByOne(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, v := newFixture(t, e), &van{}
		f.Channels.Courier = v
		digest, err := contact.ParseSchedule("daily 07:00")
		if err != nil {
			t.Fatal(err)
		}
		hook := newReceiver(t, nil)
		f.client(t, "acme", contact.Preferences{
			Contacts: contacts(t, "email:a@acme.example", "email:b@acme.example key.expiring", "webhook:"+hook.URL),
			Digest:   digest, Delivery: contact.DeliveryPGPMIME, Language: "de",
		})
		f.ready(t, "acme", "a.csv")
		f.ready(t, "acme", "b.csv")
		f.add(t, outbox.Event{Kind: outbox.AccessChanged, Client: "acme", Detail: map[string]string{outbox.Change: "password-set"}})
		f.dispatch(t)
		if len(v.sent) != 2 || len(f.post.mails()) != 0 {
			t.Fatalf("%d parcels, %d mails:\n%s", len(v.sent), len(f.post.mails()), summary(f.messages(t)))
		}
		// Both are due at the same moment: either may go first.
		slices.SortFunc(v.sent, func(a, b courier.Parcel) int { return strings.Compare(a.Report, b.Report) })
		p := v.sent[0]
		if p.Client != "acme" || p.Report != "id-a.csv" || p.To != "a@acme.example" || p.Form != contact.DeliveryPGPMIME || p.ID == v.sent[1].ID ||
			p.Message.Kind != message.ReportReady || p.Message.Gateway != "Example Reports" || p.Message.Until.IsZero() || len(p.Message.Names) > 0 {
			t.Errorf("%+v", p)
		}
		f.clock.advance(2 * time.Minute)
		f.dispatch(t)
		if mails := f.post.mails(); len(mails) != 1 || !strings.Contains(mails[0].Subject, "Zugang") {
			t.Errorf("%+v", mails)
		}
	})
}

// TestReportThatCanNotBeSent: a failure is tried again with the same id, and one for
// good is given up.
func TestReportThatCanNotBeSent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, v := newFixture(t, e), &van{fail: errors.New("nobody answers")}
		f.Channels.Courier = v
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example"), Delivery: contact.DeliveryAttachment})
		f.ready(t, "acme", "a.csv")
		f.dispatch(t)
		f.clock.advance(time.Hour)
		v.fail = &courier.GoneError{Report: "id-a.csv", Why: "it was purged"}
		f.dispatch(t)
		if len(v.sent) != 2 || v.sent[0].ID != v.sent[1].ID {
			t.Fatalf("%+v", v.sent)
		}
		if m := f.messages(t)[0]; m.State != "dead" || !strings.Contains(m.Error, "purged") {
			t.Errorf("%+v", m)
		}
	})
}

// TestNoLongerSent: who has switched the sending off meanwhile is told instead.
func TestNoLongerSent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, v := newFixture(t, e), &van{}
		f.Channels.Courier = v
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example"), Delivery: contact.DeliveryAttachment})
		f.ready(t, "acme", "a.csv")
		f.expand(t)
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example")})
		f.dispatch(t)
		if mails := f.post.mails(); len(v.sent) != 0 || len(mails) != 1 || !strings.Contains(mails[0].Subject, "1 report is ready") {
			t.Errorf("%+v, %+v", v.sent, mails)
		}
	})
}
