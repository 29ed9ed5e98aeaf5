package database

import (
	"context"
	"database/sql"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

// maxBatch bounds how many writes share one commit, so that the first of them
// does not wait for an endless stream of others.
const maxBatch = 256

// Tx is a write in progress. It must not be kept beyond the function that it
// was given to.
type Tx struct {
	*query.Queries
	ctx context.Context
	run query.DBTX // what the queries are run with
	end *auditEnd
	db  *DB
}

// Context returns the context that the transaction's statements must be run
// with. It is not the caller's: a commit is never tied to a client that may
// hang up in the middle of it.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Awaited reports whether anybody waits for the transaction to end, here or in another program. Who
// has much to write, in a function for [DB.WriteLater], asks now and then, and stops.
func (tx *Tx) Awaited() bool {
	return tx.db.waiting.Load() > 0 || tx.db.engine.awaited(tx.ctx, tx.run)
}

// Committed is what became of a transaction.
type Committed struct {
	Writes int // that shared it
	Err    error
	Took   time.Duration // from its beginning until it was durable
}

// Observe has fn told of every transaction from now on. It is called by the
// goroutine that writes, and must not block.
func (db *DB) Observe(fn func(Committed)) { db.observer.Store(&fn) }

func (db *DB) observe(writes int, err error, took time.Duration) {
	if fn := db.observer.Load(); fn != nil {
		(*fn)(Committed{Writes: writes, Err: db.engine.explain(err), Took: took})
	}
}

type job struct {
	ctx     context.Context
	fn      func(*Tx) error
	canWait bool
	err     error
	done    chan struct{}
}

// Write runs fn in a transaction and commits it durably. An error from fn rolls
// back what fn wrote and is returned as it is. If ctx ends before fn was begun,
// fn is not run; once begun, it is carried through.
//
// fn runs on the one goroutine that writes: it must be short, and must not call
// Write.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	return db.enter(ctx, db.jobs, fn)
}

func (db *DB) enter(ctx context.Context, queue chan<- *job, fn func(*Tx) error) error {
	j := &job{ctx: ctx, fn: fn, canWait: queue == db.later, done: make(chan struct{})}
	if err := db.hand(j, queue); err != nil {
		return err
	}
	<-j.done
	return db.engine.explain(j.err)
}

// hand waits until the goroutine that writes takes the job.
func (db *DB) hand(j *job, queue chan<- *job) error {
	if !j.canWait {
		db.waiting.Add(1)
		defer db.waiting.Add(-1)
	}
	select {
	case queue <- j:
		return nil
	case <-db.closing:
		return ErrClosed
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
}

// WriteLater is [DB.Write] for what can wait, as the batches of a purge can: it lets others go
// first, here and in other programs, as long as they wait for a moment only. Who writes batch
// after batch so, and ends each when somebody waits for that ([Tx.Awaited]), is hardly noticed.
func (db *DB) WriteLater(ctx context.Context, fn func(*Tx) error) error {
	db.engine.giveWay(ctx)
	return db.enter(ctx, db.later, fn)
}

func (db *DB) commitLoop() {
	passed := 0
	for j := db.next(&passed); j != nil; j = db.next(&passed) {
		db.commit(j)
		if db.kept != nil {
			db.kept.learn(context.Background())
		}
	}
}

// mostPassed is how many transactions of others one that can wait lets pass.
const mostPassed = 20

// next returns the job that the next transaction begins with, nil once the database is closed.
// Jobs that can wait are taken here only, never into a transaction that others wait for; others
// may come into theirs, where they wait less than for one of their own. passed counts the
// transactions since the last one that could wait.
func (db *DB) next(passed *int) *job {
	first := db.jobs
	if *passed >= mostPassed {
		first = db.later
	}
	var j *job
	select {
	case j = <-first:
	default:
		select {
		case j = <-db.jobs:
		case j = <-db.later:
		case <-db.closing:
			return nil
		}
	}
	*passed++
	if j.canWait {
		*passed = 0
	}
	return j
}

// commit runs first, and whatever has arrived meanwhile, in one transaction.
func (db *DB) commit(first *job) {
	batch := []*job{first}
	started := time.Now()
	finish := func(err error) {
		db.observe(len(batch), err, time.Since(started))
		for _, j := range batch {
			if err != nil && j.err == nil {
				j.err = err
			}
			close(j.done)
		}
	}
	ctx := context.Background()
	if patience := db.engine.patience(); patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	tx, err := db.engine.begin(ctx, db.writer)
	if err != nil {
		finish(err)
		return
	}
	run, end := db.kept.in(tx), new(auditEnd)
	if over, err := db.runFirst(ctx, tx, run, end, first); over || err != nil {
		finish(err)
		return
	}
	for len(batch) < maxBatch {
		var next *job
		select {
		case next = <-db.jobs:
		default:
		}
		if next == nil {
			break
		}
		batch = append(batch, next)
		if err := db.runOne(ctx, run, end, next); err != nil {
			_ = tx.Rollback()
			finish(err)
			return
		}
	}
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback() // after a failed COMMIT, SQLite may still hold the transaction open
		finish(fmt.Errorf("%w: %w", ErrUnknownOutcome, err))
		return
	}
	finish(nil)
}

