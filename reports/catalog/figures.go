package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
)

// Figures are how much there is, for monitoring.
type Figures struct {
	States []StateCount // without folders
	Bytes  int64        // held, published and collected, as stored
	// Uncollected are reports that were never fetched whole and are purged by the
	// time that was asked for.
	Uncollected int64
}

// StateCount is how many files of a kind are in a state; there are some.
type StateCount struct {
	Kind  reports.Kind
	State reports.State
	N     int64
}

// Figures counts what there is. It goes over an index of all files: cheap enough to
// be asked now and then, and not with every request.
func (c *Catalog) Figures(ctx context.Context, purgedBy time.Time) (f Figures, err error) {
	read := c.db.Read()
	states, err := read.CountStates(ctx)
	if err != nil {
		return f, fmt.Errorf("counting files by state: %w", err)
	}
	for _, s := range states {
		f.States = append(f.States, StateCount{Kind: reports.Kind(s.Kind), State: reports.State(s.State), N: s.N})
	}
	usage, err := read.TotalUsage(ctx)
	if err != nil {
		return f, fmt.Errorf("adding up what clients use: %w", err)
	}
	f.Bytes = usage.Bytes
	if f.Uncollected, err = read.CountUncollectedDue(ctx, database.Micros(purgedBy)); err != nil {
		return f, fmt.Errorf("counting what nobody fetched: %w", err)
	}
	return f, nil
}
