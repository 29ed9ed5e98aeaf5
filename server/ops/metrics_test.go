package ops

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

const document = "../../docs/metrics.md"

// full are metrics in which everything has happened.
func full(now func() time.Time) *Metrics {
	m := NewMetrics("v1", now)
	m.Begin([]string{"sftp", "ftp"}, []string{"allowed", "key-unknown"}, []string{"spool", "sftp", "api"})
	m.Login("sftp", "allowed", 3*time.Millisecond)
	m.Login("sftp", "key-unknown", 0)
	m.Transfer("ftp", In, 1000, true)
	m.Transfer("sftp", Out, 500, false)
	m.Delivery("spool", "published", 100, time.Second)
	m.Delivery("api", "failed", 0, 0)
	m.Commit("ok", 3, 2*time.Millisecond)
	m.Sweep(7, true)
	at := time.Unix(1_000_000, 500_000_000)
	n, sessions, no := int64(4), 2, false
	m.Now(func(f *Figures) {
		f.Listeners = []Listener{{Protocol: "sftp", Open: 5, Unauthenticated: 1, Accepted: 9, Refused: map[string]uint64{"address-not-admitted": 3}}}
		f.Sessions, f.Draining, f.HostKeys = &sessions, &no, map[string]int{"ssh-ed25519": 1}
	})
	m.Read("catalog", func(_ context.Context, f *Figures) error {
		f.Reports = []Reports{{"report", "published", 12}}
		f.StoredBytes, f.Uncollected, f.AuditHead, f.AuditVerified, f.Bans = &n, &n, &n, &n, &n
		f.LastSweep, f.LastBackup, f.LastVerified = &at, &time.Time{}, &at
		return nil
	})
	m.Read("spool", func(_ context.Context, f *Figures) error {
		f.Spool, f.Outbox = &Queue{Waiting: 1, Oldest: at, Failed: 2}, &Queue{Waiting: 3, Oldest: at, Failed: 4}
		return nil
	})
	m.Read("disk", func(_ context.Context, f *Figures) error {
		f.Disk, f.Certificates = &Disk{Size: 100, Free: 40}, []Certificate{{"ftp", at}}
		return nil
	})
	return m
}

func gather(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	list, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]*dto.MetricFamily{}
	for _, f := range list {
		families[f.GetName()] = f
	}
	return families
}

func exposition(t *testing.T, m *Metrics) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, f := range gather(t, m) {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestWhatIsCounted(t *testing.T) {
	t.Parallel()
	text := string(exposition(t, full(time.Now)))
	for _, want := range []string{
		`sealdrop_build_info{go="`, `,version="v1"} 1`,
		`sealdrop_logins_total{protocol="sftp",reason="allowed"} 1`, `sealdrop_logins_total{protocol="ftp",reason="key-unknown"} 0`,
		`sealdrop_login_duration_seconds_count{protocol="sftp"} 1`,
		`sealdrop_transfers_total{direction="in",outcome="ok",protocol="ftp"} 1`, `sealdrop_transferred_bytes_total{direction="out",protocol="sftp"} 500`,
		`sealdrop_deliveries_total{outcome="published",road="spool"} 1`, `sealdrop_delivered_bytes_total{road="spool"} 100`, `sealdrop_sealing_duration_seconds_sum 1`,
		`sealdrop_catalog_commits_total{outcome="ok"} 1`, `sealdrop_catalog_commits_total{outcome="busy"} 0`, `sealdrop_catalog_writes_total 3`,
		`sealdrop_sweeps_total{outcome="ok"} 1`, `sealdrop_purged_total 7`,
		`sealdrop_connections{protocol="sftp"} 5`, `sealdrop_connections_unauthenticated{protocol="sftp"} 1`, `sealdrop_connections_accepted_total{protocol="sftp"} 9`,
		`sealdrop_connections_refused_total{cause="address-not-admitted",protocol="sftp"} 3`,
		`sealdrop_reports{kind="report",state="published"} 12`, `sealdrop_backup_last_success_timestamp_seconds 0`, `sealdrop_sweep_last_success_timestamp_seconds 1.0000005e+06`,
		`sealdrop_spool_waiting 1`, `sealdrop_spool_rejected 2`, `sealdrop_outbox_dead 4`, `sealdrop_disk_free_bytes 40`,
		`sealdrop_certificate_expiry_timestamp_seconds{protocol="ftp"} 1.0000005e+06`, `sealdrop_host_keys{algorithm="ssh-ed25519"} 1`, `sealdrop_source_up{source="disk"} 1`,
		"go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
}

// TestFullIsFull: what full leaves out, the documentation and the samples could
// forget, too.
func TestFullIsFull(t *testing.T) {
	t.Parallel()
	m := full(time.Now)
	families := gather(t, m)
	descriptions := make(chan *prometheus.Desc, 1000)
	m.registry.Describe(descriptions)
	close(descriptions)
	for d := range descriptions {
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]
		if families[name] == nil && strings.HasPrefix(name, "sealdrop_") {
			t.Errorf("%s is described and not there", name)
		}
	}
}

// TestNoLabelGrowsWithUse holds the closed list of labels.
func TestNoLabelGrowsWithUse(t *testing.T) {
	t.Parallel()
	closed := []string{"protocol", "reason", "direction", "outcome", "road", "cause", "kind", "state", "algorithm", "source", "version", "go"}
	for name, f := range gather(t, full(time.Now)) {
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				if strings.HasPrefix(name, "sealdrop_") && !slices.Contains(closed, l.GetName()) {
					t.Errorf("%s has the label %s", name, l.GetName())
				}
			}
		}
	}
}

