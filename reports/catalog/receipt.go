package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
func (c *Catalog) Collect(ctx context.Context, t Transfer) error {
	return c.write(ctx, func(tx *database.Tx) error {
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
		err = tx.InsertReceipt(tx.Context(), query.InsertReceiptParams{
			ID: id.New(), EntryID: t.Report.ID, ClientID: t.Report.Client.String(), Name: t.Report.Name.String(),
			Sha256: digest, Protocol: t.Protocol, Address: t.Address, Fingerprint: t.Fingerprint,
			StartedAt: database.Micros(t.Started), EndedAt: database.Micros(t.Ended),
			Bytes: t.Covered.Bytes(), Size: t.Report.Size, Evidence: t.Evidence,
		})
		if err != nil {
			return fmt.Errorf("writing the receipt of %s: %w", t.Report.Name, err)
		}
		return nil
	})
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
	if err := tx.SetCoverage(tx.Context(), set); err != nil {
		return fmt.Errorf("recording what was fetched of %s: %w", t.Report.Name, err)
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
	Protocol, Address, Fingerprint string
	Started, Ended                 time.Time
	Bytes                          int64
	Evidence                       string
}

// Receipts returns the recorded transfers of a report, the earliest first.
func (c *Catalog) Receipts(ctx context.Context, r reports.Report) ([]Receipt, error) {
	rows, err := c.db.Read().ListReceipts(ctx, r.ID)
	if err != nil {
		return nil, fmt.Errorf("reading the receipts of report %s: %w", r.ID, err)
	}
	list := make([]Receipt, 0, len(rows))
	for _, row := range rows {
		list = append(list, Receipt{
			Protocol: row.Protocol, Address: row.Address, Fingerprint: row.Fingerprint,
			Started: database.Time(row.StartedAt), Ended: database.Time(row.EndedAt), Bytes: row.Bytes, Evidence: row.Evidence,
		})
	}
	return list, nil
}
