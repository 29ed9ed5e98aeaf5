package access_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/server/access"
)

const elsewhere = "198.51.100.1"

func (f *fixture) learned(tb testing.TB) []access.Learned {
	tb.Helper()
	c, err := f.register.Client(context.Background(), clientID(tb, "acme"))
	if err != nil {
		tb.Fatal(err)
	}
	list, err := f.Learned(context.Background(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

// tryFrom has acme refused from an address, and returns the decision.
func (f *fixture) tryFrom(tb testing.TB, a access.Attempt, addr string) access.Decision {
	tb.Helper()
	a.Address = netip.MustParseAddr(addr)
	s, d, err := f.Login(context.Background(), a, func(string) {})
	if err != nil || s != nil || d.Reason != access.AddressNotAllowed {
		tb.Fatalf("%+v, %v", d, err)
	}
	return d
}

func TestLearned(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		f.clock.advance(time.Second)
		for range 3 {
			if d := f.tryFrom(t, f.attempt(f.key), elsewhere); !d.Proved() || d.KeyID == "" {
				t.Errorf("%+v", d)
			}
		}
		f.clock.advance(access.RepeatWindow)
		if err := f.FlushRefusals(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := f.tryFrom(t, ftp("acme", secret), "2001:db8::7"); !d.Proved() {
			t.Errorf("%+v", d)
		}
		list := f.learned(t)
		if len(list) != 2 || list[0].Key != access.ByPassword || list[0].Command != "sealdrop client allow acme 2001:db8::7" ||
			list[1].Key != f.key.Fingerprint || list[1].Times != 3 || list[1].Address.String() != elsewhere {
			t.Errorf("%+v", list)
		}
		// Once it is allowed, there is nothing to learn.
		allow := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")}
		if _, err := f.register.UpdateClient(t.Context(), ops, clientID(t, "acme"), keys.Change{Allow: &allow}); err != nil {
			t.Fatal(err)
		}
		if list := f.learned(t); len(list) != 1 || list[0].Key != access.ByPassword {
			t.Errorf("%+v", list)
		}
		f.clock.advance(31 * 24 * time.Hour)
		if list := f.learned(t); len(list) != 0 {
			t.Errorf("a month later: %+v", list)
		}
	})
}

// TestAttackLearning has somebody who is not the client be offered as one.
func TestAttackLearning(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for name, attack := range map[string]func(t *testing.T, f *fixture){
			"an-offered-key-is-no-proof": func(t *testing.T, f *fixture) {
				a := f.attempt(f.key)
				a.Proved, a.Address = nil, netip.MustParseAddr(elsewhere)
				if d, err := f.Refused(t.Context(), a); err != nil || d.Proved() || d.Reason != access.AddressNotAllowed {
					t.Errorf("%+v, %v", d, err)
				}
			},
			"a-key-of-another-client-is-no-proof": func(t *testing.T, f *fixture) {
				f.add(t, "other", "203.0.113.0/24")
				f.tryFrom(t, f.attempt(f.enrol(t, "other", "O")), elsewhere)
			},
			"a-stolen-key-that-was-revoked-since": func(t *testing.T, f *fixture) {
				f.tryFrom(t, f.attempt(f.key), elsewhere)
				f.revoke(t, f.key)
			},
			"a-stolen-key-that-was-revoked-before": func(t *testing.T, f *fixture) {
				f.revoke(t, f.key)
				f.tryFrom(t, f.attempt(f.key), elsewhere)
			},
			"a-wrong-password": func(t *testing.T, f *fixture) {
				f.setPassword(t, "acme")
				f.tryFrom(t, ftp("acme", "wrong horse battery"), elsewhere)
			},
			"a-password-that-was-changed-since": func(t *testing.T, f *fixture) {
				f.setPassword(t, "acme")
				f.clock.advance(time.Second)
				f.tryFrom(t, ftp("acme", secret), elsewhere)
				f.clock.advance(time.Second)
				f.setPassword(t, "acme")
			},
			"a-password-in-the-clear": func(t *testing.T, f *fixture) {
				f.setPassword(t, "acme")
				f.clock.advance(time.Second)
				f.setMode(t, "acme", keys.FTPPlain)
				a := ftp("acme", secret)
				a.TLS = false
				f.tryFrom(t, a, elsewhere)
			},
			"a-password-that-was-guessed-at-last": func(t *testing.T, f *fixture) {
				f.setPassword(t, "acme")
				f.clock.advance(time.Second)
				for range 5 { // access.failures
					f.tryFrom(t, ftp("acme", "wrong horse battery"), elsewhere)
				}
				f.tryFrom(t, ftp("acme", secret), elsewhere)
			},
			"a-password-guessed-from-all-over-the-world": func(t *testing.T, f *fixture) {
				f.setPassword(t, "acme")
				f.clock.advance(time.Second)
				for i := range 15 {
					f.tryFrom(t, ftp("acme", "wrong horse battery"), netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}).String())
				}
				f.tryFrom(t, ftp("acme", secret), elsewhere)
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := newFixtureOn(t, e)
				attack(t, f)
				if list := f.learned(t); len(list) != 0 {
					t.Errorf("learned %+v", list)
				}
			})
		}
	})
}

// TestPasswordFromElsewhereCostsOneComparison whatever it is.
func TestPasswordFromElsewhereCostsOneComparison(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.setPassword(t, "acme")
	n := f.CountComparisons()
	for i := range 8 { // the last few are beyond what is looked at
		for _, guess := range []string{secret, "wrong horse battery"} {
			before := n.Load()
			f.tryFrom(t, ftp("acme", guess), elsewhere)
			if got := n.Load() - before; got != 1 {
				t.Errorf("try %d with %q cost %d comparisons", i, guess, got)
			}
		}
	}
}

// TestStrangersWhoLearnAreNotRecorded until they have proved who they are.
func TestStrangersWhoLearnAreNotRecorded(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.Learn = true
		for _, user := range []string{"acme", "nobody", "", "acme"} {
			refuse(t, f, elsewhere, user)
		}
		if n := len(f.records(t, "login.refused")); n != 0 {
			t.Errorf("%d records in the audit", n)
		}
		f.tryFrom(t, f.attempt(f.key), elsewhere)
		if n := len(f.records(t, "login.refused")); n != 1 {
			t.Errorf("%d records in the audit after the proof", n)
		}
		if list := f.learned(t); len(list) != 1 {
			t.Errorf("%+v", list)
		}
		if err := f.FlushStrangers(t.Context()); err != nil {
			t.Fatal(err)
		}
		var counted int64
		for _, s := range f.attempts(t, access.SeenFilter{}) {
			if s.Number == 0 {
				counted += s.Times
			}
		}
		if counted != 4 {
			t.Errorf("%d were counted", counted)
		}
	})
}
