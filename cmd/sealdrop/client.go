package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/server/access"
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
		return fn(cmd.Context(), g, args)
	}
}

const addHelp = `Adds a client. With --delivers-to it adds a producer instead: somebody who hands in
reports over sFTP. It logs in with the user name ID and its SSH key, sees one folder
for each client that it may deliver to, and can read nothing. What it writes there is
sealed as it comes. A name that ends in .part, .partial, .filepart or .tmp, or begins
with a dot, is not delivered until it is renamed.`

func (a *app) clientAdd() *cobra.Command {
	var name, retention, ftp string
	var allow, reach []string
	var quota quotaFlags
	cmd := &cobra.Command{
		Use: "add ID --allow CIDR[,CIDR]", Short: "add a client, or a producer",
		Long: addHelp,
		Example: `  sealdrop client add acme --name "Acme Capital" --allow 203.0.113.0/24,2001:db8::/48
  sealdrop client add nightly-batch --delivers-to acme,globex --allow 10.1.2.3
  sealdrop key import --client nightly-batch batch.pub`,
		Args: arguments("ID"),
	}
	cmd.Flags().StringVar(&name, "name", "", "the client's name (default: its id)")
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "networks or addresses that it may connect from")
	cmd.Flags().StringVar(&retention, "retention", "", "how long its reports are kept, such as 30d (default: the gateway's)")
	ftpFlag(cmd, &ftp, " (default: tls)")
	quota.define(cmd)
	reachFlag(cmd, &reach)
	for _, other := range []string{"ftp", "retention", "quota", "quota-files"} {
		cmd.MarkFlagsMutuallyExclusive("delivers-to", other)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, args[0])
		if err != nil {
			return err
		}
		c := keys.Client{ID: id}
		if c.Name, err = nameArg(cmd, name); err != nil {
			return err
		}
		if c.Name == "" {
			c.Name = id.String()
		}
		if c.Allow, err = prefixArgs(cmd, "allow", allow); err != nil {
			return err
		}
		if len(c.Allow) == 0 {
			return usagef(cmd, "--allow is missing: without an address the client could not connect from anywhere")
		}
		if c.Retention, err = durationArg(cmd, "retention", retention); err != nil {
			return err
		}
		if cmd.Flags().Changed("ftp") {
			if c.FTP, err = ftpArg(cmd, ftp); err != nil {
				return err
			}
		}
		if c.DeliversTo, err = reachArg(cmd, reach); err != nil {
			return err
		}
		var limits keys.Change
		if err := quota.change(cmd, &limits); err != nil {
			return err
		}
		c.Quota = quotaOf(limits)
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
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

func (a *app) clientSet() *cobra.Command {
	var name, retention, ftp string
	var allow, add, remove, reach []string
	var quota quotaFlags
	var told notifyFlags
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
	cmd.Flags().StringVar(&name, "name", "", "the client's name")
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "networks or addresses, instead of all that are allowed now")
	cmd.Flags().StringSliceVar(&add, "allow-add", nil, "networks or addresses to add")
	cmd.Flags().StringSliceVar(&remove, "allow-remove", nil, "networks or addresses to take away")
	cmd.Flags().StringVar(&retention, "retention", "", "how long its reports are kept; 0 for the gateway's own time")
	ftpFlag(cmd, &ftp, "")
	quota.define(cmd)
	reachFlag(cmd, &reach)
	told.define(cmd)
	cmd.MarkFlagsOneRequired(append(notifyFlagNames(), "name", "allow", "allow-add", "allow-remove", "retention", "ftp", "quota", "quota-files", "delivers-to")...)
	cmd.MarkFlagsMutuallyExclusive("allow", "allow-add")
	cmd.MarkFlagsMutuallyExclusive("allow", "allow-remove")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, args[0])
		if err != nil {
			return err
		}
		change, err := changeFlags(cmd, name, retention, ftp, reach)
		if err != nil {
			return err
		}
		if err := quota.change(cmd, &change); err != nil {
			return err
		}
		lists, err := networkLists(cmd, allow, add, remove)
		if err != nil {
			return err
		}
		notified, err := told.parse(cmd)
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			before, err := g.register.Client(ctx, id)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("allow") {
				change.Allow = &lists[0]
			} else if len(lists[1])+len(lists[2]) > 0 {
				left, err := editNetworks(before, lists[1], lists[2])
				if err != nil {
					return err
				}
				change.Allow = &left
			}
			prefs := before.Notify
			if err := notified(&prefs); err != nil {
				return err
			}
			change.Notify = &prefs
			after, err := g.register.UpdateClient(ctx, actor(), id, change)
			if err != nil {
				return err
			}
			return a.showClient(ctx, g, after)
		})(cmd, args)
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

