package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/producer"
)

func (a *app) clientCommand() *cobra.Command {
	return group("client", "add, change and list clients", `A client is somebody that reports are delivered to. Its id is also the user name
that it logs in with. It may connect only from the networks on its allow list.

Clients can be declared in the configuration, too; what is declared there can only
be changed there.`,
		a.clientAdd(), a.clientApply(), a.clientList(), a.clientShow(), a.clientSet(), a.clientAllow(), a.clientDeny(),
		a.clientDisable(true), a.clientDisable(false), a.clientRemove(), a.clientExport(), a.clientRecount())
}

// withGateway opens the data folder around fn.
func (a *app) withGateway(fn func(ctx context.Context, g *gateway, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		g, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer func() {
			if closing := g.Close(); err == nil {
				err = closing
			}
		}()
		return g.explained(cmd.Context(), fn(cmd.Context(), g, args))
	}
}

// withClient opens the data folder around fn, and looks up the client that was named.
func (a *app) withClient(cmd *cobra.Command, name string, fn func(ctx context.Context, g *gateway, c keys.Client) error) error {
	id, err := clientArg(cmd, name)
	if err != nil {
		return err
	}
	return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
		c, err := g.register.Client(ctx, id)
		if err != nil {
			return err
		}
		return fn(ctx, g, c)
	})(cmd, nil)
}

const addHelp = `Adds a client. With --delivers-to it adds a producer instead: somebody who hands in
reports over sFTP. It logs in with the user name ID and its SSH key, sees one folder
for each client that it may deliver to, and can read nothing. What it writes there is
sealed as it comes. A name that ends in .part, .partial, .filepart or .tmp, or begins
with a dot, is not delivered until it is renamed.`

func (a *app) clientAdd() *cobra.Command {
	var flags clientFlags
	var allow []string
	cmd := &cobra.Command{
		Use: "add ID --allow CIDR[,CIDR]", Short: "add a client, or a producer",
		Long: addHelp,
		Example: `  sealdrop client add acme --name "Acme Capital" --allow 203.0.113.0/24,2001:db8::/48
  sealdrop client add nightly-batch --delivers-to acme,globex --allow 10.1.2.3
  sealdrop key import --client nightly-batch batch.pub`,
		Args: arguments("ID"),
	}
	cmd.Flags().StringVar(&flags.name, "name", "", "the client's name (default: its id)")
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "networks or addresses that it may connect from")
	cmd.Flags().StringVar(&flags.retention, "retention", "", "how long its reports are kept, such as 30d (default: the gateway's)")
	flags.define(cmd, " (default: tls)")
	for _, other := range []string{"ftp", "retention", "quota", "quota-files"} {
		cmd.MarkFlagsMutuallyExclusive("delivers-to", other)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, args[0])
		if err != nil {
			return err
		}
		c, err := flags.client(cmd, id)
		if err != nil {
			return err
		}
		if c.Allow, err = prefixArgs(cmd, "allow", allow); err != nil {
			return err
		}
		if len(c.Allow) == 0 {
			return usagef(cmd, "--allow is missing: without an address the client could not connect from anywhere")
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			if err := g.awaited(ctx, id); err != nil {
				return err
			}
			if err := g.register.AddClient(ctx, actor(), c); err != nil {
				return err
			}
			added, err := g.register.Client(ctx, id)
			if err != nil {
				return err
			}
			return a.showClient(ctx, g, added)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) clientApply() *cobra.Command {
	var file string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "apply -f FILE", Short: "add and change clients as a file says",
		Long: `Reads a YAML file of clients (as under "clients:" in the configuration, or as
"sealdrop client export" writes it) and brings those clients in line with it, all
of them or none. Fields that the file leaves out stay as they are, and so do
clients that it does not name.`,
		Example: "  sealdrop client apply -f clients.yaml --dry-run",
		Args:    arguments(),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "YAML `file` of clients")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	_ = cmd.MarkFlagRequired("file") // the flag was defined a line above
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
		clients, warnings, err := config.LoadClients(file)
		if err != nil {
			return err
		}
		if err := checkClientLanguages(g.config.Notify, clients); err != nil {
			return err
		}
		for _, w := range warnings {
			fmt.Fprintln(a.err, "warning:", printable(w.Error()))
		}
		for _, c := range clients {
			if err := g.awaited(ctx, c.ID); err != nil {
				return err
			}
			if at, ok := c.Declared["expects"]; ok {
				fmt.Fprintf(a.err, "warning: %s: clients[%s].expects counts in the configuration itself only; it is passed over\n", printable(at), c.ID)
			}
		}
		plan, err := g.register.Apply(ctx, actor(), declarations(clients), keys.ApplyOptions{DryRun: dryRun})
		if err != nil {
			return err
		}
		if plan == nil {
			plan = []keys.Planned{} // in JSON, a list without clients and not null
		}
		return a.show(plan, func(w io.Writer) {
			row(w, "CLIENT", "ACTION", "DETAIL")
			for _, p := range plan {
				row(w, p.Client, p.Action, pairs(p.Detail))
			}
		})
	})
	return a.outputFlag(cmd)
}

