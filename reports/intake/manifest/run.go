package manifest

import (
	"context"
	"sync"
	"sync/atomic"
)

// Run calls deliver for each line, up to jobs at a time, and returns when all
// calls have returned. Each client's lines are begun in their order, and clients
// take turns. The end of one line is not waited for before the client's next, which
// has another name: what is delivered at once shares the syncs of the disk. When ctx
// ends, no further line is begun. It returns how many were.
func Run(ctx context.Context, lines []Line, jobs int, deliver func(context.Context, Line)) int {
	lines = inTurns(lines)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range jobs {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(lines) {
					return
				}
				deliver(ctx, lines[i])
			}
		})
	}
	workers.Wait()
	return min(int(next.Load()), len(lines))
}

// inTurns returns the lines with one of each client's after the other.
func inTurns(lines []Line) []Line {
	waiting := map[string][]Line{}
	var clients []string // with a waiting line, in turn
	for _, l := range lines {
		id := l.Client.String()
		if waiting[id] == nil {
			clients = append(clients, id)
		}
		waiting[id] = append(waiting[id], l)
	}
	turns := make([]Line, 0, len(lines))
	for len(turns) < len(lines) {
		left := clients[:0]
		for _, id := range clients {
			turns = append(turns, waiting[id][0])
			if waiting[id] = waiting[id][1:]; len(waiting[id]) > 0 {
				left = append(left, id)
			}
		}
		clients = left
	}
	return turns
}
