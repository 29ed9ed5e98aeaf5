package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// settings is what the command line says.
type settings struct {
	storm
	minutes, target float64 // target in seconds
	most            int
	document        string
}

// run executes the command line and returns the exit status: 0 done, 1 failed, 2 wrong usage.
func run(args []string, out, errs io.Writer) int {
	s, err := parse(args, errs)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(errs, "error:", err)
		fmt.Fprintln(errs, "hint: -h lists the flags, with the parameters and where each comes from")
		return 2
	}
	if s.document == "" {
		fmt.Fprint(out, s.report())
		return 0
	}
	if err := measure.WriteBetween(s.document, command, tables(s.costs)); err != nil {
		fmt.Fprintln(errs, "error:", err)
		return 1
	}
	return 0
}

const usage = `storm simulates the morning: many clients log in within some minutes, and each fetches its reports.

  storm                                                      20,000 clients in 10 minutes, on one node
  storm -clients 1000000 -minutes 60 -catalog postgres       how many nodes keep the p99
  storm -login-cpu 1.2 -cores 8                              with another cost, on another node
  storm -document docs/scaling.md                            what a million clients need, written into the document

Flags of the storm, and below them the parameters with their values and where these come from:

`

func parse(args []string, errs io.Writer) (settings, error) {
	s := settings{}
	set := flag.NewFlagSet("storm", flag.ContinueOnError)
	var problems strings.Builder
	set.SetOutput(&problems)
	set.Usage = func() {}
	set.String("parameters", "", "`file` with the parameters, instead of the built-in measured.json")
	set.IntVar(&s.clients, "clients", 20_000, "how many clients come")
	set.Float64Var(&s.minutes, "minutes", 10, "within how many minutes")
	set.Float64Var(&s.peak, "peak", 3, "the rate at its height, times the mean: 1 (even) to 6")
	set.IntVar(&s.fetches, "fetches", 3, "reports that each fetches")
	set.IntVar(&s.storm.nodes, "nodes", 1, "gateways")
	set.StringVar(&s.catalog, "catalog", sqlite, "`engine` of the catalog: sqlite (one node only) or postgres")
	set.BoolVar(&s.together, "together", false, "not built: a commit's writes go to PostgreSQL in one trip")
	set.IntVar(&s.chains, "chains", 1, "not built: so many chains of the audit on PostgreSQL, each with a writer of its own")
	set.Uint64Var(&s.seed, "seed", 1, "of what is random")
	set.Float64Var(&s.target, "target", 1, "p99 of a login that is to be kept, in `seconds`")
	set.IntVar(&s.most, "most", 64, "nodes at most, when looking for how many are needed")
	set.StringVar(&s.document, "document", "", "`file` between whose marks the tables of docs/scaling.md are written; the flags of the storm are not used")
	// The parameters' file is read before the flags are made that override it.
	c, err := readCosts(fileOf(args))
	if err != nil {
		return s, err
	}
	s.costs = c
	s.flags(set)
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			set.SetOutput(errs)
			fmt.Fprint(errs, usage)
			set.PrintDefaults()
		}
		return s, err
	}
	s.span = s.minutes * 60
	return s, s.check(set.NArg())
}

// fileOf returns the value of the flag -parameters.
func fileOf(args []string) string {
	for i, a := range args {
		name, value, given := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch {
		case !strings.HasPrefix(a, "-") || name != "parameters":
		case given:
			return value
		case i+1 < len(args):
			return args[i+1]
		}
	}
	return ""
}

func (s settings) check(extra int) error {
	switch {
	case extra > 0:
		return errors.New("no arguments are taken")
	case s.clients < 1 || s.minutes <= 0 || s.fetches < 0 || s.storm.nodes < 1 || s.most < 1 || s.target <= 0:
		return errors.New("clients, minutes, nodes, most and target are above 0, and fetches is not below")
	case s.peak < 1 || s.peak > mostPeak:
		return fmt.Errorf("the peak is %g; it is 1 to %g", s.peak, mostPeak)
	case s.catalog != sqlite && s.catalog != postgres:
		return fmt.Errorf("there is no engine %q; there are sqlite and postgres", s.catalog)
	case s.chains < 1 || s.catalog == sqlite && (s.chains > 1 || s.together):
		return errors.New("-chains is at least 1, and -chains and -together are for -catalog postgres")
	case s.catalog == sqlite && s.storm.nodes > 1:
		return errors.New("nodes can't share a file as their catalog; -catalog postgres is for many")
	}
	return nil
}
