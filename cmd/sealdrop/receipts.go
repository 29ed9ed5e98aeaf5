package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

func (a *app) receiptsCommand() *cobra.Command {
	q := &receiptsQuery{app: a}
	cmd := &cobra.Command{
		Use: "receipts", Short: "prove who fetched what, when, from where, and how completely",
		Long: `Lists each transfer that a client began and that ended well: what was read, when,
from which address, with which key or password, how many of its bytes went out, and
what that is known by:

  sFTP   every byte was asked for and sent, and the client closed the file
  FTP    the client's system acknowledged every byte, and 226 was sent
  email  the mail server took it (250): it was handed over, which proves no reading

Receipts outlive their reports. --since and --until limit when a transfer ended;
without them it is the last 30 days, or all of it with --report.

--signed writes a statement for an auditor instead, signed with the gateway's own key,
together with the number and the hash of the newest audit record. Whoever has imported
"sealdrop key gateway" checks it with "gpg --verify"; the hash, noted then, shows later
with "sealdrop audit verify --expect" that nobody has changed the record since.`,
		Example: `  sealdrop receipts --client acme
  sealdrop receipts --client acme --since 2026-10-01 --until 2026-11-01 --signed >acme-october.asc
  sealdrop receipts --report vcceyxy4bglxacmzv7rxtvldcq -o json`,
		Args: arguments(),
	}
	cmd.Flags().StringVar(&q.client, "client", "", "the client (`ID`)")
	cmd.Flags().StringVar(&q.report, "report", "", "only of this `REPORT`, which may be purged already")
	cmd.Flags().StringVar(&q.since, "since", "", "from this `time` on: 30d (ago), 2026-11-01, or 2026-11-01T06:30:00Z")
	cmd.Flags().StringVar(&q.until, "until", "", "before this `time`")
	cmd.Flags().BoolVar(&q.signed, "signed", false, "write a signed statement")
	cmd.MarkFlagsOneRequired("client", "report")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := q.parse(cmd); err != nil {
			return err
		}
		return a.withGateway(q.run)(cmd, args)
	}
	return a.outputFlag(cmd)
}

// receiptView is how a receipt is shown.
type receiptView struct {
	Report      string    `json:"report"`
	Name        string    `json:"name"`
	SHA256      string    `json:"sha256,omitempty"`
	Protocol    string    `json:"protocol"`
	Address     string    `json:"address"`
	Fingerprint string    `json:"key"`
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended"`
	Bytes       int64     `json:"bytes"`
	Size        int64     `json:"size"`
	Whole       bool      `json:"whole"`
	Evidence    string    `json:"evidence"`
}

func viewReceipt(r catalog.Receipt) receiptView {
	return receiptView{
		Report: r.Report, Name: r.Name, SHA256: r.SHA256, Protocol: r.Protocol, Address: r.Address, Fingerprint: r.Fingerprint,
		Started: r.Started, Ended: r.Ended, Bytes: r.Bytes, Size: r.Size, Whole: r.Whole(), Evidence: r.Evidence,
	}
}

// receiptsQuery is what the command line asks for.
type receiptsQuery struct {
	app                          *app
	client, report, since, until string
	signed                       bool

	now    time.Time
	filter catalog.ReceiptFilter
}

func (q *receiptsQuery) parse(cmd *cobra.Command) (err error) {
	q.now = now().UTC()
	if q.since == "" && q.report == "" {
		q.since = "30d"
	}
	for _, limit := range []struct {
		flag, text string
		at         *time.Time
	}{{"--since", q.since, &q.filter.Since}, {"--until", q.until, &q.filter.Before}} {
		if limit.text == "" {
			continue
		}
		if *limit.at, err = parseMoment(limit.text, q.now); err != nil {
			return usagef(cmd, "%s: %w", limit.flag, err)
		}
	}
	if q.client != "" {
		if q.filter.Client, err = clientArg(cmd, q.client); err != nil {
			return err
		}
	}
	if q.signed && q.app.format == "json" {
		return usagef(cmd, "a signed statement is a text; leave out -o json")
	}
	return nil
}

func (q *receiptsQuery) run(ctx context.Context, g *gateway, _ []string) error {
	if q.client != "" {
		if _, err := g.register.Client(ctx, q.filter.Client); err != nil {
			return err
		}
	}
	list, err := q.receipts(ctx, g)
	if err != nil {
		return err
	}
	if q.signed {
		return q.statement(ctx, g, list)
	}
	return q.app.show(list, func(w io.Writer) {
		if len(list) == 0 {
			fmt.Fprintln(w, q.nobody())
			return
		}
		row(w, "ENDED", "REPORT", "NAME", "GOT", "OVER", "FROM", "WITH", "EVIDENCE")
		for _, r := range list {
			row(w, stamp(r.Ended), r.Report, r.Name, r.got(), r.Protocol, r.Address, r.Fingerprint, r.Evidence)
		}
	})
}

