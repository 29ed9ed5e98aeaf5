package access_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/server/access"
)

func (f *fixture) attempts(tb testing.TB, filter access.SeenFilter) []access.Seen {
	tb.Helper()
	list, err := f.Attempts(context.Background(), filter)
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

// turnAway has strangers be closed at accept, and written.
func (f *fixture) turnAway(tb testing.TB, addresses ...string) {
	tb.Helper()
	for _, a := range addresses {
		f.TurnedAway(access.SFTP, netip.MustParseAddr(a), access.AddressNotAllowed, "")
	}
	if err := f.FlushStrangers(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.clock.advance(-48 * time.Hour)
		f.login(t)
		f.clock.advance(47 * time.Hour)
		for range 4 {
			refuse(t, f, "192.0.2.8", "nobody\x1b[2J")
		}
		f.clock.advance(access.RepeatWindow)
		if err := f.FlushRefusals(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.turnAway(t, "198.51.100.1", "198.51.100.1", "2001:db8::1")
		f.login(t)
		for _, test := range []struct {
			name   string
			filter access.SeenFilter
			want   string
		}{
			{"all", access.SeenFilter{}, "allowed 1, unknown-client 4, address-not-allowed 1, address-not-allowed 2, allowed 1"},
			{"since", access.SeenFilter{Since: f.clock.now().Add(-24 * time.Hour)}, "unknown-client 4, address-not-allowed 1, address-not-allowed 2, allowed 1"},
			{"of a client", access.SeenFilter{Client: "acme"}, "allowed 1, allowed 1"},
			{"in a name", access.SeenFilter{Client: "nobody?[2J"}, "unknown-client 4"},
			{"failed", access.SeenFilter{Failed: true, Limit: 2}, "address-not-allowed 1, address-not-allowed 2"},
			{"the newest", access.SeenFilter{Limit: 1}, "allowed 1"},
			{"a reason", access.SeenFilter{Reason: access.UnknownClient, Limit: 1}, "unknown-client 4"},
			{"from a network", access.SeenFilter{Address: netip.MustParsePrefix("198.51.100.0/24")}, "address-not-allowed 2"},
			{"from an address of a /64", access.SeenFilter{Address: netip.MustParsePrefix("2001:db8::1/128")}, "address-not-allowed 1"},
		} {
			var got []string
			for _, s := range f.attempts(t, test.filter) {
				got = append(got, fmt.Sprintf("%s %d", s.Reason, s.Times))
				if s.What == "" || s.Answer != access.AnswerAllowed && s.Remedy == "" {
					t.Errorf("no words: %+v", s)
				}
			}
			// The two that were turned away were there at one time.
			if list := strings.Join(got, ", "); list != test.want && list != strings.Replace(test.want, "allowed 1, address-not-allowed 2", "allowed 2, address-not-allowed 1", 1) {
				t.Errorf("%s: %s, want %s", test.name, list, test.want)
			}
		}
	})
}

// TestFollowMissesAndDoublesNothing follows while others write.
func TestFollowMissesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx, stop := context.WithCancel(t.Context())
		tick, got := make(chan time.Time), map[string]int64{}
		refuse(t, f, "203.0.113.1", "nobody") // before
		f.turnAway(t, "198.51.100.1")
		var follower, writers sync.WaitGroup
		follower.Go(func() {
			err := f.FollowAttempts(ctx, access.SeenFilter{}, tick, func(list []access.Seen) error {
				for _, s := range list {
					got[s.Address] += s.Times
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		const each, each2 = 40, 25
		writers.Go(func() {
			for i := range each {
				refuse(t, f, fmt.Sprintf("192.0.2.%d", i+10), "nobody")
			}
		})
		writers.Go(func() {
			for range each2 {
				f.turnAway(t, "198.51.100.1", "198.51.100.2")
			}
		})
		over := make(chan struct{})
		go func() { writers.Wait(); close(over) }()
		for done := false; !done; {
			select {
			case tick <- time.Time{}:
			case <-over:
				done = true
			}
		}
		tick <- time.Time{} // looks at what was written last
		tick <- time.Time{} // comes once that is told
		stop()
		follower.Wait()
		want := map[string]int64{"203.0.113.1": 1, "198.51.100.1": 1 + each2, "198.51.100.2": each2}
		for i := range each {
			want[fmt.Sprintf("192.0.2.%d", i+10)] = 1
		}
		for address, n := range want {
			if got[address] != n {
				t.Errorf("%s was told of %d times, want %d", address, got[address], n)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d addresses were told of, want %d", len(got), len(want))
		}
	})
}

// TestFloodOfStrangersDoesNotGrowTheCatalog has each come from an address of its own.
func TestFloodOfStrangersDoesNotGrowTheCatalog(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		const rounds, each, most = 12, 400, 1400
		for round := range rounds {
			for i := range each {
				addr := netip.AddrFrom4([4]byte{10, byte(round), byte(i >> 8), byte(i)})
				f.TurnedAway(access.SFTP, addr, access.AddressNotAllowed, "")
			}
			f.clock.advance(2 * time.Minute)
			if err := f.FlushStrangers(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		list := f.attempts(t, access.SeenFilter{})
		var others int64
		for _, s := range list {
			if s.Address == "" {
				others += s.Times
			}
		}
		if len(list) > most || others == 0 || others > rounds*each {
			t.Errorf("%d rows, %d of others", len(list), others)
		}
		if n := len(f.records(t, "login.refused")); n != 0 {
			t.Errorf("%d records in the audit", n)
		}
	})
}

func TestStrangersOutliveAFaultOfTheCatalog(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		mend := f.home.Refuse(t, "strangers")
		f.TurnedAway(access.FTP, home, access.TooManyConnections, "ftp.limits.connections")
		if err := f.FlushStrangers(t.Context()); err == nil {
			t.Error("there was no fault")
		}
		mend()
		f.TurnedAway(access.FTP, home, access.TooManyConnections, "ftp.limits.connections")
		if err := f.FlushStrangers(t.Context()); err != nil {
			t.Fatal(err)
		}
		list := f.attempts(t, access.SeenFilter{})
		if len(list) != 1 || list[0].Times != 2 || !strings.Contains(list[0].Remedy, "ftp.limits.connections") {
			t.Errorf("%+v", list)
		}
	})
}

func TestDataRefusals(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		s, _, err := f.Login(t.Context(), ftp("acme", secret), func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range 3 {
			for _, r := range []access.Reason{access.DataNotResumed, access.DataTLSFailed, access.DataInTheClear} {
				f.DataRefused(t.Context(), s, r)
			}
		}
		list := f.attempts(t, access.SeenFilter{Failed: true})
		if len(list) != 3 {
			t.Fatalf("%+v", list)
		}
		for _, s := range list {
			if s.Client != "acme" || s.Address != home.String() || s.Protocol != access.FTP || s.Answer != access.AnswerRefused || s.Remedy == "" {
				t.Errorf("%+v", s)
			}
		}
	})
}
