package ops

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics counts what happens, and looks up what only a look tells. It is safe for
// concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	logins      *prometheus.CounterVec
	loginTime   *prometheus.HistogramVec
	transfers   *prometheus.CounterVec
	transferred *prometheus.CounterVec
	deliveries  *prometheus.CounterVec
	delivered   *prometheus.CounterVec
	sealingTime prometheus.Histogram
	commitTime  prometheus.Histogram
	commits     *prometheus.CounterVec
	writes      prometheus.Counter
	sweeps      *prometheus.CounterVec
	purged      prometheus.Counter
	looked      *looked
}

// NewMetrics returns metrics of a version of the program, in a registry of their own,
// with those of the process and of Go's runtime.
func NewMetrics(version string, now func() time.Time) *Metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		logins: counters("sealdrop_logins_total",
			"Attempts to log in that were decided on, by the reason of the decision: allowed, or why not.", "protocol", "reason"),
		loginTime: prometheus.NewHistogramVec(histogram("sealdrop_login_duration_seconds",
			"How long the gate took to decide on a proved key or a password, and to record it.", exponential(0.001, 4, 7)), []string{"protocol"}),
		transfers: counters("sealdrop_transfers_total",
			"Files that clients fetched (direction out) or uploaded (in), by whether they ended well. One that was read in pieces counts each time that it was opened.", "protocol", "direction", "outcome"),
		transferred: counters("sealdrop_transferred_bytes_total",
			"Bytes of files that clients fetched or uploaded, counted when the file is closed.", "protocol", "direction"),
		deliveries: counters("sealdrop_deliveries_total",
			"Reports handed in to this process, by road (spool, sftp, api) and outcome: published, held, known (delivered before) or failed (refused, or broken off). `sealdrop deliver` is a process of its own and counts in sealdrop_reports only.", "road", "outcome"),
		delivered: counters("sealdrop_delivered_bytes_total",
			"Bytes of the reports that were published or held, before sealing.", "road"),
		sealingTime: prometheus.NewHistogram(histogram("sealdrop_sealing_duration_seconds",
			"How long reading, sealing and storing a report took, until its content was durable. A slow producer makes it long.", exponential(0.005, 4, 8))),
		commitTime: prometheus.NewHistogram(histogram("sealdrop_catalog_commit_duration_seconds",
			"How long a transaction of the catalog took, from its beginning until it was durable. Writes that arrive together share one.", exponential(0.001, 2, 12))),
		commits: counters("sealdrop_catalog_commits_total",
			"Transactions of the catalog, by outcome: ok, busy (another process held it too long), full (no room on the disk), failed.", "outcome"),
		writes: counter("sealdrop_catalog_writes_total", "Writes that the transactions of the catalog were made of."),
		sweeps: counters("sealdrop_sweeps_total", "Sweeps of this process, by outcome: ok or failed. A refused one has failed.", "outcome"),
		purged: counter("sealdrop_purged_total", "Reports and uploads that sweeps of this process purged."),
	}
	m.looked = newLooked(now)
	built := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sealdrop_build_info", Help: "1, with the program's version as labels.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	}, func() float64 { return 1 })
	m.registry.MustRegister(
		m.logins, m.loginTime, m.transfers, m.transferred, m.deliveries, m.delivered, m.sealingTime, m.commitTime, m.commits, m.writes,
		m.sweeps, m.purged, m.looked, built,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func exponential(start, factor float64, count int) []float64 {
	return prometheus.ExponentialBuckets(start, factor, count)
}

// Begin has the counters of closed lists begin at 0. A counter that appears with its
// first event has no increase that an alert could see.
func (m *Metrics) Begin(protocols, reasons, roads []string) {
	for _, p := range protocols {
		for _, r := range reasons {
			m.logins.WithLabelValues(p, r)
		}
		for _, d := range []Direction{In, Out} {
			m.transferred.WithLabelValues(p, string(d))
			for _, well := range []bool{true, false} {
				m.transfers.WithLabelValues(p, string(d), outcome(well))
			}
		}
	}
	for _, road := range roads {
		m.delivered.WithLabelValues(road)
		for _, o := range []string{"published", "held", "known", "failed"} {
			m.deliveries.WithLabelValues(road, o)
		}
	}
	for _, o := range []string{"ok", "busy", "full", "failed"} {
		m.commits.WithLabelValues(o)
	}
	for _, well := range []bool{true, false} {
		m.sweeps.WithLabelValues(outcome(well))
	}
}

// Login counts an attempt to log in. took is zero if nothing had to be decided: the
// client gave up before it proved anything.
func (m *Metrics) Login(protocol, reason string, took time.Duration) {
	m.logins.WithLabelValues(protocol, reason).Inc()
	if took > 0 {
		m.loginTime.WithLabelValues(protocol).Observe(took.Seconds())
	}
}

// Direction is which way a file went.
type Direction string

// The directions.
const (
	In  Direction = "in"  // uploaded by a client
	Out Direction = "out" // fetched by a client
)

// Transfer counts a file that a client fetched or uploaded.
func (m *Metrics) Transfer(protocol string, d Direction, bytes int64, well bool) {
	m.transfers.WithLabelValues(protocol, string(d), outcome(well)).Inc()
	m.transferred.WithLabelValues(protocol, string(d)).Add(float64(max(bytes, 0)))
}

// Delivery counts a report that was handed in. sealing is zero if it was not sealed.
func (m *Metrics) Delivery(road, outcome string, bytes int64, sealing time.Duration) {
	m.deliveries.WithLabelValues(road, outcome).Inc()
	m.delivered.WithLabelValues(road).Add(float64(max(bytes, 0)))
	if sealing > 0 {
		m.sealingTime.Observe(sealing.Seconds())
	}
}

// Commit counts a transaction of the catalog.
func (m *Metrics) Commit(outcome string, writes int, took time.Duration) {
	m.commits.WithLabelValues(outcome).Inc()
	m.writes.Add(float64(writes))
	m.commitTime.Observe(took.Seconds())
}

// Sweep counts a sweep.
func (m *Metrics) Sweep(purged int, well bool) {
	m.sweeps.WithLabelValues(outcome(well)).Inc()
	m.purged.Add(float64(purged))
}

func outcome(well bool) string {
	if well {
		return "ok"
	}
	return "failed"
}

// Read has the figures of one source looked up when they are asked for. It must be
// called before the metrics are served. read fills in what it knows of; if it
// fails, none of it counts.
func (m *Metrics) Read(source string, read func(context.Context, *Figures) error) {
	m.looked.sources = append(m.looked.sources, source)
	m.looked.reads = append(m.looked.reads, read)
}

// Now has figures looked up anew each time: those that are in memory.
func (m *Metrics) Now(read func(*Figures)) { m.looked.now = append(m.looked.now, read) }

const (
	// freshFor is how long figures that were looked up are told again.
	freshFor = 15 * time.Second
	// share is the part of the time that looking up may take: one in so many.
	share = 20
	// readTimeout bounds looking up one source.
	readTimeout = 10 * time.Second
)

// looked collects what is looked up.
type looked struct {
	clock   func() time.Time
	sources []string
	reads   []func(context.Context, *Figures) error
	now     []func(*Figures)
	gauges  gauges

	mu    sync.Mutex // held while looking up: who comes meanwhile waits for the same
	kept  []prometheus.Metric
	until time.Time
}

func newLooked(now func() time.Time) *looked { return &looked{clock: now, gauges: newGauges()} }

// Describe implements [prometheus.Collector].
func (l *looked) Describe(out chan<- *prometheus.Desc) {
	for _, d := range l.gauges.all() {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (l *looked) Collect(out chan<- prometheus.Metric) {
	var live Figures
	for _, read := range l.now {
		read(&live)
	}
	for _, m := range l.gauges.of(live) {
		out <- m
	}
	for _, m := range l.lookUp() {
		out <- m
	}
}

func (l *looked) lookUp() []prometheus.Metric {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clock().Before(l.until) {
		return l.kept
	}
	started := l.clock()
	l.kept = nil
	for i, read := range l.reads {
		var f Figures
		ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
		err := read(ctx, &f)
		cancel()
		if err == nil {
			l.kept = append(l.kept, l.gauges.of(f)...)
		}
		l.kept = append(l.kept, l.gauges.up(l.sources[i], err == nil))
	}
	took := l.clock().Sub(started)
	l.until = l.clock().Add(max(freshFor, share*took))
	return l.kept
}
