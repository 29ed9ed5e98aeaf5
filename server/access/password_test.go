package access_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/server/access"
)

const (
	secret = "correct horse battery"
	wrong  = "wrong horse battery"
)

func ptr[T any](v T) *T { return &v }

func (f *fixture) setPassword(tb testing.TB, id string) {
	tb.Helper()
	if err := f.register.SetPassword(context.Background(), ops, clientID(tb, id), secret, time.Time{}); err != nil {
		tb.Fatal(err)
	}
}

func (f *fixture) setMode(tb testing.TB, id string, m keys.FTPMode) {
	tb.Helper()
	if _, err := f.register.UpdateClient(context.Background(), ops, clientID(tb, id), keys.Change{FTP: &m}); err != nil {
		tb.Fatal(err)
	}
}

// ftp is an attempt over TLS.
func ftp(user, guess string) access.Attempt {
	return access.Attempt{Protocol: access.FTP, Address: home, User: user, TLS: true, Password: &guess}
}

// try logs in over FTP and out again.
func (f *fixture) try(tb testing.TB, a access.Attempt) access.Decision {
	tb.Helper()
	s, d, err := f.Login(context.Background(), a, func(string) {})
	if err != nil || (s != nil) != d.Allowed() {
		tb.Fatalf("login: %s, %v", d.Reason, err)
	}
	if s != nil {
		s.Close()
	}
	return d
}

// These settings are for attempts over FTP; overFTP comes first.

func overFTP(t *testing.T, f *fixture, a *access.Attempt) {
	f.setPassword(t, "acme")
	*a = ftp("acme", secret)
}

func inTheClear(_ *testing.T, _ *fixture, a *access.Attempt) { a.TLS = false }
func noPlainFTP(_ *testing.T, f *fixture, _ *access.Attempt) { f.PlainFTP = false }

func mode(m keys.FTPMode) setting {
	return func(t *testing.T, f *fixture, _ *access.Attempt) { f.setMode(t, "acme", m) }
}

func guess(text string) setting {
	return func(_ *testing.T, _ *fixture, a *access.Attempt) { a.Password = &text }
}

// unasked is an attempt that ended before a password was given.
func unasked(failure access.Reason) setting {
	return func(_ *testing.T, _ *fixture, a *access.Attempt) { a.Password, a.Failure = nil, failure }
}

func noPassword(t *testing.T, f *fixture, _ *access.Attempt) {
	if err := f.register.RemovePassword(t.Context(), ops, clientID(t, "acme")); err != nil {
		t.Fatal(err)
	}
}

func expiredPassword(t *testing.T, f *fixture, _ *access.Attempt) {
	if _, err := f.register.ExpirePassword(t.Context(), ops, clientID(t, "acme"), f.clock.now()); err != nil {
		t.Fatal(err)
	}
}

func TestPasswordLogin(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		s, d, err := f.Login(t.Context(), ftp("acme", secret), func(string) {})
		if err != nil || s == nil || s.Fingerprint != access.ByPassword || s.KeyID != "" || s.Client.ID.String() != "acme" || s.Address != home {
			t.Fatalf("%+v, %v", d, err)
		}
		defer s.Close()
		records := f.records(t, "login.allowed")
		if len(records) != 1 || records[0].Detail["protocol"] != "ftp" || records[0].Detail["tls"] != "true" || records[0].Detail["key"] != "password" {
			t.Errorf("recorded as %+v", records)
		}
		p, _, err := f.register.Password(t.Context(), clientID(t, "acme"))
		if err != nil || time.Since(p.LastUsed) > time.Minute {
			t.Errorf("last used %v, %v", p.LastUsed, err)
		}
		f.setMode(t, "acme", keys.FTPPlain)
		a := ftp("acme", secret)
		a.TLS = false
		f.try(t, a)
		if records := f.records(t, "login.allowed"); len(records) != 2 || records[1].Detail["tls"] != "false" {
			t.Errorf("recorded as %+v", records)
		}
	})
}

