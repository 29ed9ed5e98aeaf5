package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/server/access"
)

func (a *app) banCommand() *cobra.Command {
	return group("ban", "see and lift lock-outs after failed logins", `An address from which too many logins failed (access.failures) is locked out for a
while (access.ban). IPv6 addresses are counted by their /64 network. A client's
password is locked out, from wherever it is given, when too many wrong ones came from
its own addresses; its SSH keys are not.`,
		a.banList(), a.banLift())
}

func (a *app) banList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "list the addresses and passwords that are locked out", Args: arguments(),
		Example: "  sealdrop ban list",
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
		bans, err := g.gate.Bans(ctx)
		if err != nil {
			return err
		}
		return a.show(bans, func(w io.Writer) {
			row(w, "LOCKED OUT", "UNTIL", "FAILED LOGINS")
			for _, b := range bans {
				row(w, bannedName(b), stamp(b.Until), b.Failures)
			}
		})
	})
	return a.outputFlag(cmd)
}

const bannedClient = "client:"

// bannedName is what `ban list` shows and `ban lift` takes.
func bannedName(b access.Ban) string {
	if b.Client != "" {
		return bannedClient + b.Client
	}
	return b.Address
}

func (a *app) banLift() *cobra.Command {
	cmd := &cobra.Command{
		Use: "lift ADDRESS|client:ID", Short: "let an address, or a client's password, try again at once",
		Args:    arguments("ADDRESS or client:ID"),
		Example: "  sealdrop ban lift 203.0.113.7\n  sealdrop ban lift 2001:db8:1:2::/64\n  sealdrop ban lift client:acme",
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, lift, err := parseBanned(cmd, args[0])
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			lifted, err := lift(ctx, g.gate)
			if err != nil {
				return err
			}
			if !lifted {
				return fmt.Errorf("%s is not locked out", name)
			}
			return a.show(map[string]string{"lifted": name}, func(w io.Writer) { row(w, name+" may try again") })
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// parseBanned reads a name as [bannedName] writes it, and returns what lifts its ban.
func parseBanned(cmd *cobra.Command, s string) (name string, lift func(context.Context, *access.Gate) (bool, error), err error) {
	if client, is := strings.CutPrefix(s, bannedClient); is {
		id, err := clientArg(cmd, client)
		return s, func(ctx context.Context, g *access.Gate) (bool, error) { return g.LiftPasswordBan(ctx, actor(), id) }, err
	}
	addr, err := netip.ParseAddr(s)
	if prefix, prefixErr := netip.ParsePrefix(s); prefixErr == nil {
		addr, err = prefix.Addr(), nil // as `ban list` shows IPv6
	}
	if err != nil {
		return "", nil, usagef(cmd, "%q is neither an IP address nor client:ID", s)
	}
	return addr.String(), func(ctx context.Context, g *access.Gate) (bool, error) { return g.LiftBan(ctx, actor(), addr) }, nil
}
