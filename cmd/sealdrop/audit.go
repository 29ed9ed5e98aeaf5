package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

func (a *app) auditCommand() *cobra.Command {
	return group("audit", "read and verify the record of what happened", `Every change and every login, allowed or refused, is a record in a hash chain:
nobody can change, drop or insert one without "audit verify" naming the place.`,
		a.auditList(), a.auditVerify())
}

func (a *app) auditList() *cobra.Command {
	var client string
	var limit int64
	var f audit.Filter
	cmd := &cobra.Command{
		Use: "list", Short: "list records, the newest first",
		Long:    "Lists the newest records; --before with the lowest number seen turns the page.",
		Example: "  sealdrop audit list --client acme\n  sealdrop audit list --before 1200 --limit 100 -o json",
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&client, "client", "", "only what concerns this client (`ID`)")
	cmd.Flags().Int64Var(&limit, "limit", 50, "how many at most; 0 for all")
	cmd.Flags().Int64Var(&f.Before, "before", 0, "only records before this number")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if client != "" {
			id, err := clientArg(cmd, client)
			if err != nil {
				return err
			}
			f.Client = id.String()
		}
		if f.Limit, err = limitArg(cmd, limit); err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			records, err := audit.List(ctx, g.db.Read(), f)
			if err != nil {
				return err
			}
			return a.show(records, func(w io.Writer) {
				row(w, "NUMBER", "TIME", "EVENT", "WHO", "CLIENT", "DETAIL")
				for _, r := range records {
					row(w, r.Seq, stamp(r.Time), r.Event, r.Actor, r.Client, pairs(r.Detail))
				}
			})
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) auditVerify() *cobra.Command {
	var expect string
	cmd := &cobra.Command{
		Use: "verify [--expect NUMBER:HASH]", Short: "check that no record was changed",
		Long: `Walks the whole chain and names the first record that does not fit. It prints the
number and hash of the newest record: note them elsewhere from time to time, and
give them to --expect later, which also catches a chain that was rewritten as a
whole or cut off.`,
		Example: "  sealdrop audit verify\n  sealdrop audit verify --expect 1200:5f0c…",
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&expect, "expect", "", "a `NUMBER:HASH` noted earlier")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		noted, err := headArg(expect)
		if err != nil {
			return usagef(cmd, "--expect: %w", err)
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			head, err := audit.Verify(ctx, g.db.Read(), noted)
			if markErr := g.markVerified(ctx, head, err); markErr != nil {
				a.complain("warning", fmt.Errorf("noting for `sealdrop status` what was verified: %w", markErr))
			}
			if err != nil {
				return err
			}
			return a.show(head, func(w io.Writer) {
				fmt.Fprintf(w, "%d records fit\nnewest %d:%s\n", head.Seq, head.Seq, head.Hash)
			})
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// markVerified notes for the overview how far the audit was verified, or that it
// is broken. Whatever else kept it from being verified is nothing to note.
func (g *gateway) markVerified(ctx context.Context, head audit.Head, err error) error {
	marks := map[string]int64{database.BrokenMark: 0, database.VerifiedMark: head.Seq, database.VerifiedAtMark: database.Micros(now())}
	var broken *audit.BrokenError
	switch {
	case errors.As(err, &broken):
		marks = map[string]int64{database.BrokenMark: max(broken.Seq, 1)}
	case err != nil:
		return nil
	}
	return g.db.Write(ctx, func(tx *database.Tx) error {
		for name, n := range marks {
			if err := tx.SetMark(tx.Context(), query.SetMarkParams{Name: name, N: n}); err != nil {
				return err
			}
		}
		return nil
	})
}

func headArg(s string) (audit.Head, error) {
	if s == "" {
		return audit.Head{}, nil
	}
	number, hash, _ := strings.Cut(s, ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	if raw, hexErr := hex.DecodeString(hash); err != nil || hexErr != nil || len(raw) != 32 || seq < 1 {
		return audit.Head{}, fmt.Errorf("%q is not NUMBER:HASH as `sealdrop audit verify` prints it", s)
	}
	return audit.Head{Seq: seq, Hash: hash}, nil
}

// pairs renders a record's detail as "key=value" in a fixed order.
func pairs(detail map[string]string) string { return audit.Record{Detail: detail}.DetailText() }
