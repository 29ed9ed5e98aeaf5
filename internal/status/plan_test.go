package status_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
)

// TestPlans: what is asked of the tables that grow is answered by their indexes, so
// that the overview of a large gateway takes no longer than that of a small one.
func TestPlans(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, home := e.Open(t, t.TempDir())
		seed(t, db, time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC))
		for statement, index := range map[string]string{
			"SELECT COUNT(*) FROM entries WHERE received_at >= 5 AND published_at = received_at AND kind = 'report'":                                  "COVERING INDEX entries_received",
			"SELECT SUM(size) FROM entries WHERE received_at >= 5 AND published_at = received_at":                                                     "COVERING INDEX entries_received",
			"SELECT COUNT(*) FROM entries WHERE published_at > 0 AND published_at <> received_at AND published_at >= 5 AND kind = 'report'":           "COVERING INDEX entries_released",
			"SELECT SUM(size) FROM entries WHERE published_at > 0 AND published_at <> received_at AND published_at >= 5":                              "COVERING INDEX entries_released",
			"SELECT state, kind, COUNT(*) FROM entries WHERE kind <> 'folder' AND (state <> 'published' OR kind <> 'report') GROUP BY state, kind":    "COVERING INDEX entries_state",
			"SELECT state, kind, COUNT(*) FROM entries WHERE state = 'published' AND kind = 'report' GROUP BY state, kind":                            "COVERING INDEX entries_uncollected",
			"SELECT SUM(size) FROM entries WHERE expires_at > 0 AND legal_hold = 0 AND expires_at <= 5":                                               "entries_due",
			"SELECT COUNT(*) FROM entries WHERE collected_at > 0 AND collected_at >= 5 AND kind = 'report'":                                           "entries_collected",
			"SELECT client_id, COUNT(*), MIN(published_at) FROM entries WHERE state = 'published' AND kind = 'report' GROUP BY client_id":             "entries_uncollected",
			"SELECT client_id, COUNT(*), MIN(received_at) FROM entries WHERE state = 'held' GROUP BY client_id":                                       "entries_held",
			"SELECT client_id, name, received_at FROM entries WHERE received_at >= 5 AND kind = 'report' ORDER BY received_at DESC LIMIT 10":          "entries_received",
			"SELECT collected_at - published_at FROM entries WHERE client_id = 'acme' AND collected_at > 0 AND kind = 'report' ORDER BY collected_at": "entries_habit",
			"SELECT at, client_id, detail FROM audit WHERE event = 'login.refused' AND at >= 5 ORDER BY at DESC LIMIT 10":                             "audit_refused_at",
			"SELECT id FROM keys WHERE expires_at > 0 AND revoked_at = 0 AND expires_at <= 5":                                                         "keys_expiring",
			"SELECT id FROM keys WHERE max_age > 0 AND revoked_at = 0 AND added_at + max_age <= 5":                                                    "keys_aging",
		} {
			plan := home.Plan(t, statement)
			// What PostgreSQL chooses depends on the data, of which there is little.
			if e == databasetest.SQLite && !strings.Contains(plan, index) || !strings.Contains(strings.ToUpper(plan), "INDEX") || strings.Contains(plan, "Seq Scan") {
				t.Errorf("%s\n%s", statement, plan)
			}
		}
	})
}
