package access_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/server/access"
)

func refuse(tb testing.TB, f *fixture, addr, user string) access.Decision {
	tb.Helper()
	d, err := f.Refused(context.Background(), access.Attempt{Protocol: "sftp", Address: netip.MustParseAddr(addr), User: user})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestLockout(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		for i := range 5 {
			if d := refuse(t, f, "192.0.2.7", "nobody"); d.Reason != access.UnknownClient {
				t.Fatalf("attempt %d: %s", i, d.Reason)
			}
		}
		if d := refuse(t, f, "192.0.2.7", "nobody"); d.Reason != access.TooManyAttempts {
			t.Errorf("attempt 6: %s", d.Reason)
		}
		if d := refuse(t, f, "::ffff:192.0.2.7", "nobody"); d.Reason != access.TooManyAttempts {
			t.Errorf("the mapped form of the address: %s", d.Reason)
		}
		if d := refuse(t, f, "192.0.2.8", "nobody"); d.Reason != access.UnknownClient {
			t.Errorf("its neighbour: %s", d.Reason)
		}
		if s, d, err := f.Login(t.Context(), f.attempt(f.key), func(string) {}); s != nil || d.Reason != access.TooManyAttempts || err != nil {
			t.Errorf("a good key from there: %s, %v", d.Reason, err)
		}
		bans, err := f.Bans(t.Context())
		if err != nil || len(bans) != 1 || bans[0].Address != "192.0.2.7" || bans[0].Failures != 5 {
			t.Errorf("bans %+v, %v", bans, err)
		}
		f.clock.advance(time.Hour + time.Second)
		if d := refuse(t, f, "192.0.2.7", "nobody"); d.Reason != access.UnknownClient {
			t.Errorf("an hour later: %s", d.Reason)
		}
		if bans, err := f.Bans(t.Context()); err != nil || len(bans) != 0 {
			t.Errorf("an hour later: %+v, %v", bans, err)
		}
	})
}

// banWatch is a log that looks the address up when it is told of a lockout.
type banWatch struct {
	slog.Handler
	look func()
}

func (w banWatch) Handle(_ context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "locked out") {
		w.look()
	}
	return nil
}

// TestLockoutIsLoggedOnceItHolds: the line was written before the catalog had it.
func TestLockoutIsLoggedOnceItHolds(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		looked := false
		f.Log = slog.New(banWatch{slog.NewTextHandler(io.Discard, nil), func() {
			looked = true
			if bans, err := f.Bans(t.Context()); err != nil || len(bans) != 1 {
				t.Errorf("the log tells of a lockout, and there are %+v, %v", bans, err)
			}
		}})
		for range 5 {
			refuse(t, f, "192.0.2.7", "nobody")
		}
		if !looked {
			t.Error("the log does not tell of the lockout")
		}
	})
}

func TestLockoutIsLifted(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		for range 5 {
			refuse(t, f, "2001:db8::1", "nobody")
		}
		// One customer of a provider has a /64, and all addresses in it.
		if d := refuse(t, f, "2001:db8::ffff:1%eth0", "nobody"); d.Reason != access.TooManyAttempts {
			t.Errorf("another address of the /64: %s", d.Reason)
		}
		if d := refuse(t, f, "2001:db8:0:1::1", "nobody"); d.Reason != access.UnknownClient {
			t.Errorf("another /64: %s", d.Reason)
		}
		if lifted, err := f.LiftBan(t.Context(), ops, netip.MustParseAddr("2001:db8::2")); !lifted || err != nil {
			t.Errorf("lifting: %v, %v", lifted, err)
		}
		if lifted, err := f.LiftBan(t.Context(), ops, netip.MustParseAddr("2001:db8::2")); lifted || err != nil {
			t.Errorf("lifting again: %v, %v", lifted, err)
		}
		if d := refuse(t, f, "2001:db8::1", "nobody"); d.Reason != access.UnknownClient {
			t.Errorf("afterwards: %s", d.Reason)
		}
		if n := len(f.records(t, "address.unbanned")); n != 1 {
			t.Errorf("%d records of it", n)
		}
	})
}

