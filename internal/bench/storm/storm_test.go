package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// meanWait runs a queue with c servers and returns how long a job waits on average.
func meanWait(c int, rate float64, service func(*rand.Rand) seconds) seconds {
	const jobs = 150_000
	r := rand.New(rand.NewPCG(7, 7))
	k := new(clock)
	s := station{clock: k, servers: c}
	var waited seconds
	var arrive func(i int)
	arrive = func(i int) {
		if i == jobs {
			return
		}
		came, takes := k.now, service(r)
		s.serve(takes, func() { waited += k.now - came - takes })
		k.after(r.ExpFloat64()/rate, func() { arrive(i + 1) })
	}
	arrive(0)
	k.play()
	return waited / jobs
}

// erlangC returns the mean wait in an M/M/c queue with services of one second on average.
func erlangC(c int, rate float64) seconds {
	term, sum := 1., 1.
	for k := 1; k < c; k++ {
		term *= rate / float64(k)
		sum += term
	}
	full := term * rate / float64(c) / (1 - rate/float64(c))
	return full / (sum + full) / (float64(c) - rate)
}

// TestQueues compares with what is known of queues: M/D/1 (Pollaczek and Khinchine) and M/M/c (Erlang).
func TestQueues(t *testing.T) {
	t.Parallel()
	constant := func(*rand.Rand) seconds { return 1 }
	exponential := func(r *rand.Rand) seconds { return r.ExpFloat64() }
	for name, test := range map[string]struct {
		servers int
		rate    float64
		service func(*rand.Rand) seconds
		want    seconds
	}{
		"M/D/1 half used":  {1, .5, constant, .5 / (2 * .5)},
		"M/D/1 at 80 %":    {1, .8, constant, .8 / (2 * .2)},
		"M/M/1 at 70 %":    {1, .7, exponential, .7 / .3},
		"M/M/2 at 75 %":    {2, 1.5, exponential, erlangC(2, 1.5)},
		"M/M/16 at 87.5 %": {16, 14, exponential, erlangC(16, 14)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := meanWait(test.servers, test.rate, test.service)
			if math.Abs(got/test.want-1) > .06 {
				t.Errorf("a job waits %.4f s, not %.4f", got, test.want)
			}
		})
	}
}

// TestGroupCommit: what gathers while one commit is under way goes with the next, [maxBatch] at
// most, and nodes take turns.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	k := new(clock)
	w := &writer{clock: k, commit: 1}
	a, b := &batcher{writer: w}, &batcher{writer: w}
	var lastOfA, ofB seconds
	for range 1000 {
		a.write(.01, func() { lastOfA = k.now })
	}
	b.write(.01, func() { ofB = k.now })
	k.play()
	// 1, then the other node's, then 256 three times, and 231.
	if w.commits != 6 || w.writes != 1001 {
		t.Errorf("%d commits of %d writes, not 6 of 1001", w.commits, w.writes)
	}
	if math.Abs(ofB-2.02) > 1e-9 || math.Abs(lastOfA-(6+10.01)) > 1e-9 {
		t.Errorf("the other node waited until %g, and this one until %g", ofB, lastOfA)
	}
}

// example is a storm of the built-in parameters, but that a node has the work of ten: fewer
// clients are enough to keep it busy.
func example(t *testing.T) storm {
	t.Helper()
	c, err := readCosts("")
	if err != nil {
		t.Fatal(err)
	}
	s := storm{costs: c, clients: 2000, span: 60, peak: 3, fetches: 3, nodes: 1, catalog: sqlite, seed: 1, chains: 1}
	return s.with("login-cpu", 16).with("fetch-cpu", 6)
}

// with returns the storm with another cost.
func (s storm) with(name string, value float64) storm {
	list := append([]parameter(nil), s.List...)
	for i := range list {
		if list[i].Name == name {
			list[i].Value = value
		}
	}
	s.List = list
	return s
}

func TestEverybodyIsServed(t *testing.T) {
	t.Parallel()
	s := example(t)
	o := simulate(s)
	if len(o.logins) != s.clients || len(o.bytes) != s.clients {
		t.Errorf("%d of %d have logged in, and %d fetched something", len(o.logins), s.clients, len(o.bytes))
	}
	// Nobody is faster than the work itself, and the work is all that was done.
	least := (s.get("login-cpu") + s.get("sqlite-commit") + s.get("sqlite-write")) * milli
	if o.logins[0] < least-1e-9 {
		t.Errorf("the fastest login took %g s, less than its work of %g", o.logins[0], least)
	}
	work := float64(s.clients) * (s.get("login-cpu") + 3*s.get("fetch-cpu")) * milli
	if got := o.busy[0].share * o.ended * s.get("cores"); math.Abs(got/work-1) > .01 {
		t.Errorf("the cores worked %g s, not %g", got, work)
	}
}

// TestPeak: the shape leaves the number as it is, and its tip is as high as it says.
func TestPeak(t *testing.T) {
	t.Parallel()
	s := example(t)
	s.clients, s.span = 120_000, 600
	for _, peak := range []float64{1, 2, 3, mostPeak} {
		s.peak = peak
		at, middle := s.arrivals(), 0
		for _, a := range at {
			if a < 0 || a > s.span {
				t.Fatalf("one comes at %g", a)
			}
			if math.Abs(a-s.span/2) < 2 {
				middle++
			}
		}
		if got := float64(middle) / 4 / 200; math.Abs(got/peak-1) > .1 {
			t.Errorf("at the tip come %.2f times the mean, not %g", got, peak)
		}
	}
}

