package database_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
)

// mayScan are the queries that may go through a whole table, or the whole of an index, and why.
// Who adds one answers for it at 300 million reports of a million clients.
var mayScan = map[string]string{
	// An index that has few rows and little more than what is asked for.
	"CountOnHold": "what is on legal hold", "ListOnHold": "what is on legal hold", "ListLegalHolds": "clients on legal hold",
	"HeldClients": "what is held", "SummarizeHeld": "what is held",
	"DeleteEmptyRemovedFolders": "folders that were removed",
	"ListDisabledClients":       "clients that are disabled",
	"ListPendingKeys":           "keys that wait for an approval", "ListUnapprovedKeys": "the same", "ListEndingKeys": "keys that end",
	// Tables that stay small.
	"CountBans": "bans", "DeleteOldBans": "bans", "ListBans": "bans",
	"DeleteClientOutbox": "a queue, empty but for moments", "ListOutbox": "its head", "OutboxFigures": "the same",
	"ListStalePartials": "uploads that were cut off, of a day", "ListKeyUpdates": "they wait for a person",
	"ListUnapprovedUpdates": "the same", "ListEndingProducers": "producers",
	// They end at their limit, and there is nothing that they pass over.
	"LastAudit": "the last one", "NewestStrangers": "the newest ones", "CountSome": "of what it has found",
	// All of it is what is asked for, rarely: at a start, at a reload, by an operator.
	"AllClientNetworks": "a reload", "ListDeclaredClients": "a reload", "TotalFiles": "fsck", "ListMessages": "an operator's list",
	// Somebody pays for these. docs/scaling.md says how much.
	"AllNetworks":          "every gateway, after each change of access",
	"CountStates":          "metrics, every 15 s at most",
	"TotalUsage":           "metrics, every 15 s at most",
	"SummarizeUncollected": "status; what nobody has fetched",
}

var (
	queryName  = regexp.MustCompile(`(?m)^-- name: (\w+) :\w+\n`)
	lineRemark = regexp.MustCompile(`(?m)^--.*\n`)
	namedValue = regexp.MustCompile(`@\w+`)
	wholeScan  = regexp.MustCompile(`(?m)^SCAN \w+( USING.*)?$`)
)

// readQueries returns the queries of queries.sql by name, with question marks for their values.
func readQueries(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("queries.sql")
	if err != nil {
		t.Fatal(err)
	}
	queries := make(map[string]string)
	starts := queryName.FindAllSubmatchIndex(text, -1)
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		body := lineRemark.ReplaceAllString(string(text[at[1]:end]), "")
		queries[string(text[at[2]:at[3]])] = namedValue.ReplaceAllString(body, "?")
	}
	if len(queries) < 100 {
		t.Fatalf("only %d queries were found", len(queries))
	}
	return queries
}

// TestNoQueryScans: what a query costs does not grow with the table. SQLite says so of each by
// itself; the rules of its planner need no data.
func TestNoQueryScans(t *testing.T) {
	t.Parallel()
	_, home := databasetest.SQLite.Open(t, t.TempDir())
	queries := readQueries(t)
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		statement := queries[name]
		args := make([]any, strings.Count(statement, "?"))
		for i := range args {
			args[i] = 1
		}
		scans := wholeScan.FindAllString(home.Plan(t, statement, args...), -1)
		if _, allowed := mayScan[name]; allowed != (len(scans) > 0) {
			t.Errorf("%s (may scan: %v): %q", name, allowed, scans)
		}
	}
	for name := range mayScan {
		if queries[name] == "" {
			t.Errorf("there is no query %s", name)
		}
	}
}