// nobody says that there is nothing to show, and of what.
func (q *receiptsQuery) nobody() string {
	if q.report != "" {
		return "Nobody has fetched any of this report."
	}
	return "Nothing was fetched in that time; --since looks further back."
}

// got says how much of the report went out.
func (r receiptView) got() string {
	if r.Whole {
		return "all " + size(r.Size)
	}
	return size(r.Bytes) + " of " + size(r.Size)
}

// receipts reads page by page what the command line asks for.
func (q *receiptsQuery) receipts(ctx context.Context, g *gateway) ([]receiptView, error) {
	if q.report != "" {
		return q.ofReport(ctx, g)
	}
	list := []receiptView{}
	for q.filter.Limit = 500; ; {
		page, err := g.catalog.ClientReceipts(ctx, q.filter)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			list = append(list, viewReceipt(r))
		}
		if len(page) < q.filter.Limit {
			return list, nil
		}
		q.filter.After = &page[len(page)-1]
	}
}

func (q *receiptsQuery) ofReport(ctx context.Context, g *gateway) ([]receiptView, error) {
	all, err := g.catalog.Receipts(ctx, q.report)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 { // it may be purged, but then it has a receipt
		if _, err := g.catalog.Report(ctx, q.report); err != nil {
			return nil, unknownReport(err)
		}
	}
	list := []receiptView{}
	for _, r := range all {
		if q.client != "" && r.Client != q.filter.Client {
			return nil, fmt.Errorf("report %s is not client %s's", q.report, q.client)
		}
		q.filter.Client = r.Client
		if r.Ended.Before(q.filter.Since) || !q.filter.Before.IsZero() && !r.Ended.Before(q.filter.Before) {
			continue
		}
		list = append(list, viewReceipt(r))
	}
	return list, nil
}

// statement writes the receipts for who does not trust the gateway's operator.
func (q *receiptsQuery) statement(ctx context.Context, g *gateway, list []receiptView) error {
	if q.filter.Client.IsZero() {
		r, err := g.catalog.Report(ctx, q.report)
		if err != nil {
			return unknownReport(err)
		}
		q.filter.Client = r.Client
	}
	head, err := g.db.Read().LastAudit(ctx)
	if err != nil {
		return fmt.Errorf("reading the audit: %w", err)
	}
	if err := pgp.ClearSign(q.app.out, q.text(head, list), g.own.Signing, q.now); err != nil {
		return err
	}
	fmt.Fprintln(q.app.out)
	fmt.Fprintf(q.app.err, "hint: `gpg --verify` checks it once `sealdrop key gateway` is imported; the signature is by %s\n", g.own.Signing.Certificate().Fingerprint())
	return nil
}

func (q *receiptsQuery) text(head query.LastAuditRow, list []receiptView) string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", label, plain(fmt.Sprintf(format, args...)))
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	b.WriteString("STATEMENT OF RECEIPTS\n\n")
	line("Gateway", "%s", host)
	line("Client", "%s", q.filter.Client)
	if q.report != "" {
		line("Report", "%s", q.report)
	}
	line("Period", "%s", q.period())
	line("Made", "%s", instant(q.now))
	line("Audit", "record %d, %s", head.Seq, head.Hash)
	line("Transfers", "%d", len(list))
	for i, r := range list {
		fmt.Fprintf(&b, "\n%d.\n", i+1)
		line("Report", "%s", r.Report)
		line("Name", "%s", r.Name)
		if r.SHA256 != "" {
			line("SHA-256", "%s", r.SHA256)
		}
		line("Bytes", "%d of %d", r.Bytes, r.Size)
		line("Began", "%s", instant(r.Started))
		line("Ended", "%s", instant(r.Ended))
		line("Over", "%s", r.Protocol)
		line("From", "%s", r.Address)
		line("With", "%s", r.Fingerprint)
		line("Evidence", "%s", r.Evidence)
	}
	b.WriteString("\nThe SHA-256 and the sizes are those of the sealed file, as the client has it.\n")
	return b.String()
}

func (q *receiptsQuery) period() string {
	from, to := "the beginning", instant(q.now)
	if !q.filter.Since.IsZero() {
		from = instant(q.filter.Since)
	}
	if !q.filter.Before.IsZero() {
		to = instant(q.filter.Before)
	}
	return from + " to " + to
}

// instant is a time in a document that is to be understood years later.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }
