package access_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/server/access"
)

// run starts the gate's watch, until the test ends.
func (f *fixture) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { f.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
}

func isEnded(ended chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

func TestReviewEndsSessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for name, change := range map[string]setting{
			"revoked key": revoked, "disabled": disabled, "retired key": retired, "expired key": expired,
			"address taken away": func(t *testing.T, f *fixture, _ *access.Attempt) {
				none := []netip.Prefix{}
				if _, err := f.register.UpdateClient(t.Context(), ops, clientID(t, "acme"), keys.Change{Allow: &none}); err != nil {
					t.Fatal(err)
				}
			},
			"client removed": func(t *testing.T, f *fixture, _ *access.Attempt) {
				if err := f.register.RemoveClient(t.Context(), ops, clientID(t, "acme")); err != nil {
					t.Fatal(err)
				}
			},
			// Failed logins from beside a session must not shield it.
			"lockout-shields-a-revoked-key": func(t *testing.T, f *fixture, a *access.Attempt) { revoked(t, f, a); banned(t, f, a) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := newFixtureOn(t, e)
				s, ended := f.login(t)
				f.Review(t.Context())
				if isEnded(ended) {
					t.Fatal("a good session was ended")
				}
				a := f.attempt(f.key)
				change(t, f, &a)
				f.Review(t.Context())
				if !isEnded(ended) {
					t.Error("the session goes on")
				}
				f.Review(t.Context()) // would close the channel again
				if n := len(f.records(t, "session.ended")); n != 1 {
					t.Errorf("%d records of it", n)
				}
				s.Close()
				if f.Sessions() != 0 {
					t.Errorf("%d sessions", f.Sessions())
				}
			})
		}
	})
}

func TestLockoutEndsNoSession(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		_, ended := f.login(t)
		a := f.attempt(f.key)
		banned(t, f, &a)
		f.Review(t.Context())
		if isEnded(ended) {
			t.Error("failed logins from beside a session ended it")
		}
	})
}

func TestLockedCatalogEndsNoSession(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		_, ended := f.login(t)
		f.db.Close()
		f.Review(t.Context())
		if isEnded(ended) {
			t.Error("a catalog that can't be read threw a session out")
		}
	})
}

// TestRevocationByAnotherProcess is `sealdrop key revoke` beside a running
// gateway. The session must be over within two seconds.
func TestRevocationByAnotherProcess(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.run(t)
		_, ended := f.login(t)
		other := keys.NewRegister(f.home.Open(t), f.clock.now)
		began := time.Now()
		if _, err := other.Revoke(t.Context(), ops, f.key.Fingerprint, "lost"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
			t.Logf("ended after %v", time.Since(began).Round(time.Millisecond))
		case <-time.After(time.Minute):
			t.Fatal("the session goes on")
		}
	})
}

// TestRevocationBetweenDecisionAndEnlisting: the key is read, then revoked, and the
// watch looks at the sessions before this one is on the list.
func TestRevocationBetweenDecisionAndEnlisting(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		// The gate asks for the time once it has read the key, to judge it.
		between := func() {
			f.revoke(t, f.key)
			f.Review(context.Background())
		}
		f.clock.asked.Store(&between)
		s, d, err := f.Login(t.Context(), f.attempt(f.key), func(string) {})
		if s != nil || d.Reason != access.KeyRevoked || err != nil || f.Sessions() != 0 {
			t.Errorf("login: %s, %v, %d sessions", d.Reason, err, f.Sessions())
		}
		if n := len(f.records(t, "login.allowed")); n != 0 {
			t.Errorf("%d logins are recorded as allowed", n)
		}
	})
}

// TestRevocationDuringLogin races logins against the revocation of their key:
// whatever the order, no session is left once both are done and the watch has
// looked.
func TestRevocationDuringLogin(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for range 10 {
			f := newFixtureOn(t, e)
			var group sync.WaitGroup
			var mu sync.Mutex
			sessions := map[*access.Session]chan struct{}{}
			for range 3 {
				group.Go(func() {
					ended := make(chan struct{})
					s, _, err := f.Login(context.Background(), f.attempt(f.key), func(string) { close(ended) })
					if err != nil {
						t.Error(err)
					}
					if s != nil {
						mu.Lock()
						sessions[s] = ended
						mu.Unlock()
					}
				})
			}
			group.Go(func() {
				f.revoke(t, f.key)
				f.Review(context.Background()) // as the watch does when the mark moves
			})
			group.Wait()
			for s, ended := range sessions {
				if !isEnded(ended) {
					t.Error("a session that was being decided on outlived the revocation")
				}
				s.Close()
			}
		}
	})
}

// TestRunRecordsWhatItCounted: the counts of a gateway that stops are not lost.
func TestRunRecordsWhatItCounted(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		ctx, cancel := context.WithCancel(context.Background())
		var group sync.WaitGroup
		group.Go(func() { f.Run(ctx) })
		for range 7 {
			refuse(t, f, "198.51.100.1", "acme")
		}
		cancel()
		group.Wait()
		if _, total := f.refusals(t); total != 7 {
			t.Errorf("%d refusals are told of, want 7", total)
		}
	})
}
