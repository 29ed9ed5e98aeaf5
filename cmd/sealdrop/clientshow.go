package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/server/access"
)

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
		return a.withClient(cmd, args[0], a.showClient)
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
			row(w, "folder", v.Quota.folderText(*v.Files, *v.Bytes))
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
