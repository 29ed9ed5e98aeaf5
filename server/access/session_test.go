package access_test

import (
	"context"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/server/access"
)

// ftpSession logs acme in over FTP.
func (f *fixture) ftpSession(tb testing.TB) (s *access.Session, ended chan struct{}) {
	tb.Helper()
	ended = make(chan struct{})
	s, d, err := f.Login(context.Background(), ftp("acme", secret), func(string) { close(ended) })
	if err != nil || s == nil {
		tb.Fatalf("login: %s, %v", d.Reason, err)
	}
	tb.Cleanup(s.Close)
	return s, ended
}

func TestReviewEndsPasswordSessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for name, test := range map[string]struct {
			change setting
			want   access.Reason
		}{
			"changed password":                {func(t *testing.T, f *fixture, _ *access.Attempt) { f.setPassword(t, "acme") }, access.PasswordWrong},
			"expired password":                {expiredPassword, access.PasswordExpired},
			"removed password":                {noPassword, access.PasswordMissing},
			"disabled":                        {disabled, access.ClientDisabled},
			"off":                             {mode(keys.FTPOff), access.ProtocolNotEnabled},
			"lockout-shields-an-old-password": {func(t *testing.T, f *fixture, a *access.Attempt) { noPassword(t, f, a); banned(t, f, a) }, access.PasswordMissing},
			"plain":                           {mode(keys.FTPPlain), access.Allowed},
			"revoked key":                     {revoked, access.Allowed},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := newFixtureOn(t, e)
				f.setPassword(t, "acme")
				s, ended := f.ftpSession(t)
				f.Review(t.Context())
				if isEnded(ended) {
					t.Fatal("a good session was ended")
				}
				n := f.CountComparisons()
				test.change(t, f, &access.Attempt{Address: home})
				f.Review(t.Context())
				if isEnded(ended) != (test.want != access.Allowed) {
					t.Errorf("it is ended: %v", isEnded(ended))
				}
				if records := f.records(t, "session.ended"); isEnded(ended) && (len(records) != 1 || records[0].Detail["reason"] != string(test.want)) {
					t.Errorf("recorded as %v, want %s", records, test.want)
				}
				if n.Load() != 0 {
					t.Errorf("%d comparisons", n.Load())
				}
				s.Close()
			})
		}
	})
}

// TestReviewEndsSessionsInTheClear: when a client may no longer log in in the clear,
// a session in the clear must not go on, and one over TLS may.
func TestReviewEndsSessionsInTheClear(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		f.setMode(t, "acme", keys.FTPPlain)
		_, encrypted := f.ftpSession(t)
		a, clear := ftp("acme", secret), make(chan struct{})
		a.TLS = false
		s, d, err := f.Login(t.Context(), a, func(string) { close(clear) })
		if err != nil || s == nil {
			t.Fatalf("%s, %v", d.Reason, err)
		}
		defer s.Close()
		f.setMode(t, "acme", keys.FTPTLS)
		f.Review(t.Context())
		if !isEnded(clear) || isEnded(encrypted) {
			t.Errorf("ended in the clear: %v, over TLS: %v", isEnded(clear), isEnded(encrypted))
		}
	})
}

// TestPasswordChangedDuringLogin: it is compared, then changed, and the watch looks
// at the sessions before this one is on the list.
func TestPasswordChangedDuringLogin(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.setPassword(t, "acme")
		between := func() {
			f.setPassword(t, "acme")
			f.Review(context.Background())
		}
		f.AfterComparison(between)
		s, d, err := f.Login(t.Context(), ftp("acme", secret), func(string) {})
		if s != nil || d.Reason != access.PasswordWrong || err != nil || f.Sessions() != 0 {
			t.Errorf("login: %s, %v, %d sessions", d.Reason, err, f.Sessions())
		}
	})
}
