package main

import (
	"strings"
	"testing"
	"time"
)

// found makes a case of medians: what Sealdrop and a peer took.
func found(targets []target, ours, theirs sample) measured {
	return measured{
		name: "case", what: "something", sides: []string{own, "peer"}, targets: targets,
		samples: map[string][]sample{own: {ours}, "peer": {theirs}},
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	m := found([]target{timesAsFast(2, "peer"), atMost(.5, cpu, "peer"), {memory, "", 64}, {perSession, "", 1}, timesAsFast(1, "nobody")},
		sample{wall: 1, cpu: 3, memory: 64}, sample{wall: 2.5, cpu: 4, memory: 10})
	r := result{settings: settings{rounds: 1, scale: .5}, when: time.Unix(0, 0), cases: []measured{m}}
	text := r.markdown()
	for _, want := range []string{
		"| case | ≥ 2× as fast as peer   | 2.50×    | met          |\n",
		"| case | CPU s ≤ 0.5× peer's    | 0.75×    | missed       |\n",
		"| case | peak MiB ≤ 64.0        | 64.0     | met          |\n",
		"| case | KiB per session ≤ 1.00 | -        | not measured |\n",
		"| case | ≥ 1× as fast as nobody | -        | not measured |\n",
		"| sealdrop | 1.00         | 3.00         | 64.0         |\n",
		"| peer     | 2.50 (2.50×) | 4.00 (1.33×) | 10.0 (0.16×) |\n",
		"Measured on 1970-01-01: ", "one measurement of each", "Sizes are 0.5 of the full ones",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestMedianOfEachFigure: the medians of two figures may come from different rounds, and a
// figure that a round lacks does not count as 0.
func TestMedianOfEachFigure(t *testing.T) {
	t.Parallel()
	m := measured{samples: map[string][]sample{own: {{wall: 1, cpu: 9}, {wall: 2, cpu: 7}, {wall: 3, cpu: 8, knee: 50}}}}
	for f, want := range map[figure]float64{wall: 2, cpu: 8, knee: 50} {
		if got, ok := m.median(own, f); !ok || got != want {
			t.Errorf("the median of %q is %v, %v, not %v", f, got, ok, want)
		}
	}
	if _, ok := m.median(own, memory); ok {
		t.Error("what was not measured has a median")
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for _, test := range []struct {
		values []time.Duration
		share  float64
		want   time.Duration
	}{
		{nil, .99, 0},
		{[]time.Duration{7}, .99, 7},
		{hundred, .99, 100},
		{hundred, .5, 51},
		{hundred, 0, 1},
		{hundred, 1, 100},
	} {
		if got := quantile(test.values, test.share); got != test.want {
			t.Errorf("quantile %v of %d values is %d, not %d", test.share, len(test.values), got, test.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("the values were sorted in place")
	}
}

// TestBlobID pins the ids that blobSQL makes, too.
func TestBlobID(t *testing.T) {
	t.Parallel()
	for i, want := range map[int]string{
		0: strings.Repeat("g", 26) + "00000005000", 511: strings.Repeat("g", 26) + "009fb005000",
		0x1ff<<9 + 3: "ff" + strings.Repeat("g", 21) + "hff0000f005000", 0x89 << 9: "ij" + strings.Repeat("g", 22) + "ij00000005000",
	} {
		if got := blobID(i, smallFile); got != want {
			t.Errorf("the blob of report %d is %s, not %s", i, got, want)
		}
	}
}
