package main

import (
	"regexp"
	"strings"
	"testing"
)

// TestGrowthTable: what grows faster than what there is, is marked.
func TestGrowthTable(t *testing.T) {
	t.Parallel()
	b := &bench{settings: settings{rounds: 1, scale: 1}}
	sizes := []int{1000, 10_000, 1_000_000}
	text := b.growthText([]grown{
		{growth{what: "flat", unit: "ms"}, sizes, []float64{2, 2.2, 2.4}},
		{growth{what: "steep", unit: "ms"}, sizes, []float64{2, 3, 3.2}},
		{growth{what: "falling", unit: "ms"}, sizes, []float64{2, 1, .2}},
		{growth{what: "nothing", unit: "ms"}, sizes, []float64{0, 1, 2}},
	})
	for _, want := range []string{
		`flat .* 1 k / 10 k / 1 M .* 1\.20 .* linear or better`,
		`steep .* 1\.60 .* \*\*worse than linear\*\*`,
		`falling .* 0\.10 .* linear or better`,
		`nothing .* too little to measure`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no line is like %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestGrowthsHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, g := range growths() {
		if g.name == "" || seen[g.name] || g.what == "" || g.unit == "" || g.size < 1 || g.run == nil || strings.Contains(g.what, "|") {
			t.Errorf("%+v", g)
		}
		seen[g.name] = true
	}
}
