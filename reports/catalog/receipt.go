package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/id"
	"github.com/sealdrop/sealdrop/reports"
)

// Transfer is one reading of a file by its client, which ended well.
type Transfer struct {
	Report      reports.Report
	Protocol    string
	Address     string
	Fingerprint string // of the key that the session logged in with
	Started     time.Time
	Ended       time.Time
	// Covered holds the bytes that went out.
	Covered reports.Coverage
	// Evidence says how strong the proof of arrival is: "every byte read, file
	// closed" for sFTP.
	Evidence string
}

// Collect records a transfer. The report counts as collected once transfers
// that ended well have covered every byte of it between them. A transfer of a
// report that has been purged meanwhile still leaves its receipt.
//
// Of several transfers either all are recorded or none.
func (c *Catalog) Collect(ctx context.Context, transfers ...Transfer) error {
	return c.write(ctx, func(tx *database.Tx) error {
		for _, t := range transfers {
			if err := c.collect(tx, t); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *Catalog) collect(tx *database.Tx, t Transfer) error {
	row, err := entry(tx.Context(), tx.Queries, t.Report.ID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	digest := t.Report.SHA256
	if err == nil && row.Blob == t.Report.Blob {
		if err := c.cover(tx, row, t); err != nil {
			return err
		}
		digest = row.Sha256 // it may have become known since the transfer began
	}
	return t.insert(tx, digest, t.Covered.Bytes())
}

// HandOver records that the whole of a report was handed to somebody who is to bring
// it to its client, such as a mail server. That leaves a receipt and an audit record,
// and the report stays as it is: nobody knows yet whether the client has got it.
func (c *Catalog) HandOver(ctx context.Context, t Transfer) error {
	return c.write(ctx, func(tx *database.Tx) error {
		if err := t.insert(tx, t.Report.SHA256, t.Report.Size); err != nil {
			return err
		}
		return audit.Append(tx, c.now(), audit.Entry{
			Event: "report.handed-over", Actor: "gateway", Client: t.Report.Client.String(), Subject: t.Report.ID,
			Detail: withDigest(map[string]string{
				"name": t.Report.Name.String(), "protocol": t.Protocol, "address": t.Address,
				"size": strconv.FormatInt(t.Report.Size, 10), "evidence": t.Evidence,
			}, t.Report.SHA256),
		})
	})
}

// insert writes the transfer's receipt.
func (t Transfer) insert(tx *database.Tx, digest string, bytes int64) error {
	err := tx.InsertReceipt(tx.Context(), query.InsertReceiptParams{
		ID: id.New(), EntryID: t.Report.ID, ClientID: t.Report.Client.String(), Name: t.Report.Name.String(),
		Sha256: digest, Protocol: t.Protocol, Address: t.Address, Fingerprint: t.Fingerprint,
		StartedAt: database.Micros(t.Started), EndedAt: database.Micros(t.Ended),
		Bytes: bytes, Size: t.Report.Size, Evidence: t.Evidence,
	})
	if err != nil {
		return fmt.Errorf("writing the receipt of %s: %w", t.Report.Name, err)
	}
	return nil
}

// cover adds a transfer to what is known to have gone out.
func (c *Catalog) cover(tx *database.Tx, row query.Entry, t Transfer) error {
	covered, err := reports.ParseCoverage(row.Coverage)
	if err != nil {
		return fmt.Errorf("reading report %s: %w", row.ID, err)
	}
	covered.Merge(t.Covered)
	set := query.SetCoverageParams{ID: row.ID, Coverage: covered.String(), State: row.State, CollectedAt: row.CollectedAt}
	first := row.CollectedAt == 0 && covered.Whole(row.Size)
	if first {
		set.CollectedAt = database.Micros(t.Ended)
		if reports.State(row.State) == reports.Published {
			set.State = string(reports.Collected)
		}
	}
	if first || set.Coverage != row.Coverage {
		if err := tx.SetCoverage(tx.Context(), set); err != nil {
			return fmt.Errorf("recording what was fetched of %s: %w", t.Report.Name, err)
		}
	}
	if !first {
		return nil
	}
	return audit.Append(tx, c.now(), audit.Entry{
		Event: "report.collected", Actor: "client:" + row.ClientID, Client: row.ClientID, Subject: row.ID,
		Detail: withDigest(map[string]string{
			"name": t.Report.Name.String(), "protocol": t.Protocol, "address": t.Address, "key": t.Fingerprint,
			"size": strconv.FormatInt(row.Size, 10), "evidence": t.Evidence,
		}, row.Sha256),
	})
}

// Receipt is a recorded transfer.
type Receipt struct {
	ID, Report                     string // Report is the id of what was read
	Client                         reports.ClientID
	Name                           string // as it was then
	SHA256                         string // of what the blob holds; "" while it is not known yet
	Protocol, Address, Fingerprint string
	Started, Ended                 time.Time
	Bytes, Size                    int64 // that went out, of so many
	Evidence                       string
}

// Whole tells that every byte went out in this one transfer.
func (r Receipt) Whole() bool { return r.Bytes == r.Size }

func receipt(row query.Receipt) (Receipt, error) {
	client, err := reports.ParseClientID(row.ClientID)
	if err != nil {
		return Receipt{}, fmt.Errorf("reading receipt %s: %w", row.ID, err)
	}
	return Receipt{
		ID: row.ID, Report: row.EntryID, Client: client, Name: row.Name, SHA256: row.Sha256,
		Protocol: row.Protocol, Address: row.Address, Fingerprint: row.Fingerprint,
		Started: database.Time(row.StartedAt), Ended: database.Time(row.EndedAt),
		Bytes: row.Bytes, Size: row.Size, Evidence: row.Evidence,
	}, nil
}

func receipts(rows []query.Receipt) ([]Receipt, error) {
	list := make([]Receipt, 0, len(rows))
	for _, row := range rows {
		r, err := receipt(row)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// Receipts returns the recorded transfers of a report, the earliest first. They
// outlive the report.
func (c *Catalog) Receipts(ctx context.Context, id string) ([]Receipt, error) {
	rows, err := c.db.Read().ListReceipts(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading the receipts of report %s: %w", id, err)
	}
	return receipts(rows)
}

// ReceiptFilter selects a client's receipts by when the transfer ended.
type ReceiptFilter struct {
	Client reports.ClientID
	// Since is the first moment, and Before the first that is too late; zero for
	// no limit.
	Since, Before time.Time
	// After is the last receipt of the page before; nil for the first page.
	After *Receipt
	Limit int
}

// ClientReceipts returns a page of a client's recorded transfers, the earliest
// first.
func (c *Catalog) ClientReceipts(ctx context.Context, f ReceiptFilter) ([]Receipt, error) {
	params := query.ListReceiptsBetweenParams{
		ClientID: f.Client.String(), Since: database.Micros(f.Since), Before: math.MaxInt64, AfterAt: -1, N: int64(f.Limit),
	}
	if !f.Before.IsZero() {
		params.Before = database.Micros(f.Before)
	}
	if f.After != nil {
		params.AfterAt, params.AfterID = database.Micros(f.After.Ended), f.After.ID
	}
	rows, err := c.db.Read().ListReceiptsBetween(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("reading the receipts of client %s: %w", f.Client, err)
	}
	return receipts(rows)
}