func TestWhatDoesNotCountTowardsALockout(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		for range 20 { // a health check, a slow client, one from the wrong network
			refuse(t, f, "192.0.2.7", "")
			refuse(t, f, "198.51.100.1", "acme")
		}
		// Failures that lie apart, or before a success.
		for range 4 {
			refuse(t, f, "192.0.2.7", "nobody")
		}
		f.login(t)
		for range 4 {
			refuse(t, f, "192.0.2.7", "nobody")
		}
		f.clock.advance(11 * time.Minute)
		for range 4 {
			refuse(t, f, "192.0.2.7", "nobody")
		}
		if bans, err := f.Bans(t.Context()); err != nil || len(bans) != 0 {
			t.Errorf("bans %+v, %v", bans, err)
		}
	})
}

// TestFloodOfRefusals counts every one of them, and records few.
func TestFloodOfRefusals(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		total := 100_000
		if testing.Short() {
			total = 10_000
		}
		var group sync.WaitGroup
		const workers = 4
		for worker := range workers {
			group.Go(func() {
				for i := worker; i < total; i += workers {
					addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
					d := access.Decision{Reason: access.AddressNotAllowed, Client: "acme"}
					if err := f.RecordRefusal(context.Background(), access.Attempt{Address: addr, User: "acme"}, d); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if err := f.FlushRefusals(t.Context()); err != nil {
			t.Error(err)
		}
		records, counted := f.refusals(t)
		if counted != total || records > 5000 {
			t.Errorf("%d refusals are told of in %d records, want %d in at most 5000", counted, records, total)
		}
	})
}

func TestRepeatedRefusalIsTwoRecords(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		for range 1000 {
			refuse(t, f, "198.51.100.1", "acme")
		}
		if records, _ := f.refusals(t); records != 1 {
			t.Errorf("%d records before the window is over", records)
		}
		if err := f.FlushRefusals(t.Context()); err != nil {
			t.Fatal(err)
		}
		if records, total := f.refusals(t); records != 2 || total != 1000 {
			t.Errorf("%d records of %d refusals", records, total)
		}
	})
}

// TestCountsOutliveALockedCatalog: counts that could not be recorded are recorded
// later.
func TestCountsOutliveALockedCatalog(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		for range 10 {
			refuse(t, f, "198.51.100.1", "acme")
		}
		mend := f.home.Refuse(t, "audit")
		if err := f.FlushRefusals(t.Context()); err == nil {
			t.Fatal("the record was written")
		}
		mend()
		refuse(t, f, "198.51.100.1", "acme")
		if err := f.FlushRefusals(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, total := f.refusals(t); total != 11 {
			t.Errorf("%d refusals are told of, want 11", total)
		}
	})
}

func BenchmarkLogin(b *testing.B) {
	f := newFixture(b)
	f.manyClients(b, 20_000)
	addr := netip.MustParseAddr("10.39.16.9")
	key := access.Key{Fingerprint: "SHA256:client-10000"}
	for b.Loop() {
		a := access.Attempt{Address: addr, User: "client-10000", Proved: &key}
		s, d, err := f.Login(context.Background(), a, func(string) {})
		if err != nil || s == nil {
			b.Fatal(d, err)
		}
		s.Close()
	}
}

func BenchmarkAdmit(b *testing.B) {
	f := newFixture(b)
	f.manyClients(b, 20_000)
	for name, addr := range map[string]string{"known": "10.39.16.9", "stranger": "203.0.113.9"} {
		b.Run(name, func(b *testing.B) {
			addr := netip.MustParseAddr(addr)
			for b.Loop() {
				f.Admit(context.Background(), addr)
			}
		})
	}
}

func ExampleReasons() {
	for _, r := range access.Reasons()[:3] {
		fmt.Println(r)
	}
	// Output:
	// allowed
	// unknown-client
	// client-disabled
}