// runFirst runs the job that a transaction begins with, and reports whether its failure has ended the
// transaction. As long as it is alone there, it needs no savepoint: SQLite would keep what each page was.
func (db *DB) runFirst(ctx context.Context, tx *sql.Tx, run query.DBTX, end *auditEnd, j *job) (over bool, err error) {
	if !db.engine.bare() {
		if err := db.runOne(ctx, run, end, j); err != nil {
			_ = tx.Rollback() // the transaction is unusable; its error is the one to tell
			return true, err
		}
		return false, nil
	}
	if j.err = j.ctx.Err(); j.err == nil {
		j.err = db.call(ctx, run, end, j)
	}
	if j.err == nil {
		return false, nil
	}
	if err := tx.Rollback(); err != nil {
		return true, db.lost(j, err)
	}
	return true, nil
}

// call runs a job's function.
func (db *DB) call(ctx context.Context, tx query.DBTX, end *auditEnd, j *job) error {
	return guard(func() error { return j.fn(&Tx{Queries: query.New(tx), ctx: ctx, run: tx, end: end, db: db}) })
}

// lost returns why the engine gave a whole transaction up when a job failed, as it does when the disk is full
// or the server goes away, and taking back what the job did therefore failed with err. Why, the job's first error
// tells the others; a caller's own error is nobody else's.
func (db *DB) lost(j *job, err error) error {
	if own := db.engine.own(j.err); own != nil {
		return own
	}
	return err
}

// runOne runs one job inside a savepoint. The job's own failure goes to the
// job; the returned error means that the whole transaction is lost.
func (db *DB) runOne(ctx context.Context, tx query.DBTX, end *auditEnd, j *job) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil
	}
	if _, err := tx.ExecContext(ctx, "SAVEPOINT job"); err != nil {
		return err
	}
	j.err = db.call(ctx, tx, end, j)
	if j.err == nil {
		_, err := tx.ExecContext(ctx, "RELEASE job")
		if err == nil || !db.engine.swallowed(err) {
			return err
		}
		j.err = fmt.Errorf("internal error in a write: it went on after a statement had failed: %w", err)
	}
	*end = auditEnd{}
	if _, err := tx.ExecContext(ctx, "ROLLBACK TO job"); err != nil {
		return db.lost(j, err)
	}
	_, err := tx.ExecContext(ctx, "RELEASE job")
	return err
}

// guard turns a panic into an error, so that one caller's bug does not end the
// goroutine that everybody writes through.
func guard(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error in a write: %v\n%s", r, debug.Stack())
		}
	}()
	return fn()
}
