package folder

import (
	"context"
	"errors"
	"log/slog"
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
	queue   chan catalog.Transfer
	done    chan struct{}
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
	r := &Recorder{catalog: c, log: log, queue: make(chan catalog.Transfer, recorderQueue), done: make(chan struct{})}
	go r.work()
	return r
}

func (r *Recorder) record(t catalog.Transfer) { r.queue <- t }

func (r *Recorder) work() {
	defer close(r.done)
	for first := range r.queue {
		r.write(r.gather(first))
	}
}

// gather returns what comes within a moment, the first included.
func (r *Recorder) gather(first catalog.Transfer) []catalog.Transfer {
	batch := []catalog.Transfer{first}
	moment := time.NewTimer(recorderMoment)
	defer moment.Stop()
	for len(batch) < recorderBatch {
		select {
		case t, open := <-r.queue:
			if !open {
				return batch
			}
			batch = append(batch, t)
		case <-moment.C:
			return batch
		}
	}
	return batch
}

// write writes receipts. One that can't be written keeps none of the others from it.
func (r *Recorder) write(batch []catalog.Transfer) {
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
	close(r.queue)
	<-r.done
}
