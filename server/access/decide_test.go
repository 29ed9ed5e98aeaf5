package access_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/server/access"
)

// setting changes a fixture or an attempt so that a reason comes up.
type setting func(t *testing.T, f *fixture, a *access.Attempt)

func user(name string) setting {
	return func(_ *testing.T, _ *fixture, a *access.Attempt) { a.User = name }
}

func from(addr string) setting {
	return func(_ *testing.T, _ *fixture, a *access.Attempt) { a.Address = netip.MustParseAddr(addr) }
}

func unproved(failure access.Reason) setting {
	return func(_ *testing.T, _ *fixture, a *access.Attempt) { a.Proved, a.Failure = nil, failure }
}

func nothingOffered(_ *testing.T, _ *fixture, a *access.Attempt) { a.Proved, a.Offered = nil, nil }

func strangeKey(_ *testing.T, _ *fixture, a *access.Attempt) {
	k := access.Key{Fingerprint: "strange", Algorithm: "ssh-ed25519", Bits: 256}
	a.Proved, a.Offered = &k, []access.Key{k}
}

func disabled(t *testing.T, f *fixture, _ *access.Attempt) { f.disable(t, "acme") }
func revoked(t *testing.T, f *fixture, _ *access.Attempt)  { f.revoke(t, f.key) }

func retired(t *testing.T, f *fixture, _ *access.Attempt) {
	if _, err := f.register.Retire(t.Context(), ops, f.key.Fingerprint, f.clock.now()); err != nil {
		t.Fatal(err)
	}
}

func expired(t *testing.T, f *fixture, _ *access.Attempt) {
	f.exec(t, "UPDATE keys SET expires_at = 1")
}

func pending(t *testing.T, f *fixture, _ *access.Attempt) {
	f.exec(t, "UPDATE keys SET approved_at = 0, imported_by = 'operator:ops'")
}

func serves(a access.Audience) setting {
	return func(_ *testing.T, f *fixture, _ *access.Attempt) { f.Serves = a }
}

func detail(text string) setting {
	return func(_ *testing.T, _ *fixture, a *access.Attempt) { a.Detail = text }
}

// producer makes acme one.
func producer(t *testing.T, f *fixture, _ *access.Attempt) {
	f.exec(t, "UPDATE clients SET delivers_to = '*', ftp = 'off'")
}

