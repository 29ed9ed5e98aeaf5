package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// yardstick is the server to which the others are compared.
const yardstick = "vsftpd"

// result is what was measured.
type result struct {
	settings
	servers    []server
	skipped    string // why Sealdrop is not among the servers; empty if it is
	samples    map[key][]sample
	negotiated map[string]string // a server's TLS version and cipher
	when       time.Time
	load       string // of the machine before the run, as a number; empty if unknown
}

type key struct {
	server string
	cell   cell
}

func newResult(s settings) *result {
	return &result{settings: s, samples: make(map[key][]sample), negotiated: make(map[string]string), when: time.Now(), load: measure.Load()}
}

func (r *result) add(server string, c cell, s sample) {
	k := key{server, c}
	r.samples[k] = append(r.samples[k], s)
}

// median returns the median of each quantity by itself.
func (r *result) median(server string, c cell) sample {
	samples := r.samples[key{server, c}]
	middle := func(of func(sample) time.Duration) time.Duration {
		values := make([]time.Duration, len(samples))
		for i, s := range samples {
			values[i] = of(s)
		}
		return measure.Median(values)
	}
	return sample{
		wall:   middle(func(s sample) time.Duration { return s.wall }),
		server: middle(func(s sample) time.Duration { return s.server }),
		client: middle(func(s sample) time.Duration { return s.client }),
	}
}

// markdown renders the result.
func (r *result) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Measured on %s: %s.\n", r.when.UTC().Format(time.DateOnly), measure.Machine())
	if r.load != "" {
		fmt.Fprintf(&out, "Before the run, %s processes were running on average: each slows what is measured.\n", r.load)
	}
	fmt.Fprintf(&out, "A file of %d MiB, %s, medians of %d. In brackets: × %s's.\n\n", r.size>>20, r.where(), r.rounds, yardstick)
	r.table(&out)
	out.WriteString("\n")
	for _, s := range r.servers {
		fmt.Fprintf(&out, "- %s %s: %s\n", s.name(), s.version(), r.negotiated[s.name()])
	}
	out.WriteString("\n")
	r.targets(&out)
	return out.String()
}

func (r *result) where() string {
	if measure.InMemory(r.dir) {
		return "in memory (" + r.dir + ")"
	}
	return "in " + r.dir + " (Sealdrop syncs an upload before it answers; the peers don't)"
}

func (r *result) table(out *strings.Builder) {
	rows := [][]string{{"transfer", "server", "wall s", "server's CPU s", "client's CPU s"}}
	for _, c := range cells {
		base := r.median(yardstick, c)
		for _, s := range r.servers {
			m := r.median(s.name(), c)
			rows = append(rows, []string{
				c.String(), s.name(), ratio(m.wall, base.wall), ratio(m.server, base.server), fmt.Sprintf("%.2f", m.client.Seconds()),
			})
		}
	}
	measure.WriteTable(out, rows)
}

func ratio(value, base time.Duration) string {
	if base == 0 {
		return fmt.Sprintf("%.2f", value.Seconds())
	}
	return fmt.Sprintf("%.2f (%.2f×)", value.Seconds(), value.Seconds()/base.Seconds())
}

// cpuCells is in how many of the cells Sealdrop may use no more processor time than the
// yardstick.
const cpuCells = 3

// targets says which of the targets are met.
func (r *result) targets(out *strings.Builder) {
	if r.skipped != "" {
		fmt.Fprintf(out, "Sealdrop was not measured: %s.\n", r.skipped)
		return
	}
	rows := [][]string{{"transfer", "CPU no more than " + yardstick + "'s", "wall time ahead of all"}}
	thrifty, fast := 0, 0
	for _, c := range cells {
		own := r.median("sealdrop", c)
		best, name := r.fastestPeer(c)
		cpu := own.server <= r.median(yardstick, c).server
		wall := own.wall < best
		if cpu {
			thrifty++
		}
		if wall {
			fast++
		}
		rows = append(rows, []string{
			c.String(), mark(cpu), fmt.Sprintf("%s (%s: %.2f×)", mark(wall), name, own.wall.Seconds()/best.Seconds()),
		})
	}
	rows = append(rows, []string{
		"target",
		fmt.Sprintf("%s (%d of %d, target %d)", mark(thrifty >= cpuCells), thrifty, len(cells), cpuCells),
		fmt.Sprintf("%s (%d of %d, target %d)", mark(fast == len(cells)), fast, len(cells), len(cells)),
	})
	measure.WriteTable(out, rows)
}

// fastestPeer returns the least wall time of a peer.
func (r *result) fastestPeer(c cell) (best time.Duration, name string) {
	for _, s := range r.servers {
		if m := r.median(s.name(), c); s.name() != "sealdrop" && (name == "" || m.wall < best) {
			best, name = m.wall, s.name()
		}
	}
	return best, name
}

func mark(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}
