package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

// The catalog's engines.
const (
	sqlite   = "sqlite"
	postgres = "postgres"
)

// storm is what comes, and what it meets.
type storm struct {
	costs
	clients int
	span    seconds // within which they come
	peak    float64 // the rate at its height, times the mean; 1: the same all the time
	fetches int     // reports of each
	nodes   int
	catalog string
	seed    uint64
	// What is not built, for PostgreSQL: a commit's writes go to the server together, in one trip; and
	// the audit has so many chains, each with a writer of its own.
	together bool
	chains   int
}

// outcome is what came of it.
type outcome struct {
	logins, bytes []seconds // sorted: until logged in; until the first byte of a report
	ended         seconds   // when the last one was done
	busy          []load
	batch         float64 // writes in a transaction, on average
	sessions      int     // at most at one time, on one node
}

// load is how much of a resource was used, until the end.
type load struct {
	resource string
	share    float64
}

// quantile returns the value below which a share of the sorted values is.
func quantile(sorted []seconds, share float64) seconds {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// peakShare is the part of the span that the peak rises and falls in, around its middle.
const peakShare = 1. / 3

// mostPeak is the height of a peak in which all come.
const mostPeak = 2 / peakShare

// arrivals returns when the clients come, in order: some at any time, and the others in a
// triangle in the middle, so that the rate at its tip is peak times the mean.
func (s storm) arrivals() []seconds {
	r := rand.New(rand.NewPCG(s.seed, 1))
	inPeak := (s.peak - 1) / (mostPeak - 1)
	times := make([]seconds, s.clients)
	for i := range times {
		at := r.Float64()
		if r.Float64() < inPeak {
			at = .5 + (r.Float64()+r.Float64()-1)*peakShare/2
		}
		times[i] = at * s.span
	}
	slices.Sort(times)
	return times
}

// machine is the nodes and what they share.
type machine struct {
	storm
	*clock
	nodes    []*node
	database station // its cores
	writers  []*writer
	visits   int
	result   outcome
}

type node struct {
	cores, line station
	writes      []*batcher // one for each writer
	sessions    int
}

const milli = 1e-3

// simulate has the storm come.
func simulate(s storm) outcome {
	m := &machine{storm: s, clock: new(clock)}
	m.database = station{clock: m.clock, servers: max(1, int(s.get("database-cores")))}
	for range max(1, s.chains) {
		m.writers = append(m.writers, &writer{clock: m.clock, commit: s.commitTime()})
	}
	for range s.nodes {
		n := &node{
			cores: station{clock: m.clock, servers: max(1, int(s.get("cores")))},
			line:  station{clock: m.clock, servers: 1},
		}
		for _, w := range m.writers {
			n.writes = append(n.writes, &batcher{writer: w})
		}
		m.nodes = append(m.nodes, n)
	}
	// One arrival plans the next, so that the calendar stays short.
	times := s.arrivals()
	var arrive func(i int)
	arrive = func(i int) {
		if i+1 < len(times) {
			m.after(times[i+1]-times[i], func() { arrive(i + 1) })
		}
		m.visit()
	}
	if len(times) > 0 {
		m.after(times[0], func() { arrive(0) })
	}
	m.play()
	m.sumUp()
	return m.result
}

// commitTime is how long a transaction holds the catalog without its writes. The server
// gives the lock half a trip before the node knows, and is told of the end half a trip after.
func (s storm) commitTime() seconds {
	if s.catalog == sqlite {
		return s.get("sqlite-commit") * milli
	}
	trips := 1.
	if s.together {
		trips++
	}
	return (s.get("postgres-commit") + trips*s.get("trip")) * milli
}

// writeTime is how long a write holds the catalog that takes so many trips to a server.
func (s storm) writeTime(trips string) seconds {
	if s.catalog == sqlite {
		return s.get("sqlite-write") * milli
	}
	each := s.get("statement-cpu")
	if !s.together {
		each += s.get("trip")
	}
	return s.get(trips) * each * milli
}

// read looks so many things up, one after the other.
func (m *machine) read(n float64, done func()) {
	if m.catalog == sqlite {
		done() // what it costs is in the login's and the fetch's processor time
		return
	}
	m.after(n*m.get("trip")*milli, func() { m.database.serve(n*m.get("statement-cpu")*milli, done) })
}

// before is the part of a login's work that comes before its look-ups: the key exchange.
const before = .7

// visit is a client's, from its coming to its leaving.
func (m *machine) visit() {
	n := slices.MinFunc(m.nodes, func(a, b *node) int { return a.sessions - b.sessions })
	n.sessions++
	m.result.sessions = max(m.result.sessions, n.sessions)
	chain := m.visits % len(m.writers)
	m.visits++
	began := m.now
	work := m.get("login-cpu") * milli
	n.cores.serve(work*before, func() {
		m.read(m.get("login-reads"), func() {
			n.cores.serve(work*(1-before), func() {
				n.writes[chain].write(m.writeTime("login-trips"), func() {
					m.result.logins = append(m.result.logins, m.now-began)
					m.fetch(n, n.writes[chain], began, 0)
				})
			})
		})
	})
}

// fetch fetches the reports from number i on, and leaves.
func (m *machine) fetch(n *node, receipts *batcher, began seconds, i int) {
	if i == m.fetches {
		n.sessions--
		return
	}
	size := m.get("fetch-size") / 1024 // MiB
	n.cores.serve(m.get("fetch-cpu")*milli, func() {
		m.read(m.get("fetch-reads"), func() {
			m.after(m.get("store-latency")*milli+size/m.get("store-stream"), func() {
				if i == 0 {
					m.result.bytes = append(m.result.bytes, m.now-began)
				}
				n.line.serve(size/m.get("network"), func() {
					receipts.write(m.writeTime("receipt-trips"), func() {})
					m.fetch(n, receipts, began, i+1)
				})
			})
		})
	})
}

func (m *machine) sumUp() {
	o := &m.result
	slices.Sort(o.logins)
	slices.Sort(o.bytes)
	o.ended = m.now
	var cores, line, writing seconds
	for _, n := range m.nodes {
		cores += n.cores.busy
		line += n.line.busy
	}
	commits, writes := 0, 0
	for _, w := range m.writers {
		writing += w.busy
		commits, writes = commits+w.commits, writes+w.writes
	}
	over := max(m.now, m.span)
	nodes := over * float64(len(m.nodes))
	o.busy = []load{
		{nodesCores, cores / nodes / float64(m.nodes[0].cores.servers)},
		{nodesLines, line / nodes},
		{"the catalog's writer", writing / over / float64(len(m.writers))},
	}
	if m.catalog == postgres {
		// The writers' statements are the server's work, too.
		statements := float64(len(o.logins))*m.get("login-trips") + float64(writes-len(o.logins))*m.get("receipt-trips")
		work := m.database.busy + statements*m.get("statement-cpu")*milli
		o.busy = append(o.busy, load{"the database's cores", work / over / float64(m.database.servers)})
	}
	if commits > 0 {
		o.batch = float64(writes) / float64(commits)
	}
}

// The resources that more nodes have more of.
const (
	nodesCores = "nodes' cores"
	nodesLines = "nodes' lines"
)

// trial is how long clients come at one rate to find out whether it is too much.
const trial = 60

// steadily returns the storm at one rate.
func (s storm) steadily(rate float64) storm {
	s.span, s.peak = trial, 1
	s.clients = int(rate * trial)
	return s
}

// tooSlow is the p99 of a login at which it counts as broken.
const tooSlow = 1

// knee returns the highest rate, in logins a second, at which the p99 of a login is below a second
// for a minute, to a hundredth.
func (s storm) knee() float64 {
	fits := func(rate float64) bool { return quantile(simulate(s.steadily(rate)).logins, .99) < tooSlow }
	low, high := 1., 2.
	for fits(high) && high < 1e5 {
		low, high = high, high*2
	}
	for high/low > 1.01 {
		if middle := math.Sqrt(low * high); fits(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// peakRate is the rate at the height of the storm, in logins a second.
func (s storm) peakRate() float64 { return float64(s.clients) / s.span * s.peak }

// needed returns the smallest number of nodes that keep a p99 of the login at the height of the
// storm, 0 if no number up to most does, with the outcome that it ended with.
func (s storm) needed(target seconds, most int) (int, outcome) {
	var o outcome
	for s.nodes = 1; s.nodes <= most; s.nodes++ {
		o = simulate(s.steadily(s.peakRate()))
		if quantile(o.logins, .99) <= target {
			return s.nodes, o
		}
		if b := o.busiest(); b.resource != nodesCores && b.resource != nodesLines && b.share > .95 {
			return 0, o // it is what they share
		}
	}
	return 0, o
}

// busiest returns the resource of which most was used.
func (o outcome) busiest() load {
	return slices.MaxFunc(o.busy, func(a, b load) int {
		switch {
		case a.share < b.share:
			return -1
		case a.share > b.share:
			return 1
		}
		return 0
	})
}