// changeFlags is the change that --name, --retention, --ftp and --delivers-to ask
// for, if they are given.
func changeFlags(cmd *cobra.Command, name, retention, ftp string, reach []string) (change keys.Change, err error) {
	if cmd.Flags().Changed("name") {
		if name, err = nameArg(cmd, name); err != nil {
			return change, err
		}
		change.Name = &name
	}
	if cmd.Flags().Changed("retention") {
		kept, err := durationArg(cmd, "retention", retention)
		if err != nil {
			return change, err
		}
		change.Retention = &kept
	}
	if cmd.Flags().Changed("ftp") {
		mode, err := ftpArg(cmd, ftp)
		if err != nil {
			return change, err
		}
		change.FTP = &mode
	}
	if cmd.Flags().Changed("delivers-to") {
		to, err := reachArg(cmd, reach)
		if err != nil {
			return change, err
		}
		change.DeliversTo = &to
	}
	return change, nil
}

func ftpFlag(cmd *cobra.Command, mode *string, otherwise string) {
	cmd.Flags().StringVar(mode, "ftp", "", "how it may use FTP: tls, plain (in the clear, too) or off"+otherwise)
}

func ftpArg(cmd *cobra.Command, s string) (keys.FTPMode, error) {
	mode, err := config.ParseFTP(s)
	if err != nil {
		return "", usagef(cmd, "--ftp: %w", err)
	}
	if mode == string(keys.FTPPlain) {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: --ftp: plain sends the password and the names of files over the network where anybody on the way can read them; the reports themselves stay encrypted")
	}
	return keys.FTPMode(mode), nil
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
		for _, w := range warnings {
			fmt.Fprintln(a.err, "warning:", w.Error())
		}
		for _, c := range clients {
			if at, ok := c.Declared["expects"]; ok {
				fmt.Fprintf(a.err, "warning: %s: clients[%s].expects counts in the configuration itself only; it is passed over\n", at, c.ID)
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

// clientView is how a client is shown.
type clientView struct {
	ID        reports.ClientID `json:"id"`
	Name      string           `json:"name"`
	Allow     []netip.Prefix   `json:"allow"`
	Retention string           `json:"retention,omitempty"`
	Disabled  bool             `json:"disabled"`
	FTP       keys.FTPMode     `json:"ftp"`
	// DeliversTo are a producer's clients, "*" for all.
	DeliversTo string               `json:"delivers_to,omitempty"`
	Quota      *quotaView           `json:"quota,omitempty"`
	Created    time.Time            `json:"created"`
	Declared   map[string]string    `json:"declared,omitempty"`
	Keys       []keyView            `json:"keys,omitempty"`
	Password   *passwordView        `json:"password,omitempty"`
	Notify     *contact.Preferences `json:"notify,omitempty"`
	Files      *int64               `json:"files,omitempty"`
	Bytes      *int64               `json:"bytes,omitempty"`
	// Learned are the addresses that it was refused from after a proof.
	Learned []access.Learned `json:"learned,omitempty"`
}

func viewClient(c keys.Client) clientView {
	v := clientView{ID: c.ID, Name: c.Name, Allow: c.Allow, Disabled: c.Disabled, FTP: c.FTP, DeliversTo: c.DeliversTo.String(), Created: c.Created, Declared: c.Declared}
	if v.Allow == nil {
		v.Allow = []netip.Prefix{}
	}
	if c.Retention > 0 {
		v.Retention = config.Duration(c.Retention).String()
	}
	if !c.Notify.IsZero() {
		v.Notify = &c.Notify
	}
	return v
}

func (a *app) clientList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "list all clients", Args: arguments(),
		Example: "  sealdrop client list\n  sealdrop client list -o json",
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
		list := []clientView{}
		var failed error
		err := g.register.Clients(ctx, func(c keys.Client) bool {
			v := viewClient(c)
			failed = v.addUsage(ctx, g, c)
			list = append(list, v)
			return failed == nil
		})
		if err := errors.Join(err, failed); err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			row(w, "ID", "NAME", "STATE", "RETENTION", "FTP", "FILES", "USED", "ALLOW")
			for _, v := range list {
				row(w, v.ID, v.Name, v.state(), v.Retention, v.FTP, v.Quota.fileText(*v.Files), v.Quota.byteText(*v.Bytes), networks(v.Allow))
			}
		})
	})
	return a.outputFlag(cmd)
}

