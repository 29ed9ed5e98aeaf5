package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/retention"
)

func (a *app) retentionCommand() *cobra.Command {
	return group("retention", "see and run the purge of what is past its time; legal holds", `Every report carries the time at which it expires, set when it was published. The
gateway sweeps by itself (retention.sweep); these commands look ahead, and sweep
by hand.`,
		a.retentionPlan(), a.retentionRun(), a.retentionHold(), a.retentionRelease())
}

func (a *app) retentionPlan() *cobra.Command {
	var at string
	var limit int
	cmd := &cobra.Command{
		Use: "plan [--at TIME]", Short: "show what a sweep would purge, and when",
		Example: "  sealdrop retention plan\n  sealdrop retention plan --at 14d\n  sealdrop retention plan --at 2027-03-01",
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&at, "at", "", "look ahead to a `time` (2027-03-01, 2027-03-01T12:00:00Z) or by a duration (14d)")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many reports to list at most; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 0 {
			return usagef(cmd, "--limit is %d; it can be 0 or more", limit)
		}
		when, err := timeArg(at, now())
		if err != nil {
			return usagef(cmd, "--at: %w", err)
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			return a.plan(ctx, g, when, limit)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) plan(ctx context.Context, g *gateway, when time.Time, limit int) error {
	out := struct {
		At      time.Time    `json:"at"`
		Due     int64        `json:"due"`
		Files   int64        `json:"files"`
		Refused string       `json:"refused,omitempty"`
		Reports []reportView `json:"reports"`
		OnHold  holdsView    `json:"on_hold"`
	}{At: when.UTC(), Reports: []reportView{}}
	counts, err := g.catalog.Counts(ctx, when)
	if err != nil {
		return err
	}
	out.Due, out.Files = counts.Due, counts.Files
	if err := g.sweeper.Check(ctx, now()); err != nil {
		out.Refused = err.Error()
		a.complain("warning", err)
	}
	var after *reports.Report
	for limit == 0 || len(out.Reports) < limit {
		page := 500
		if limit > 0 {
			page = min(page, limit-len(out.Reports))
		}
		due, err := g.catalog.Due(ctx, when, after, page)
		if err != nil {
			return err
		}
		for _, r := range due {
			out.Reports = append(out.Reports, viewReport(r))
		}
		if len(due) < page {
			break
		}
		after = &due[len(due)-1]
	}
	if out.OnHold, err = a.readHolds(ctx, g, when, limit); err != nil {
		return err
	}
	return a.show(out, func(w io.Writer) {
		fmt.Fprintf(w, "%d of %d are due by %s\n", out.Due, out.Files, stamp(when))
		if len(out.Reports) > 0 {
			reportTable(w, out.Reports)
		}
		if more := out.Due - int64(len(out.Reports)); more > 0 {
			fmt.Fprintf(w, "and %d more; --limit 0 lists all\n", more)
		}
		out.OnHold.print(w)
	})
}

func (a *app) retentionRun() *cobra.Command {
	var confirm bool
	cmd := &cobra.Command{
		Use: "run", Short: "sweep now",
		Long: `Purges what is due, and collects the blobs whose grace is over. A sweep that looks as
if the clock were wrong (too large a share at once, or too long since the last one)
is refused, and --confirm lets it go.`,
		Example: "  sealdrop retention plan\n  sealdrop retention run",
		Args:    arguments(),
	}
	cmd.Flags().BoolVar(&confirm, "confirm", false, "the clock is right: purge what is due, however much it is")
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
		done, err := g.sweeper.Sweep(ctx, actor(), retention.Options{Confirmed: confirm, Orphans: true})
		if err != nil {
			return err
		}
		return a.show(done, func(w io.Writer) {
			row(w, "purged", done.Purged)
			row(w, "blobs deleted", done.Blobs)
			row(w, "orphans found", done.Orphans)
			row(w, "interrupted uploads dropped", done.Interrupted)
		})
	})
	return a.outputFlag(cmd)
}

// timeArg reads a date, a time, or a duration from now; nothing means now.
func timeArg(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return now, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04Z", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if d, err := config.ParseDuration(s); err == nil {
		return now.Add(d.Std()), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a date (2027-03-01), a time (2027-03-01T12:00:00Z) nor a duration (14d)", s)
}
