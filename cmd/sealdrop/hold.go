package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// holdView is how a client's legal hold is shown.
type holdView struct {
	Client reports.ClientID `json:"client"`
	Reason string           `json:"reason"`
	Since  time.Time        `json:"since"`
	By     string           `json:"by"`
}

func viewHold(h catalog.Hold) holdView {
	return holdView{Client: h.Client, Reason: h.Reason, Since: h.Since, By: h.By}
}

func (a *app) retentionHold() *cobra.Command {
	return a.holdCommand(&cobra.Command{
		Use: "hold {REPORT… | --client ID} --reason R", Short: "put reports, or all of a client's, on legal hold",
		Long: `A report on hold outlives its retention, and nobody can remove or replace it, until
"sealdrop retention release" lifts the hold. With --client that goes for everything
that the client has, and for what it gets from then on. "retention plan" shows what is
on hold, and why.`,
		Example: "  sealdrop retention hold vcceyxy4bglxacmzv7rxtvldcq --reason \"case 2026-114\"\n  sealdrop retention hold --client acme --reason \"case 2026-114\"",
	}, (*catalog.Catalog).HoldReport, (*catalog.Catalog).HoldClient)
}

func (a *app) retentionRelease() *cobra.Command {
	return a.holdCommand(&cobra.Command{
		Use: "release {REPORT… | --client ID} --reason R", Short: "lift legal holds",
		Long: `Retention applies again: what is past its time goes with the next sweep. A client's
hold and those that its reports have of their own are lifted separately.`,
		Example: "  sealdrop retention plan\n  sealdrop retention release vcceyxy4bglxacmzv7rxtvldcq --reason \"case 2026-114 is closed\"\n  sealdrop retention release --client acme --reason \"case 2026-114 is closed\"",
	}, (*catalog.Catalog).LiftHold, (*catalog.Catalog).LiftClientHold)
}

func (a *app) holdCommand(cmd *cobra.Command,
	one func(c *catalog.Catalog, ctx context.Context, actor, id, reason string) (reports.Report, error),
	all func(c *catalog.Catalog, ctx context.Context, actor string, client reports.ClientID, reason string) (int64, error),
) *cobra.Command {
	var client, reason string
	cmd.Flags().StringVar(&client, "client", "", "everything of this client (`ID`), now and from now on")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	_ = cmd.MarkFlagRequired("reason") // the flag was defined a line above
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if (client == "") == (len(args) == 0) {
			return usagef(cmd, "name either reports or, with --client, a client")
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if client == "" {
			return a.eachReport(func(ctx context.Context, g *gateway, id string) (reports.Report, error) {
				return one(g.catalog, ctx, actor(), id, reason)
			})(cmd, args)
		}
		id, err := clientArg(cmd, client)
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			if _, err := g.register.Client(ctx, id); err != nil {
				return err
			}
			files, err := all(g.catalog, ctx, actor(), id, reason)
			if err != nil {
				return err
			}
			out := struct {
				Client reports.ClientID `json:"client"`
				Hold   *holdView        `json:"hold"` // null: none
				Files  int64            `json:"files"`
			}{Client: id, Files: files}
			hold, found, err := g.catalog.ClientHold(ctx, id)
			if found {
				v := viewHold(hold)
				out.Hold = &v
			}
			return errors.Join(a.show(out, func(w io.Writer) {
				if found {
					fmt.Fprintf(w, "client %s is on legal hold: %s that it has, and what it gets from now on\n", id, count(int(files), "file"))
				} else {
					fmt.Fprintf(w, "client %s is no longer on legal hold; that was the hold of %s\n", id, count(int(files), "file"))
				}
			}), err)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// holdsView is what is on legal hold, for the plan of a purge.
type holdsView struct {
	Files   int64        `json:"files"`
	Due     int64        `json:"due"` // of these past their time
	Clients []holdView   `json:"clients"`
	Reports []reportView `json:"reports"`
}

func (a *app) readHolds(ctx context.Context, g *gateway, when time.Time, limit int) (holdsView, error) {
	v := holdsView{Clients: []holdView{}, Reports: []reportView{}}
	var err error
	if v.Files, v.Due, err = g.catalog.CountOnHold(ctx, when); err != nil {
		return v, err
	}
	holds, err := g.catalog.ClientHolds(ctx)
	if err != nil {
		return v, err
	}
	for _, h := range holds {
		v.Clients = append(v.Clients, viewHold(h))
	}
	var after *reports.Report
	for limit == 0 || len(v.Reports) < limit {
		page := 500
		if limit > 0 {
			page = min(page, limit-len(v.Reports))
		}
		list, err := g.catalog.OnHold(ctx, after, page)
		if err != nil {
			return v, err
		}
		for _, r := range list {
			v.Reports = append(v.Reports, viewReport(r))
		}
		if len(list) < page {
			break
		}
		after = &list[len(list)-1]
	}
	return v, nil
}

func (v holdsView) print(w io.Writer) {
	if v.Files == 0 && len(v.Clients) == 0 {
		return
	}
	fmt.Fprintf(w, "%d on legal hold, %d of them past their time\n", v.Files, v.Due)
	reasons := map[reports.ClientID]string{}
	for _, h := range v.Clients {
		reasons[h.Client] = h.Reason
		fmt.Fprintf(w, "client %s with everything since %s: %s\n", h.Client, stamp(h.Since), plain(h.Reason))
	}
	if len(v.Reports) > 0 {
		row(w, "REPORT", "CLIENT", "NAME", "STATE", "EXPIRES", "ON HOLD FOR")
	}
	for _, r := range v.Reports {
		row(w, r.ID, r.Client, r.Name, r.State, stampOf(r.Expires), r.holdText(reasons[r.Client]))
	}
	if more := v.Files - int64(len(v.Reports)); more > 0 {
		fmt.Fprintf(w, "and %d more on hold; --limit 0 lists all\n", more)
	}
}

// holdText tells why a report is on hold; clients is its client's reason, if it is
// known.
func (v reportView) holdText(clients string) string {
	text := v.HoldReason
	if v.HeldWithClient {
		if text != "" {
			text += "; "
		}
		text += "with its client"
		if clients != "" {
			text += ": " + clients
		}
	}
	if text == "" {
		return "no reason was given"
	}
	return text
}