// TestAttackTimingOfUnknownUser counts comparisons rather than time: every try costs
// one, and no hint is had from which do not.
func TestAttackTimingOfUnknownUser(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for name, settings := range map[string][]setting{
			"wrong password":               {guess(wrong)},
			"unknown user":                 {user("nobody")},
			"user that is no id":           {user("../Acme")},
			"no user":                      {user("")},
			"wrong address":                {from("198.51.100.1")},
			"wrong address, and password":  {from("198.51.100.1"), guess(wrong)},
			"disabled":                     {disabled},
			"disabled, and wrong password": {disabled, guess(wrong)},
			"no password is set":           {noPassword},
			"expired":                      {expiredPassword},
			"off":                          {mode(keys.FTPOff)},
			"in the clear":                 {inTheClear},
			"in the clear, nobody may":     {inTheClear, noPlainFTP},
			"the password is locked out":   {lockedOut},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := newFixtureOn(t, e)
				var a access.Attempt
				overFTP(t, f, &a)
				for _, set := range settings {
					set(t, f, &a)
				}
				n := f.CountComparisons()
				for i := range 3 { // nothing is remembered of what does not get in
					if d := f.try(t, a); d.Allowed() || n.Load() != int64(i+1) {
						t.Fatalf("try %d: %s, %d comparisons", i+1, d.Reason, n.Load())
					}
				}
			})
		}
	})
}

// lockedOut gives wrong passwords from several addresses of acme's, so that none of
// them is locked out.
func lockedOut(t *testing.T, f *fixture, _ *access.Attempt) {
	for i := range 15 {
		a := ftp("acme", wrong)
		a.Address = netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)})
		if d := f.try(t, a); d.Reason != access.PasswordWrong {
			t.Fatalf("guess %d: %s", i+1, d.Reason)
		}
	}
}

func TestLockedOutAddressCostsNoComparison(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		for i := range 5 {
			if d := f.try(t, ftp("acme", wrong)); d.Reason != access.PasswordWrong {
				t.Fatalf("guess %d: %s", i+1, d.Reason)
			}
		}
		n := f.CountComparisons()
		for _, a := range []access.Attempt{ftp("acme", secret), ftp("acme", wrong), ftp("nobody", wrong)} {
			a.Address = netip.MustParseAddr("::ffff:192.0.2.7") // the mapped form is no way around it
			if d := f.try(t, a); d.Reason != access.TooManyAttempts || n.Load() != 0 {
				t.Errorf("%s: %s, %d comparisons", a.User, d.Reason, n.Load())
			}
		}
	})
}

func TestPasswordIsLockedOut(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		acme := clientID(t, "acme")
		s, ended := f.ftpSession(t)
		defer s.Close()
		lockedOut(t, f, nil)
		d := f.try(t, ftp("acme", secret))
		if d.Reason != access.TooManyAttempts || !strings.Contains(d.Remedy, "ban lift client:acme") {
			t.Errorf("the right password: %+v", d)
		}
		if explained, err := f.Explain(t.Context(), access.Attempt{Protocol: access.FTP, Address: home, User: "acme", TLS: true}); err != nil || explained.What != d.What {
			t.Errorf("explained as %+v, %v", explained, err)
		}
		if s, d, err := f.Login(t.Context(), f.attempt(f.key), func(string) {}); s == nil || err != nil {
			t.Errorf("its key: %s, %v", d.Reason, err)
		}
		f.Review(t.Context())
		if isEnded(ended) {
			t.Error("wrong passwords from beside a session ended it")
		}
		bans, err := f.Bans(t.Context())
		if err != nil || len(bans) != 1 || bans[0].Client != "acme" || bans[0].Address != "" || bans[0].Failures != 15 {
			t.Errorf("bans %+v, %v", bans, err)
		}
		if n := len(f.records(t, "password.banned")); n != 1 {
			t.Errorf("%d records of it", n)
		}
		for _, want := range []bool{true, false} {
			if lifted, err := f.LiftPasswordBan(t.Context(), ops, acme); lifted != want || err != nil {
				t.Errorf("lifting: %v, %v", lifted, err)
			}
		}
		if d := f.try(t, ftp("acme", secret)); !d.Allowed() {
			t.Errorf("afterwards: %s", d.Reason)
		}
		lockedOut(t, f, nil)
		f.clock.advance(time.Hour + time.Second)
		if d := f.try(t, ftp("acme", secret)); !d.Allowed() {
			t.Errorf("when it is over: %s", d.Reason)
		}
	})
}

