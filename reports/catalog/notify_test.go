package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/outbox"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// tellAcme has acme told of everything.
func (f *fixture) tellAcme(tb testing.TB) {
	tb.Helper()
	err := f.db.Write(context.Background(), func(tx *database.Tx) error {
		return tx.UpdateClient(tx.Context(), query.UpdateClientParams{ID: "acme", Name: "acme", Notify: `{"contacts":["email:a@acme.example"]}`})
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// events takes what is in the outbox, as "kind client name" and whether it says when
// it is purged.
func (f *fixture) events(tb testing.TB) string {
	tb.Helper()
	var b strings.Builder
	err := f.db.Write(context.Background(), func(tx *database.Tx) error {
		rows, err := outbox.Take(tx, 100)
		for _, r := range rows {
			fmt.Fprintf(&b, "%s %s %s %v;", r.Kind, r.Client, r.Detail[outbox.Name], r.Detail[outbox.Until] != "")
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func TestPublicationIsTold(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.publish(t, f.publication(t, "before.csv", "s0"))
		f.tellAcme(t)
		f.publish(t, f.publication(t, "a.csv", "s1"))
		if _, known, err := f.Publish(t.Context(), f.publication(t, "a.csv", "s1")); err != nil || !known {
			t.Fatalf("again: known %v, %v", known, err)
		}
		if got := f.events(t); got != "report.ready acme a.csv true;" {
			t.Errorf("a publication, and it again: %s", got)
		}
		p := f.publication(t, "held.csv", "s2")
		p.Held = true
		held := f.publish(t, p)
		if got := f.events(t); got != "report.held acme held.csv false;" {
			t.Errorf("a held report: %s", got)
		}
		for _, want := range []bool{true, false} {
			_, done, err := f.Release(t.Context(), catalog.Released{ID: held.ID, Blob: f.newBlob(), Size: 7, SHA256: "cc", Retention: day, Actor: ops})
			if err != nil || done != want {
				t.Fatalf("release: done %v, %v", done, err)
			}
		}
		if got := f.events(t); got != "report.ready acme held.csv true;" {
			t.Errorf("its release, tried twice: %s", got)
		}
	})
}

// TestFailedPublicationIsNotTold: the event is in the publication's transaction, and
// a publication whose event can't be written is none.
func TestFailedPublicationIsNotTold(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.tellAcme(t)
		mend := f.home.Refuse(t, "outbox")
		if _, _, err := f.Publish(t.Context(), f.publication(t, "a.csv", "s1")); err == nil {
			t.Fatal("published without its event")
		}
		mend()
		if _, err := f.Lookup(t.Context(), f.acme, name(t, "a.csv")); err == nil {
			t.Error("it is there all the same")
		}
		mend = f.home.Refuse(t, "audit")
		if _, _, err := f.Publish(t.Context(), f.publication(t, "b.csv", "s2")); err == nil {
			t.Fatal("published without its audit record")
		}
		mend()
		if got := f.events(t); got != "" {
			t.Errorf("told of what failed: %s", got)
		}
		if _, _, err := f.Publish(t.Context(), f.publication(t, "a.csv", "s1")); err != nil {
			t.Error(errors.Join(errors.New("once it is mended"), err))
		}
		if got := f.events(t); got != "report.ready acme a.csv true;" {
			t.Errorf("once it is mended: %s", got)
		}
	})
}
