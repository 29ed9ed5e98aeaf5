package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// target is what Sealdrop must achieve in a case.
type target struct {
	figure  figure
	against string // the side to compare with; empty: the figure itself is bounded
	most    float64
}

// atMost is a target for what Sealdrop takes: no more than factor times what a peer takes.
func atMost(factor float64, f figure, against string) target { return target{f, against, factor} }

// timesAsFast is a target for the wall time.
func timesAsFast(factor float64, against string) target { return target{wall, against, 1 / factor} }

// measured is a case with what was found.
type measured struct {
	name, what string
	sides      []string
	targets    []target
	samples    map[string][]sample
	leftOut    []string // sentences, of the sides that failed
}

// median returns the median of a figure on a side; false if that was not measured.
func (m measured) median(side string, f figure) (float64, bool) {
	var values []float64
	for _, s := range m.samples[side] {
		if v, ok := s[f]; ok {
			values = append(values, v)
		}
	}
	return measure.Median(values), len(values) > 0
}

// figures returns what was measured on any side, the common ones first.
func (m measured) figures() []figure {
	common := []figure{wall, cpu, memory}
	found := make(map[figure]bool)
	for _, samples := range m.samples {
		for _, s := range samples {
			for f := range s {
				found[f] = true
			}
		}
	}
	var list []figure
	for _, f := range slices.Concat(common, slices.Sorted(maps.Keys(found))) {
		if found[f] && !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// reached returns what a target is about: the ratio, or the figure. false: not measured.
func (m measured) reached(t target) (float64, bool) {
	value, ok := m.median(own, t.figure)
	if !ok || t.against == "" {
		return value, ok
	}
	base, ok := m.median(t.against, t.figure)
	if !ok || base == 0 {
		return 0, false
	}
	return value / base, true
}

// result is what was measured.
type result struct {
	settings
	when  time.Time
	load  string
	cases []measured
}

func newResult(s settings) *result {
	return &result{settings: s, when: time.Now(), load: measure.Load()}
}

// String shows a sample on one line.
func (s sample) String() string {
	var parts []string
	for _, f := range (measured{samples: map[string][]sample{"": {s}}}).figures() {
		parts = append(parts, fmt.Sprintf("%s %s", f, number(s[f])))
	}
	return strings.Join(parts, "  ")
}

// number shows three digits that count.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// markdown renders the result.
func (r *result) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Measured on %s: %s; files in %s, %s.\n", r.when.UTC().Format(time.DateOnly), measure.Machine(), r.dir, r.medians())
	if r.load != "" {
		fmt.Fprintf(&out, "Before the run, %s processes were running on average: each slows what is measured.\n", r.load)
	}
	if r.scale != 1 {
		fmt.Fprintf(&out, "Sizes are %g of the full ones: the targets are not about these.\n", r.scale)
	}
	if r.sftpgo == "" {
		out.WriteString("SFTPGo is not here, so nothing is measured beside it: its module could not be fetched and built (`deploy/setup --bench` tries).\n")
	}
	if r.sq == "" {
		out.WriteString("sq is not here, so nothing is measured beside it.\n")
	}
	out.WriteString("\n")
	r.targetTable(&out)
	for _, m := range r.cases {
		fmt.Fprintf(&out, "\n**%s**: %s.", m.name, m.what)
		if r.rounds > 1 && len(m.samples[own]) == 1 {
			out.WriteString(" Measured once.")
		}
		for _, text := range m.leftOut {
			out.WriteString(" " + text + ".")
		}
		out.WriteString("\n\n")
		m.table(&out)
	}
	return out.String()
}

func (r *result) medians() string {
	if r.rounds == 1 {
		return "one measurement of each"
	}
	return fmt.Sprintf("medians of %d, the sides taking turns", r.rounds)
}

// targetTable says which of the targets are met.
func (r *result) targetTable(out *strings.Builder) {
	rows := [][]string{{"case", "target", "measured", ""}}
	for _, m := range r.cases {
		for _, t := range m.targets {
			value, ok := m.reached(t)
			verdict := "met"
			switch {
			case !ok:
				rows = append(rows, []string{m.name, t.wanted(), "-", "not measured"})
				continue
			case value > t.most:
				verdict = "missed"
			}
			rows = append(rows, []string{m.name, t.wanted(), t.found(value), verdict})
		}
	}
	measure.WriteTable(out, rows)
}

// wanted says what the target is.
func (t target) wanted() string {
	switch {
	case t.against == "":
		return fmt.Sprintf("%s ≤ %s", t.figure, number(t.most))
	case t.figure == wall:
		return fmt.Sprintf("≥ %s× as fast as %s", trimmed(1/t.most), t.against)
	default:
		return fmt.Sprintf("%s ≤ %s× %s's", t.figure, trimmed(t.most), t.against)
	}
}

// found says how far it was reached.
func (t target) found(value float64) string {
	switch {
	case t.against == "":
		return number(value)
	case t.figure == wall && value > 0:
		return number(1/value) + "×"
	default:
		return number(value) + "×"
	}
}

func trimmed(v float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}

// table shows what was measured on each side; in brackets, against Sealdrop's.
func (m measured) table(out *strings.Builder) {
	figures := m.figures()
	head := []string{""}
	for _, f := range figures {
		head = append(head, string(f))
	}
	rows := [][]string{head}
	for _, s := range m.sides {
		row := []string{s}
		for _, f := range figures {
			row = append(row, m.cell(s, f))
		}
		rows = append(rows, row)
	}
	measure.WriteTable(out, rows)
}

func (m measured) cell(side string, f figure) string {
	v, ok := m.median(side, f)
	if !ok {
		return "-"
	}
	base, ok := m.median(own, f)
	if side == own || !ok || base == 0 {
		return number(v)
	}
	return fmt.Sprintf("%s (%s×)", number(v), number(v/base))
}
