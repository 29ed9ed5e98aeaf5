package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealdrop/sealdrop/internal/status"
	"github.com/sealdrop/sealdrop/reports"
)

// watchEvery is how often --watch looks again.
const watchEvery = 5 * time.Second

// errRed ends a command that found what needs a person now.
var errRed = errors.New("something needs you now")

func (a *app) statusCommand() *cobra.Command {
	var client string
	var watch bool
	cmd := &cobra.Command{
		Use: "status", Short: "show what needs you, and how the day goes",
		Long: `Shows how the day goes (what was expected, came in, was sealed, published and
collected, since midnight in status.timezone), and below it what needs a person:
what can't wait in red, then in yellow what can until tomorrow, each with its age and
the one command that mends it. When all is well it says so.

What a producer owes a client is declared in the configuration:

  clients:
    - id: acme
      expects:
        - {name: "Activity_*.csv", by: "06:30", days: mon-fri, timezone: Europe/Berlin}

A report counts for a day if it came in the 12 hours before its time, or later until
12 hours before the next one is due.

Uncollected is measured by the client's own habit: what nine of ten of its last 30
reports took it, and a day at least; before it has collected five, three days
(status.uncollected_after). docs/status.md has every rule, and the fields of -o json.

Exit status: 0 nothing is red, 3 something is; 1 and 2 as everywhere.`,
		Example: "  sealdrop status\n  sealdrop status --client acme\n  sealdrop status --watch\n" +
			"  sealdrop status -o json | jq '.items[] | select(.level == \"red\")'\n  sealdrop status >/dev/null || mail -s 'Sealdrop needs you' ops@example.com",
		Args: arguments(),
	}
	cmd.Flags().StringVar(&client, "client", "", "only what concerns this client (`ID`)")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "look again every 5 seconds, until Ctrl-C")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if watch && a.format == "json" {
			return usagef(cmd, "--watch shows a screen, and no JSON")
		}
		if client != "" {
			if _, err := clientArg(cmd, client); err != nil {
				return err
			}
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			if err := g.known(ctx, client); err != nil {
				return err
			}
			c := g.collector()
			if watch {
				return a.watchStatus(ctx, c, client)
			}
			return a.showStatus(ctx, c, client)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// known fails if there is no such client; "" is all of them.
func (g *gateway) known(ctx context.Context, client string) error {
	if client == "" {
		return nil
	}
	id, err := reports.ParseClientID(client)
	if err != nil {
		return err
	}
	_, err = g.register.Client(ctx, id)
	return err
}

func (a *app) showStatus(ctx context.Context, c *status.Collector, client string) error {
	snapshot, err := c.Snapshot(ctx, client)
	if err != nil {
		return err
	}
	s := status.Judge(snapshot)
	if a.format == "json" {
		err = a.show(s, nil)
	} else {
		_, err = io.WriteString(a.out, a.statusScreen(c.Zone).render(s))
	}
	if err == nil && s.Red > 0 {
		return fmt.Errorf("%w: %w", errReported, errRed)
	}
	return err
}

// watchStatus shows the overview again and again until ctx ends, which is how one
// leaves it. On a terminal each takes the place of the one before.
func (a *app) watchStatus(ctx context.Context, c *status.Collector, client string) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		snapshot, err := c.Snapshot(ctx, client)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		screen := a.statusScreen(c.Zone)
		screen.watching = true
		if _, err := io.WriteString(a.out, screen.redraw(status.Judge(snapshot))); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			fmt.Fprintln(a.out)
			return nil
		case <-tick.C:
		}
	}
}

// statusScreen finds out what the overview is shown on.
func (a *app) statusScreen(zone *time.Location) statusScreen {
	s := statusScreen{width: maxScreen, zone: zone}
	f, ok := a.out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.terminal = true
	s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		s.width, s.height = min(width, maxScreen), height
	}
	return s
}
