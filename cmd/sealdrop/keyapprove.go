package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

// proposalView is how something that waits for approval is shown.
type proposalView struct {
	keyView
	What    string    `json:"what"` // "new key" or "change"
	Changes []string  `json:"changes,omitempty"`
	By      string    `json:"by"`
	Since   time.Time `json:"since"`
	Approve string    `json:"approve"`
}

func (a *app) listPending(ctx context.Context, g *gateway, only reports.ClientID) error {
	found, err := g.register.Pending(ctx)
	if err != nil {
		return err
	}
	list := []proposalView{}
	for _, p := range found {
		if !only.IsZero() && p.Key.Client != only {
			continue
		}
		v := proposalView{
			keyView: viewKey(p.Key), What: "change", Changes: p.Changes, By: p.By.Actor, Since: p.At.UTC(),
			Approve: "sealdrop key approve " + p.Key.ID,
		}
		if p.New {
			v.What = "new key"
		}
		list = append(list, v)
	}
	return a.show(list, func(w io.Writer) {
		row(w, "CLIENT", "KIND", "FINGERPRINT", "WHAT", "IMPORTED BY", "SINCE", "APPROVED BY")
		for _, v := range list {
			what := v.What
			if len(v.Changes) > 0 {
				what = strings.Join(v.Changes, "; ")
			}
			row(w, v.Client, v.Kind, v.Fingerprint, what, v.By, stamp(v.Since), v.Approve)
		}
	})
}

func (a *app) keyApprove() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use: "approve KEY [--client ID]", Short: "put into effect what another operator has imported",
		Long: keyRef + `

With keys.approval: two-person, a key that one operator imports does nothing until
another has approved it: nobody logs in with it, nothing is sealed to it. New
encryption subkeys of a registered certificate and taking a retired key back into use
wait as well; longer or shorter expiries and revocations that a registered key's owner
has signed count at once. Compare the fingerprint with the client's word first, by
another way than the key came. A key may have been rejected, and imported for another
client, since you looked: --client, or its id, says whose you mean.

Operators are told apart by who logged in, which the kernel keeps through sudo and
su (audit login uid), where systemd-logind knows of that login; else by the real user
id of the process. Root can pose as anybody, and whoever can write to the data folder
needs no command: give operators sudo for this program only. The rule is kept in the
catalog: another configuration, or a variable, does not lift it; a start of the
gateway does. Passwords for FTP and producers' tokens are not under this rule.`,
		Example: "  sealdrop key list --pending\n  sealdrop key approve 7r4mgbxm2zqj7s4xkzl5vtq3ce --client acme",
		Args:    arguments("KEY"),
	}
	cmd.Flags().StringVar(&client, "client", "", "whose key it must be, by its `ID`")
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
		k, err := g.register.Find(ctx, args[0])
		if err != nil {
			return err
		}
		if client != "" && client != k.Client.String() {
			return &advisedError{
				err:    fmt.Errorf("key %s was imported for client %s, and not for %s", k.Fingerprint, k.Client, client),
				advice: "ask who imported it (`sealdrop key list --pending`) what is meant before you approve anything",
			}
		}
		done, err := g.register.Approve(ctx, operator(), k.ID) // an id is never another client's
		if err != nil {
			return err
		}
		released, err := a.release(ctx, g, done[0].Client)
		return errors.Join(a.showImported(done, released), err)
	})
	return a.outputFlag(cmd)
}

func (a *app) keyReject() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "reject KEY [--reason R]", Short: "drop what waits for approval",
		Long:    keyRef + "\n\nA new key is forgotten; of a registered one only the change is. Who imported it can\nreject it, too. The audit keeps the record.",
		Example: `  sealdrop key reject 7r4mgbxm2zqj7s4xkzl5vtq3ce --reason "the client knows nothing of it"`,
		Args:    arguments("KEY"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
		done, err := g.register.Reject(ctx, operator(), args[0], reason)
		if err != nil {
			return err
		}
		return a.showImported([]keys.Imported{done}, 0)
	})
	return a.outputFlag(cmd)
}

// limitView is how a change of a key's limit on age is shown.
type limitView struct {
	keyView
	Was string `json:"was"`
	Is  string `json:"is"`
}

func (a *app) keyPolicy() *cobra.Command {
	var apply bool
	cmd := &cobra.Command{
		Use: "policy [--apply]", Short: "show what keys.ssh_max_age would change, and apply it",
		Long: `The limit on the age of SSH keys is noted with each key when it is imported, so that
an edit of the configuration locks nobody out. This shows the keys that were imported
under another limit, and when each would expire under the present one, counted from its
import. --apply has it hold for them.`,
		Example: "  sealdrop key policy\n  sealdrop key policy --apply",
		Args:    arguments(),
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "have the present limit hold for all keys")
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
		changes, err := g.register.ApplyLimit(ctx, operator(), !apply)
		if err != nil {
			return err
		}
		list := []limitView{}
		for _, c := range changes {
			list = append(list, limitView{keyView: viewKey(c.Key), Was: limitText(c.Was), Is: limitText(c.Key.MaxAge)})
		}
		out := struct {
			Limit   string      `json:"limit"`
			Applied bool        `json:"applied"`
			AtOnce  int         `json:"expired"`
			Soon    int         `json:"expiring_within_30_days"`
			Keys    []limitView `json:"keys"`
		}{Limit: limitText(g.config.Keys.SSHMaxAge.Std()), Applied: apply, Keys: list}
		out.AtOnce, out.Soon = countLimited(changes, now())
		return a.show(out, func(w io.Writer) {
			fmt.Fprintf(w, "keys.ssh_max_age: %s; imported under another limit: %d, of these expired by it: %d, within 30 days: %d\n", out.Limit, len(list), out.AtOnce, out.Soon)
			if len(list) == 0 {
				return
			}
			row(w, "CLIENT", "FINGERPRINT", "IMPORTED", "WAS", "IS", "EXPIRES", "LAST USED")
			for _, v := range list {
				row(w, v.Client, v.Fingerprint, stamp(v.Added), v.Was, v.Is, stampOf(v.Expires), stampOf(v.LastUsed))
			}
			if !apply {
				fmt.Fprintln(w, "nothing was changed; --apply has it hold")
			}
		})
	})
	return a.outputFlag(cmd)
}

func limitText(d time.Duration) string {
	if d == 0 {
		return "no limit"
	}
	return config.Duration(d).String()
}

// countLimited counts those that a limit ends at once, and within 30 days.
func countLimited(changes []keys.Limit, at time.Time) (expired, soon int) {
	const within = 30 * 24 * time.Hour
	for _, c := range changes {
		switch left := c.Key.Expires.Sub(at); {
		case c.Key.Expires.IsZero() || !c.Key.ByPolicy():
		case left <= 0:
			expired++
		case left <= within:
			soon++
		}
	}
	return expired, soon
}

// warnOfLimits tells what of keys.ssh_max_age does not hold yet.
func (a *app) warnOfLimits(ctx context.Context, g *gateway) {
	changes, err := g.register.ApplyLimit(ctx, operator(), true)
	if err != nil || len(changes) == 0 {
		return
	}
	expired, soon := countLimited(changes, now())
	fmt.Fprintf(a.err, "warning: keys.ssh_max_age is %s and does not hold for %d SSH keys that were imported before; with it, %d would be expired and %d more within 30 days\n",
		limitText(g.config.Keys.SSHMaxAge.Std()), len(changes), expired, soon)
	fmt.Fprintln(a.err, "hint: `sealdrop key policy` shows them, `sealdrop key policy --apply` has it hold")
}
