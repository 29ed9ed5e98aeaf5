// Package statement makes up broker statements: the kind of report that the
// gateway exists to deliver, for the demonstration and for tests that need one
// of a realistic shape and of any size.
//
// Start with [CSV], [XML] or [PDF]. Each writes one activity statement (account,
// net asset value, trades, cash report, open positions, fees, dividends) of an
// account that never existed, with a broker and with securities that don't
// either. The three formats hold the same figures for the same [Options].
//
// What it promises:
//
//   - The same Options give the same bytes, on every machine.
//   - Memory stays the same however long the statement is; a statement of
//     several gigabytes is written as it is made up.
//   - The figures add up: the cash report explains the cash in the net asset
//     value, the trades explain the positions, and each trade's realized
//     profit is its proceeds, commission and basis together. A reader that
//     checks a statement after delivery can hold it to its own totals.
//   - The output is well-formed: RFC 4180 CSV with a varying number of fields,
//     XML 1.0, and PDF 1.4 with a correct cross-reference table.
//
// To keep the first promise and the third, all amounts are integers, and the
// trades are run through twice: once for the totals that stand above them, and
// once for the rows.
//
// What it refuses: a statement without a date (there is no clock here, for the
// sake of the first promise), a negative number of rows, and a PDF too long for
// the ten digits that its cross-reference table has for an offset.
package statement

import (
	"errors"
	"fmt"
	"time"
)

// Options say whose statement it is, and how much there is to state.
type Options struct {
	// Seed chooses the prices, trades and balances.
	Seed uint64
	// Account is the account's number. Empty: one is made from Seed.
	Account string
	// Client is the name of the account's holder, in any script; a PDF can show
	// the Latin letters of Windows-1252's common part, and writes ? for others.
	Client string
	// Date is the last day of the period. The period begins with the month.
	// Only year, month and day count, in the location that Date carries.
	Date time.Time
	// Rows is the number of trades. Everything else in a statement has a size
	// that depends little on it, so Rows sets the size of the whole.
	Rows int
}

// The number of bytes that a trade adds to a statement, about: divide a wanted
// size by it to get the Rows for that size.
const (
	CSVRowSize = 95
	XMLRowSize = 217
	PDFRowSize = pageBlock / pageLines
)

var (
	errNoDate       = errors.New("a statement needs a date")
	errNegativeRows = errors.New("a statement can't have fewer than zero rows")
)

// check refuses what no statement can be made of, and fills in the account.
func (o Options) check() (Options, error) {
	if o.Date.IsZero() {
		return o, errNoDate
	}
	if o.Rows < 0 {
		return o, fmt.Errorf("%w: %d", errNegativeRows, o.Rows)
	}
	if o.Account == "" {
		o.Account = fmt.Sprintf("U%07d", o.Seed%10_000_000)
	}
	return o, nil
}
