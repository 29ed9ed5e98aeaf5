package ops

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Figures are what is looked up. A field that its source does not fill in is told
// nothing of.
type Figures struct {
	Listeners []Listener
	Sessions  *int
	Draining  *bool

	Reports     []Reports // by kind and state
	StoredBytes *int64    // held, published and collected
	// Uncollected are reports that nobody fetched and that are purged within 14 days.
	Uncollected *int64
	// LastSweep, LastBackup and LastVerified are zero if there was none.
	LastSweep, LastBackup, LastVerified *time.Time
	AuditHead, AuditVerified            *int64
	Bans                                *int64

	Spool  *Queue
	Outbox *Queue

	Disk         *Disk
	Certificates []Certificate
	HostKeys     map[string]int // by algorithm
}

// Listener is what a protocol's listeners hold and did.
type Listener struct {
	Protocol              string
	Open, Unauthenticated int
	Accepted              uint64
	Refused               map[string]uint64 // at accept, by cause
}

// Reports is how many there are of a kind in a state.
type Reports struct {
	Kind, State string
	N           int64
}

// Queue is what waits, and what was given up.
type Queue struct {
	Waiting int64
	Oldest  time.Time // of what waits; zero if nothing does
	Failed  int64     // rejected from the spool, or dead letters
}

// Disk is the data folder's, in bytes. Free is what is left for the gateway's user.
type Disk struct{ Size, Free uint64 }

// Certificate is one that a protocol shows.
type Certificate struct {
	Protocol string
	Expires  time.Time
}

// gauges describe the metrics that figures become.
type gauges struct {
	open, unauthenticated, accepted, refused, sessions, draining *prometheus.Desc
	reports, stored, uncollected                                 *prometheus.Desc
	sweep, backup, verifiedAt, head, verified, bans              *prometheus.Desc
	spoolWaiting, spoolOldest, spoolRejected                     *prometheus.Desc
	outboxPending, outboxOldest, outboxDead                      *prometheus.Desc
	diskSize, diskFree, certificate, hostKeys, source            *prometheus.Desc
}

func newGauges() gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return gauges{
		open:            desc("sealdrop_connections", "Open connections.", "protocol"),
		unauthenticated: desc("sealdrop_connections_unauthenticated", "Open connections that have not logged in yet.", "protocol"),
		accepted:        desc("sealdrop_connections_accepted_total", "Connections that were let in to log in.", "protocol"),
		refused:         desc("sealdrop_connections_refused_total", "Connections that were closed at accept, before a byte was exchanged, by cause.", "protocol", "cause"),
		sessions:        desc("sealdrop_sessions", "Sessions that are logged in, over all protocols."),
		draining:        desc("sealdrop_draining", "1 while the gateway is stopping and lets transfers finish."),

		reports:     desc("sealdrop_reports", "Files in the catalog, by kind (report, upload) and state (held, published, collected, removed).", "kind", "state"),
		stored:      desc("sealdrop_stored_bytes", "Bytes of what is held, published or collected, as it is stored."),
		uncollected: desc("sealdrop_reports_uncollected_due", "Reports that nobody fetched whole and that are purged within 14 days."),
		sweep:       desc("sealdrop_sweep_last_success_timestamp_seconds", "When the last sweep was, by whatever process; 0: never."),
		backup:      desc("sealdrop_backup_last_success_timestamp_seconds", "When the last backup was finished; 0: never."),
		verifiedAt:  desc("sealdrop_audit_verified_timestamp_seconds", "When the audit chain was last verified without a fault; 0: never."),
		head:        desc("sealdrop_audit_head_sequence", "Number of the audit's last record."),
		verified:    desc("sealdrop_audit_verified_sequence", "Number of the record up to which the audit chain was last verified."),
		bans:        desc("sealdrop_bans", "Addresses and passwords that are locked out."),

		spoolWaiting:  desc("sealdrop_spool_waiting", "Files that wait in the spool folders."),
		spoolOldest:   desc("sealdrop_spool_oldest_timestamp_seconds", "When the oldest file that waits in a spool folder was last written to. Absent if none waits."),
		spoolRejected: desc("sealdrop_spool_rejected", "Files that were rejected from the spool folders and lie there still."),
		outboxPending: desc("sealdrop_outbox_pending", "Notifications that wait to be sent."),
		outboxOldest:  desc("sealdrop_outbox_oldest_timestamp_seconds", "Since when the oldest notification waits. Absent if none does."),
		outboxDead:    desc("sealdrop_outbox_dead", "Notifications that were given up."),

		diskSize:    desc("sealdrop_disk_size_bytes", "Size of the data folder's file system."),
		diskFree:    desc("sealdrop_disk_free_bytes", "What is free on it for the gateway's user."),
		certificate: desc("sealdrop_certificate_expiry_timestamp_seconds", "When the TLS certificate ends that a protocol shows.", "protocol"),
		hostKeys:    desc("sealdrop_host_keys", "SSH host keys in use.", "algorithm"),
		source:      desc("sealdrop_source_up", "1 if the figures of a source could be looked up; 0: they are missing.", "source"),
	}
}

