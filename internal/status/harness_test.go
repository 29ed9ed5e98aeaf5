package status_test

import (
	"context"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/status"
	"github.com/sealdrop/sealdrop/reports/expect"
)

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func expectation(tb testing.TB, name, by, days, zone string) expect.Expectation {
	tb.Helper()
	p, err := expect.ParsePattern(name)
	check(tb, err)
	c, err := expect.ParseClock(by)
	check(tb, err)
	d, err := expect.ParseDays(days)
	check(tb, err)
	z, err := expect.ParseZone(zone)
	check(tb, err)
	return expect.Expectation{Name: p, By: c, Days: d, Zone: z}
}

func wanted(tb testing.TB, client, name, by, days, zone string) status.Wanted {
	tb.Helper()
	return status.Wanted{Client: client, Expectation: expectation(tb, name, by, days, zone)}
}

func limits() status.Limits {
	return status.Limits{BackupAge: 48 * time.Hour, AuditAge: 7 * 24 * time.Hour, UncollectedAfter: 72 * time.Hour}
}

// collector gathers from a catalog, with nothing wrong around it.
func collector(tb testing.TB, db *database.DB, now time.Time) *status.Collector {
	tb.Helper()
	return &status.Collector{
		Queries: db.Read(), Now: func() time.Time { return now }, Zone: time.UTC, Limits: limits(),
		Why: func(context.Context, string) (status.Why, error) {
			return status.Why{Reason: "no PGP key was imported", Fix: "sealdrop key import"}, nil
		},
		Spool: func() ([]status.Queued, []status.Fault) { return nil, nil },
		Disk: func() (status.Disk, error) {
			return status.Disk{Path: "/data", Total: 1 << 40, Free: 1 << 39, Reserve: 1 << 28}, nil
		},
		Running:  func() status.Running { return status.Running{Known: true, Running: true, PID: 1} },
		Standing: func(context.Context) []status.Fault { return nil },
	}
}
