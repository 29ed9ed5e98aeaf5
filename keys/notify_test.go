package keys_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/outbox"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// told takes what is in the outbox, as "change credential network".
func (f *fixture) told(tb testing.TB) string {
	tb.Helper()
	var list []string
	err := f.db.Write(context.Background(), func(tx *database.Tx) error {
		rows, err := outbox.Take(tx, 100)
		for _, r := range rows {
			if r.Kind != outbox.AccessChanged || r.Client != "acme" {
				list = append(list, fmt.Sprint(r))
				continue
			}
			list = append(list, strings.TrimSpace(fmt.Sprint(r.Detail[outbox.Change], " ", r.Detail[outbox.Credential], r.Detail[outbox.Network])))
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Join(list, ", ")
}

// TestChangesOfAccessAreTold, and none to a client that wants to be told of nothing.
func TestChangesOfAccessAreTold(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		f.importKeys(t, sshKey(t))
		if got := f.told(t); got != "" {
			t.Errorf("nobody wants to be told, and yet: %s", got)
		}
		to, err := contact.Parse("email:a@acme.example")
		if err != nil {
			t.Fatal(err)
		}
		key := sshKey(t)
		allow := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		none := []netip.Prefix{}
		name := "New"
		for _, step := range []struct {
			want string
			do   func() error
		}{
			{"", func() error {
				return f.set(f.acme, keys.Change{Notify: &contact.Preferences{Contacts: []contact.Contact{to}}})
			}},
			{"", func() error { return f.set(f.acme, keys.Change{Name: &name}) }},
			{"network-allowed 192.0.2.0/24", func() error { return f.set(f.acme, keys.Change{Allow: &allow}) }},
			{"", func() error { return f.set(f.acme, keys.Change{Allow: &allow}) }},
			{"network-denied 192.0.2.0/24", func() error { return f.set(f.acme, keys.Change{Allow: &none}) }},
			{"key-imported ssh", func() error { f.importKeys(t, key); return nil }},
			{"", func() error { f.importKeys(t, key); return nil }},
			{"key-retired ssh", func() error { _, err := f.Retire(ctx, ops, key[0].Fingerprint, f.now().Add(day)); return err }},
			{"key-revoked ssh", func() error { _, err := f.Revoke(ctx, ops, key[0].Fingerprint, "lost"); return err }},
			{"password-set password", func() error { return f.SetPassword(ctx, ops, f.acme, "correct horse battery staple", f.now().Add(day)) }},
			{"password-expired password", func() error { _, err := f.ExpirePassword(ctx, ops, f.acme, f.now()); return err }},
			{"password-removed password", func() error { return f.RemovePassword(ctx, ops, f.acme) }},
			{"", func() error { _ = f.RemovePassword(ctx, ops, f.acme); return nil }}, // there is none
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			if got := f.told(t); got != step.want {
				t.Errorf("told %q; want %q", got, step.want)
			}
		}
	})
}

// TestRemovedClientIsToldNothingMore, nor is one that is later added under its id.
func TestRemovedClientIsToldNothingMore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	to, _ := contact.Parse("email:a@acme.example")
	if err := f.set(f.acme, keys.Change{Notify: &contact.Preferences{Contacts: []contact.Contact{to}}}); err != nil {
		t.Fatal(err)
	}
	f.importKeys(t, sshKey(t))
	if err := f.RemoveClient(t.Context(), ops, f.acme); err != nil {
		t.Fatal(err)
	}
	if got := f.told(t); got != "" {
		t.Errorf("told %s", got)
	}
}

func TestNotifyIsDeclaredAsAWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	to, _ := contact.Parse("email:a@acme.example")
	prefs := contact.Preferences{Contacts: []contact.Contact{to}, Language: "de"}
	f.apply(t, keys.ApplyOptions{Own: true}, keys.Declaration{
		ID: f.acme, Change: keys.Change{Notify: &prefs}, Places: map[string]string{keys.FieldNotify: "config.yaml:7"},
	})
	if got := f.client(t, f.acme).Notify.Text(); got != prefs.Text() {
		t.Errorf("applied %s", got)
	}
	err := f.set(f.acme, keys.Change{Notify: &contact.Preferences{}})
	if err == nil || !strings.Contains(err.Error(), "notify of client acme is declared at config.yaml:7") {
		t.Errorf("changed by a command: %v", err)
	}
}
