package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/server/access"
)

func (a *app) clientAllow() *cobra.Command {
	var suggested bool
	cmd := &cobra.Command{
		Use: "allow ID CIDR... | allow ID --suggested", Short: "let a client connect from more networks or addresses",
		Long: `Adds networks or addresses to those that the client may connect from. A running
gateway takes it at once. What is on the list already stays, and is no error.

--suggested changes nothing: it lists the addresses from which the client has proved
its key, or over TLS its password, within 30 days, and was refused because they are
not on its list, each with the command that lets it in. Ask the client whether the
address is its own before you run one: a key may have been stolen.`,
		Example: "  sealdrop client allow acme 203.0.113.9\n  sealdrop client allow acme 203.0.113.0/24 2001:db8::/48\n  sealdrop client allow acme --suggested",
	}
	cmd.Flags().BoolVar(&suggested, "suggested", false, "list addresses that the client was refused from after it had proved who it is")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if suggested {
			return arguments("ID")(cmd, args)
		}
		return someNetworks(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if suggested {
			return a.suggest(cmd, args)
		}
		return a.editAllowed(cmd, args, func(_ keys.Client, allowed, more []netip.Prefix) ([]netip.Prefix, error) {
			return keys.Canonical(append(slices.Clone(allowed), more...)), nil
		})
	}
	return a.outputFlag(cmd)
}

func (a *app) clientDeny() *cobra.Command {
	cmd := &cobra.Command{
		Use: "deny ID CIDR...", Short: "let a client no longer connect from networks or addresses",
		Long: `Takes networks or addresses off the client's list, and with a network all that lie
within it. Sessions from there end within two seconds. What is not on the list is no
error. A part of a network that is allowed as a whole can't be taken out of it.`,
		Example: "  sealdrop client deny acme 203.0.113.9\n  sealdrop client deny acme 2001:db8::/32",
		Args:    someNetworks,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.editAllowed(cmd, args, withoutNetworks)
	}
	return a.outputFlag(cmd)
}

func someNetworks(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return usagef(cmd, "ID is missing")
	case 1:
		return usagef(cmd, "CIDR is missing: a network such as 203.0.113.0/24, or an address")
	}
	return nil
}

// withoutNetworks takes the denied networks away, and all that lie within them.
func withoutNetworks(c keys.Client, allowed, denied []netip.Prefix) ([]netip.Prefix, error) {
	left := slices.Clone(allowed)
	for _, d := range denied {
		for _, p := range allowed {
			if p.Bits() < d.Bits() && p.Contains(d.Addr()) {
				return nil, &advisedError{
					err:    fmt.Errorf("%s is a part of %s, which client %s is allowed as a whole", d, p, c.ID),
					advice: fmt.Sprintf("take the whole away and allow the parts that should stay: `sealdrop client set %s --allow-remove %s --allow-add CIDR,CIDR`", c.ID, p),
				}
			}
		}
		left = slices.DeleteFunc(left, func(p netip.Prefix) bool { return d.Bits() <= p.Bits() && d.Contains(p.Addr()) })
	}
	return left, nil
}

// allowedView is a client's list after a change, and what was changed.
type allowedView struct {
	Client  string         `json:"client"`
	Allow   []netip.Prefix `json:"allow"`
	Added   []netip.Prefix `json:"added"`
	Removed []netip.Prefix `json:"removed"`
}

// editAllowed changes the list of the client that the first argument names, by the
// networks of the others.
func (a *app) editAllowed(cmd *cobra.Command, args []string, edit func(c keys.Client, allowed, named []netip.Prefix) ([]netip.Prefix, error)) error {
	named, err := prefixArgs(cmd, "", args[1:])
	if err != nil {
		return err
	}
	return a.withClient(cmd, args[0], func(ctx context.Context, g *gateway, before keys.Client) error {
		list, err := edit(before, before.Allow, named)
		if err != nil {
			return err
		}
		after, err := g.register.UpdateClient(ctx, actor(), before.ID, keys.Change{Allow: &list})
		if err != nil {
			return err
		}
		v := allowedView{Client: before.ID.String(), Allow: difference(after.Allow, nil), Added: difference(after.Allow, before.Allow), Removed: difference(before.Allow, after.Allow)}
		a.warnOfList(v)
		return a.show(v, v.write)
	})
}

// difference are the networks of a that b does not have.
func difference(a, b []netip.Prefix) []netip.Prefix {
	left := []netip.Prefix{} // in JSON, a list without networks and not null
	for _, p := range a {
		if !slices.Contains(b, p) {
			left = append(left, p)
		}
	}
	return left
}

// Networks with fewer bits are wide: more than a provider gives to one customer.
const wide4, wide6 = 16, 32

func (a *app) warnOfList(v allowedView) {
	for _, p := range v.Added {
		if bits := p.Bits(); bits > 0 && (p.Addr().Is4() && bits < wide4 || p.Addr().Is6() && bits < wide6) {
			fmt.Fprintf(a.err, "warning: %s is a wide network: whoever has a key of client %s can use it from all over there\n", p, v.Client)
		}
	}
	if len(v.Allow) == 0 {
		fmt.Fprintf(a.err, "warning: client %s has no address left: it can't connect from anywhere\n", v.Client)
	}
}

func (v allowedView) write(w io.Writer) {
	for _, change := range []struct {
		what string
		list []netip.Prefix
	}{{"allowed", v.Added}, {"denied", v.Removed}} {
		if len(change.list) > 0 {
			row(w, change.what, networks(change.list))
		}
	}
	if len(v.Added)+len(v.Removed) == 0 {
		row(w, "nothing was changed")
	}
	now := networks(v.Allow)
	if now == "" {
		now = "nowhere"
	}
	row(w, "client "+v.Client+" may connect from", now)
}

// suggest lists the addresses that a client could be allowed.
func (a *app) suggest(cmd *cobra.Command, args []string) error {
	return a.withClient(cmd, args[0], func(ctx context.Context, g *gateway, c keys.Client) error {
		list, err := g.gate.Learned(ctx, c)
		if err != nil {
			return err
		}
		if list == nil {
			list = []access.Learned{} // in JSON, a list without addresses and not null
		}
		return a.show(list, func(w io.Writer) {
			if len(list) == 0 {
				fmt.Fprintf(w, "client %s was refused from no address after it had proved who it is, within 30 days\n", c.ID)
				if !g.config.Access.Learn {
					fmt.Fprintln(w, "an address that is on no client's list gets no chance to prove anything; access.learn gives it one")
				}
				return
			}
			row(w, "ADDRESS", "PROVED", "TIMES", "LAST", "TO LET IT IN")
			for _, l := range list {
				row(w, l.Address, proof(l), l.Times, stamp(l.Last), l.Command)
			}
		})
	})
}

// proof is what an address was learned by.
func proof(l access.Learned) string {
	if l.Key == access.ByPassword {
		return "its password, over TLS"
	}
	return "its key " + l.Key
}

// learnedText is a list of learned addresses as `why` and `client show` have it.
func learnedText(list []access.Learned) string {
	var b strings.Builder
	for _, l := range list {
		fmt.Fprintf(&b, "refused from %s after it had proved %s (%s, last %s)\n  if that is the client's address: %s\n", l.Address, proof(l), times(l.Times), stamp(l.Last), l.Command)
	}
	return b.String()
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