func (a *app) clientDisable(disabled bool) *cobra.Command {
	cmd := &cobra.Command{
		Use: "disable ID", Short: "lock a client out, and end its sessions",
		Long: `The client can't log in any more, and its open sessions end within two seconds. Its
keys and reports stay, and reports can still be delivered to it.`,
		Example: "  sealdrop client disable acme",
		Args:    arguments("ID"),
	}
	if !disabled {
		cmd.Use, cmd.Short = "enable ID", "let a disabled client in again"
		cmd.Long = "The client can log in again, with the keys and from the networks that it had."
		cmd.Example = "  sealdrop client enable acme"
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, args[0])
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			c, err := g.register.UpdateClient(ctx, actor(), id, keys.Change{Disabled: &disabled})
			if err != nil {
				return err
			}
			return a.showClient(ctx, g, c)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) clientRemove() *cobra.Command {
	var withReports bool
	cmd := &cobra.Command{
		Use: "remove ID", Short: "remove a client with its keys and its password",
		Long: `Removes a client for good. While it has reports or uploads this is refused, since
they would go with it; --with-reports deletes them, at once and without a way
back. The audit record stays.`,
		Example: "  sealdrop client remove acme",
		Args:    arguments("ID"),
	}
	cmd.Flags().BoolVar(&withReports, "with-reports", false, "delete all its reports and uploads, too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, args[0])
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			if err := g.deliveredTo(id); err != nil {
				return err
			}
			err := g.register.RemoveClient(ctx, actor(), id)
			// Whatever else keeps the client must be known before its reports go.
			if has := new(keys.HasReportsError); withReports && errors.As(err, &has) {
				if err = removeReports(ctx, g, id); err == nil {
					err = g.register.RemoveClient(ctx, actor(), id)
				}
			}
			if err != nil {
				return err
			}
			if err := a.warnOfProducers(ctx, g, id); err != nil {
				return err
			}
			return a.show(map[string]string{"removed": id.String()}, func(w io.Writer) { row(w, "removed client "+id.String()) })
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// deliveredTo fails if the configuration declares a producer that delivers to a
// client: without the client, the gateway would not start with it again.
func (g *gateway) deliveredTo(id reports.ClientID) error {
	for _, c := range g.config.Clients {
		if slices.Contains(c.DeliversTo, id.String()) {
			return &advisedError{
				fmt.Errorf("producer %s delivers to client %s, as %s declares", c.ID, id, c.Declared[keys.FieldDeliversTo]),
				"take it out there first, and have the gateway take that over: SIGHUP",
			}
		}
	}
	return nil
}

// warnOfProducers tells who may still deliver to a client that was removed: if one of
// that id is added again, it would get what was meant for this one.
func (a *app) warnOfProducers(ctx context.Context, g *gateway, id reports.ClientID) error {
	accounts := g.register.Clients(ctx, func(c keys.Client) bool {
		if !c.DeliversTo.All && c.DeliversTo.Includes(id) {
			fmt.Fprintf(a.err, "warning: producer %s still delivers to %s, should it be added again; `sealdrop client set %s --delivers-to …` takes it out\n", c.ID, id, c.ID)
		}
		return true
	})
	tokens := producer.New(g.db, now).All(ctx, func(p producer.Producer) bool {
		if !p.All && p.May(id) && p.State(now()) == producer.Active {
			fmt.Fprintf(a.err, "warning: the token %s still delivers to %s, should it be added again; `sealdrop token revoke %s` ends it\n", p.Name, id, p.Name)
		}
		return true
	})
	return errors.Join(accounts, tokens)
}

// removeReports locks the client out, so that nothing comes in any more, and
// deletes all that it has. If nothing may be deleted, it stays as it was.
func removeReports(ctx context.Context, g *gateway, id reports.ClientID) error {
	before, err := g.register.Client(ctx, id)
	if err != nil {
		return err
	}
	disabled := true
	if _, err := g.register.UpdateClient(ctx, actor(), id, keys.Change{Disabled: &disabled}); err != nil {
		return err
	}
	n, err := g.catalog.RemoveClientReports(ctx, actor(), id)
	if err != nil && n == 0 && !before.Disabled {
		disabled = false
		_, undo := g.register.UpdateClient(ctx, actor(), id, keys.Change{Disabled: &disabled})
		err = errors.Join(err, undo)
	}
	return err
}