func (g gauges) all() []*prometheus.Desc {
	return []*prometheus.Desc{
		g.open, g.unauthenticated, g.accepted, g.refused, g.sessions, g.draining, g.reports, g.stored, g.uncollected, g.sweep, g.backup,
		g.verifiedAt, g.head, g.verified, g.bans, g.spoolWaiting, g.spoolOldest, g.spoolRejected, g.outboxPending, g.outboxOldest, g.outboxDead,
		g.diskSize, g.diskFree, g.certificate, g.hostKeys, g.source,
	}
}

func (g gauges) up(source string, up bool) prometheus.Metric {
	return gauge(g.source, truth(up), source)
}

// of puts figures into metrics.
func (g gauges) of(f Figures) []prometheus.Metric {
	list := g.ofListeners(f.Listeners)
	for _, r := range f.Reports {
		list = append(list, gauge(g.reports, float64(r.N), r.Kind, r.State))
	}
	for desc, n := range map[*prometheus.Desc]*int64{
		g.stored: f.StoredBytes, g.uncollected: f.Uncollected, g.head: f.AuditHead, g.verified: f.AuditVerified, g.bans: f.Bans,
	} {
		if n != nil {
			list = append(list, gauge(desc, float64(*n)))
		}
	}
	for desc, at := range map[*prometheus.Desc]*time.Time{g.sweep: f.LastSweep, g.backup: f.LastBackup, g.verifiedAt: f.LastVerified} {
		if at != nil {
			list = append(list, gauge(desc, seconds(*at)))
		}
	}
	if f.Sessions != nil {
		list = append(list, gauge(g.sessions, float64(*f.Sessions)))
	}
	if f.Draining != nil {
		list = append(list, gauge(g.draining, truth(*f.Draining)))
	}
	list = append(list, ofQueue(f.Spool, g.spoolWaiting, g.spoolOldest, g.spoolRejected)...)
	list = append(list, ofQueue(f.Outbox, g.outboxPending, g.outboxOldest, g.outboxDead)...)
	if f.Disk != nil {
		list = append(list, gauge(g.diskSize, float64(f.Disk.Size)), gauge(g.diskFree, float64(f.Disk.Free)))
	}
	for _, c := range f.Certificates {
		list = append(list, gauge(g.certificate, seconds(c.Expires), c.Protocol))
	}
	for _, algorithm := range slices.Sorted(maps.Keys(f.HostKeys)) {
		list = append(list, gauge(g.hostKeys, float64(f.HostKeys[algorithm]), algorithm))
	}
	return list
}

func (g gauges) ofListeners(listeners []Listener) (list []prometheus.Metric) {
	for _, l := range listeners {
		list = append(list,
			gauge(g.open, float64(l.Open), l.Protocol), gauge(g.unauthenticated, float64(l.Unauthenticated), l.Protocol),
			prometheus.MustNewConstMetric(g.accepted, prometheus.CounterValue, float64(l.Accepted), l.Protocol))
		for _, cause := range slices.Sorted(maps.Keys(l.Refused)) {
			list = append(list, prometheus.MustNewConstMetric(g.refused, prometheus.CounterValue, float64(l.Refused[cause]), l.Protocol, cause))
		}
	}
	return list
}

func ofQueue(q *Queue, waiting, oldest, failed *prometheus.Desc) []prometheus.Metric {
	if q == nil {
		return nil
	}
	list := []prometheus.Metric{gauge(waiting, float64(q.Waiting)), gauge(failed, float64(q.Failed))}
	if !q.Oldest.IsZero() {
		list = append(list, gauge(oldest, seconds(q.Oldest)))
	}
	return list
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// seconds is a time as Prometheus counts it, 0 for none.
func seconds(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMicro()) / 1e6
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