func banned(t *testing.T, f *fixture, a *access.Attempt) {
	bad := access.Attempt{Protocol: "sftp", Address: a.Address, User: "nobody"}
	for range 5 {
		if _, err := f.Refused(t.Context(), bad); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		reached := map[access.Reason]bool{ // by tests of their own
			access.TooManySessions: true, access.GatewayFault: true, access.PassivePortUnreachable: true,
			access.TooManyConnections: true, access.DataNotResumed: true, access.DataTLSFailed: true, access.DataInTheClear: true,
		}
		for _, test := range []struct {
			name     string
			settings []setting
			want     access.Reason
		}{
			{"all is well", nil, access.Allowed},
			{"mapped address", []setting{from("::ffff:192.0.2.7")}, access.Allowed},
			{"unknown user", []setting{user("nobody")}, access.UnknownClient},
			{"user that is no id", []setting{user("../Acme\x00")}, access.UnknownClient},
			{"disabled", []setting{disabled}, access.ClientDisabled},
			{"wrong address", []setting{from("198.51.100.1")}, access.AddressNotAllowed},
			{"invalid address", []setting{func(_ *testing.T, _ *fixture, a *access.Attempt) { a.Address = netip.Addr{} }}, access.AddressNotAllowed},
			{"strange key", []setting{strangeKey}, access.KeyUnknown},
			{"retired key", []setting{retired}, access.KeyRetired},
			{"revoked key", []setting{revoked}, access.KeyRevoked},
			{"expired key", []setting{expired}, access.KeyExpired},
			{"pending key", []setting{pending}, access.KeyPending},
			{"weak key", []setting{strangeKey, unproved(access.KeyTooWeak)}, access.KeyTooWeak},
			{"sha-1 signature", []setting{unproved(access.AlgorithmRefused)}, access.AlgorithmRefused},
			{"offered-key-is-not-proof", []setting{unproved("")}, access.SignatureInvalid},
			{"signature of another key", []setting{unproved(access.SignatureInvalid)}, access.SignatureInvalid},
			{"banned", []setting{banned}, access.TooManyAttempts},
			{"no common algorithm", []setting{nothingOffered, unproved(access.NoCommonAlgorithm), user("")}, access.NoCommonAlgorithm},
			{"hung up before a user", []setting{nothingOffered, user("")}, access.ClosedBeforeLogin},
			{"hung up after a user", []setting{nothingOffered, unproved(access.ClosedBeforeLogin)}, access.ClosedBeforeLogin},
			{"too slow", []setting{nothingOffered, unproved(access.TimedOut)}, access.TimedOut},
			{"too slow after offering a good key", []setting{unproved(access.TimedOut)}, access.TimedOut},

			// The order: what keeps a client out first is what it is told.
			{"banned before all", []setting{user("nobody"), banned, disabled, revoked}, access.TooManyAttempts},
			{"user before address", []setting{user("nobody"), from("198.51.100.1"), strangeKey}, access.UnknownClient},
			{"disabled before address", []setting{disabled, from("198.51.100.1")}, access.ClientDisabled},
			{"address before key", []setting{from("198.51.100.1"), strangeKey}, access.AddressNotAllowed},
			{"address before revocation", []setting{from("198.51.100.1"), revoked}, access.AddressNotAllowed},
			{"revoked before retired", []setting{retired, revoked}, access.KeyRevoked},
			{"revoked before expired", []setting{expired, revoked}, access.KeyRevoked},
			{"revoked before unproved", []setting{revoked, unproved("")}, access.KeyRevoked},

			{"over FTP, all is well", []setting{overFTP}, access.Allowed},
			{"FTP from a mapped address", []setting{overFTP, from("::ffff:192.0.2.7")}, access.Allowed},
			{"FTP in the clear where it may", []setting{overFTP, mode(keys.FTPPlain), inTheClear}, access.Allowed},
			{"FTP in the clear where it may not", []setting{overFTP, inTheClear}, access.PlainNotAllowed},
			{"FTP in the clear where nobody may", []setting{overFTP, mode(keys.FTPPlain), inTheClear, noPlainFTP}, access.TLSRequired},
			{"FTP off", []setting{overFTP, mode(keys.FTPOff)}, access.ProtocolNotEnabled},
			{"no password is set", []setting{overFTP, noPassword}, access.PasswordMissing},
			{"wrong password", []setting{overFTP, guess("wrong horse battery")}, access.PasswordWrong},
			{"empty password", []setting{overFTP, guess("")}, access.PasswordWrong},
			{"expired password", []setting{overFTP, expiredPassword}, access.PasswordExpired},
			{"handshake failed before a user", []setting{overFTP, unasked(access.TLSFailed), user(""), inTheClear}, access.TLSFailed},
			{"handshake failed after a user", []setting{overFTP, unasked(access.TLSFailed), inTheClear}, access.TLSFailed},
			{"FTP hung up after a user", []setting{overFTP, unasked(access.ClosedBeforeLogin)}, access.ClosedBeforeLogin},
			{"FTP hung up, and did not say why", []setting{overFTP, unasked(access.TimedOut)}, access.TimedOut},
			{"FTP user before address", []setting{overFTP, user("nobody"), from("198.51.100.1")}, access.UnknownClient},
			{"FTP address before password", []setting{overFTP, from("198.51.100.1"), guess("wrong horse battery")}, access.AddressNotAllowed},
			{"FTP disabled before off", []setting{overFTP, disabled, mode(keys.FTPOff)}, access.ClientDisabled},
			{"FTP off before in the clear", []setting{overFTP, mode(keys.FTPOff), inTheClear}, access.ProtocolNotEnabled},
			{"in the clear before the password", []setting{overFTP, inTheClear, guess("wrong horse battery")}, access.PlainNotAllowed},
			{"expired-is-told-only-to-who-knows-the-password", []setting{overFTP, expiredPassword, guess("wrong horse battery")}, access.PasswordWrong},
			{"FTP banned before all", []setting{overFTP, banned, disabled}, access.TooManyAttempts},

			{"HTTP on the port for sFTP", []setting{nothingOffered, unproved(access.WrongProtocol), user(""), detail(access.SpeaksHTTP)}, access.WrongProtocol},
			{"FTP in the clear on the port for TLS", []setting{overFTP, unasked(access.WrongProtocol), user(""), inTheClear, detail(access.SpeaksNothing)}, access.WrongProtocol},
			{"a producer from a wrong address", []setting{producer, from("198.51.100.1")}, access.AddressNotAllowed},
			{"a producer at the edge", []setting{producer, serves(access.ClientsOnly)}, access.ProtocolNotEnabled},
			{"a client at the edge", []setting{serves(access.ClientsOnly)}, access.Allowed},
			{"a client at the intake", []setting{serves(access.ProducersOnly)}, access.ProtocolNotEnabled},
			{"a client at the intake over FTP", []setting{overFTP, serves(access.ProducersOnly)}, access.ProtocolNotEnabled},
			{"address before the edge", []setting{producer, serves(access.ClientsOnly), from("198.51.100.1")}, access.AddressNotAllowed},
		} {
			reached[test.want] = true
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				f := newFixtureOn(t, e)
				a := f.attempt(f.key)
				for _, set := range test.settings {
					set(t, f, &a)
				}
				explained, err := f.Explain(t.Context(), a)
				if err != nil || explained.Reason != test.want || explained.What == "" || explained.Remedy == "" || explained.Allowed() != (test.want == access.Allowed) {
					t.Fatalf("explained as %+v, %v; want %s", explained, err, test.want)
				}
				// What `sealdrop why` says is what happens.
				var happened access.Decision
				if a.Proved != nil || a.Password != nil {
					var s *access.Session
					s, happened, err = f.Login(t.Context(), a, func(string) {})
					if (s != nil) != (test.want == access.Allowed) {
						t.Errorf("a session: %v", s != nil)
					}
				} else {
					happened, err = f.Refused(t.Context(), a)
				}
				if err != nil || happened.Reason != explained.Reason || happened.What != explained.What || happened.KeyID != explained.KeyID {
					t.Errorf("explained as %+v\nhappened as %+v, %v", explained, happened, err)
				}
				told, err := f.Attempts(t.Context(), access.SeenFilter{Limit: 1})
				if err != nil || len(told) != 1 || told[0].Reason != test.want || told[0].What != happened.What {
					t.Errorf("recorded as %+v, %v\nhappened as %+v", told, err, happened)
				} else if test.want != access.Allowed && told[0].Remedy != happened.Remedy {
					t.Errorf("the remedy %q is recorded as %q", happened.Remedy, told[0].Remedy)
				}
				if test.want != access.Allowed {
					if n, _ := f.refusals(t); n == 0 {
						t.Error("the refusal was not recorded")
					}
				} else if len(f.records(t, "login.allowed")) != 1 {
					t.Error("the login was not recorded")
				}
			})
		}
		for _, r := range access.Reasons() {
			if !reached[r] {
				t.Errorf("no case reaches %s", r)
			}
		}
	})
}