// TestAttackLockOutFromElsewhere: who may not connect as a client can't lock its
// password out.
func TestAttackLockOutFromElsewhere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		f.add(t, "evil", "198.51.100.0/24")
		for i := range 20 {
			a := ftp("acme", wrong)
			a.Address = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			if d := f.try(t, a); d.Reason != access.AddressNotAllowed {
				t.Fatal(d.Reason)
			}
		}
		if d := f.try(t, ftp("acme", secret)); !d.Allowed() {
			t.Errorf("acme itself: %s", d.Reason)
		}
	})
}

func TestSuccessForgetsWrongPasswords(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		for range 3 {
			for range 4 {
				f.try(t, ftp("acme", wrong))
			}
			if d := f.try(t, ftp("acme", secret)); !d.Allowed() {
				t.Fatal(d.Reason)
			}
		}
	})
}

// TestExplorerProbes: Windows Explorer tries "anonymous" before it asks its user,
// each time.
func TestExplorerProbes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		n := f.CountComparisons()
		for _, plain := range []bool{true, false} {
			f.PlainFTP = plain
			for _, name := range []string{"anonymous", "ftp", "Anonymous"} {
				for range 10 {
					a := ftp(name, "IEUser@")
					a.TLS = false
					if d, err := f.AskPassword(t.Context(), a); err != nil || !d.Allowed() {
						t.Fatalf("asking %s: %s, %v", name, d.Reason, err)
					}
					if d := f.try(t, a); d.Reason != access.UnknownClient {
						t.Fatalf("%s: %s", name, d.Reason)
					}
				}
			}
		}
		if n.Load() != 0 {
			t.Errorf("%d comparisons", n.Load())
		}
		if err := f.FlushRefusals(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(f.records(t, "login.refused")); n != 1 {
			t.Errorf("%d records", n)
		}
		if d := f.try(t, ftp("acme", secret)); !d.Allowed() {
			t.Errorf("the login after it: %s", d.Reason)
		}
		// A client of that name is one like any other.
		f.add(t, "ftp", "192.0.2.0/24")
		a := ftp("ftp", wrong)
		a.TLS = false
		if d, err := f.AskPassword(t.Context(), a); err != nil || d.Reason != access.TLSRequired {
			t.Errorf("a client called ftp is asked: %s, %v", d.Reason, err)
		}
		if d := f.try(t, ftp("ftp", wrong)); d.Reason != access.PasswordMissing || n.Load() != 2 {
			t.Errorf("a client called ftp: %s, %d comparisons", d.Reason, n.Load())
		}
	})
}

// TestAttackPasswordInTheClear: it must be refused before it is sent.
func TestAttackPasswordInTheClear(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		f.add(t, "explorer", "192.0.2.0/24")
		f.setMode(t, "explorer", keys.FTPPlain)
		f.add(t, "off", "192.0.2.0/24")
		f.setMode(t, "off", keys.FTPOff)
		f.add(t, "gone", "192.0.2.0/24")
		f.setMode(t, "gone", keys.FTPPlain)
		f.disable(t, "gone")
		elsewhere := netip.MustParseAddr("198.51.100.1")
		n := f.CountComparisons()
		for _, test := range []struct {
			user     string
			from     netip.Addr
			tls      bool
			optional access.Reason // where some may log in in the clear
			required access.Reason
		}{
			{"acme", home, true, access.Allowed, access.Allowed},
			{"nobody", home, true, access.Allowed, access.Allowed},
			{"acme", home, false, access.PlainNotAllowed, access.TLSRequired},
			{"nobody", home, false, access.PlainNotAllowed, access.TLSRequired},
			{"../Acme\n", home, false, access.PlainNotAllowed, access.TLSRequired},
			{"off", home, false, access.PlainNotAllowed, access.TLSRequired},
			{"explorer", home, false, access.Allowed, access.TLSRequired},
			{"explorer", netip.MustParseAddr("::ffff:192.0.2.7"), false, access.Allowed, access.TLSRequired},
			{"explorer", elsewhere, false, access.AddressNotAllowed, access.TLSRequired},
			{"gone", home, false, access.ClientDisabled, access.TLSRequired},
		} {
			for plain, want := range map[bool]access.Reason{true: test.optional, false: test.required} {
				f.PlainFTP = plain
				_, before := f.refusals(t)
				a := access.Attempt{Protocol: access.FTP, Address: test.from, User: test.user, TLS: test.tls}
				d, err := f.AskPassword(t.Context(), a)
				told := d.What != "" && d.Remedy != ""
				if err != nil || d.Reason != want || told == d.Allowed() || strings.Contains(d.What, "\n") {
					t.Errorf("%s from %s, TLS %v, plain allowed %v: %+v, %v; want %s", test.user, test.from, test.tls, plain, d, err, want)
				}
				if err := f.FlushRefusals(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, after := f.refusals(t); (after > before) == (want == access.Allowed) {
					t.Errorf("%s from %s: %d refusals are recorded", test.user, test.from, after-before)
				}
			}
		}
		if n.Load() != 0 {
			t.Errorf("%d comparisons", n.Load())
		}
		if bans, err := f.Bans(t.Context()); err != nil || len(bans) != 0 {
			t.Errorf("bans %v, %v: no password was tried", bans, err)
		}
		f.db.Close()
		d, err := f.AskPassword(t.Context(), access.Attempt{Protocol: access.FTP, Address: home, User: "explorer"})
		if err == nil || d.Reason != access.GatewayFault {
			t.Errorf("with a closed catalog: %s, %v", d.Reason, err)
		}
	})
}

