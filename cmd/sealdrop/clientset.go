package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/keys"
)

// clientChange is what the flags of `client set` ask for.
type clientChange struct {
	fields             clientFlags
	allow, add, remove []string
	told               notifyFlags
}

func (c *clientChange) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.fields.name, "name", "", "the client's name")
	flags.StringSliceVar(&c.allow, "allow", nil, "networks or addresses, instead of all that are allowed now")
	flags.StringSliceVar(&c.add, "allow-add", nil, "networks or addresses to add")
	flags.StringSliceVar(&c.remove, "allow-remove", nil, "networks or addresses to take away")
	flags.StringVar(&c.fields.retention, "retention", "", "how long its reports are kept; 0 for the gateway's own time")
	c.fields.define(cmd, "")
	c.told.define(cmd)
	cmd.MarkFlagsOneRequired(append(notifyFlagNames(), "name", "allow", "allow-add", "allow-remove", "retention", "ftp", "quota", "quota-files", "delivers-to")...)
	cmd.MarkFlagsMutuallyExclusive("allow", "allow-add")
	cmd.MarkFlagsMutuallyExclusive("allow", "allow-remove")
}

// parse reads the flags; the function that it returns tells what they change of a
// client.
func (c *clientChange) parse(cmd *cobra.Command) (func(*gateway, keys.Client) (keys.Change, error), error) {
	change, err := c.fields.change(cmd)
	if err != nil {
		return nil, err
	}
	lists, err := networkLists(cmd, c.allow, c.add, c.remove)
	if err != nil {
		return nil, err
	}
	notified, err := c.told.parse(cmd)
	if err != nil {
		return nil, err
	}
	return func(g *gateway, before keys.Client) (keys.Change, error) {
		if cmd.Flags().Changed("allow") {
			change.Allow = &lists[0]
		} else if len(lists[1])+len(lists[2]) > 0 {
			left, err := editNetworks(before, lists[1], lists[2])
			if err != nil {
				return change, err
			}
			change.Allow = &left
		}
		prefs := before.Notify
		if err := notified(&prefs); err != nil {
			return change, err
		}
		change.Notify = &prefs
		return change, c.told.checkLanguages(cmd, g, prefs)
	}, nil
}

func (a *app) clientSet() *cobra.Command {
	var flags clientChange
	cmd := &cobra.Command{
		Use: "set ID", Short: "change a client's name, addresses, retention, quota, FTP or contacts",
		Long: `Changes only what is named. A removed address ends the sessions that come from it
within two seconds, and so do the FTP sessions that --ftp no longer allows. A new
retention holds for what is published from now on. A quota that is below what the
client has refuses what is new, and touches nothing that is there. A contact that is
taken away gets no more, also of what waited for it already.`,
		Example: "  sealdrop client set acme --allow-add 198.51.100.7\n  sealdrop client set acme --retention 30d\n  sealdrop client set acme --quota 10GiB --quota-files 10000\n" +
			"  sealdrop client set acme --contact email:ops@acme.example --language de --digest \"daily 07:00\" --timezone Europe/Berlin",
		Args: arguments("ID"),
	}
	flags.define(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		changed, err := flags.parse(cmd)
		if err != nil {
			return err
		}
		return a.withClient(cmd, args[0], func(ctx context.Context, g *gateway, before keys.Client) error {
			change, err := changed(g, before)
			if err != nil {
				return err
			}
			after, err := g.register.UpdateClient(ctx, actor(), before.ID, change)
			if err != nil {
				return err
			}
			return a.showClient(ctx, g, after)
		})
	}
	return a.outputFlag(cmd)
}

// networkLists are the networks of --allow, --allow-add and --allow-remove.
func networkLists(cmd *cobra.Command, allow, add, remove []string) (lists [3][]netip.Prefix, err error) {
	for i, list := range [][]string{allow, add, remove} {
		if lists[i], err = prefixArgs(cmd, []string{"allow", "allow-add", "allow-remove"}[i], list); err != nil {
			return lists, err
		}
	}
	return lists, nil
}

// editNetworks adds and takes away networks. One that is to be taken away must
// be there: a near miss would leave an address in that the operator thinks gone.
func editNetworks(c keys.Client, add, remove []netip.Prefix) ([]netip.Prefix, error) {
	left := append(slices.Clone(c.Allow), add...)
	for _, p := range remove {
		i := slices.Index(left, p)
		if i < 0 {
			return nil, fmt.Errorf("client %s has no %s on its list (%s)", c.ID, p, networks(c.Allow))
		}
		left = slices.Delete(left, i, i+1)
	}
	return left, nil
}
