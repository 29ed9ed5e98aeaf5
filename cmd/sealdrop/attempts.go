package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/access"
)

// attemptFlags is what `attempts` is asked for.
type attemptFlags struct {
	client, reason, address, since string
	failed, follow                 bool
	limit                          int
}

// followEvery is how often `attempts --follow` looks.
const followEvery = time.Second

func (a *app) attemptsCommand() *cobra.Command {
	var f attemptFlags
	cmd := &cobra.Command{
		Use: "attempts", Short: "show who tried to get in, who did, and why not",
		Long: `Lists each attempt to log in, the newest last: when, from where, as whom, the answer,
and for a refusal what happened and what to do. A refusal that comes again from the
same address within ten minutes is counted with the first ("x15"). Sessions that the
gateway ended and data connections that failed are listed, too.

Connections that never showed who they are, such as those from an address that is on
no client's list, are counted by their address; the last 1000 or so are kept, for 30
days. With --follow it goes on as things happen, until Ctrl-C, beside any number of
running gateways.`,
		Example: "  sealdrop attempts --client acme --follow\n  sealdrop attempts --failed --since 7d\n  sealdrop attempts --reason address-not-allowed\n" +
			"  sealdrop attempts --address 203.0.113.0/24 -o json",
		Args: arguments(),
	}
	cmd.Flags().StringVar(&f.client, "client", "", "only those of this client, or in this name (`ID`)")
	cmd.Flags().StringVar(&f.reason, "reason", "", "only those with this `reason`, such as key-unknown")
	cmd.Flags().StringVar(&f.address, "address", "", "only those from this address or `network`")
	cmd.Flags().BoolVar(&f.failed, "failed", false, "leave out those that got in")
	cmd.Flags().StringVar(&f.since, "since", "24h", "from this `time` on: 7d (ago), 2026-11-01, or 2026-11-01T06:30:00Z")
	cmd.Flags().IntVar(&f.limit, "limit", 100, "how many at most, the newest; 0 for all")
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on as things happen; in JSON, a line for each")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter, err := f.filter(cmd)
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			if f.follow {
				return a.follow(ctx, g, filter)
			}
			list, err := g.gate.Attempts(ctx, filter)
			if err != nil {
				return err
			}
			return a.showAttempts(list, f)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (f attemptFlags) filter(cmd *cobra.Command) (filter access.SeenFilter, err error) {
	filter = access.SeenFilter{Client: f.client, Reason: access.Reason(f.reason), Failed: f.failed, Limit: f.limit}
	if f.reason != "" && !slices.Contains(access.Reasons(), filter.Reason) {
		var known []string
		for _, r := range access.Reasons() {
			known = append(known, string(r))
		}
		return filter, usagef(cmd, "--reason: %q is none; there are %s", f.reason, strings.Join(known, ", "))
	}
	if f.address != "" {
		if filter.Address, err = config.ParseAllow(f.address); err != nil {
			return filter, usagef(cmd, "--address: %w", err)
		}
	}
	if filter.Since, err = parseMoment(f.since, now()); err != nil {
		return filter, usagef(cmd, "--since: %w", err)
	}
	if f.limit < 0 {
		return filter, usagef(cmd, "--limit is %d; it can be 0 or more", f.limit)
	}
	return filter, nil
}

// follow shows attempts until ctx ends.
func (a *app) follow(ctx context.Context, g *gateway, filter access.SeenFilter) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	if a.format == "table" {
		writeAttemptHead(a.out)
	}
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return g.gate.FollowAttempts(ctx, filter, tick.C, func(list []access.Seen) error {
		for _, s := range list {
			if a.format == "json" {
				if err := enc.Encode(s); err != nil {
					return err
				}
				continue
			}
			if err := writeAttempt(a.out, s); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) showAttempts(list []access.Seen, f attemptFlags) error {
	if list == nil {
		list = []access.Seen{} // in JSON, a list without attempts and not null
	}
	if a.format == "json" {
		return a.show(list, nil)
	}
	if len(list) == 0 {
		fmt.Fprintf(a.out, "Nobody tried within %s%s.\n", f.since, f.narrowed())
	} else {
		writeAttemptHead(a.out)
	}
	for _, s := range list {
		if err := writeAttempt(a.out, s); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(a.out, "\nNext: %s\n", nextAfterAttempts(list, f))
	return err
}

// narrowed says that there may be more than was asked for.
func (f attemptFlags) narrowed() string {
	if f.client == "" && f.reason == "" && f.address == "" && !f.failed {
		return ""
	}
	return " that fits what was asked for"
}

// nextAfterAttempts is the command that an operator wants next.
func nextAfterAttempts(list []access.Seen, f attemptFlags) string {
	for _, s := range slices.Backward(list) {
		switch {
		case s.Answer == access.AnswerAllowed || s.Client == "":
		case s.Reason == access.AddressNotAllowed && s.Key != "":
			return fmt.Sprintf("sealdrop client allow %s --suggested", s.Client)
		default:
			return fmt.Sprintf("sealdrop why --client %s", s.Client)
		}
	}
	if id, err := reports.ParseClientID(f.client); err == nil {
		return fmt.Sprintf("sealdrop attempts --client %s --follow, and have the client try again", id)
	}
	return "sealdrop attempts --follow, and have the client try again"
}

// The columns' widths; the address is the last and may be longer. What is said below
// an attempt is wrapped at attemptWidth, but for the remedy, which is one line to copy
// from.
const (
	attemptColumns = "%-20s  %-5s  %-7s  %-24s  %-16s  %s\n"
	attemptWidth   = 98
	maxUserShown   = 16
)

func writeAttemptHead(w io.Writer) {
	fmt.Fprintf(w, attemptColumns, "TIME", "PROTO", "ANSWER", "REASON", "USER", "ADDRESS")
}

func writeAttempt(w io.Writer, s access.Seen) error {
	at, first := s.Time, ""
	if s.Last != nil {
		at = *s.Last
	}
	address := plain(s.Address)
	if s.Times > 1 {
		address += fmt.Sprintf(" x%d", s.Times)
		if s.Time.Before(at.Add(-time.Second)) {
			first = " First at " + stampSeconds(s.Time) + "."
		}
	}
	user := []rune(plain(s.User))
	if len(user) > maxUserShown {
		user = append(user[:maxUserShown-1], '…')
	}
	_, err := fmt.Fprintf(w, attemptColumns, stampSeconds(at), s.Protocol, s.Answer, s.Reason, string(user), address)
	if err != nil || s.Answer == access.AnswerAllowed {
		return err
	}
	for _, line := range wrap(plain(s.What)+"."+first, attemptWidth-4) {
		fmt.Fprintf(w, "    %s\n", line)
	}
	if s.Remedy == "" {
		return nil
	}
	_, err = fmt.Fprintf(w, "    -> %s\n", plain(s.Remedy))
	return err
}

// stampSeconds is [stamp] to the second.
func stampSeconds(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// lastTry is the newest attempt of a client within a day, nil if there is none.
func lastTry(ctx context.Context, g *gateway, client string) (*access.Seen, error) {
	list, err := g.gate.Attempts(ctx, access.SeenFilter{Client: client, Since: now().Add(-24 * time.Hour), Limit: 1})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// fromText reads an address as it was recorded.
func fromText(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	return addr.WithZone(""), err == nil
}