func TestPasswordIsRemembered(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		f.setMode(t, "acme", keys.FTPPlain)
		n := f.CountComparisons()
		expect := func(what string, a access.Attempt, want access.Reason, comparisons int64) {
			t.Helper()
			n.Store(0)
			if d := f.try(t, a); d.Reason != want || n.Load() != comparisons {
				t.Errorf("%s: %s, %d comparisons; want %s, %d", what, d.Reason, n.Load(), want, comparisons)
			}
		}
		expect("the first", ftp("acme", secret), access.Allowed, 1)
		mapped := ftp("acme", secret)
		mapped.Address = netip.MustParseAddr("::ffff:192.0.2.7")
		expect("again", ftp("acme", secret), access.Allowed, 0)
		expect("from the mapped form", mapped, access.Allowed, 0)
		expect("a wrong one", ftp("acme", wrong), access.PasswordWrong, 1)
		neighbour := ftp("acme", secret)
		neighbour.Address = netip.MustParseAddr("192.0.2.8")
		expect("from another address", neighbour, access.Allowed, 1)
		expect("as another client", ftp("nobody", secret), access.UnknownClient, 1)

		f.clock.advance(time.Minute)
		expect("a minute later", ftp("acme", secret), access.Allowed, 0)
		f.clock.advance(time.Minute)
		expect("two minutes after it was looked at", ftp("acme", secret), access.Allowed, 1)
		f.clock.advance(-time.Hour)
		expect("on a clock that was set back", ftp("acme", secret), access.Allowed, 1)

		// All else is looked at each time.
		f.disable(t, "acme")
		expect("disabled", ftp("acme", secret), access.ClientDisabled, 1)
		no := false
		if _, err := f.register.UpdateClient(t.Context(), ops, clientID(t, "acme"), keys.Change{Disabled: &no}); err != nil {
			t.Fatal(err)
		}
		expect("enabled again", ftp("acme", secret), access.Allowed, 0)
		f.setPassword(t, "acme") // the same text, hashed anew
		expect("set anew", ftp("acme", secret), access.Allowed, 1)
		expiredPassword(t, f, nil)
		expect("expired", ftp("acme", secret), access.PasswordExpired, 0)
	})
}

// TestAttackFillTheMemory: what is remembered is bounded, and what is stale goes
// first.
func TestAttackFillTheMemory(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.RememberMore(t, 4096)
		if n := f.Remembered(); n != 4096 {
			t.Errorf("%d passwords are remembered", n)
		}
		f.clock.advance(time.Minute)
		f.RememberMore(t, 500)
		if n := f.Remembered(); n > 4096 || n < 500 {
			t.Errorf("%d passwords are remembered", n)
		}
		f.RememberMore(t, 4096-f.Remembered())
		f.clock.advance(2 * time.Minute)
		f.RememberMore(t, 1)
		if n := f.Remembered(); n != 1 {
			t.Errorf("%d passwords are remembered, and all but one are stale", n)
		}
	})
}

