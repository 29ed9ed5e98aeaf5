package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

func (a *app) keyList() *cobra.Command {
	var client, expiring string
	var pending bool
	cmd := &cobra.Command{
		Use: "list [--client ID] [--expiring [60d] | --pending]", Short: "list keys with their state, those that end soon, or those to approve",
		Long: `Lists the keys of one client or of all. Only keys that are active or retiring are
of any use; EXPIRES is when that ends: by the key itself, by this gateway's limit on
the age of SSH keys (keys.ssh_max_age), or by an operator.

--expiring lists what ends within a time, the earliest first, and what has expired and
was not replaced, each with the command that mends it once the client has sent its
new key. --pending lists what waits for another operator's approval.`,
		Example: "  sealdrop key list --client acme\n  sealdrop key list --expiring\n  sealdrop key list --expiring 14d -o json\n  sealdrop key list --pending",
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("expiring") && len(args) == 1 {
			expiring = args[0]
			return nil
		}
		return arguments()(cmd, args)
	}
	cmd.Flags().StringVar(&client, "client", "", "only this client's (`ID`)")
	cmd.Flags().StringVar(&expiring, "expiring", "", "only what ends within this `time`")
	cmd.Flags().Lookup("expiring").NoOptDefVal = "60d"
	cmd.Flags().BoolVar(&pending, "pending", false, "only what waits for approval")
	cmd.MarkFlagsMutuallyExclusive("expiring", "pending")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var only reports.ClientID
		var within time.Duration
		var err error
		if client != "" {
			if only, err = clientArg(cmd, client); err != nil {
				return err
			}
		}
		if expiring != "" {
			if within, err = durationArg(cmd, "expiring", expiring); err != nil {
				return err
			}
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			if !only.IsZero() {
				if _, err := g.register.Client(ctx, only); err != nil {
					return err
				}
			}
			switch {
			case pending:
				return a.listPending(ctx, g, only)
			case expiring != "":
				return a.listEnding(ctx, g, only, within)
			}
			return a.listKeys(ctx, g, only)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) listKeys(ctx context.Context, g *gateway, only reports.ClientID) error {
	list := []keyView{}
	var failed error
	err := g.register.Clients(ctx, func(c keys.Client) bool {
		if !only.IsZero() && c.ID != only {
			return true
		}
		var found []keys.Key
		found, failed = g.register.Keys(ctx, c.ID)
		for _, k := range found {
			list = append(list, viewKey(k))
		}
		return failed == nil
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	return a.show(list, func(w io.Writer) {
		row(w, "CLIENT", "KIND", "STATE", "FINGERPRINT", "ALGORITHM", "EXPIRES", "LAST USED", "LABEL")
		for _, v := range list {
			ends := v.Expires
			if v.Retires != nil {
				ends = v.Retires
			}
			row(w, v.Client, v.Kind, v.State, v.Fingerprint, v.Algorithm, stampOf(ends), stampOf(v.LastUsed), v.Label)
		}
	})
}

// endingView is how a key that ends soon is shown.
type endingView struct {
	keyView
	Ends time.Time `json:"ends"`
	Days int       `json:"days"` // whole ones; below 0: it has been over for that many
	// Why is expires, policy or retires.
	Why       string `json:"why"`
	Successor string `json:"successor,omitempty"`
	Mend      string `json:"mend,omitempty"`
}

func viewEnding(e keys.Ending, at time.Time) endingView {
	v := endingView{keyView: viewKey(e.Key), Ends: e.At.UTC(), Why: "expires", Successor: e.Successor}
	left := e.At.Sub(at)
	v.Days = int(left / (24 * time.Hour)) // towards 0: what ended an hour ago ended today
	switch {
	case e.At.Equal(e.Retires):
		v.Why = "retires"
	case e.ByPolicy():
		v.Why = "policy"
	}
	switch {
	case e.Successor != "":
	case e.Kind == keys.SSH:
		v.Mend = fmt.Sprintf("sealdrop key import --client %s --replaces %s FILE", e.Client, e.Fingerprint)
	default:
		v.Mend = fmt.Sprintf("sealdrop key import --client %s FILE", e.Client)
	}
	return v
}

func (a *app) listEnding(ctx context.Context, g *gateway, only reports.ClientID, within time.Duration) error {
	ending, err := g.register.Ending(ctx, within)
	if err != nil {
		return err
	}
	list := []endingView{}
	at := now()
	for _, e := range ending {
		if only.IsZero() || e.Client == only {
			list = append(list, viewEnding(e, at))
		}
	}
	return a.show(list, func(w io.Writer) {
		row(w, "ENDS", "DAYS", "WHY", "CLIENT", "KIND", "FINGERPRINT", "MENDED BY")
		for _, v := range list {
			mend := v.Mend
			if v.Successor != "" {
				mend = "nothing to do: replaced by " + v.Successor
			}
			row(w, stamp(v.Ends), v.Days, v.Why, v.Client, v.Kind, v.Fingerprint, mend)
		}
	})
}