func TestBrokenSource(t *testing.T) {
	t.Parallel()
	m := full(time.Now)
	m.Read("broken", func(_ context.Context, f *Figures) error {
		f.Outbox = &Queue{Waiting: 77}
		return errors.New("gone")
	})
	text := string(exposition(t, m))
	if !strings.Contains(text, `sealdrop_source_up{source="broken"} 0`) || !strings.Contains(text, "sealdrop_outbox_pending 3") || strings.Contains(text, "sealdrop_outbox_pending 77") {
		t.Errorf("a source that fails:\n%s", text)
	}
}

// TestLookingUpIsRare: however often somebody asks, the catalog is asked every 15
// seconds, and less often if it is slow.
func TestLookingUpIsRare(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1_000_000, 0)
	m := NewMetrics("v1", func() time.Time { return clock })
	looks, slow := 0, time.Duration(0)
	m.Read("catalog", func(context.Context, *Figures) error {
		looks++
		clock = clock.Add(slow)
		return nil
	})
	ask := func(after time.Duration, want int) {
		t.Helper()
		clock = clock.Add(after)
		for range 10 {
			gather(t, m)
		}
		if looks != want {
			t.Errorf("it was asked %d times, want %d", looks, want)
		}
	}
	ask(0, 1)
	ask(14*time.Second, 1)
	slow = 3 * time.Second
	ask(time.Second, 2)
	ask(59*time.Second, 2)
	ask(time.Second, 3)
}

func TestDocument(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	b.WriteString(head)
	families := gather(t, full(time.Now))
	for _, name := range names(families) {
		f := families[name]
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), cmp.Or(strings.Join(labels, ", "), "–"), f.GetHelp())
	}
	b.WriteString("\nBeside these there are those of Go's runtime (`go_…`) and of the process (`process_…`).\n")
	if *update {
		if err := os.WriteFile(document, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Error("docs/metrics.md is out of date; run go test ./server/ops -update")
	}
}

const head = `<!-- Written by go test ./server/ops -update; the texts are in server/ops. -->

# The gateway's metrics

Served for Prometheus under ` + "`/metrics`" + ` of the admin listener (` + "`ops.listen`" + ` in docs/config.md), where there are also ` + "`/healthz`" + `
(200 while the process lives), ` + "`/readyz`" + ` (503 and why, as JSON, while it can't do its work or is stopping) and, with
` + "`ops.pprof: true`, `/debug/pprof/`" + `. On a unix socket: ` + "`curl --unix-socket /run/sealdrop/ops.sock http://localhost/metrics`" + `.

Labels are words of closed lists: the reasons of ` + "`sealdrop_logins_total`" + ` are those of docs/diagnosis.md. No label has a client,
an address or a name. Counters are those of this process, from its start; what must be looked up is looked up every 15
seconds at most. A figure whose source fails is left out, and ` + "`sealdrop_source_up`" + ` says so.

Alert rules are in deploy/prometheus, a dashboard is in deploy/grafana.

| metric | type | labels | meaning |
|---|---|---|---|
`

func names(families map[string]*dto.MetricFamily) (list []string) {
	for name := range families {
		if strings.HasPrefix(name, "sealdrop_") {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// BenchmarkTransfer measures what counting costs a transfer.
func BenchmarkTransfer(b *testing.B) {
	m := NewMetrics("v1", time.Now)
	for b.Loop() {
		m.Transfer("sftp", Out, 4096, true)
	}
}