// TestGuessesTakeEveryCore: passwords are compared on half of the cores at a time, and
// who waits can give up.
func TestGuessesTakeEveryCore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		release := make(chan struct{})
		n := f.BlockComparisons(release)
		cores := max(runtime.GOMAXPROCS(0)/2, 1)
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, cores+3)
		var group sync.WaitGroup
		for i := range cores + 3 {
			group.Go(func() {
				a := ftp("acme", fmt.Sprintf("%s %d", wrong, i))
				_, _, err := f.Login(ctx, a, func(string) {})
				results <- err
			})
		}
		for deadline := time.Now().Add(time.Minute); n.Load() < int64(cores) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		if n.Load() != int64(cores) {
			t.Errorf("%d comparisons at a time, want %d", n.Load(), cores)
		}
		cancel()
		for range 3 { // those without a turn
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("one that waits ends with %v", err)
			}
		}
		close(release)
		group.Wait()
	})
}

// TestPasswordIsKeptNowhere: neither the log nor the audit has it, right or wrong.
func TestPasswordIsKeptNowhere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		var log bytes.Buffer
		f.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		f.setPassword(t, "acme")
		p, _, err := f.register.Password(t.Context(), clientID(t, "acme"))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []access.Attempt{ftp("acme", secret), ftp("acme", wrong), ftp("nobody", wrong), ftp("anonymous", "IEUser@")} {
			d := f.try(t, a)
			fmt.Fprintf(&log, "%+v %#v", d, d)
		}
		records, err := audit.List(t.Context(), f.db.Read(), audit.Filter{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			fmt.Fprintf(&log, "%+v", r)
		}
		for _, text := range []string{secret, wrong, "IEUser", p.Hash.Encode()[30:]} {
			if strings.Contains(log.String(), text) {
				t.Errorf("%q is in the log or the audit", text)
			}
		}
	})
}

func TestDamagedHashFailsClosed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		for _, hash := range []string{"", secret, "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"} {
			f.exec(t, "UPDATE passwords SET hash = '"+hash+"'")
			s, d, err := f.Login(t.Context(), ftp("acme", secret), func(string) {})
			if s != nil || err == nil || d.Reason != access.GatewayFault || strings.Contains(err.Error(), secret) {
				t.Errorf("with the hash %q: %s, %v", hash, d.Reason, err)
			}
		}
		f.exec(t, "UPDATE clients SET ftp = 'maybe'")
		if s, d, err := f.Login(t.Context(), ftp("acme", secret), func(string) {}); s != nil || err == nil || d.Allowed() {
			t.Errorf("with a damaged mode: %s, %v", d.Reason, err)
		}
	})
}

func BenchmarkPasswordLogin(b *testing.B) {
	f := newFixture(b)
	f.setPassword(b, "acme")
	b.Run("remembered", func(b *testing.B) {
		for b.Loop() {
			f.try(b, ftp("acme", secret))
		}
	})
	b.Run("compared", func(b *testing.B) {
		for b.Loop() {
			f.try(b, ftp("acme", secret))
			f.clock.advance(3 * time.Minute)
		}
	})
}

// TestAttackLockOutFromASharedAddress: somebody at one of the client's addresses
// could lock its password out at all of them.
func TestAttackLockOutFromASharedAddress(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.setPassword(t, "acme")
	shared := ftp("acme", wrong)
	shared.Address = netip.MustParseAddr("192.0.2.200")
	for range 40 {
		f.try(t, shared)
	}
	if d := f.try(t, shared); d.Reason != access.TooManyAttempts {
		t.Errorf("the shared address: %s", d.Reason)
	}
	if d := f.try(t, ftp("acme", secret)); !d.Allowed() {
		t.Errorf("acme from another: %s", d.Reason)
	}
}

// TestDiagnoseTellsOfAWrongPassword: asked why a client that has just given a wrong
// password can't get in, it said that the client could.
func TestDiagnoseTellsOfAWrongPassword(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.setPassword(t, "acme")
	ask := access.Attempt{Protocol: access.FTP, Address: home, User: "acme", TLS: true}
	diagnosed := func(want access.Reason) {
		t.Helper()
		if d, err := f.Diagnose(t.Context(), ask); err != nil || d.Reason != want {
			t.Errorf("%s (%s), %v, want %s", d.Reason, d.What, err, want)
		}
	}
	diagnosed(access.Allowed)
	f.try(t, ftp("acme", wrong))
	diagnosed(access.PasswordWrong)
	f.try(t, ftp("acme", secret))
	diagnosed(access.Allowed)
	f.clock.advance(access.RepeatWindow + time.Second)
	if err := f.FlushRefusals(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.try(t, ftp("acme", wrong))
	diagnosed(access.PasswordWrong)
	f.setPassword(t, "acme")
	diagnosed(access.Allowed)
}
