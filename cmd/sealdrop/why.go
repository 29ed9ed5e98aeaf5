package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/sshkey"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/access"
)

func (a *app) whyCommand() *cobra.Command {
	var client, from, key string
	cmd := &cobra.Command{
		Use: "why --client ID --from IP [--key FILE]", Short: "say whether a client gets in, and if not, why",
		Long: `Asks the very code that decides about logins, and answers in two sentences: what
happens, and what to do. Without --key it takes the best key that the client has
registered. Exit status 1 means that the client does not get in.`,
		Example: "  sealdrop why --client acme --from 198.51.100.7\n  sealdrop why --client acme --from 198.51.100.7 --key their-key.pub",
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&client, "client", "", "the user name that the client logs in with")
	cmd.Flags().StringVar(&from, "from", "", "the `address` that it comes from")
	cmd.Flags().StringVar(&key, "key", "", "a `file` with the SSH public key that it uses")
	_ = cmd.MarkFlagRequired("client") // the flags were defined above
	_ = cmd.MarkFlagRequired("from")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addr, err := netip.ParseAddr(from)
		if err != nil {
			return usagef(cmd, "--from: %q is not an IP address", from)
		}
		if client == "" {
			return usagef(cmd, "--client is empty")
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			attempt := access.Attempt{Protocol: "sftp", Address: addr.WithZone(""), User: client, Failure: access.KeyUnknown}
			attempt.Offered, err = a.offeredKeys(ctx, g, client, key)
			if weak := new(sshkey.WeakKeyError); errors.As(err, &weak) {
				attempt.Failure, attempt.Detail, err = access.KeyTooWeak, weak.Error(), nil
			}
			if err != nil {
				return err
			}
			d, err := explainBest(ctx, g.gate, attempt)
			if err != nil {
				return err
			}
			err = a.show(d, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s.\nWhat to do: %s.\n", d.Reason, plain(d.What), plain(d.Remedy))
			})
			if err == nil && !d.Allowed() {
				return errReported
			}
			return err
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// offeredKeys are the keys in the file, or all that the client has registered.
func (a *app) offeredKeys(ctx context.Context, g *gateway, client, file string) ([]access.Key, error) {
	var offered []access.Key
	if file != "" {
		list, err := a.readKeyFile(file)
		if err != nil {
			return nil, err
		}
		for _, k := range list {
			if k.Kind != keys.SSH {
				return nil, &advisedError{
					err:    fmt.Errorf("%s: this is a PGP key; a client logs in with an SSH key", file),
					advice: "give the public half of its SSH key, such as id_ed25519.pub, or leave --key out",
				}
			}
			offered = append(offered, access.Key{Fingerprint: k.Fingerprint, Algorithm: k.Algorithm})
		}
		return offered, nil
	}
	id, err := reports.ParseClientID(client)
	if err != nil {
		return nil, nil // the gate says that there is no such client
	}
	list, err := g.register.Keys(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		if k.Kind == keys.SSH {
			offered = append(offered, access.Key{Fingerprint: k.Fingerprint, Algorithm: k.Algorithm})
		}
	}
	return offered, nil
}

// explainBest asks about each key, as if the client had proved it, and returns
// the best answer.
func explainBest(ctx context.Context, gate *access.Gate, attempt access.Attempt) (access.Decision, error) {
	offered := attempt.Offered
	if len(offered) == 0 {
		return gate.Explain(ctx, attempt)
	}
	attempt.Failure = ""
	var best access.Decision
	for _, k := range slices.Backward(offered) {
		attempt.Proved, attempt.Offered = &k, []access.Key{k}
		d, err := gate.Explain(ctx, attempt)
		if err != nil || d.Allowed() {
			return d, err
		}
		best = d
	}
	return best, nil
}
