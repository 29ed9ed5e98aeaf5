package access_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/server/access"
)

var announced = netip.MustParseAddrPort("203.0.113.9:30017")

// diagnose asks what `sealdrop why --protocol ftp` asks.
func (f *fixture) diagnose(t *testing.T, addr netip.Addr) access.Decision {
	t.Helper()
	d, err := f.Diagnose(t.Context(), access.Attempt{Protocol: access.FTP, Address: addr, User: "acme", TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestUnreachableDataPort(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		s, _ := f.ftpSession(t)
		ctx := t.Context()
		counts := func(unreachable, reached int) {
			t.Helper()
			if u, r := len(f.records(t, "data.unreachable")), len(f.records(t, "data.reached")); u != unreachable || r != reached {
				t.Errorf("%d records of it, %d of its end; want %d and %d", u, r, unreachable, reached)
			}
		}
		f.Reached(ctx, s)
		counts(0, 0)
		if d := f.diagnose(t, home); !d.Allowed() {
			t.Errorf("at first: %s", d.Reason)
		}
		for range 3 {
			f.Unreachable(ctx, s, announced)
			f.Unreachable(ctx, s, netip.AddrPortFrom(netip.MustParseAddr("::ffff:203.0.113.9"), 30018)) // the next port
		}
		counts(1, 0)
		r := f.records(t, "data.unreachable")[0]
		if r.Client != "acme" || r.Subject != home.String() || r.Detail["announced"] != announced.String() {
			t.Errorf("recorded as %+v", r)
		}
		for _, addr := range []netip.Addr{home, netip.MustParseAddr("::ffff:192.0.2.7")} {
			d := f.diagnose(t, addr)
			if d.Reason != access.PassivePortUnreachable || d.Allowed() || !strings.Contains(d.What, "address 203.0.113.9, port 30017") || !strings.Contains(d.Remedy, "ftp.passive_ports") {
				t.Errorf("from %s: %+v", addr, d)
			}
		}
		if d := f.diagnose(t, netip.MustParseAddr("192.0.2.8")); !d.Allowed() {
			t.Errorf("from another address: %s", d.Reason)
		}
		// What went wrong after the login must not refuse one.
		if d := f.try(t, ftp("acme", secret)); !d.Allowed() {
			t.Errorf("a login: %s", d.Reason)
		}
		if d, err := f.AskPassword(ctx, ftp("acme", secret)); err != nil || !d.Allowed() {
			t.Errorf("asking for a password: %s, %v", d.Reason, err)
		}
		if d, err := f.Diagnose(ctx, f.attempt(f.key)); err != nil || !d.Allowed() {
			t.Errorf("over sFTP: %s, %v", d.Reason, err)
		}
		// A reason to be refused comes first.
		f.disable(t, "acme")
		if d := f.diagnose(t, home); d.Reason != access.ClientDisabled {
			t.Errorf("disabled: %s", d.Reason)
		}
		f.exec(t, "UPDATE clients SET disabled = 0")

		for range 3 {
			f.Reached(ctx, s)
		}
		counts(1, 1)
		if d := f.diagnose(t, home); !d.Allowed() {
			t.Errorf("once it was reached: %s", d.Reason)
		}
		f.Unreachable(ctx, s, announced)
		counts(2, 1)
		// With another address it is something else that does not work.
		f.Unreachable(ctx, s, netip.MustParseAddrPort("10.0.0.1:30000"))
		counts(3, 1)
		if d := f.diagnose(t, home); !strings.Contains(d.What, "10.0.0.1") || !strings.HasPrefix(d.Remedy, "10.0.0.1 is no address that the client can reach: set ftp.public_address") {
			t.Errorf("behind NAT: %+v", d)
		}
		f.clock.advance(23 * time.Hour)
		if d := f.diagnose(t, home); d.Reason != access.PassivePortUnreachable {
			t.Errorf("within a day: %s", d.Reason)
		}
		f.clock.advance(time.Hour)
		if d := f.diagnose(t, home); !d.Allowed() {
			t.Errorf("after a day: %s", d.Reason)
		}
		f.Unreachable(ctx, s, netip.MustParseAddrPort("10.0.0.1:30000"))
		counts(4, 1)
		if d := f.diagnose(t, home); d.Reason != access.PassivePortUnreachable {
			t.Errorf("still, after a day: %s", d.Reason)
		}
	})
}

// TestDataPortAfterARestart: a gateway that starts anew knows what was recorded.
func TestDataPortAfterARestart(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		s, _ := f.ftpSession(t)
		f.Unreachable(t.Context(), s, announced)
		f.Gate = access.New(f.Config)
		again, _ := f.ftpSession(t)
		f.Unreachable(t.Context(), again, announced)
		if n := len(f.records(t, "data.unreachable")); n != 1 {
			t.Errorf("%d records of it", n)
		}
		f.Gate = access.New(f.Config)
		again, _ = f.ftpSession(t)
		f.Reached(t.Context(), again)
		if n := len(f.records(t, "data.reached")); n != 1 {
			t.Errorf("%d records of its end", n)
		}
	})
}

func TestDataPortsAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		s, _ := f.ftpSession(t)
		f.Reached(t.Context(), s)
		for _, note := range []func(){
			func() { f.Unreachable(t.Context(), s, announced) },
			func() { f.Reached(t.Context(), s) },
		} {
			var group sync.WaitGroup
			for range 8 {
				group.Go(note)
			}
			group.Wait()
		}
		if u, r := len(f.records(t, "data.unreachable")), len(f.records(t, "data.reached")); u != 1 || r != 1 {
			t.Errorf("%d records of it, %d of its end", u, r)
		}
	})
}

// TestDataPortThatCouldNotBeRecorded is recorded the next time.
func TestDataPortThatCouldNotBeRecorded(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		s, _ := f.ftpSession(t)
		mend := f.home.Refuse(t, "audit")
		f.Unreachable(t.Context(), s, announced)
		mend()
		f.Unreachable(t.Context(), s, announced)
		if n := len(f.records(t, "data.unreachable")); n != 1 {
			t.Errorf("%d records of it", n)
		}
	})
}

func TestDataPortIsFoundByIndex(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		plan := f.home.Plan(t, `SELECT * FROM audit WHERE client_id = 'acme' AND subject = '192.0.2.7'
			AND event IN ('data.unreachable', 'data.reached') ORDER BY seq DESC LIMIT 1`)
		if !strings.Contains(plan, "audit_data") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("the plan is %s", plan)
		}
	})
}
