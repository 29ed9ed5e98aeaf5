package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

func (a *app) reportCommand() *cobra.Command {
	return group("report", "list, show, remove, restore and reseal reports", `Reports are named by their id, as "deliver" and "report list" show it. What a client
or an operator removes is only hidden until its retention is over, and can be
restored.`,
		a.reportList(), a.reportShow(), a.reportRemove(), a.reportRestore(), a.reportReseal())
}

// reportView is how a report is shown.
type reportView struct {
	ID        string           `json:"id"`
	Client    reports.ClientID `json:"client"`
	Kind      reports.Kind     `json:"kind"`
	Name      reports.Name     `json:"name"`
	State     reports.State    `json:"state"`
	LegalHold bool             `json:"legal_hold,omitempty"`
	// HoldReason is why it has a hold of its own; HeldWithClient: its client has one.
	HoldReason     string `json:"hold_reason,omitempty"`
	HeldWithClient bool   `json:"held_with_client,omitempty"`

	Size      int64         `json:"size"`
	PlainSize *int64        `json:"plain_size,omitempty"`
	SHA256    string        `json:"sha256,omitempty"`
	SealedTo  []string      `json:"sealed_to,omitempty"`
	Received  time.Time     `json:"received"`
	Published *time.Time    `json:"published,omitempty"`
	Modified  time.Time     `json:"modified"`
	Expires   *time.Time    `json:"expires,omitempty"`
	Collected *time.Time    `json:"collected,omitempty"`
	Removed   *time.Time    `json:"removed,omitempty"`
	Receipts  []receiptView `json:"receipts,omitempty"`
}

func viewReport(r reports.Report) reportView {
	v := reportView{
		ID: r.ID, Client: r.Client, Kind: r.Kind, Name: r.Name, State: r.State, LegalHold: r.LegalHold, Size: r.Size,
		HoldReason: r.HoldReason, HeldWithClient: r.HeldWithClient,
		SHA256: r.SHA256, SealedTo: r.SealedTo, Received: r.Received, Published: optionalTime(r.Published),
		Modified: r.Modified, Expires: optionalTime(r.Expires), Collected: optionalTime(r.Collected), Removed: optionalTime(r.Removed),
	}
	if r.PlainSize >= 0 {
		v.PlainSize = &r.PlainSize
	}
	return v
}

func (a *app) reportList() *cobra.Command {
	var client, state string
	var held bool
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "list reports and uploads, the newest first",
		Long: `Lists what is there, whatever its state. --held lists what waits for a client's PGP
key, with the reason and for how long; it is published by itself once a usable key
is imported.`,
		Example: "  sealdrop report list --client acme\n  sealdrop report list --held\n  sealdrop report list --state removed --limit 0 -o json",
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&client, "client", "", "only this client's (`ID`)")
	cmd.Flags().StringVar(&state, "state", "", "only those that are held, published, collected or removed")
	cmd.Flags().BoolVar(&held, "held", false, "only those that are held, with the reason (--state held)")
	cmd.MarkFlagsMutuallyExclusive("state", "held")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 0 {
			return usagef(cmd, "--limit is %d; it can be 0 or more", limit)
		}
		if held {
			state = string(reports.Held)
		}
		f := catalog.Filter{State: reports.State(state)}
		switch f.State {
		case "", reports.Held, reports.Published, reports.Collected, reports.Removed:
		default:
			return usagef(cmd, "--state is %q; it can be held, published, collected or removed", state)
		}
		if client != "" {
			var err error
			if f.Client, err = clientArg(cmd, client); err != nil {
				return err
			}
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			if !f.Client.IsZero() {
				if _, err := g.register.Client(ctx, f.Client); err != nil {
					return err
				}
			}
			list, more, err := listReports(ctx, g.catalog, f, limit)
			if err != nil {
				return err
			}
			if more {
				fmt.Fprintf(a.err, "hint: these are the newest %d; --limit 0 lists all\n", limit)
			}
			if f.State == reports.Held {
				return a.showHeld(ctx, g, list)
			}
			return a.show(list, func(w io.Writer) { reportTable(w, list) })
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func reportTable(w io.Writer, list []reportView) {
	row(w, "REPORT", "CLIENT", "KIND", "NAME", "STATE", "SIZE", "RECEIVED", "EXPIRES")
	for _, v := range list {
		state := string(v.State)
		if v.LegalHold {
			state += ", on hold"
		}
		row(w, v.ID, v.Client, v.Kind, v.Name, state, size(v.Size), stamp(v.Received), stampOf(v.Expires))
	}
}

// listReports reads page by page up to limit reports, 0 for all, and tells
// whether there are more.
func listReports(ctx context.Context, c *catalog.Catalog, f catalog.Filter, limit int) (list []reportView, more bool, err error) {
	const page = 500
	list = []reportView{}
	for {
		f.Limit = page
		found, err := c.Reports(ctx, f)
		if err != nil {
			return nil, false, err
		}
		for _, r := range found {
			if limit > 0 && len(list) == limit {
				return list, true, nil
			}
			list = append(list, viewReport(r))
		}
		if len(found) < page {
			return list, false, nil
		}
		f.Before = &found[len(found)-1]
	}
}

// unknownReport tells how to find a report's id.
func unknownReport(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &advisedError{err: errors.New(strings.ReplaceAll(err.Error(), fs.ErrNotExist.Error(), "there is no such report")), advice: "`sealdrop report list` shows the ids; a report that was purged is only in `sealdrop audit list`"}
	}
	return err
}