func TestKeyOfAnotherClient(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.add(t, "beta", "192.0.2.0/24")
		k := f.enrol(t, "beta", "B")
		s, d, err := f.Login(t.Context(), f.attempt(k), func(string) {})
		if s != nil || err != nil || d.Reason != access.KeyUnknown || !strings.Contains(d.What, "beta") {
			t.Errorf("acme with beta's key: %+v, %v", d, err)
		}
		a := f.attempt(k)
		a.User = "nobody"
		if d, err := f.Explain(t.Context(), a); err != nil || d.Reason != access.UnknownClient || !strings.Contains(d.Remedy, "beta") {
			t.Errorf("nobody with beta's key: %+v, %v", d, err)
		}
		for _, test := range []struct {
			user string
			key  access.Key
			want bool
		}{{"acme", f.key, true}, {"acme", k, false}, {"beta", k, true}, {"nobody", k, false}, {"", k, false}, {"acme", access.Key{}, false}} {
			if got, err := f.Offered(t.Context(), test.user, test.key); got != test.want || err != nil {
				t.Errorf("offered by %q: %v, %v", test.user, got, err)
			}
		}
		f.revoke(t, k)
		if got, err := f.Offered(t.Context(), "beta", k); got || err != nil {
			t.Errorf("a revoked key is worth proving: %v, %v", got, err)
		}
	})
}

