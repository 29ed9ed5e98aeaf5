package keys_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/password"
	"github.com/sealdrop/sealdrop/reports"
)

const secret = "correct horse battery"

func (f *fixture) password(tb testing.TB) keys.Password {
	tb.Helper()
	p, found, err := f.Password(tb.Context(), f.acme)
	if err != nil || !found {
		tb.Fatalf("found %v, %v", found, err)
	}
	return p
}

func TestPasswordsLife(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		if _, found, err := f.Password(ctx, f.acme); found || err != nil {
			t.Fatalf("at first: %v, %v", found, err)
		}
		f.noticed(t, true, func() error { return f.SetPassword(ctx, ops, f.acme, secret, f.now().Add(10*day)) })
		p := f.password(t)
		if p.Client != f.acme || !p.Hash.Matches(secret) || p.State(f.now()) != keys.Active || !p.LastUsed.IsZero() {
			t.Errorf("it is %+v", p)
		}
		f.noticed(t, true, func() error { return f.SetPassword(ctx, ops, f.acme, secret, f.now().Add(10*day)) })
		if again := f.password(t); again.Hash == p.Hash {
			t.Error("set again, it has the same salt")
		}
		f.noticed(t, true, func() error { _, err := f.ExpirePassword(ctx, ops, f.acme, f.now().Add(day)); return err })
		if p := f.password(t); p.State(f.now()) != keys.Active || p.State(f.now().Add(day)) != keys.Expired {
			t.Errorf("it expires at %v", p.Expires)
		}
		// It must not get more time this way.
		f.noticed(t, false, func() error { _, err := f.ExpirePassword(ctx, ops, f.acme, f.now().Add(2*day)); return err })
		f.noticed(t, true, func() error { _, err := f.ExpirePassword(ctx, ops, f.acme, f.now()); return err })
		if s := f.password(t).State(f.now()); s != keys.Expired {
			t.Errorf("it is %s", s)
		}
		f.noticed(t, false, func() error { _, err := f.ExpirePassword(ctx, ops, f.acme, f.now()); return err })
		f.noticed(t, true, func() error { return f.RemovePassword(ctx, ops, f.acme) })
		var none *keys.NoPasswordError
		if err := f.RemovePassword(ctx, ops, f.acme); !errors.As(err, &none) || none.Hint() == "" {
			t.Errorf("removing it again: %v", err)
		}
		if _, err := f.ExpirePassword(ctx, ops, f.acme, f.now()); !errors.As(err, &none) {
			t.Errorf("expiring what is not there: %v", err)
		}
	})
}

func TestPasswordThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		var policy *password.PolicyError
		var past *keys.PastError
		f.noticed(t, false, func() error {
			if err := f.SetPassword(ctx, ops, f.acme, "short", f.now().Add(day)); !errors.As(err, &policy) {
				t.Errorf("a short one: %v", err)
			}
			if err := f.SetPassword(ctx, ops, f.acme, secret, f.now()); !errors.As(err, &past) || past.Hint() == "" {
				t.Errorf("one of the past: %v", err)
			}
			nobody := clientID(t, "nobody")
			if err := f.SetPassword(ctx, ops, nobody, secret, f.now().Add(day)); !errors.Is(err, reports.ErrUnknownClient) {
				t.Errorf("nobody's: %v", err)
			}
			if _, err := f.ExpirePassword(ctx, ops, nobody, f.now()); !errors.Is(err, reports.ErrUnknownClient) {
				t.Errorf("expiring nobody's: %v", err)
			}
			if err := f.RemovePassword(ctx, ops, nobody); !errors.Is(err, reports.ErrUnknownClient) {
				t.Errorf("removing nobody's: %v", err)
			}
			return nil
		})
	})
}

// TestPasswordIsNowhere: neither in the audit nor in the catalog.
func TestPasswordIsNowhere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		if err := f.SetPassword(ctx, ops, f.acme, secret, f.now().Add(day)); err != nil {
			t.Fatal(err)
		}
		hash := f.password(t).Hash.Encode()
		records, err := audit.List(ctx, f.db.Read(), audit.Filter{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if text := r.DetailText() + r.Subject; strings.Contains(text, secret) || strings.Contains(text, hash) {
				t.Errorf("the record of %s is %q", r.Event, text)
			}
		}
		row, err := f.db.Read().GetPassword(ctx, "acme")
		if err != nil || strings.Contains(row.Hash, secret) || !strings.HasPrefix(row.Hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("stored as %q, %v", row.Hash, err)
		}
	})
}

func TestListPasswords(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		for _, id := range []string{"beta", "without"} {
			if err := f.AddClient(ctx, ops, keys.Client{ID: clientID(t, id)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{"beta", "acme"} {
			if err := f.SetPassword(ctx, ops, clientID(t, id), secret, f.now().Add(day)); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		err := f.Passwords(ctx, func(p keys.Password) bool { ids = append(ids, p.Client.String()); return true })
		if err != nil || !slices.Equal(ids, []string{"acme", "beta"}) {
			t.Errorf("%q, %v", ids, err)
		}
		if err := f.RemoveClient(ctx, ops, f.acme); err != nil {
			t.Fatal(err)
		}
		if _, found, err := f.Password(ctx, f.acme); found || err != nil {
			t.Errorf("a removed client's password is left: %v, %v", found, err)
		}
	})
}

func TestFTPMode(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		if c := f.client(t, f.acme); c.FTP != keys.FTPTLS {
			t.Errorf("at first it is %q", c.FTP)
		}
		set := func(mode keys.FTPMode) func() error {
			return func() error {
				_, err := f.UpdateClient(ctx, ops, f.acme, keys.Change{FTP: &mode})
				return err
			}
		}
		f.noticed(t, false, set(""))
		f.noticed(t, false, set(keys.FTPTLS))
		f.noticed(t, true, set(keys.FTPPlain))
		f.noticed(t, false, set(keys.FTPPlain))
		if c := f.client(t, f.acme); c.FTP != keys.FTPPlain {
			t.Errorf("it is %q", c.FTP)
		}
		// Declared, it can't be changed by command.
		off := keys.FTPOff
		declared := []keys.Declaration{{ID: f.acme, Change: keys.Change{FTP: &off}, Places: map[string]string{keys.FieldFTP: "config.yaml:3"}}}
		plan, err := f.Apply(ctx, "gateway", declared, keys.ApplyOptions{Own: true})
		if err != nil || len(plan) != 1 || plan[0].Detail[keys.FieldFTP] != "plain → off" {
			t.Errorf("%+v, %v", plan, err)
		}
		var refused *keys.DeclaredError
		if err := set(keys.FTPPlain)(); !errors.As(err, &refused) || refused.Field != "ftp" {
			t.Errorf("changing it by command: %v", err)
		}
		if err := f.RemoveClient(ctx, ops, f.acme); !errors.As(err, &refused) {
			t.Errorf("removing it: %v", err)
		}
	})
}