func (a *app) reportShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show REPORT", Short: "show a report, and who has fetched it",
		Long: `Shows when a report was received, published and collected, when it expires, which
PGP keys it was sealed to, and every transfer of it with its address and key.`,
		Example: "  sealdrop report show vcceyxy4bglxacmzv7rxtvldcq",
		Args:    arguments("REPORT"),
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
		r, err := g.catalog.Report(ctx, args[0])
		if err != nil {
			return unknownReport(err)
		}
		transfers, err := g.catalog.Receipts(ctx, r.ID)
		if err != nil {
			return err
		}
		v := viewReport(r)
		for _, t := range transfers {
			v.Receipts = append(v.Receipts, viewReceipt(t))
		}
		return a.showReport(v)
	})
	return a.outputFlag(cmd)
}

func (a *app) showReport(v reportView) error {
	return a.show(v, func(w io.Writer) {
		row(w, "report", v.ID)
		row(w, "client", v.Client)
		row(w, "kind", v.Kind)
		row(w, "name", v.Name)
		row(w, "state", v.State)
		if v.LegalHold {
			row(w, "legal hold", v.holdText(""))
		}
		row(w, "size", size(v.Size))
		if v.PlainSize != nil {
			row(w, "before sealing", size(*v.PlainSize))
		}
		row(w, "sha256", v.SHA256)
		for _, fpr := range v.SealedTo {
			row(w, "sealed to", fpr)
		}
		row(w, "received", stamp(v.Received))
		row(w, "published", stampOf(v.Published))
		row(w, "collected", stampOf(v.Collected))
		row(w, "removed", stampOf(v.Removed))
		row(w, "expires", stampOf(v.Expires))
		for _, r := range v.Receipts {
			row(w, "fetched", fmt.Sprintf("%s, %s over %s from %s with %s", stamp(r.Ended), size(r.Bytes), r.Protocol, r.Address, r.Fingerprint))
		}
	})
}

// changeReport is a command that does one thing to reports by id.
func (a *app) changeReport(cmd *cobra.Command, do func(ctx context.Context, g *gateway, id string) (reports.Report, error)) *cobra.Command {
	cmd.Args = arguments("REPORT…")
	cmd.RunE = a.eachReport(do)
	return a.outputFlag(cmd)
}

// eachReport does one thing to each report that is named, and shows them afterwards.
func (a *app) eachReport(do func(ctx context.Context, g *gateway, id string) (reports.Report, error)) func(*cobra.Command, []string) error {
	return a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
		list := []reportView{}
		var errs []error
		for _, id := range args {
			r, err := do(ctx, g, id)
			if err != nil {
				errs = append(errs, unknownReport(err))
				continue
			}
			list = append(list, viewReport(r))
		}
		var shown error
		if len(list) > 0 {
			shown = a.show(list, func(w io.Writer) { reportTable(w, list) })
		}
		return errors.Join(append(errs, shown)...)
	})
}

func (a *app) reportRemove() *cobra.Command {
	return a.changeReport(&cobra.Command{
		Use: "remove REPORT…", Short: "take reports out of their clients' sight",
		Long: `A removed report is hidden at once, and kept until its retention is over; until then
"sealdrop report restore" brings it back.`,
		Example: "  sealdrop report remove vcceyxy4bglxacmzv7rxtvldcq",
	}, func(ctx context.Context, g *gateway, id string) (reports.Report, error) {
		return g.catalog.RemoveReport(ctx, actor(), id, g.config.Retention.After.Std())
	})
}

func (a *app) reportRestore() *cobra.Command {
	return a.changeReport(&cobra.Command{
		Use: "restore REPORT…", Short: "bring back what a client or an operator removed",
		Long: `The report is in its client's folder again, under its name, or under a version of it
(NAME~2) if that is taken by now.`,
		Example: "  sealdrop report list --state removed\n  sealdrop report restore vcceyxy4bglxacmzv7rxtvldcq",
	}, func(ctx context.Context, g *gateway, id string) (reports.Report, error) {
		return g.catalog.RestoreReport(ctx, actor(), id)
	})
}
