package status_test

import (
	"database/sql"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/status"
)

// fill makes a catalog of a gateway that has run for 100 days: clients with keys,
// networks and a habit, reports of which one in fifty was never fetched, and the
// refusals of two days.
func fill(tb testing.TB, raw *sql.DB, clients, reports int, now time.Time) {
	tb.Helper()
	numbers := func(n int) string {
		return "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + strconv.Itoa(n) + ") "
	}
	at, every := now.UnixMicro(), (100*24*time.Hour).Microseconds()/int64(reports)
	back := strconv.FormatInt(at, 10) + " - CAST(i AS BIGINT) * " + strconv.FormatInt(every, 10)
	client := "'client' || (i % " + strconv.Itoa(clients) + ")"
	day := strconv.FormatInt((24 * time.Hour).Microseconds(), 10)
	for _, statement := range []string{
		`INSERT INTO clients (id, name, retention, disabled, ftp, quota_bytes, quota_files, delivers_to, declared, created_at) ` + numbers(clients) +
			`SELECT ` + client + `, 'x', 0, 0, 'tls', 0, 0, '', '', 1 FROM n`,
		`INSERT INTO client_networks (client_id, prefix) ` + numbers(clients) + `SELECT ` + client + `, '10.' || (i / 250) || '.' || (i % 250) || '.0/24' FROM n`,
		`INSERT INTO keys (id, client_id, kind, fingerprint, algorithm, label, material, added_at, expires_at, retires_at, revoked_at, revoked_reason, last_used_at, max_age,
			imported_by, imported_uid, imported_login, approved_by, approved_at, replaces, overlap)
			` + numbers(3*clients) + `SELECT 'key' || i, ` + client + `, CASE WHEN i <= ` + strconv.Itoa(clients) + ` THEN 'ssh' ELSE 'pgp' END, 'F' || i, 'x', 'x', '` + longText() + `', 1,
			CASE WHEN i <= ` + strconv.Itoa(clients) + ` THEN 0 WHEN i <= ` + strconv.Itoa(2*clients) + ` THEN ` + strconv.FormatInt(at, 10) + ` - ` + day + ` * (i % 300)
				ELSE ` + strconv.FormatInt(at, 10) + ` + ` + day + ` * (i % 900) END, 0, 0, '', 1, 0, 'x', 0, 0, '', 1, '', 0 FROM n`,
		`INSERT INTO entries (id, client_id, parent_id, name, kind, state, size, sha256, plain_size, blob, sealed_to, received_at, published_at, modified_at,
			expires_at, collected_at, removed_at, legal_hold, hold_reason, replaces, coverage) ` + numbers(reports) + `SELECT 'entry' || i, ` + client + `, '', 'Activity_' || i || '.csv.pgp', 'report',
			CASE WHEN i % 1000 = 0 THEN 'held' WHEN i % 50 = 7 THEN 'published' ELSE 'collected' END, 100000, 'aa', 90, 'blob' || i, 'F1', ` + back + `,
			CASE WHEN i % 1000 = 0 THEN 0 ELSE ` + back + ` END, 0, CASE WHEN i % 1000 = 0 THEN 0 ELSE ` + back + ` + 100 * ` + day + ` END,
			CASE WHEN i % 1000 = 0 OR i % 50 = 7 THEN 0 ELSE ` + back + ` + 7200000000 END, 0, 0, '', 0, '' FROM n`,
		`INSERT INTO audit (seq, at, event, actor, client_id, subject, detail, hash) ` + numbers(reports) + `SELECT i, ` + strconv.FormatInt(at-100*24*time.Hour.Microseconds(), 10) + ` + CAST(i AS BIGINT) * ` + strconv.FormatInt(every, 10) + `,
			CASE WHEN i % 4 = 0 THEN 'login.refused' ELSE 'login.allowed' END, 'gateway', ` + client + `, 'x', '{"address":"203.0.113.9","reason":"address-not-allowed","protocol":"sftp"}', 'h' FROM n`,
		`ANALYZE`,
	} {
		if _, err := raw.Exec(statement); err != nil {
			tb.Fatalf("%.60s: %.300v", statement, err)
		}
	}
}

func longText() string {
	text := make([]byte, 3000)
	for i := range text {
		text[i] = 'x'
	}
	return string(text)
}

// BenchmarkSnapshot makes a catalog of STATUS_REPORTS (100,000) reports, and a
// twentieth as many clients up to 20,000, which all expect one daily.
func BenchmarkSnapshot(b *testing.B) {
	reports := 100_000
	if text := os.Getenv("STATUS_REPORTS"); text != "" {
		var err error
		if reports, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	clients := min(reports/20, 20_000)
	for _, e := range []databasetest.Engine{databasetest.SQLite, databasetest.Postgres} {
		b.Run(string(e), func(b *testing.B) {
			now := time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)
			db, home := e.Open(b, b.TempDir())
			fill(b, home.Raw(b), clients, reports, now)
			c := collector(b, db, now)
			for i := range clients {
				c.Wanted = append(c.Wanted, wanted(b, "client"+strconv.Itoa(i), "Activity_*.csv", "06:30", "mon-fri", "Europe/Berlin"))
			}
			for b.Loop() {
				s, err := c.Snapshot(b.Context(), "")
				if err != nil {
					b.Fatal(err)
				}
				if out := status.Judge(s); out.Red == 0 {
					b.Fatal("nothing is wrong")
				}
			}
		})
	}
}