// TestBestOfSeveralKeys: an agent offers its keys one after another; a revoked one
// among them must not speak for the good one.
func TestBestOfSeveralKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		old := f.enrol(t, "acme", "old")
		f.revoke(t, old)
		for _, offered := range [][]access.Key{{old, f.key}, {f.key, old}} {
			a := f.attempt(f.key)
			a.Proved, a.Offered = nil, offered
			if d, err := f.Explain(t.Context(), a); err != nil || d.Reason != access.SignatureInvalid || d.Fingerprint != f.key.Fingerprint {
				t.Errorf("offering %v: %+v, %v", offered, d, err)
			}
		}
	})
}

func TestLoginNeedsProof(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		a := f.attempt(f.key)
		a.Proved = nil
		if s, _, err := f.Login(t.Context(), a, func(string) {}); s != nil || err == nil {
			t.Errorf("logged in with what was only offered: %v", err)
		}
		a.Protocol = access.FTP // where an attempt without a password is explained as one with the right one
		if s, _, err := f.Login(t.Context(), a, func(string) {}); s != nil || err == nil {
			t.Errorf("logged in over FTP without a password: %v", err)
		}
		f.setPassword(t, "acme")
		for name, a := range map[string]access.Attempt{
			"a key over FTP":              {Protocol: access.FTP, Address: home, User: "acme", Proved: &f.key, TLS: true},
			"a password over sFTP":        {Protocol: access.SFTP, Address: home, User: "acme", Password: ptr(secret), TLS: true},
			"a password over no protocol": {Address: home, User: "acme", Password: ptr(secret), TLS: true},
		} {
			if s, _, err := f.Login(t.Context(), a, func(string) {}); s != nil || err == nil {
				t.Errorf("logged in with %s: %v", name, err)
			}
		}
	})
}

func TestSessionLimit(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		first, _ := f.login(t)
		f.login(t)
		f.login(t)
		s, d, err := f.Login(t.Context(), f.attempt(f.key), func(string) {})
		if s != nil || d.Reason != access.TooManySessions || d.Remedy == "" || err != nil || f.Sessions() != 3 {
			t.Errorf("a fourth session: %+v, %v", d, err)
		}
		first.Close()
		first.Close() // must not count twice
		f.login(t)
		if s, d, _ := f.Login(t.Context(), f.attempt(f.key), func(string) {}); s != nil || f.Sessions() != 3 {
			t.Errorf("after one was closed twice: %+v", d)
		}
	})
}

// TestNoRecordNoLogin: if the audit can't be written, the answer is no.
func TestNoRecordNoLogin(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.home.Refuse(t, "audit")
		s, d, err := f.Login(t.Context(), f.attempt(f.key), func(string) {})
		if s != nil || err == nil || d.Reason != access.GatewayFault || d.Allowed() || f.Sessions() != 0 {
			t.Errorf("login: %+v, %v, %d sessions", d, err, f.Sessions())
		}
		f.db.Close()
		if s, d, err := f.Login(t.Context(), f.attempt(f.key), func(string) {}); s != nil || err == nil || d.Allowed() {
			t.Errorf("with a closed catalog: %+v, %v", d, err)
		}
		if ok := f.Admit(t.Context(), home); ok {
			t.Error("admitted with a closed catalog")
		}
	})
}

func TestLoginNotesTheKeysUse(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.login(t)
		k, err := f.register.Find(t.Context(), f.key.Fingerprint)
		if err != nil || time.Since(k.LastUsed) > time.Minute {
			t.Errorf("last used %v, %v", k.LastUsed, err)
		}
	})
}

