package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"
)

func (a *app) banCommand() *cobra.Command {
	return group("ban", "see and lift lock-outs after failed logins", `An address from which too many logins failed (access.failures) is locked out for a
while (access.ban). IPv6 addresses are counted by their /64 network.`,
		a.banList(), a.banLift())
}

func (a *app) banList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "list the addresses that are locked out", Args: arguments(),
		Example: "  sealdrop ban list",
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
		bans, err := g.gate.Bans(ctx)
		if err != nil {
			return err
		}
		return a.show(bans, func(w io.Writer) {
			row(w, "ADDRESS", "UNTIL", "FAILED LOGINS")
			for _, b := range bans {
				row(w, b.Address, stamp(b.Until), b.Failures)
			}
		})
	})
	return a.outputFlag(cmd)
}

func (a *app) banLift() *cobra.Command {
	cmd := &cobra.Command{
		Use: "lift ADDRESS", Short: "let an address try again at once", Args: arguments("ADDRESS"),
		Example: "  sealdrop ban lift 203.0.113.7\n  sealdrop ban lift 2001:db8:1:2::/64",
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addr, err := netip.ParseAddr(args[0])
		if prefix, prefixErr := netip.ParsePrefix(args[0]); prefixErr == nil {
			addr, err = prefix.Addr(), nil // as `ban list` shows IPv6
		}
		if err != nil {
			return usagef(cmd, "%q is not an IP address", args[0])
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			lifted, err := g.gate.LiftBan(ctx, actor(), addr)
			if err != nil {
				return err
			}
			if !lifted {
				return fmt.Errorf("%s is not locked out", addr)
			}
			return a.show(map[string]string{"lifted": addr.String()}, func(w io.Writer) { row(w, addr.String()+" may try again") })
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}
