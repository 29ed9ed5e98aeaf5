package catalog

import (
	"sync/atomic"
	"time"
)

const (
	// leastBatch and mostBatch bound how many rows one transaction purges.
	leastBatch, mostBatch = 16, 1000
	// batchTime is how long the rows of one transaction should take. A login that comes meanwhile waits for
	// that, and for the sync that ends it.
	batchTime = 4 * time.Millisecond
)

// pace sizes batches by how long the last one took: how many rows go into batchTime depends on the machine, on its
// load and on the engine. The first is small. Of batches that run side by side any may be the last one.
type pace struct{ rows atomic.Int64 }

// size returns how many rows the next batch may have.
func (p *pace) size() int { return int(max(p.rows.Load(), leastBatch)) }

// took tells of a batch: how many rows there were room for, how many there were, and for how long they kept the
// writer. One batch changes the size by a factor of two at most: it may have been interrupted, or the clock set.
func (p *pace) took(room, rows int, d time.Duration) {
	next := 2 * room
	if d > 0 {
		next = min(next, int(int64(rows)*int64(batchTime)/int64(d)))
	}
	if rows < room && next >= room {
		return // it says little of what a full one would have taken
	}
	p.rows.Store(int64(min(max(next, room/2, leastBatch), mostBatch)))
}
