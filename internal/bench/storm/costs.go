package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

//go:embed measured.json
var measuredTable []byte

// costs are the parameters: what an operation takes, and what there is.
type costs struct {
	Date    string      `json:"date"`
	Machine string      `json:"machine"`
	List    []parameter `json:"parameters"`
}

// parameter is one of them.
type parameter struct {
	Name  string  `json:"name"` // also of its flag
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Means string  `json:"means"`
	// From is the measurement that it comes from, or begins with "assumed".
	From string `json:"from"`
}

// readCosts reads a table, the built-in one if there is no file.
func readCosts(file string) (costs, error) {
	text := measuredTable
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return costs{}, fmt.Errorf("reading the parameters: %w", err)
		}
	}
	return parseCosts(text)
}

func parseCosts(text []byte) (costs, error) {
	var c costs
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, fmt.Errorf("reading the parameters: %w", err)
	}
	seen := make(map[string]bool)
	for _, p := range c.List {
		switch {
		case !known[p.Name]:
			return c, fmt.Errorf("reading the parameters: there is no parameter %q", p.Name)
		case seen[p.Name]:
			return c, fmt.Errorf("reading the parameters: %s is there twice", p.Name)
		case p.Value < 0:
			return c, fmt.Errorf("reading the parameters: %s is %g", p.Name, p.Value)
		case p.From == "" || p.Unit == "" || p.Means == "":
			return c, fmt.Errorf("reading the parameters: %s does not say its unit, what it means and where it comes from", p.Name)
		}
		seen[p.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !seen[name] {
			return c, fmt.Errorf("reading the parameters: %s is missing", name)
		}
	}
	return c, nil
}

// get returns a parameter in its own unit. A name that is not in the table is a mistake of
// this program.
func (c costs) get(name string) float64 {
	for _, p := range c.List {
		if p.Name == name {
			return p.Value
		}
	}
	panic("there is no parameter " + name)
}

// flags makes a flag of each parameter.
func (c costs) flags(set *flag.FlagSet) {
	for i := range c.List {
		p := &c.List[i]
		set.Func(p.Name, fmt.Sprintf("%s, in `%s`; %g (%s)", p.Means, p.Unit, p.Value, p.From), func(text string) error {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || v < 0 {
				return errors.New("a number that is not negative is needed")
			}
			p.Value, p.From = v, "the command line"
			return nil
		})
	}
}

// known are the parameters that the model needs.
var known = map[string]bool{
	"login-cpu": true, "fetch-cpu": true, "fetch-size": true, "seal-cpu": true, "list-cpu": true, "purge-cpu": true,
	"download-cpu": true, "cores": true, "measured-cores": true, "network": true,
	"sqlite-commit": true, "sqlite-write": true,
	"trip": true, "postgres-commit": true, "login-reads": true, "login-trips": true, "fetch-reads": true,
	"receipt-trips": true, "publish-trips": true, "statement-cpu": true, "database-cores": true,
	"store-latency": true, "store-stream": true,
	"session-memory": true, "base-memory": true, "row-sqlite": true, "row-postgres": true, "audit-row": true,
}
