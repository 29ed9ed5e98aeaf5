package folder

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Recorder writes receipts behind the transfers' backs, so that a client which
// fetches thousands of small files does not wait for a disk sync after each. Those of
// a moment are written together. A crash can lose the receipts of the last moment:
// then a report that was collected does not say so, which is the harmless way round.
type Recorder struct {
	catalog *catalog.Catalog
	log     *slog.Logger

	mu      sync.Mutex
	room    sync.Cond // waiting became shorter
	waiting []catalog.Transfer

	some chan struct{} // there are some, and
	many chan struct{} // a whole batch: a transfer wakes the recorder for these two only
	stop chan struct{}
	done chan struct{}
}

const (
	// recorderQueue is how many receipts may wait before transfers begin to.
	recorderQueue = 1024
	// recorderBatch is how many receipts are written together, at most: nobody else
	// writes meanwhile.
	recorderBatch = 64
	// recorderMoment is how long a receipt waits for others. Most of what one costs by
	// itself are the pages of the catalog that each commit writes.
	recorderMoment = 50 * time.Millisecond
)

// NewRecorder starts a recorder. Close it after the last session has ended.
func NewRecorder(c *catalog.Catalog, log *slog.Logger) *Recorder {
	r := &Recorder{
		catalog: c, log: log,
		some: make(chan struct{}, 1), many: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	r.room.L = &r.mu
	go r.work()
	return r
}

func (r *Recorder) record(t catalog.Transfer) {
	r.mu.Lock()
	for len(r.waiting) >= recorderQueue {
		r.room.Wait()
	}
	r.waiting = append(r.waiting, t)
	n := len(r.waiting)
	r.mu.Unlock()
	switch n {
	case 1:
		wake(r.some)
	case recorderBatch:
		wake(r.many)
	}
}

// wake has who waits for c go on, now or when it comes to wait.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *Recorder) work() {
	defer close(r.done)
	for open := true; open; {
		select {
		case <-r.some:
			open = r.gather()
		case <-r.stop:
			open = false
		}
		r.write(r.take())
	}
	for batch := r.take(); len(batch) > 0; batch = r.take() {
		r.write(batch)
	}
}

// gather waits a moment for more receipts to write with the first, or until there is a
// batch of them. It returns false when the recorder is to end.
func (r *Recorder) gather() bool {
	moment := time.NewTimer(recorderMoment)
	defer moment.Stop()
	select {
	case <-r.many: // or was, when others of it were written: then these are fewer
	case <-moment.C:
	case <-r.stop:
		return false
	}
	return true
}

// take returns what waits, a batch at most.
func (r *Recorder) take() []catalog.Transfer {
	r.mu.Lock()
	defer r.mu.Unlock()
	batch := slices.Clone(r.waiting[:min(len(r.waiting), recorderBatch)])
	r.waiting = slices.Delete(r.waiting, 0, len(batch))
	if len(r.waiting) > 0 {
		wake(r.some)
	}
	if len(r.waiting) >= recorderBatch {
		wake(r.many)
	}
	r.room.Broadcast()
	return batch
}

// write writes receipts. One that can't be written keeps none of the others from it.
func (r *Recorder) write(batch []catalog.Transfer) {
	if len(batch) == 0 {
		return
	}
	err := r.catalog.Collect(context.Background(), batch...)
	if err == nil {
		return
	}
	alone := len(batch) > 1 && !errors.Is(err, database.ErrUnknownOutcome) // which may have been written
	var all sync.WaitGroup
	for _, t := range batch {
		all.Go(func() {
			err := err
			if alone {
				err = r.catalog.Collect(context.Background(), t)
			}
			if err != nil {
				r.log.Error("a receipt could not be written", "event", "receipt.not-written", "client", t.Report.Client, "report", t.Report.ID, "error", err)
			}
		})
	}
	all.Wait()
}

// Close writes the receipts that wait, and ends the recorder.
func (r *Recorder) Close() {
	close(r.stop)
	<-r.done
}
