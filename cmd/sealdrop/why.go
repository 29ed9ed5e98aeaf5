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

// whyFlags is what `why` is asked about.
type whyFlags struct {
	client, from, key, protocol string
	plain                       bool
}

func (a *app) whyCommand() *cobra.Command {
	var f whyFlags
	cmd := &cobra.Command{
		Use: "why --client ID [--from IP] [--key FILE | --protocol ftp [--plain]]", Short: "say whether a client gets in, and if not, why",
		Long: `Asks the very code that decides about logins, and answers in two sentences: what
happens, and what to do. Exit status 1 means that the client does not get in.

Without --from it takes the address that the client tried from last, within a day. If
the client proved who it is from an address that is not on its list, it says so, with
the command that lets it in.

Over sFTP, without --key, it takes the best key that the client has registered. Over
FTP it takes it that the client gives the right password over TLS, or with --plain in
the clear; and it tells if the client's last try within a day was refused for its
password, or if it got in and then could not open the data port that it was told of.`,
		Example: "  sealdrop why --client acme\n  sealdrop why --client acme --from 198.51.100.7\n  sealdrop why --client acme --from 198.51.100.7 --key their-key.pub\n" +
			"  sealdrop why --client acme --from 198.51.100.7 --protocol ftp",
		Args: arguments(),
	}
	cmd.Flags().StringVar(&f.client, "client", "", "the user name that the client logs in with")
	cmd.Flags().StringVar(&f.from, "from", "", "the `address` that it comes from (default: that of its last try)")
	cmd.Flags().StringVar(&f.key, "key", "", "a `file` with the SSH public key that it uses")
	cmd.Flags().StringVar(&f.protocol, "protocol", access.SFTP, "sftp or ftp")
	cmd.Flags().BoolVar(&f.plain, "plain", false, "over FTP without TLS, as Windows Explorer does")
	_ = cmd.MarkFlagRequired("client") // the flags were defined above
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addr, err := f.check(cmd)
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			v := whyView{}
			if id, err := reports.ParseClientID(f.client); err == nil {
				if err := g.awaited(ctx, id); err != nil {
					return err
				}
			}
			if f.from == "" {
				if addr, err = f.fromLast(ctx, cmd, g, &v); err != nil {
					return err
				}
			}
			if v.Decision, err = a.explain(ctx, g, f, addr); err != nil {
				return err
			}
			if v.Learned, err = learned(ctx, g, f.client); err != nil {
				return err
			}
			err = a.show(v, v.write)
			if err == nil && !v.Allowed() {
				return errReported
			}
			return err
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// whyView is an answer with what is known beside it.
type whyView struct {
	access.Decision
	// Last is the client's last try, if that is what the question was made of.
	Last *access.Seen `json:"last,omitempty"`
	// Learned are the addresses that it was refused from after a proof.
	Learned []access.Learned `json:"learned,omitempty"`
}

func (v whyView) write(w io.Writer) {
	if v.Last != nil {
		fmt.Fprintf(w, "Its last try was at %s from %s over %s: %s, %s.\n", stampSeconds(v.Last.Time), plain(v.Last.Address), v.Last.Protocol, v.Last.Answer, v.Last.Reason)
		if v.Last.Reason != v.Reason && v.Last.Answer != access.AnswerAllowed {
			fmt.Fprintf(w, "Then: %s.\nWhat to do: %s.\nNow, from there:\n", plain(v.Last.What), plain(v.Last.Remedy))
		}
	}
	fmt.Fprintf(w, "%s: %s.\nWhat to do: %s.\n", v.Reason, plain(v.What), plain(v.Remedy))
	if len(v.Learned) > 0 {
		fmt.Fprintf(w, "\n%s", learnedText(v.Learned))
	}
}

// learned lists the learned addresses of a client, if it is one.
func learned(ctx context.Context, g *gateway, client string) ([]access.Learned, error) {
	id, err := reports.ParseClientID(client)
	if err != nil {
		return nil, nil
	}
	c, err := g.register.Client(ctx, id)
	if errors.Is(err, reports.ErrUnknownClient) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return g.gate.Learned(ctx, c)
}

// fromLast finds the address, and the protocol if none was asked for, in the client's
// last try.
func (f *whyFlags) fromLast(ctx context.Context, cmd *cobra.Command, g *gateway, v *whyView) (netip.Addr, error) {
	last, err := lastTry(ctx, g, f.client)
	if err != nil {
		return netip.Addr{}, err
	}
	if last != nil {
		if addr, ok := fromText(last.Address); ok {
			if v.Last = last; !cmd.Flags().Changed("protocol") && f.key == "" && last.Protocol == access.FTP {
				f.protocol = access.FTP
			}
			return addr, nil
		}
	}
	return netip.Addr{}, &advisedError{
		err:    fmt.Errorf("nobody has tried to log in as %s within a day", plain(f.client)),
		advice: fmt.Sprintf("name the address with `sealdrop why --client %s --from IP`; if the client did try, look for it with `sealdrop attempts --failed`, and if it is not there, it never reached this gateway: have it check its firewall", plain(f.client)),
	}
}

// check returns the address to ask about.
func (f *whyFlags) check(cmd *cobra.Command) (netip.Addr, error) {
	var addr netip.Addr
	var err error
	if f.from != "" {
		addr, err = netip.ParseAddr(f.from)
	}
	switch {
	case err != nil:
		return addr, usagef(cmd, "--from: %q is not an IP address", f.from)
	case f.client == "":
		return addr, usagef(cmd, "--client is empty")
	case f.protocol != access.SFTP && f.protocol != access.FTP:
		return addr, usagef(cmd, "--protocol is %q; it can be sftp or ftp", f.protocol)
	case f.protocol == access.FTP && f.key != "":
		return addr, usagef(cmd, "--key is of no use over FTP, where clients log in with a password")
	case f.protocol == access.SFTP && f.plain:
		return addr, usagef(cmd, "--plain is for --protocol ftp; sFTP is always encrypted")
	}
	return addr.WithZone(""), nil
}

func (a *app) explain(ctx context.Context, g *gateway, f whyFlags, addr netip.Addr) (d access.Decision, err error) {
	attempt := access.Attempt{Protocol: f.protocol, Address: addr, User: f.client, Supposed: true}
	if f.protocol == access.FTP {
		attempt.TLS = !f.plain && g.config.FTP.TLS.Mode != "off"
		d, err = g.gate.Diagnose(ctx, attempt)
		if d.Allowed() && !g.config.FTP.Enabled() {
			d.Reason, d.What = access.ProtocolNotEnabled, "client "+d.Client+" may use FTP, but this gateway serves none"
			d.Remedy = "set ftp.listen in the configuration and start the gateway again, or have the client use sFTP"
		}
		return d, err
	}
	attempt.Failure = access.KeyUnknown
	attempt.Offered, err = a.offeredKeys(ctx, g, f.client, f.key)
	if weak := new(sshkey.WeakKeyError); errors.As(err, &weak) {
		attempt.Failure, attempt.Detail, err = access.KeyTooWeak, weak.Error(), nil
	}
	if err != nil {
		return d, err
	}
	return explainBest(ctx, g.gate, attempt)
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
