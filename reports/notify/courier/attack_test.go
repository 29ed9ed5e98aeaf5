package courier_test

import (
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/reports/notify/courier"
)

// TestAttackStolenKeyOfAnOverlap: a report was sealed to the old key and the new one,
// and the old one turns out to be stolen. Whoever has it may read the mails, too.
func TestAttackStolenKeyOfAnOverlap(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stolen := f.certifyNew(t)
	f.certifyNew(t)
	r := f.report(t)
	f.revoke(t, stolen)
	if _, err := f.Deliver(t.Context(), parcel(r, contact.DeliveryAttachment)); err != nil {
		t.Fatal(err)
	}
	m := f.only(t)
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !strings.HasPrefix(m.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%v, %v\n%s", err, m.Header, body)
	}
}

// TestAttackDisabledClientHasItMailed: who was locked out gets what is published
// afterwards, and what was due before.
func TestAttackDisabledClientHasItMailed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certifyNew(t)
	r := f.report(t)
	disabled := true
	if _, err := f.register.UpdateClient(t.Context(), "test", f.acme, keys.Change{Disabled: &disabled}); err != nil {
		t.Fatal(err)
	}
	var gone *courier.GoneError
	if _, err := f.Deliver(t.Context(), parcel(r, contact.DeliveryAttachment)); !errors.As(err, &gone) || len(f.server.took()) > 0 {
		t.Errorf("%d mails, %v", len(f.server.took()), err)
	}
}
