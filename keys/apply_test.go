package keys_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

func declaration(id reports.ClientID, name string) keys.Declaration {
	allow := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	return keys.Declaration{
		ID: id, Change: keys.Change{Name: &name, Allow: &allow},
		Places: map[string]string{keys.FieldName: "config.yaml:3", keys.FieldAllow: "config.yaml:4"},
	}
}

func (f *fixture) apply(tb testing.TB, o keys.ApplyOptions, list ...keys.Declaration) map[string]keys.Planned {
	tb.Helper()
	plan, err := f.Apply(context.Background(), "gateway", list, o)
	if err != nil {
		tb.Fatal(err)
	}
	byClient := map[string]keys.Planned{}
	for _, p := range plan {
		byClient[p.Client.String()] = p
	}
	return byClient
}

func (f *fixture) set(id reports.ClientID, ch keys.Change) error {
	_, err := f.UpdateClient(context.Background(), ops, id, ch)
	return err
}

var (
	own       = keys.ApplyOptions{Own: true}
	yes, no   = true, false
	enabling  = keys.Change{Disabled: &no}
	disabling = keys.Change{Disabled: &yes}
)

func wantDeclared(t *testing.T, what string, err error, place string) {
	t.Helper()
	var declared *keys.DeclaredError
	if !errors.As(err, &declared) || declared.Place != place || declared.Hint() == "" {
		t.Errorf("%s: %v, want that it is declared at %s", what, err, place)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		beta := clientID(t, "beta")
		if p := f.apply(t, own, declaration(f.acme, "Acme Corp"), declaration(beta, "Beta")); p["acme"].Action != "change" || p["beta"].Action != "add" {
			t.Errorf("plan %+v", p)
		}
		f.noticed(t, false, func() error {
			if p := f.apply(t, own, declaration(f.acme, "Acme Corp"), declaration(beta, "Beta")); p["acme"].Action != "none" || p["beta"].Action != "none" {
				t.Errorf("again: %+v", p)
			}
			return nil
		})
		name, kept := "Other", 5*day
		wantDeclared(t, "renaming", f.set(f.acme, keys.Change{Name: &name}), "config.yaml:3")
		wantDeclared(t, "renaming beside another change", f.set(f.acme, keys.Change{Retention: &kept, Name: &name}), "config.yaml:3")
		if c := f.client(t, f.acme); c.Retention != 0 {
			t.Error("a refused change was carried out in part")
		}
		wantDeclared(t, "removing", f.RemoveClient(t.Context(), ops, f.acme), "config.yaml:3")
		if err := f.set(f.acme, keys.Change{Retention: &kept}); err != nil {
			t.Errorf("an undeclared field: %v", err)
		}
		if err := f.set(f.acme, disabling); err != nil {
			t.Errorf("locking it out: %v", err)
		}
		f.apply(t, own, declaration(f.acme, "Acme Corp"), declaration(beta, "Beta"))
		if c := f.client(t, f.acme); !c.Disabled || c.Retention != kept {
			t.Errorf("a reload changed what is not declared: %+v", c)
		}
		// Only the place moves: the next error tells the new one.
		moved := declaration(f.acme, "Acme Corp")
		moved.Places[keys.FieldName] = "config.yaml:30"
		f.noticed(t, false, func() error { f.apply(t, own, moved, declaration(beta, "Beta")); return nil })
		wantDeclared(t, "renaming", f.set(f.acme, keys.Change{Name: &name}), "config.yaml:30")
	})
}

func TestApplyDryRun(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		f.apply(t, own, declaration(f.acme, "Acme"))
		f.noticed(t, false, func() error {
			p := f.apply(t, keys.ApplyOptions{Own: true, DryRun: true}, declaration(clientID(t, "beta"), "Beta"))
			if p["beta"].Action != "add" || p["acme"].Action != "disable" {
				t.Errorf("plan %+v", p)
			}
			return nil
		})
		if _, err := f.Client(t.Context(), clientID(t, "beta")); !errors.Is(err, reports.ErrUnknownClient) || f.client(t, f.acme).Disabled {
			t.Errorf("a dry run did something: %v", err)
		}
	})
}

// TestApplyOfAList is the command line's import of a client list, which owns
// nothing.
func TestApplyOfAList(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		beta := clientID(t, "beta")
		f.apply(t, own, declaration(f.acme, "Acme"))
		f.apply(t, keys.ApplyOptions{}, declaration(beta, "Beta"))
		if f.client(t, f.acme).Disabled || f.client(t, beta).Declared != nil {
			t.Error("a list disabled a client, or declared one")
		}
		if err := f.RemoveClient(t.Context(), ops, beta); err != nil {
			t.Errorf("removing what a list added: %v", err)
		}
		// All or none: the second of these is declared elsewhere.
		_, err := f.Apply(t.Context(), ops, []keys.Declaration{declaration(beta, "Beta"), declaration(f.acme, "Other")}, keys.ApplyOptions{})
		wantDeclared(t, "changing a declared one", err, "config.yaml:3")
		if _, err := f.Client(t.Context(), beta); !errors.Is(err, reports.ErrUnknownClient) {
			t.Errorf("half of the list was applied: %v", err)
		}
	})
}

