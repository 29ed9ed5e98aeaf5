package outbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/outbox"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// open makes a catalog with acme, who wants to be told, and quiet, who does not.
func open(tb testing.TB, e databasetest.Engine) *database.DB {
	tb.Helper()
	db, _ := e.Open(tb, tb.TempDir())
	write(tb, db, func(tx *database.Tx) error {
		return errors.Join(
			tx.InsertClient(tx.Context(), query.InsertClientParams{ID: "acme", Notify: `{"contacts":["email:a@acme.example"]}`}),
			tx.InsertClient(tx.Context(), query.InsertClientParams{ID: "quiet"}),
		)
	})
	return db
}

func write(tb testing.TB, db *database.DB, fn func(*database.Tx) error) {
	tb.Helper()
	if err := db.Write(context.Background(), fn); err != nil {
		tb.Fatal(err)
	}
}

func take(tb testing.TB, db *database.DB, n int64) (list []outbox.Row) {
	tb.Helper()
	write(tb, db, func(tx *database.Tx) (err error) {
		list, err = outbox.Take(tx, n)
		return err
	})
	return list
}

func TestAddAndTake(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := open(t, e)
		event := outbox.Event{Kind: outbox.ReportReady, Client: "acme", Subject: "r1", Detail: map[string]string{outbox.Name: "a.csv"}}
		write(t, db, func(tx *database.Tx) error {
			return errors.Join(
				outbox.Add(tx, now.Add(time.Second), outbox.Event{Kind: outbox.KeyExpiring, Client: "acme"}),
				outbox.Add(tx, now, event),
				outbox.Add(tx, now, outbox.Event{Kind: outbox.ReportReady, Client: "quiet"}),
				outbox.Add(tx, now, outbox.Event{Kind: outbox.ReportReady, Client: "nobody"}),
			)
		})
		list := take(t, db, 1)
		if len(list) != 1 {
			t.Fatalf("took %d", len(list))
		}
		if diff := cmp.Diff(event, list[0].Event); diff != "" || !list[0].At.Equal(now) {
			t.Errorf("at %s (-want +got):\n%s", list[0].At, diff)
		}
		if list := take(t, db, 10); len(list) != 1 || list[0].Kind != outbox.KeyExpiring {
			t.Errorf("then took %+v", list)
		}
		if empty, err := outbox.Empty(t.Context(), db.Read()); err != nil || !empty {
			t.Errorf("empty %v, %v", empty, err)
		}
	})
}

// TestOperatorsAreToldOfClientsWithoutContacts: what is held and who is refused.
func TestOperatorsAreToldOfClientsWithoutContacts(t *testing.T) {
	t.Parallel()
	db := open(t, databasetest.SQLite)
	write(t, db, func(tx *database.Tx) error {
		return errors.Join(
			outbox.Add(tx, now, outbox.Event{Kind: outbox.ReportHeld, Client: "quiet"}),
			outbox.Add(tx, now, outbox.Event{Kind: outbox.AccessRefused, Client: "quiet"}),
			outbox.Add(tx, now, outbox.Event{Kind: outbox.AccessChanged, Client: "quiet"}),
		)
	})
	if list := take(t, db, 10); len(list) != 2 {
		t.Errorf("took %+v", list)
	}
}

func TestAddOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := open(t, e)
		for i, want := range []bool{true, false, false} {
			write(t, db, func(tx *database.Tx) error {
				added, err := outbox.AddOnce(tx, now.Add(time.Duration(i)*time.Hour), "k1", outbox.Event{Kind: outbox.KeyExpiring, Client: "acme"})
				if added != want {
					t.Errorf("time %d: added %v", i, added)
				}
				return err
			})
		}
		if list := take(t, db, 10); len(list) != 1 {
			t.Errorf("took %d", len(list))
		}
	})
}

// TestLookUpIsByPrimaryKey: publishing to a client without contacts must not take
// longer with each client there is.
func TestLookUpIsByPrimaryKey(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		_, home := e.Open(t, t.TempDir())
		plan := home.Plan(t, "SELECT id FROM clients WHERE id = 'acme' AND notify <> ''")
		if !strings.Contains(plan, "clients_pkey") && !strings.Contains(plan, "sqlite_autoindex_clients_1") {
			t.Errorf("plan: %s", plan)
		}
		for _, statement := range []string{
			"SELECT * FROM outbox ORDER BY at, id LIMIT 50",
			"SELECT channel, target, MIN(next_at) FROM messages WHERE state = 'pending' AND next_at <= 5 GROUP BY channel, target",
			"SELECT COUNT(*), MIN(created_at) FROM messages WHERE state = 'dead'",
		} {
			if plan := home.Plan(t, statement); strings.Contains(plan, "SCAN messages\n") || strings.Contains(plan, "Seq Scan") {
				t.Errorf("%s: %s", statement, plan)
			}
		}
	})
}
