package ops

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	prometheusFolder = "../../deploy/prometheus"
	dashboard        = "../../deploy/grafana/sealdrop.json"
	promtoolPath     = "../../.build/promtool/usr/bin/promtool"
)

// promtool runs Prometheus's own checker in a folder. deploy/setup unpacks it.
func promtool(t *testing.T, dir, stdin string, args ...string) {
	t.Helper()
	path, err := filepath.Abs(promtoolPath)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("promtool is missing: %v; run deploy/setup", err)
		}
		t.Skip("promtool is missing; run deploy/setup")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool(t, prometheusFolder, "", "check", "rules", "alerts.yaml")
	promtool(t, prometheusFolder, "", "check", "config", "prometheus.example.yaml")
	promtool(t, prometheusFolder, "", "test", "rules", "alerts_test.yaml")
	promtool(t, ".", string(exposition(t, full(time.Now))), "check", "metrics")
}

// alert is a rule of alerts.yaml.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readAlerts(t *testing.T) []alert {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(prometheusFolder, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil || len(file.Groups) != 1 || len(file.Groups[0].Rules) < 20 {
		t.Fatalf("reading alerts.yaml: %v, %d groups", err, len(file.Groups))
	}
	return file.Groups[0].Rules
}

// TestAlertsAreTested: an alert that was never seen to fire is a hope.
func TestAlertsAreTested(t *testing.T) {
	t.Parallel()
	tests, err := os.ReadFile(filepath.Join(prometheusFolder, "alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range readAlerts(t) {
		fires := "- alertname: " + a.Alert + "\n"
		silent := "{ alertname: " + a.Alert + ", "
		if !strings.Contains(string(tests), fires) || !strings.Contains(string(tests), silent) {
			t.Errorf("%s: alerts_test.yaml must have it fire, and be silent on a gateway that is well", a.Alert)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" || a.Labels["severity"] != "warning" && a.Labels["severity"] != "critical" {
			t.Errorf("%s: %+v", a.Alert, a)
		}
	}
}

// TestRunbooks: an alert at night leads to what to do, which is there.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/operations.md")
	if os.IsNotExist(err) {
		t.Skip("docs/operations.md is not written yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	anchors := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			anchor := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			anchors[strings.ReplaceAll(anchor, " ", "-")] = true
		}
	}
	for _, a := range readAlerts(t) {
		_, anchor, _ := strings.Cut(a.Annotations["runbook_url"], "docs/operations.md#")
		if !anchors[anchor] {
			t.Errorf("%s: docs/operations.md has no heading %q", a.Alert, anchor)
		}
	}
}

// queries returns all expressions of the dashboard, by panel.
func queries(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	found, ids, taken := map[string]string{}, map[int]bool{}, map[[2]int]string{}
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Errorf("the panel %q lies on %q, or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			found[p.Title+" "+target.RefID] = target.Expr
		}
	}
	if len(found) < 30 {
		t.Fatalf("only %d queries were found", len(found))
	}
	return found
}

// TestSamplesNameWhatThereIs: a metric that was renamed leaves a panel empty and an
// alert silent.
func TestSamplesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	families := gather(t, full(time.Now))
	used := queries(t)
	for _, a := range readAlerts(t) {
		used[a.Alert] = a.Expr
	}
	metric := regexp.MustCompile(`\b(?:sealdrop|go|process)_[a-z_]+`)
	for where, expr := range used {
		for _, name := range metric.FindAllString(expr, -1) {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if families[name] == nil && families[base] == nil {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
	}
}

// TestDashboardQueries has promtool read the dashboard's queries, as rules.
func TestDashboardQueries(t *testing.T) {
	t.Parallel()
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	all := queries(t)
	for i, where := range slices.Sorted(maps.Keys(all)) {
		expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(all[where])
		if strings.Contains(expr, "$") {
			t.Errorf("%s: unknown variable in %s", where, expr)
		}
		rules = append(rules, rule{fmt.Sprint("query:", i), expr})
	}
	data, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "queries.yaml"), data, fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "", "check", "rules", "queries.yaml")
}
