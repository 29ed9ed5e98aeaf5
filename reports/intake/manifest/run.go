package manifest

import (
	"context"
	"sync"
)

// Run calls deliver for each line, up to jobs at a time, and returns when all
// calls have returned. Of one client's lines only one is under way at a time, and
// they are taken in their order; clients take turns. When ctx ends, no further line
// is begun. It returns how many were.
func Run(ctx context.Context, lines []Line, jobs int, deliver func(context.Context, Line)) int {
	q := newQueue(lines)
	var workers sync.WaitGroup
	for range jobs {
		workers.Go(func() {
			for {
				l, ok := q.take(ctx)
				if !ok {
					return
				}
				deliver(ctx, l)
				q.done(l)
			}
		})
	}
	workers.Wait()
	return q.begun
}

// queue hands out lines.
type queue struct {
	mu      sync.Mutex
	changed *sync.Cond
	waiting map[string][]Line // by client
	ready   []string          // clients with a waiting line and none under way
	busy    int
	begun   int
}

func newQueue(lines []Line) *queue {
	q := &queue{waiting: map[string][]Line{}}
	q.changed = sync.NewCond(&q.mu)
	for _, l := range lines {
		id := l.Client.String()
		if q.waiting[id] == nil {
			q.ready = append(q.ready, id)
		}
		q.waiting[id] = append(q.waiting[id], l)
	}
	return q
}

// take waits for a line. ok is false if there is none any more.
func (q *queue) take(ctx context.Context) (l Line, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && q.busy > 0 {
		q.changed.Wait()
	}
	if len(q.ready) == 0 || ctx.Err() != nil {
		return l, false
	}
	id := q.ready[0]
	q.ready = q.ready[1:]
	l, q.waiting[id] = q.waiting[id][0], q.waiting[id][1:]
	q.busy++
	q.begun++
	return l, true
}

// done tells that a line was seen to.
func (q *queue) done(l Line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	if id := l.Client.String(); len(q.waiting[id]) > 0 {
		q.ready = append(q.ready, id)
	}
	q.changed.Broadcast()
}