func (a *app) clientShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "show a client with its keys",
		Long: `Shows what is known of a client: its networks, its retention, its keys, whether it
has a password, how much is in its folder, and which of its fields the configuration
declares.`,
		Example: "  sealdrop client show acme",
		Args:    arguments("ID"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, args[0])
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			c, err := g.register.Client(ctx, id)
			if err != nil {
				return err
			}
			return a.showClient(ctx, g, c)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) showClient(ctx context.Context, g *gateway, c keys.Client) error {
	v := viewClient(c)
	list, err := g.register.Keys(ctx, c.ID)
	if err != nil {
		return err
	}
	for _, k := range list {
		v.Keys = append(v.Keys, viewKey(k))
	}
	p, found, err := g.register.Password(ctx, c.ID)
	if err != nil {
		return err
	}
	if found {
		view := viewPassword(p)
		v.Password = &view
	}
	if err := v.addUsage(ctx, g, c); err != nil {
		return err
	}
	if v.Learned, err = g.gate.Learned(ctx, c); err != nil {
		return err
	}
	return a.show(v, func(w io.Writer) {
		retention := v.Retention
		if retention == "" {
			retention = g.config.Retention.After.String() + " (the gateway's)"
		}
		row(w, "id", v.ID)
		row(w, "name", v.Name+place(c, keys.FieldName))
		row(w, "state", enabled(v.Disabled)+place(c, keys.FieldDisabled))
		row(w, "allow", networks(v.Allow)+place(c, keys.FieldAllow))
		if c.Producer() {
			row(w, "delivers to", strings.ReplaceAll(v.DeliversTo, ",", " "))
			row(w, "created", stamp(v.Created))
		} else {
			row(w, "retention", retention+place(c, keys.FieldRetention))
			row(w, "ftp", string(v.FTP)+place(c, keys.FieldFTP))
			row(w, "created", stamp(v.Created))
			row(w, "folder", fmt.Sprintf("%s files, %s", v.Quota.fileText(*v.Files), v.Quota.byteText(*v.Bytes)))
			row(w, "quota", v.Quota.quotaText(c))
		}
		showNotify(w, c)
		for _, k := range v.Keys {
			row(w, string(k.Kind)+" key", fmt.Sprintf("%s %s, %s", k.Fingerprint, k.Algorithm, k.State))
		}
		if len(v.Keys) == 0 {
			row(w, "keys", fmt.Sprintf("none; `sealdrop key import --client %s FILE` adds one", v.ID))
		}
		switch {
		case v.Password != nil:
			row(w, "password", fmt.Sprintf("%s, set %s, expires %s", v.Password.State, stamp(v.Password.Set), stampOf(v.Password.Expires)))
		case v.FTP != keys.FTPOff:
			row(w, "password", fmt.Sprintf("none; `sealdrop password set --client %s --generate` sets one for FTP", v.ID))
		}
		for _, l := range v.Learned {
			row(w, "refused", fmt.Sprintf("%s from %s, after it had proved %s; if that is its address, `%s`", times(l.Times), l.Address, proof(l), l.Command))
		}
	})
}

// state is whether it may log in, and what it is if it is no client.
func (v clientView) state() string {
	if v.DeliversTo != "" {
		return enabled(v.Disabled) + " producer"
	}
	return enabled(v.Disabled)
}

func place(c keys.Client, field string) string {
	if p := c.Declared[field]; p != "" {
		return "  (declared at " + p + ")"
	}
	return ""
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
			return a.show(map[string]string{"removed": id.String()}, func(w io.Writer) { row(w, "removed client "+id.String()) })
		})(cmd, args)
	}
	return a.outputFlag(cmd)
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

func clientArg(cmd *cobra.Command, s string) (reports.ClientID, error) {
	id, err := reports.ParseClientID(s)
	if err != nil {
		return id, &usageError{err: err, command: cmd.CommandPath()}
	}
	return id, nil
}

func nameArg(cmd *cobra.Command, s string) (string, error) {
	name, err := config.ParseName(s)
	if err != nil {
		return "", usagef(cmd, "--name: %w", err)
	}
	return name, nil
}

// prefixArgs reads the networks of a flag or, with "", of arguments.
func prefixArgs(cmd *cobra.Command, flag string, list []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	place := ""
	if flag != "" {
		place = "--" + flag + ": "
	}
	for _, s := range list {
		p, err := config.ParseAllow(strings.TrimSpace(s))
		if err != nil {
			return nil, usagef(cmd, "%s%w", place, err)
		}
		if p.Bits() == 0 && cmd.Name() != "deny" {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s%s lets the client connect from anywhere\n", place, p)
		}
		prefixes = append(prefixes, p)
	}
	return keys.Canonical(prefixes), nil
}

func durationArg(cmd *cobra.Command, flag, s string) (time.Duration, error) {
	if s == "" || s == "0" {
		return 0, nil
	}
	d, err := config.ParseDuration(s)
	if err != nil {
		return 0, usagef(cmd, "--%s: %w", flag, err)
	}
	if d < 0 {
		return 0, usagef(cmd, "--%s: %s is in the past", flag, s)
	}
	return d.Std(), nil
}

func networks(list []netip.Prefix) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}

func enabled(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}
