package main

import (
	"fmt"
	"strings"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// report tells what the storm does, for a terminal.
func (s settings) report() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s clients within %g minutes, %.0f a second at the peak, %d reports of %g KiB each;\n", grouped(float64(s.clients)), s.minutes, s.peakRate(), s.fetches, s.get("fetch-size"))
	fmt.Fprintf(&out, "%d node(s) of %g cores, catalog: %s. Costs of %s (%s).\n\n", s.storm.nodes, s.get("cores"), s.catalog, s.Date, s.Machine)
	o := simulate(s.storm)
	measure.WriteTable(&out, [][]string{
		{"", "p50 ms", "p99 ms", "p99.9 ms"},
		quantiles("login", o.logins),
		quantiles("first byte", o.bytes),
	})
	out.WriteString("\n")
	rows := [][]string{{"resource", "used"}}
	for _, b := range o.busy {
		rows = append(rows, []string{b.resource, percent(b.share)})
	}
	measure.WriteTable(&out, rows)
	fmt.Fprintf(&out, "\nThe last one is done %.0f s after the first came. Sessions on a node: %d at most. Writes in a commit: %.1f.\n", o.ended, o.sessions, o.batch)
	fmt.Fprintf(&out, "Knee (p99 of a login passes %d s, after a minute at one rate): %s logins/s.\n", tooSlow, grouped(s.knee()))
	out.WriteString(s.neededText())
	return out.String()
}

func (s settings) neededText() string {
	most := s.most
	if s.catalog == sqlite {
		most = 1
	}
	n, o := s.needed(s.target, most)
	switch b := o.busiest(); {
	case n > 0:
		return fmt.Sprintf("Nodes needed at the peak for a p99 of %g s: %d.\n", s.target, n)
	case s.catalog == sqlite:
		return fmt.Sprintf("One node does not keep a p99 of %g s at the peak: %s, %s used.\n", s.target, b.resource, percent(b.share))
	default:
		return fmt.Sprintf("No number of nodes up to %d keeps a p99 of %g s at the peak: %s, %s used.\n", most, s.target, b.resource, percent(b.share))
	}
}

func quantiles(name string, sorted []seconds) []string {
	row := []string{name}
	for _, share := range []float64{.5, .99, .999} {
		row = append(row, grouped(quantile(sorted, share)*1000))
	}
	return row
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", share*100) }

// grouped shows a number with three digits that count, and the thousands apart.
func grouped(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 1:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	unit := 1.
	for v/unit >= 1000 {
		unit *= 10
	}
	digits := fmt.Sprintf("%.0f", float64(int64(v/unit+.5))*unit)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
