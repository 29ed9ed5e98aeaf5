package access_test

import (
	"context"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/server/access"
)

// What is known of a key from when it was offered must not let anybody in, or keep
// anybody out, whose rights were changed before it was proved.
func TestChangeBetweenOfferAndProof(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		before, after func(*testing.T, *fixture)
		want          access.Reason
	}{
		{"nothing", nil, nil, access.Allowed},
		{"revoked", nil, func(t *testing.T, f *fixture) { f.revoke(t, f.key) }, access.KeyRevoked},
		{"disabled", nil, func(t *testing.T, f *fixture) { f.disable(t, "acme") }, access.ClientDisabled},
		{"enabled", func(t *testing.T, f *fixture) { f.disable(t, "acme") }, func(t *testing.T, f *fixture) { f.enable(t, "acme") }, access.Allowed},
		{"locked out", nil, func(t *testing.T, f *fixture) {
			for range 6 {
				stranger := access.Attempt{Protocol: access.SFTP, Address: home, User: "nobody", Failure: access.ClosedBeforeLogin}
				if _, err := f.Refused(t.Context(), stranger); err != nil {
					t.Fatal(err)
				}
			}
		}, access.TooManyAttempts},
	}
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				f := newFixtureOn(t, e)
				if test.before != nil {
					test.before(t, f)
				}
				if !f.Admit(t.Context(), home) { // which reads the access mark
					t.Fatal("the address is not admitted")
				}
				if ok, err := f.Offered(t.Context(), "acme", f.key); err != nil || !ok {
					t.Fatalf("offered: %v, %v", ok, err)
				}
				if test.after != nil {
					test.after(t, f)
				}
				s, d, err := f.Login(t.Context(), f.attempt(f.key), func(string) {})
				if err != nil || d.Reason != test.want || (s != nil) != d.Allowed() {
					t.Fatalf("%s, %v; want %s", d.Reason, err, test.want)
				}
				if s != nil {
					s.Close()
				}
				if n := f.Sessions(); n != 0 {
					t.Errorf("%d sessions are left", n)
				}
			})
		}
	})
}

// Clients that offer a key and never prove it must not take the gateway's memory.
func TestOffersAreBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if !f.Admit(t.Context(), home) {
		t.Fatal("the address is not admitted")
	}
	f.RememberOffers(5000)
	if n := f.Offers(); n == 0 || n > 1024 {
		t.Errorf("%d of 5000 offers are remembered", n)
	}
	if ok, err := f.Offered(t.Context(), "acme", f.key); err != nil || !ok {
		t.Fatalf("offered: %v, %v", ok, err)
	}
	before := f.Offers()
	if ok, err := f.Offered(t.Context(), "nobody", f.key); err != nil || ok || f.Offers() != before {
		t.Errorf("a no: %v, %v; %d offers are remembered, not %d", ok, err, f.Offers(), before)
	}
	f.login(t)
	if n := f.Offers(); n != before-1 {
		t.Errorf("%d offers are remembered after a login, not %d", n, before-1)
	}
}

func (f *fixture) enable(tb testing.TB, id string) {
	tb.Helper()
	no := false
	if _, err := f.register.UpdateClient(context.Background(), ops, clientID(tb, id), keys.Change{Disabled: &no}); err != nil {
		tb.Fatal(err)
	}
}
