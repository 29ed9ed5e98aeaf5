package folder

import (
	"context"
	"log/slog"
	"sync"

	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Recorder writes receipts behind the transfers' backs, so that a client which
// fetches thousands of small files does not wait for a disk sync after each. A
// crash can lose the receipts of the last moment: then a report that was
// collected does not say so, which is the harmless way round.
type Recorder struct {
	catalog *catalog.Catalog
	log     *slog.Logger
	queue   chan catalog.Transfer
	workers sync.WaitGroup
}

const (
	// recorderQueue is how many receipts may wait before transfers begin to.
	recorderQueue = 1024
	// recorderWorkers is how many receipts may share one commit.
	recorderWorkers = 16
)

// NewRecorder starts a recorder. Close it after the last session has ended.
func NewRecorder(c *catalog.Catalog, log *slog.Logger) *Recorder {
	r := &Recorder{catalog: c, log: log, queue: make(chan catalog.Transfer, recorderQueue)}
	for range recorderWorkers {
		r.workers.Go(r.work)
	}
	return r
}

func (r *Recorder) record(t catalog.Transfer) { r.queue <- t }

func (r *Recorder) work() {
	for t := range r.queue {
		if err := r.catalog.Collect(context.Background(), t); err != nil {
			r.log.Error("a receipt could not be written", "event", "receipt.not-written", "client", t.Report.Client, "report", t.Report.ID, "error", err)
		}
	}
}

// Close writes the receipts that wait, and ends the recorder.
func (r *Recorder) Close() {
	close(r.queue)
	r.workers.Wait()
}
