package statement

import (
	"iter"
	"strconv"
)

// column is one column of a table, in all three formats.
type column struct {
	title     string // heading in CSV and PDF
	attribute string // name in XML
	width     tenths // in a PDF; 0 leaves the column out
	number    bool   // set flush right in a PDF
}

// table is one section of a statement. Its rows are made while they are
// written: one that is passed to emit is valid until emit returns.
type table struct {
	title   string // heading in CSV and PDF
	element string // name of the section in XML
	item    string // name of a row in XML
	columns []column
	count   int // number of rows
	each    func(emit func(*row) error) error
}

// row is one line of a table. Its cells lie end to end in one buffer, which is
// used again for the next row, so that a row costs no allocation.
type row struct {
	total bool // sums up the rows above it
	data  []byte
	ends  []int // of each cell in data
}

func (r *row) reset() {
	r.total, r.data, r.ends = false, r.data[:0], r.ends[:0]
}

func (r *row) end() { r.ends = append(r.ends, len(r.data)) }

func (r *row) text(s string) {
	r.data = append(r.data, s...)
	r.end()
}

func (r *row) amount(c cents) {
	r.data = appendCents(r.data, c)
	r.end()
}

func (r *row) price(p price) {
	r.data = appendPrice(r.data, p)
	r.end()
}

func (r *row) integer(n int64) {
	r.data = strconv.AppendInt(r.data, n, 10)
	r.end()
}

// moment adds a cell like "2006-01-02, 15:04:05": with a comma, as the programs
// that read such statements have learned to expect.
func (r *row) moment(day string, second int) {
	r.data = append(append(r.data, day...), ", "...)
	r.data = appendTwo(r.data, second/3600)
	r.data = appendTwo(append(r.data, ':'), second/60%60)
	r.data = appendTwo(append(r.data, ':'), second%60)
	r.end()
}

// cells yields the cells in the order of the table's columns.
func (r *row) cells() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		start := 0
		for i, end := range r.ends {
			if !yield(i, r.data[start:end]) {
				return
			}
			start = end
		}
	}
}

func appendTwo(b []byte, n int) []byte {
	return append(b, byte('0'+n/10), byte('0'+n%10))
}

func appendCents(b []byte, c cents) []byte {
	if c < 0 {
		b, c = append(b, '-'), -c
	}
	b = strconv.AppendInt(b, int64(c)/100, 10)
	return appendTwo(append(b, '.'), int(c%100))
}

// appendPrice writes a price, which is never negative, with its four decimals.
func appendPrice(b []byte, p price) []byte {
	b = strconv.AppendInt(b, int64(p)/10_000, 10)
	b = appendTwo(append(b, '.'), int(p/100%100))
	return appendTwo(b, int(p%100))
}

// fixed is the each function of a table whose few rows are all known.
func fixed(fills []func(*row)) func(emit func(*row) error) error {
	return func(emit func(*row) error) error {
		var r row
		for _, fill := range fills {
			r.reset()
			fill(&r)
			if err := emit(&r); err != nil {
				return err
			}
		}
		return nil
	}
}
