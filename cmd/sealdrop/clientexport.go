package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/keys"
)

func (a *app) clientExport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export [ID…]", Short: "write clients as YAML that `client apply` reads",
		Long:    "Writes clients, all of them or those named, in the form that `sealdrop client apply`\nand the configuration's clients_from read. Keys and\npasswords are not part of it.",
		Example: "  sealdrop client export >clients.yaml\n  sealdrop client export acme",
		Args:    cobra.ArbitraryArgs,
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
		wanted := map[string]bool{}
		for _, arg := range args {
			id, err := clientArg(cmd, arg)
			if err != nil {
				return err
			}
			if _, err := g.register.Client(ctx, id); err != nil {
				return err
			}
			wanted[id.String()] = true
		}
		list := []exportedClient{}
		err := g.register.Clients(ctx, func(c keys.Client) bool {
			if len(wanted) == 0 || wanted[c.ID.String()] {
				list = append(list, exportClient(c))
			}
			return true
		})
		if err != nil {
			return err
		}
		out := struct {
			Clients []exportedClient `json:"clients" yaml:"clients"`
		}{list}
		if a.format == "json" {
			return a.show(out, nil) // JSON is YAML, too
		}
		return writeYAML(a.out, out)
	})
	a.outputFlag(cmd)
	cmd.Flags().Lookup("output").Usage = "output `format`: table (which is YAML here) or json; `client apply` reads both"
	return cmd
}

type exportedClient struct {
	ID        string   `json:"id" yaml:"id"`
	Name      string   `json:"name" yaml:"name"`
	Allow     []string `json:"allow" yaml:"allow,flow"`
	Delivers  []string `json:"delivers_to,omitempty" yaml:"delivers_to,flow,omitempty"`
	Retention string   `json:"retention,omitempty" yaml:"retention,omitempty"`
	Disabled  bool     `json:"disabled,omitempty" yaml:"disabled,omitempty"`
	FTP       string   `json:"ftp,omitempty" yaml:"ftp,omitempty"` // where it is not what holds anyhow
	Quota     string   `json:"quota,omitempty" yaml:"quota,omitempty"`
	Files     string   `json:"quota_files,omitempty" yaml:"quota_files,omitempty"`
	// Notify has the keys that the configuration has.
	Notify map[string]any `json:"notify,omitempty" yaml:"notify,omitempty"`
}

func exportClient(c keys.Client) exportedClient {
	e := exportedClient{ID: c.ID.String(), Name: c.Name, Allow: []string{}, Disabled: c.Disabled}
	for _, p := range c.Allow {
		e.Allow = append(e.Allow, p.String())
	}
	if c.Producer() {
		e.Delivers = exportedReach(c.DeliversTo)
	} else if c.FTP != keys.FTPTLS {
		e.FTP = string(c.FTP)
	}
	if c.Retention > 0 {
		e.Retention = config.Duration(c.Retention).String()
	}
	if c.Quota.Bytes != 0 {
		e.Quota = config.Size(c.Quota.Bytes).String()
	}
	if c.Quota.Files != 0 {
		e.Files = config.Count(c.Quota.Files).String()
	}
	e.Notify = config.EffectiveNotify(c.Notify)
	return e
}