// TestMoreNodes: where nodes are what is short, each one more makes it better or leaves it.
func TestMoreNodes(t *testing.T) {
	t.Parallel()
	s := example(t).with("trip", 0).with("postgres-commit", 0).with("statement-cpu", .001)
	s.clients, s.catalog = 5000, postgres
	last := math.Inf(1)
	for s.nodes = 1; s.nodes <= 10; s.nodes++ {
		p99 := quantile(simulate(s).logins, .99)
		if p99 > last*1.02 {
			t.Errorf("with %d nodes the p99 is %g s, and with one less %g", s.nodes, p99, last)
		}
		last = p99
	}
	if n, _ := s.needed(1, 64); n < 2 || n > 9 {
		t.Errorf("%d nodes are needed", n)
	}
}

// TestWhatNodesDoNotHelp: if the catalog's writer is what is short, no number of nodes is enough,
// and this says so.
func TestWhatNodesDoNotHelp(t *testing.T) {
	t.Parallel()
	s := example(t)
	s.clients, s.catalog = 5000, postgres
	n, o := s.needed(1, 64)
	if b := o.busiest(); n != 0 || b.resource != "the catalog's writer" {
		t.Errorf("%d nodes, %+v", n, b)
	}
	s.together, s.chains = true, 16
	if n, o := s.needed(1, 64); n == 0 {
		t.Errorf("it is not enough with 16 writers: %+v", o.busiest())
	}
}

func TestKnee(t *testing.T) {
	t.Parallel()
	s := example(t)
	// The cores end at cores / work; a minute a little above is still below a second.
	bound := s.get("cores") / (s.get("login-cpu") + 3*s.get("fetch-cpu")) * 1000
	if got := s.knee(); got < bound*.9 || got > bound*1.1 {
		t.Errorf("the knee is at %g logins/s, and the cores' end at %g", got, bound)
	}
}

func TestSameSeedSameOutput(t *testing.T) {
	t.Parallel()
	args := []string{"-clients", "1000", "-minutes", "1", "-fetch-cpu", "10"}
	output := func(more ...string) string {
		var out, errs bytes.Buffer
		if status := run(append(args[:len(args):len(args)], more...), &out, &errs); status != 0 {
			t.Fatalf("exit status %d: %s", status, &errs)
		}
		return out.String()
	}
	first := output()
	if first != output() {
		t.Error("a second run says something else")
	}
	if first == output("-seed", "2") {
		t.Error("another seed says the same")
	}
	if first == output("-login-cpu", "3") {
		t.Error("another cost says the same")
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-h"}, 0, "PostgreSQL's log of one OpenSSH login"},
		{[]string{"-peak", "9"}, 2, "it is 1 to 6"},
		{[]string{"-nodes", "2"}, 2, "-catalog postgres"},
		{[]string{"-catalog", "oracle"}, 2, "no engine"},
		{[]string{"-login-cpu", "-1"}, 2, "not negative"},
		{[]string{"-chains", "2"}, 2, "-catalog postgres"},
		{[]string{"more"}, 2, "no arguments"},
		{[]string{"-parameters", "nowhere.json"}, 2, "nowhere.json"},
	} {
		var out, errs bytes.Buffer
		if status := run(test.args, &out, &errs); status != test.status || !strings.Contains(errs.String(), test.want) {
			t.Errorf("%q: exit status %d, and it says %q", test.args, status, &errs)
		}
	}
}

// TestParameters: a table that is not whole, or does not say where it comes from, is refused.
func TestParameters(t *testing.T) {
	t.Parallel()
	whole := string(measuredTable)
	for name, text := range map[string]string{
		"a parameter that nobody knows": strings.Replace(whole, `"login-cpu"`, `"log-in-cpu"`, 1),
		"one that is missing":           strings.Replace(whole, `{"name": "cores"`, `{"name": "trip"`, 1),
		"one below 0":                   strings.Replace(whole, `"value": 2,`, `"value": -2,`, 1),
		"no source":                     strings.Replace(whole, `"from": "the machine"`, `"from": ""`, 1),
		"a field that nobody knows":     strings.Replace(whole, `"date"`, `"dates"`, 1),
		"no JSON":                       whole[1:],
	} {
		if _, err := parseCosts([]byte(text)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	file := filepath.Join(t.TempDir(), "p.json")
	if err := os.WriteFile(file, []byte(strings.Replace(whole, `"machine": "`, `"machine": "ELSEWHERE, `, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if run([]string{"-clients", "100", "-parameters", file}, &out, &errs); !strings.Contains(out.String(), "ELSEWHERE") {
		t.Errorf("the file is not used: %s%s", &out, &errs)
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", .123: "0.12", 2: "2", 12.34: "12.3", 123.4: "123", 1234: "1,230", 999_999: "1,000,000", 3_000_000: "3,000,000",
	} {
		if got := grouped(v); got != want {
			t.Errorf("%g is %q, not %q", v, got, want)
		}
	}
}

// TestDocument: docs/scaling.md has the places that are written into.
func TestDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "scaling.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{command, "make bench-growth"} {
		if _, err := measure.Between(string(text), by, ""); err != nil {
			t.Errorf("%s: %v", by, err)
		}
	}
	c, err := readCosts("")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range million(c) {
		if len(row) != 3 || strings.Contains(strings.Join(row, ""), "NaN") {
			t.Errorf("%q", row)
		}
	}
}
