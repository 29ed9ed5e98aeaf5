package access_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/server/access"
)

// audited returns the details of what was recorded of refusals.
func (f *fixture) audited(tb testing.TB) (list []map[string]string) {
	tb.Helper()
	found, err := audit.List(tb.Context(), f.db.Read(), audit.Filter{Limit: 10_000})
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range found {
		if r.Event == "login.refused" {
			list = append(list, r.Detail)
		}
	}
	return list
}

func (f *fixture) refuseProducer(tb testing.TB, r access.ProducerRefusal) {
	tb.Helper()
	if err := f.RefusedProducer(tb.Context(), r); err != nil {
		tb.Fatal(err)
	}
}

func (f *fixture) lockedOut(tb testing.TB, addr string) bool {
	tb.Helper()
	until, err := f.LockedOut(tb.Context(), netip.MustParseAddr(addr))
	if err != nil {
		tb.Fatal(err)
	}
	return !until.IsZero()
}

func TestGuessedTokensLockAnAddressOut(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		guess := access.ProducerRefusal{Address: home, Reason: "token-unknown", Guessing: true}
		expired := access.ProducerRefusal{Address: home, Reason: "token-expired", Producer: "nightly"}
		for range 20 { // a job that nobody told is no attack
			f.refuseProducer(t, expired)
		}
		for range 4 {
			f.refuseProducer(t, guess)
		}
		if f.lockedOut(t, "192.0.2.7") {
			t.Error("locked out too early")
		}
		f.AllowedProducer(home) // slips
		for range 5 {
			f.refuseProducer(t, guess)
		}
		if !f.lockedOut(t, "::ffff:192.0.2.7") || f.lockedOut(t, "192.0.2.8") {
			t.Error("not locked out, or its neighbour is")
		}
		// What locks out over one protocol does so over all.
		if d := refuse(t, f, "192.0.2.7", "acme"); d.Reason != access.TooManyAttempts {
			t.Errorf("over sFTP: %s", d.Reason)
		}
		f.clock.advance(time.Hour + time.Second)
		if f.lockedOut(t, "192.0.2.7") {
			t.Error("an hour later, it still is")
		}
		want := map[string]bool{"token-unknown": true, "token-expired": true, "too-many-attempts": true}
		for _, detail := range f.audited(t) { // the first of each kind
			if !want[detail["reason"]] {
				t.Errorf("recorded: %v", detail)
			}
			delete(want, detail["reason"])
		}
		if len(want) > 0 {
			t.Errorf("not recorded: %v", want)
		}
	})
}

// Tokens from a million addresses must not fill the audit.
func TestRefusedProducersAreRecordedWithinBounds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 5000 {
		addr := netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i/250, i%250))
		f.refuseProducer(t, access.ProducerRefusal{Address: addr, Reason: "token-unknown", Guessing: true})
	}
	if n := len(f.audited(t)); n > 4100 {
		t.Errorf("%d records", n)
	}
}
