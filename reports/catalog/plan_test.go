package catalog_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// planner answers each query with how the server would run it.
type planner struct {
	*sql.DB
	plan string
}

func (p *planner) explain(ctx context.Context, statement string, args []any) {
	rows, err := p.DB.QueryContext(ctx, "EXPLAIN "+statement, args...)
	if err != nil {
		p.plan = err.Error()
		return
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			line = err.Error()
		}
		p.plan += line + "\n"
	}
}

func (p *planner) ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	p.explain(ctx, statement, args)
	return nil, sql.ErrNoRows
}

func (p *planner) QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	p.explain(ctx, statement, args)
	return nil, sql.ErrNoRows
}

func (p *planner) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	p.explain(ctx, statement, args)
	return p.DB.QueryRowContext(ctx, "SELECT")
}

// TestPlansOfManyFiles: with a hundred thousand files, nothing that a client, a
// delivery or a sweep waits for looks through all of them. What PostgreSQL's
// planner chooses depends on the data, so it is given some.
func TestPlansOfManyFiles(t *testing.T) {
	t.Parallel()
	f := newFixtureOn(t, databasetest.Postgres)
	raw := f.home.Raw(t)
	for _, statement := range []string{
		`INSERT INTO entries SELECT 'id' || n, CASE WHEN n % 10 = 0 THEN 'beta' ELSE 'acme' END, '', 'file' || n, 'report',
			CASE WHEN n % 1000 = 0 THEN 'held' WHEN n % 3 = 0 THEN 'collected' ELSE 'published' END,
			100, CASE WHEN n % 5000 = 0 THEN '' ELSE 'aa' END, 90, 'blob' || n, 'F1', n, n, n, n, 0, 0, 0, '', 0, '' FROM generate_series(1, 100000) AS n`,
		`INSERT INTO audit SELECT n, n, CASE WHEN n % 100 = 0 THEN 'data.reached' ELSE 'login.allowed' END, 'gateway', 'acme', 'x' || n % 7, '{}', 'h' FROM generate_series(1, 50000) AS n`,
		`INSERT INTO garbage SELECT 'gone' || n, n FROM generate_series(1, 20000) AS n`,
		`INSERT INTO sources SELECT 'acme', 'source' || n, 'id' || n, n FROM generate_series(1, 50000) AS n`,
		`INSERT INTO receipts SELECT 'r' || n, 'id' || n, 'acme', 'x', 'aa', 'sftp', 'x', 'x', n, n, 1, 1, 'x' FROM generate_series(1, 50000) AS n`,
		`ANALYZE`,
	} {
		if _, err := raw.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	simple, err := sql.Open("pgx", f.home.Server.URL+"&default_query_exec_mode=simple_protocol")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { simple.Close() })
	ctx := context.Background()
	for name, run := range map[string]func(*query.Queries){
		"entry": func(q *query.Queries) { _, _ = q.GetEntry(ctx, "id7") },
		"look-up": func(q *query.Queries) {
			_, _ = q.FindChild(ctx, query.FindChildParams{ClientID: "acme", Name: "file7"})
		},
		"look-up in a folder": func(q *query.Queries) {
			_, _ = q.FindGrandchild(ctx, query.FindGrandchildParams{ClientID: "acme", Folder: "file7", Name: "file8"})
		},
		"children": func(q *query.Queries) {
			_, _ = q.ListChildren(ctx, query.ListChildrenParams{ClientID: "acme", After: "file5", N: 1000})
		},
		"page of reports": func(q *query.Queries) {
			_, _ = q.ListReports(ctx, query.ListReportsParams{ReceivedBefore: 1 << 62, N: 100})
		},
		"purge": func(q *query.Queries) { _, _ = q.DeleteDue(ctx, query.DeleteDueParams{Now: 1000, N: 500}) },
		"removal of a client's files": func(q *query.Queries) {
			_, _ = q.DeleteClientFiles(ctx, query.DeleteClientFilesParams{ClientID: "beta", N: 500})
		},
		"known blobs": func(q *query.Queries) {
			_, _ = q.ListKnownBlobs(ctx, query.ListKnownBlobsParams{First: "blob7", Last: "blob71", N: 1000})
		},
		"blobs of a file": func(q *query.Queries) {
			_, _ = q.ListBlobsFrom(ctx, query.ListBlobsFromParams{First: "blob7", Last: "blob71", N: 1000})
		},
		"due after": func(q *query.Queries) {
			_, _ = q.ListDueAfter(ctx, query.ListDueAfterParams{Now: 1000, ExpiresAfter: 500, IDAfter: "id500", N: 1000})
		},
		"held":       func(q *query.Queries) { _, _ = q.ListHeld(ctx, query.ListHeldParams{ClientID: "acme", N: 100}) },
		"undigested": func(q *query.Queries) { _, _ = q.ListUndigested(ctx, query.ListUndigestedParams{N: 100}) },
		"blob":       func(q *query.Queries) { _, _ = q.BlobKnown(ctx, query.BlobKnownParams{Blob: "blob7", Last: "blob71"}) },
		"source": func(q *query.Queries) {
			_, _ = q.GetSource(ctx, query.GetSourceParams{ClientID: "acme", Source: "source7"})
		},
		"receipts": func(q *query.Queries) { _, _ = q.ListReceipts(ctx, "id7") },
		"garbage":  func(q *query.Queries) { _, _ = q.ListGarbage(ctx, query.ListGarbageParams{Before: 500, N: 100}) },
		"subfolders": func(q *query.Queries) {
			_, _ = q.ListSubfolders(ctx, query.ListSubfoldersParams{ParentID: "id7", N: 500})
		},
		"audit's end": func(q *query.Queries) { _, _ = q.LastAudit(ctx) },
		"data port": func(q *query.Queries) {
			_, _ = q.LastDataEvent(ctx, query.LastDataEventParams{ClientID: "acme", Subject: "x3"})
		},
		"set coverage": func(q *query.Queries) { _ = q.SetCoverage(ctx, query.SetCoverageParams{ID: "id7"}) },
		"delete":       func(q *query.Queries) { _ = q.DeleteEntry(ctx, "id7") },
	} {
		p := &planner{DB: simple}
		run(query.New(p))
		if !strings.Contains(p.plan, "Index") || strings.Contains(p.plan, "Seq Scan on entries") || strings.Contains(p.plan, "Seq Scan on audit") {
			t.Errorf("%s: %s", name, p.plan)
		}
	}
}