// TestStrangersTextIsHarmless: what a client calls itself ends up in log lines
// and terminals.
func TestStrangersTextIsHarmless(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		hostile := "x\n\x1b[2J\u202e\xff" + strings.Repeat("A", 1<<20)
		a := access.Attempt{Address: home, User: hostile, Software: hostile, Detail: hostile, Failure: access.SignatureInvalid}
		d, err := f.Refused(t.Context(), a)
		if err != nil || len(d.What) > 1000 || strings.ContainsAny(d.What+d.Remedy, "\n\x1b\u202e") {
			t.Errorf("%.300q, %v", d.What, err)
		}
		for _, r := range f.records(t, "login.refused") {
			if text := r.DetailText(); len(text) > 2000 || strings.ContainsAny(text, "\n\x1b\u202e") {
				t.Errorf("recorded %.300q", text)
			}
		}
	})
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.add(t, "six", "2001:db8::/32", "10.0.0.0/8", "::ffff:203.0.113.0/120")
		f.add(t, "host", "198.51.100.9/32", "2001:db9::1/128")
		for addr, want := range map[string]bool{
			"192.0.2.0":             true,
			"192.0.2.255":           true,
			"192.0.3.0":             false,
			"::ffff:192.0.2.7":      true,
			"::ffff:192.0.3.7":      false,
			"::192.0.2.7":           false, // the long-dead compatible form is another address
			"64:ff9b::c000:207":     false, // NAT64
			"2001:db8::1":           true,
			"2001:db8::1%eth0":      true,
			"2001:db7:ffff::1":      false,
			"10.255.255.255":        true,
			"203.0.113.5":           true, // was given in the mapped form
			"198.51.100.9":          true,
			"198.51.100.8":          false,
			"2001:db9::1":           true,
			"2001:db9::2":           false,
			"0.0.0.0":               false,
			"::":                    false,
			"fe80::1%192.0.2.7":     false,
			"::ffff:10.0.0.1%eth0":  true,
			"::ffff:0:192.0.2.7":    false,
			"2002:c000:207::1":      false, // 6to4
			"255.255.255.255":       false,
			"::ffff:198.51.100.9":   true,
			"::ffff:255.255.255.25": false,
		} {
			parsed := netip.MustParseAddr(addr)
			if got := f.Admit(t.Context(), parsed); got != want {
				t.Errorf("%s is admitted: %v", addr, got)
			}
			// The gate at login agrees with the one at the door.
			somebody := false
			for _, id := range []string{"acme", "six", "host"} {
				d, err := f.Explain(t.Context(), access.Attempt{Address: parsed, User: id})
				if err != nil {
					t.Fatal(err)
				}
				somebody = somebody || d.Reason != access.AddressNotAllowed
			}
			if somebody != want {
				t.Errorf("%s may log in as somebody: %v", addr, somebody)
			}
		}
		if f.Admit(t.Context(), netip.Addr{}) {
			t.Error("what is no address was admitted")
		}
	})
}

func TestAdmitEverybody(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.add(t, "any4", "0.0.0.0/0")
		if !f.Admit(t.Context(), netip.MustParseAddr("8.8.8.8")) || !f.Admit(t.Context(), netip.MustParseAddr("::ffff:8.8.8.8")) {
			t.Error("0.0.0.0/0 does not admit every IPv4 address")
		}
		if f.Admit(t.Context(), netip.MustParseAddr("2001:db8::1")) || f.Admit(t.Context(), netip.Addr{}) {
			t.Error("0.0.0.0/0 admits more than IPv4")
		}
		f.add(t, "any6", "::/0")
		f.clock.advance(time.Second)
		if !f.Admit(t.Context(), netip.MustParseAddr("2001:db8::1")) {
			t.Error("::/0 does not admit every IPv6 address")
		}
	})
}

// TestAdmitNotices: a network that was added a moment ago counts, and strangers
// who knock all the time do not make the gate read the catalog each time.
func TestAdmitNotices(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		addr := netip.MustParseAddr("198.51.100.1")
		if f.Admit(t.Context(), addr) {
			t.Fatal("admitted a stranger")
		}
		other := keys.NewRegister(f.home.Open(t), f.clock.now) // another process
		c := keys.Client{ID: clientID(t, "late"), Name: "late", Allow: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
		if err := other.AddClient(t.Context(), ops, c); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(time.Second)
		if !f.Admit(t.Context(), addr) {
			t.Error("a network that was just added is not admitted")
		}
	})
}

func TestDamagedNetworkFailsClosed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.exec(t, "UPDATE client_networks SET prefix = '0.0.0.0'")
		if f.Admit(t.Context(), home) {
			t.Error("admitted by a network that can't be read")
		}
		d, err := f.Explain(t.Context(), f.attempt(f.key))
		if err == nil || d.Allowed() {
			t.Errorf("allowed: %+v, %v", d, err)
		}
	})
}

func TestEndedContext(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s, d, err := f.Login(ctx, f.attempt(f.key), func(string) {})
		if s != nil || err == nil || errors.Is(err, database.ErrConflict) || d.Allowed() {
			t.Errorf("login: %+v, %v", d, err)
		}
	})
}
