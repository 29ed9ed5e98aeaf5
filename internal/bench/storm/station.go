package main

// seconds is a time or a span of the simulation.
type seconds = float64

// event is something that happens at a time.
type event struct {
	at    seconds
	order uint64 // of two at one time, the one that was planned first
	do    func()
}

// calendar is a heap of events. It is written out, as container/heap would allocate for each.
type calendar []event

func (c calendar) before(i, j int) bool {
	return c[i].at < c[j].at || c[i].at == c[j].at && c[i].order < c[j].order
}

func (c *calendar) push(e event) {
	*c = append(*c, e)
	h := *c
	for i := len(h) - 1; i > 0; {
		above := (i - 1) / 2
		if !h.before(i, above) {
			break
		}
		h[i], h[above] = h[above], h[i]
		i = above
	}
}

func (c *calendar) pop() event {
	h := *c
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	for i := 0; ; {
		least := 2*i + 1
		if least >= last {
			break
		}
		if right := least + 1; right < last && h.before(right, least) {
			least = right
		}
		if !h.before(least, i) {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*c = h
	return first
}

// clock plays events in the order of their times.
type clock struct {
	now    seconds
	events calendar
	count  uint64
}

// after plans do for a span from now.
func (c *clock) after(span seconds, do func()) {
	c.count++
	c.events.push(event{c.now + span, c.count, do})
}

// play runs until nothing is planned any more.
func (c *clock) play() {
	for len(c.events) > 0 {
		e := c.events.pop()
		c.now = e.at
		e.do()
	}
}

// station is some equal servers with one queue, first come first served: the cores of a node,
// a line to the network.
type station struct {
	*clock
	servers int
	serving int
	queue   fifo[job]
	busy    seconds // of all servers together
}

type job struct {
	service seconds
	done    func()
}

// serve calls done when the job has had its turn and its service.
func (s *station) serve(service seconds, done func()) {
	if s.serving == s.servers {
		s.queue.push(job{service, done})
		return
	}
	s.begin(job{service, done})
}

func (s *station) begin(j job) {
	s.serving++
	s.busy += j.service
	s.after(j.service, func() {
		s.serving--
		if next, ok := s.queue.pop(); ok {
			s.begin(next)
		}
		j.done()
	})
}

// fifo is a queue that does not move what it holds.
type fifo[T any] struct {
	items []T
	first int
}

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

func (q *fifo[T]) pop() (v T, ok bool) {
	if q.first == len(q.items) {
		return v, false
	}
	v = q.items[q.first]
	q.first++
	if q.first > 1024 && q.first > len(q.items)/2 {
		q.items = append(q.items[:0:0], q.items[q.first:]...)
		q.first = 0
	}
	return v, true
}

func (q *fifo[T]) size() int { return len(q.items) - q.first }

// maxBatch is how many writes share a commit at most, as in internal/database.
const maxBatch = 256

// writer is the catalog's one place to write, at which the nodes take turns.
type writer struct {
	*clock
	commit  seconds // a transaction without its writes: the lock, the sync
	line    fifo[*batcher]
	taken   bool
	busy    seconds
	commits int
	writes  int
}

// batcher is one node's writes.
type batcher struct {
	*writer
	waiting fifo[job]
	inLine  bool
}

// write calls done when the write is durable.
func (b *batcher) write(service seconds, done func()) {
	b.waiting.push(job{service, done})
	b.join()
}

func (b *batcher) join() {
	if b.inLine || b.waiting.size() == 0 {
		return
	}
	b.inLine = true
	b.line.push(b)
	b.next()
}

// next gives the turn to the node that has waited longest.
func (w *writer) next() {
	if w.taken {
		return
	}
	b, ok := w.line.pop()
	if !ok {
		return
	}
	w.taken = true
	held := w.commit
	var batch []job
	for len(batch) < maxBatch {
		j, ok := b.waiting.pop()
		if !ok {
			break
		}
		held += j.service
		batch = append(batch, j)
	}
	w.busy += held
	w.commits++
	w.writes += len(batch)
	w.after(held, func() {
		w.taken, b.inLine = false, false
		for _, j := range batch {
			j.done()
		}
		b.join()
		w.next()
	})
}
