package database

import (
	"context"
	"database/sql"
	"sync"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

// maxStatements bounds how many statements are kept prepared. There are fewer queries
// than that; what comes beyond, because somebody puts one together, is run as it is.
const maxStatements = 500

// prepared runs queries on SQLite's reading connections, and keeps them prepared: parsing
// is half of what a short query costs there. pgx does the same by itself.
type prepared struct {
	*sql.DB
	mu         sync.RWMutex
	statements map[string]*sql.Stmt
}

func newPrepared(pool *sql.DB) *prepared {
	return &prepared{DB: pool, statements: make(map[string]*sql.Stmt)}
}

// statement returns nil for what can't be prepared, which is then run as it is, and fails
// as it would have.
func (p *prepared) statement(ctx context.Context, text string) *sql.Stmt {
	p.mu.RLock()
	s, full := p.statements[text], len(p.statements) >= maxStatements
	p.mu.RUnlock()
	if s != nil || full {
		return s
	}
	s, err := p.PrepareContext(ctx, text)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.statements[text]; first != nil {
		_ = s.Close() // another was faster
		return first
	}
	p.statements[text] = s
	return s
}

// ExecContext implements [query.DBTX].
func (p *prepared) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if s := p.statement(ctx, text); s != nil {
		return s.ExecContext(ctx, args...)
	}
	return p.DB.ExecContext(ctx, text, args...)
}

// QueryContext implements [query.DBTX].
func (p *prepared) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if s := p.statement(ctx, text); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, text, args...)
}

// QueryRowContext implements [query.DBTX].
func (p *prepared) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	if s := p.statement(ctx, text); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, text, args...)
}

// writing keeps the statements of the one writing connection. A transaction holds that
// connection, so that a statement can be prepared for good only between two of them: the
// first transaction with a query runs it as it is, and learn prepares it. It is used by the
// goroutine that writes, and by nobody else.
type writing struct {
	pool       *sql.DB
	statements map[string]*sql.Stmt // nil until it is prepared
	unprepared []string
}

// keepStatements returns what keeps the statements of a pool of one connection.
func keepStatements(pool *sql.DB) *writing {
	return &writing{pool: pool, statements: make(map[string]*sql.Stmt)}
}

// learn prepares what the transaction before had to run as it is.
func (w *writing) learn(ctx context.Context) {
	for _, text := range w.unprepared {
		if s, err := w.pool.PrepareContext(ctx, text); err == nil {
			w.statements[text] = s
		}
	}
	w.unprepared = w.unprepared[:0]
}

// in returns how a transaction's queries are to be run. A nil w runs them as they are.
func (w *writing) in(tx *sql.Tx) query.DBTX {
	if w == nil {
		return tx
	}
	return &writingTx{Tx: tx, kept: w, own: make(map[string]*sql.Stmt)}
}

// writingTx is a transaction with kept statements.
type writingTx struct {
	*sql.Tx
	kept *writing
	own  map[string]*sql.Stmt // those that were used, as the transaction's
}

func (t *writingTx) statement(ctx context.Context, text string) *sql.Stmt {
	if s := t.own[text]; s != nil {
		return s
	}
	s, known := t.kept.statements[text]
	switch {
	case s != nil:
		t.own[text] = t.StmtContext(ctx, s)
		return t.own[text]
	case !known && len(t.kept.statements) < maxStatements:
		t.kept.statements[text] = nil
		t.kept.unprepared = append(t.kept.unprepared, text)
	}
	return nil
}

// ExecContext implements [query.DBTX].
func (t *writingTx) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if s := t.statement(ctx, text); s != nil {
		return s.ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, text, args...)
}

// QueryContext implements [query.DBTX].
func (t *writingTx) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if s := t.statement(ctx, text); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, text, args...)
}

// QueryRowContext implements [query.DBTX].
func (t *writingTx) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	if s := t.statement(ctx, text); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, text, args...)
}