func TestDroppedFromTheConfiguration(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		beta := clientID(t, "beta") // not declared, and left alone
		if err := f.AddClient(t.Context(), ops, keys.Client{ID: beta}); err != nil {
			t.Fatal(err)
		}
		f.apply(t, own, declaration(f.acme, "Acme"))
		f.noticed(t, true, func() error {
			if p := f.apply(t, own); p["acme"].Action != "disable" || len(p) != 1 {
				t.Errorf("plan %+v", p)
			}
			return nil
		})
		if !f.client(t, f.acme).Disabled || f.client(t, beta).Disabled {
			t.Error("the wrong client is disabled")
		}
		f.noticed(t, false, func() error { f.apply(t, own); return nil })
		// Declared again, it gets in again.
		f.apply(t, own, declaration(f.acme, "Acme"))
		if f.client(t, f.acme).Disabled {
			t.Error("declared again, and still disabled")
		}
		wantDeclared(t, "renaming", f.set(f.acme, keys.Change{Name: new(string)}), "config.yaml:3")
		// Dropped, it can be changed like any other.
		f.apply(t, own)
		if err := f.set(f.acme, enabling); err != nil {
			t.Errorf("enabling: %v", err)
		}
		f.apply(t, own)
		if f.client(t, f.acme).Disabled {
			t.Error("what an operator enabled was disabled by the next reload")
		}
		f.apply(t, own, declaration(f.acme, "Acme"))
		f.apply(t, own)
		if err := f.RemoveClient(t.Context(), ops, f.acme); err != nil {
			t.Errorf("removing: %v", err)
		}
	})
}

// TestLockedOutClientIsNotLetInByADeclaration: an operator locks a client out, its
// declaration is taken away, and comes back with an old copy of the file.
func TestLockedOutClientIsNotLetInByADeclaration(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		f.apply(t, own, declaration(f.acme, "Acme"))
		if err := f.set(f.acme, disabling); err != nil {
			t.Fatal(err)
		}
		f.apply(t, own)
		f.apply(t, own, declaration(f.acme, "Acme"))
		if !f.client(t, f.acme).Disabled {
			t.Error("it gets in again")
		}
	})
}

func TestDisabledByDeclaration(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		d := declaration(f.acme, "Acme")
		d.Change.Disabled = &yes
		d.Places[keys.FieldDisabled] = "config.yaml:5"
		f.apply(t, own, d)
		wantDeclared(t, "enabling", f.set(f.acme, enabling), "config.yaml:5")
		d.Change.Disabled = &no
		f.apply(t, own, d)
		if f.client(t, f.acme).Disabled {
			t.Error("declared as enabled, and disabled")
		}
		wantDeclared(t, "disabling", f.set(f.acme, disabling), "config.yaml:5")
	})
}

func TestRetentionIsKeptExactly(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		for _, kept := range []time.Duration{0, time.Microsecond, 100 * day, 100 * 365 * day} {
			if err := f.set(f.acme, keys.Change{Retention: &kept}); err != nil {
				t.Fatal(err)
			}
			if got := f.client(t, f.acme).Retention; got != kept {
				t.Errorf("%v came back as %v", kept, got)
			}
		}
	})
}

// TestWouldDisable: what is told before a reload is what the reload does.
func TestWouldDisable(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		beta, gamma := clientID(t, "beta"), clientID(t, "gamma")
		f.apply(t, own, declaration(f.acme, "Acme"), declaration(beta, "Beta"), declaration(gamma, "Gamma"))
		if err := f.set(gamma, disabling); err != nil { // it is locked out already
			t.Fatal(err)
		}
		would := func() []reports.ClientID {
			list, err := f.WouldDisable(t.Context(), []keys.Declaration{declaration(f.acme, "Acme")})
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		if list := would(); len(list) != 1 || list[0] != beta {
			t.Errorf("it would disable %v", list)
		}
		if f.client(t, beta).Disabled {
			t.Error("it did so already")
		}
		if p := f.apply(t, own, declaration(f.acme, "Acme")); p["beta"].Action != "disable" {
			t.Errorf("plan %+v", p)
		}
		if list := would(); len(list) > 0 {
			t.Errorf("once more: %v", list)
		}
	})
}
