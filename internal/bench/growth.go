package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// growth is an operation whose cost must grow no faster than what there is: the same is measured with
// one size, ten times and a hundred times it.
type growth struct {
	name string
	what string // the operation, and what there is ever more of
	unit string // of what run returns
	size int    // at 1×
	// run measures it once: server's processor time where it can, which holds beside other work.
	run func(ctx context.Context, b *bench, size int) (float64, error)
}

// growthFactors are how much there is.
var growthFactors = [...]int{1, 10, 100}

// steeper is the ratio per unit from which on it counts as worse than linear: below it, caches
// that are left behind and trees that are one step deeper.
const steeper = 1.5

// grown is an operation with what was found.
type grown struct {
	growth
	sizes  []int
	values []float64 // per unit
}

// ratio is what a unit costs at the largest size, times that at the smallest.
func (g grown) ratio() float64 {
	if g.values[0] <= 0 {
		return 0
	}
	return g.values[len(g.values)-1] / g.values[0]
}

func (g grown) verdict() string {
	switch {
	case g.values[0] <= 0:
		return "too little to measure"
	case g.ratio() > steeper:
		return "**worse than linear**"
	default:
		return "linear or better"
	}
}

// growthRun measures, prints the table, and writes it into the document if there is one.
func (b *bench) growthRun(ctx context.Context) error {
	if err := b.ready(); err != nil {
		return err
	}
	table, err := b.measureGrowth(ctx)
	fmt.Print(table)
	if err == nil && b.settings.document != "" {
		err = measure.WriteBetween(b.settings.document, growthCommand, table)
	}
	return err
}

// measureGrowth measures the chosen operations. What was measured before an error is returned
// with it.
func (b *bench) measureGrowth(ctx context.Context) (string, error) {
	var all []grown
	var failed error
	for _, g := range growths() {
		if !b.chosen.MatchString(g.name) {
			continue
		}
		found, err := b.grow(ctx, g)
		if err != nil {
			failed = fmt.Errorf("%s: %w", g.name, err)
			break
		}
		all = append(all, found)
	}
	if len(all) == 0 && failed == nil {
		failed = errors.New("there is no case of that name")
	}
	return b.growthText(all), failed
}

// grow measures an operation at each size. In each round the sizes take turns.
func (b *bench) grow(ctx context.Context, g growth) (grown, error) {
	found := grown{growth: g}
	samples := make([][]float64, len(growthFactors))
	for range b.rounds {
		for i, factor := range growthFactors {
			value, err := b.growOnce(ctx, g, b.scaled(g.size, 20)*factor)
			if err != nil {
				return found, err
			}
			samples[i] = append(samples[i], value)
		}
	}
	for i, factor := range growthFactors {
		found.sizes = append(found.sizes, b.scaled(g.size, 20)*factor)
		found.values = append(found.values, measure.Median(samples[i]))
	}
	return found, nil
}

func (b *bench) growOnce(ctx context.Context, g growth, size int) (float64, error) {
	defer b.cleanUp()
	if err := b.makeFolders(); err != nil {
		return 0, err
	}
	value, err := g.run(ctx, b, size)
	if err == nil {
		fmt.Fprintf(b.progress, "%s: %d: %s %s\n", g.name, size, number(value), g.unit)
	}
	return value, err
}

func (b *bench) growthText(all []grown) string {
	var out strings.Builder
	fmt.Fprintf(&out, "Measured on %s: %s; %d of each, medians", time.Now().UTC().Format(time.DateOnly), measure.Machine(), b.rounds)
	if load := measure.Load(); load != "" {
		fmt.Fprintf(&out, "; %s processes ran on average meanwhile", load)
	}
	out.WriteString(".\n")
	if b.scale != 1 {
		fmt.Fprintf(&out, "Sizes are %g of the full ones.\n", b.scale)
	}
	out.WriteString("\n")
	rows := [][]string{{"operation", "unit", "sizes", "1×", "10×", "100×", "100× / 1×", ""}}
	for _, g := range all {
		var sizes []string
		for _, s := range g.sizes {
			sizes = append(sizes, shortCount(s))
		}
		row := []string{g.what, g.unit, strings.Join(sizes, " / ")}
		for _, v := range g.values {
			row = append(row, number(v))
		}
		rows = append(rows, append(row, number(g.ratio()), g.verdict()))
	}
	measure.WriteTable(&out, rows)
	return out.String()
}

// shortCount writes thousands and millions for what they are.
func shortCount(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprintf("%d M", n/1_000_000)
	case n >= 1000 && n%1000 == 0:
		return fmt.Sprintf("%d k", n/1000)
	default:
		return fmt.Sprint(n)
	}
}

// growthCommand is what the document says of who writes the table.
const growthCommand = "make bench-growth"
