package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/reports/intake/producer"
)

func (a *app) tokenCommand() *cobra.Command {
	return group("token", "say which programs may hand in reports over HTTP", `A program that delivers through the HTTP API proves who it is with a token, or with a
TLS client certificate, and may deliver to the clients that it was added for. Of a
token only a hash is kept: a lost one can't be read out, only revoked.

Where the API listens says api.listen in the configuration; it is off by default.`,
		a.tokenAdd(), a.tokenList(), a.tokenRevoke())
}

// tokenView is how a producer is shown.
type tokenView struct {
	Name     string         `json:"name"`
	Proof    string         `json:"proof"` // token or certificate
	State    producer.State `json:"state"`
	All      bool           `json:"all_clients"`
	Clients  []string       `json:"clients"`
	Added    time.Time      `json:"added"`
	Expires  *time.Time     `json:"expires,omitempty"`
	Revoked  *time.Time     `json:"revoked,omitempty"`
	LastUsed *time.Time     `json:"last_used,omitempty"`
	// Token is shown once, when it was made.
	Token string `json:"token,omitempty"`
}

func viewProducer(p producer.Producer) tokenView {
	v := tokenView{
		Name: p.Name, Proof: "token", State: p.State(now()), All: p.All, Clients: []string{}, Added: p.Added.UTC(),
		Expires: optionalTime(p.Expires), Revoked: optionalTime(p.Revoked), LastUsed: optionalTime(p.LastUsed),
	}
	if p.Certificate {
		v.Proof = "certificate"
	}
	for _, c := range p.Clients {
		v.Clients = append(v.Clients, c.String())
	}
	return v
}

func (v tokenView) reach() string {
	if v.All {
		return "all"
	}
	return strings.Join(v.Clients, " ")
}

func (a *app) tokenAdd() *cobra.Command {
	var p producer.Producer
	var clients []string
	var expires string
	cmd := &cobra.Command{
		Use: "add --name NAME {--client ID… | --all-clients} [--certificate] [--expires 90d|2027-01-31]", Short: "let a program hand in reports",
		Long: `Makes a token and prints it, which is the only time that it can be seen. The program
sends it as "Authorization: Bearer TOKEN". It takes effect at once.

With --certificate there is no token: the program proves itself with a TLS client
certificate that leads to an authority of api.tls.client_ca, and NAME is the common
name or a URI of the certificate.

What the program hands in is recorded as by "api:NAME". To exchange a token without a
gap, add a second one under another name, and revoke the first.`,
		Example: "  sealdrop token add --name nightly-batch --client acme --client globex --expires 365d\n  sealdrop token add --name batch.example.com --certificate --all-clients",
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&p.Name, "name", "", "what to call the program")
	cmd.Flags().StringSliceVar(&clients, "client", nil, "a client's `ID` that it may deliver to; can be given again")
	cmd.Flags().BoolVar(&p.All, "all-clients", false, "it may deliver to every client, also to those to come")
	cmd.Flags().BoolVar(&p.Certificate, "certificate", false, "it proves itself with a certificate of that name instead of a token")
	cmd.Flags().StringVar(&expires, "expires", "", "how long it is good, such as 90d, or a day, such as 2027-01-31 (default: for good)")
	_ = cmd.MarkFlagRequired("name") // the flag was defined above
	cmd.MarkFlagsOneRequired("client", "all-clients")
	cmd.MarkFlagsMutuallyExclusive("client", "all-clients")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := producer.CheckName(p.Name); err != nil {
			return &usageError{err, cmd.CommandPath()}
		}
		if p.Expires, err = expiryArg(cmd, expires); err != nil {
			return err
		}
		if p.Clients, err = clientArgs(cmd, clients); err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			token, err := producer.New(g.db, now).Add(ctx, actor(), p)
			if err != nil {
				return err
			}
			p.Added = now()
			v := viewProducer(p)
			v.Token = token
			return a.show(v, func(w io.Writer) {
				if token != "" { // alone, so that it can be piped to where it is kept
					fmt.Fprintln(w, token)
					return
				}
				row(w, "name", v.Name)
				row(w, "proof", v.Proof)
				row(w, "clients", v.reach())
			})
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) tokenList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "list the programs that may hand in reports",
		Example: "  sealdrop token list", Args: arguments(),
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
		views := []tokenView{}
		err := producer.New(g.db, now).All(ctx, func(p producer.Producer) bool {
			views = append(views, viewProducer(p))
			return true
		})
		if err != nil {
			return err
		}
		return a.show(views, func(w io.Writer) {
			row(w, "NAME", "PROOF", "STATE", "CLIENTS", "EXPIRES", "LAST USED")
			for _, v := range views {
				row(w, v.Name, v.Proof, v.State, v.reach(), stampOf(v.Expires), stampOf(v.LastUsed))
			}
		})
	})
	return a.outputFlag(cmd)
}

func (a *app) tokenRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke NAME", Short: "take a program's right to hand in reports away",
		Long:    "Takes effect at once, also for a report that is on its way in: it is not published.",
		Example: "  sealdrop token revoke nightly-batch", Args: arguments("NAME"),
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
		p, err := producer.New(g.db, now).Revoke(ctx, actor(), args[0])
		if errors.Is(err, producer.ErrUnknown) {
			return &advisedError{err, "`sealdrop token list` shows the names there are"}
		}
		if err != nil {
			return err
		}
		v := viewProducer(p)
		return a.show(v, func(w io.Writer) {
			row(w, "name", v.Name)
			row(w, "state", v.State)
		})
	})
	return a.outputFlag(cmd)
}
