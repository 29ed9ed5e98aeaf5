package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// trimmer gives memory back to the system after a rush. By itself, the runtime keeps what
// the rush of the morning took for the next one, and does not even look for what is
// unused while little is allocated: with two thousand sessions that idle, a sixth of
// all. Looking costs processor time in proportion to the memory in use, so it is
// done once after each rush, when nobody waits.
type trimmer struct {
	allocated uint64 // in the program's life, when it was looked at last
	trimmed   uint64 // the same, after the last trim
}

const (
	// trimEvery is how often it is looked whether there is a rush.
	trimEvery = 5 * time.Second
	// trimQuiet is how much is allocated within trimEvery at most while there is none.
	trimQuiet = 4 << 20
	// trimWorth is how much must have been allocated since the last trim.
	trimWorth = 32 << 20
)

// runTrims trims until ctx ends.
func runTrims(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	for t := (trimmer{}); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(sample)
		if t.due(sample[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}

// due reports whether to trim now that so many bytes were allocated in all.
func (t *trimmer) due(allocated uint64) bool {
	quiet := allocated-t.allocated <= trimQuiet
	t.allocated = allocated
	if !quiet || allocated-t.trimmed < trimWorth {
		return false
	}
	t.trimmed = allocated
	return true
}
