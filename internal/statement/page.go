package statement

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// tenths is a length in tenths of a point. Whole numbers, since floating point
// may round differently on another kind of machine.
type tenths int

// A page of a PDF, measured from its lower left corner. It has a heading, a
// line for the columns' titles of a table that goes on from the page before,
// pageLines lines, and a footing.
const (
	pageLines = 56

	pageWidth  tenths = 5950
	pageHeight tenths = 8420
	margin     tenths = 350
	topLine    tenths = 7780 // baseline of the first line
	pitch      tenths = 130  // from one baseline to the next
	textSize   tenths = 75
	titleSize  tenths = 110
	gutter     tenths = 60 // between a number and the column to its right

	// keep is how many lines of a table stay together where it begins: its
	// title, the columns' titles and a row.
	keep = 3
	// clipAt is the longest text that is shown, in characters.
	clipAt = 72
)

// Fonts, by the names that a page's resources give them.
const (
	plainFont byte = 'P'
	boldFont  byte = 'B'
	titleFont byte = 'T' // the bold one again, in its own size
)

func fontSize(font byte) tenths {
	if font == titleFont {
		return titleSize
	}
	return textSize
}

// startLine is the line at which a table begins, when the one before it ended
// before the given line: there, or at the top of the next page.
func startLine(line int) int {
	if left := pageLines - line%pageLines; left < keep {
		return line + left
	}
	return line
}

// countPages is the number of pages that the tables take.
func countPages(tables []table) int {
	line := 0
	for _, t := range tables {
		line = startLine(line) + 2 + t.count + 1
	}
	// The last line is the space below the last table, and needs no page.
	return (line - 1 + pageLines - 1) / pageLines
}

// layout turns tables into pages, one page at a time.
type layout struct {
	doc     *document
	heading string
	line    int    // lines so far, over all pages
	content []byte // of the page that is being filled; empty before its first line
	font    byte   // that the content has chosen last
}

// writePages writes all pages of the document.
func writePages(d *document, o Options, tables []table) error {
	p := &layout{
		doc:     d,
		heading: o.Date.Format(time.DateOnly) + "   " + o.Account + "   " + o.Client,
	}
	for _, t := range tables {
		if err := p.table(t); err != nil {
			return err
		}
	}
	return p.flush()
}

func (p *layout) table(t table) error {
	for start := startLine(p.line); p.line < start; {
		if err := p.advance(); err != nil {
			return err
		}
	}
	p.begin()
	p.show(titleFont, margin, p.baseline(), []byte(t.title))
	if err := p.advance(); err != nil {
		return err
	}
	p.begin()
	p.titles(t, p.baseline())
	if err := p.advance(); err != nil {
		return err
	}
	err := t.each(func(r *row) error {
		if p.begin() {
			p.titles(t, topLine+pitch)
		}
		p.row(t, r)
		return p.advance()
	})
	if err != nil {
		return err
	}
	return p.advance()
}

// begin starts the page of the current line unless it has been, and reports
// whether it did.
func (p *layout) begin() bool {
	if len(p.content) > 0 {
		return false
	}
	y := topLine + 5*pitch/2
	p.content, p.font = append(p.content, "BT\n"...), 0
	p.show(titleFont, margin, y, []byte(brokerName))
	p.show(plainFont, margin+2000, y, []byte(p.heading))
	foot := "Page " + strconv.Itoa(p.line/pageLines+1) + " of " + strconv.Itoa(p.doc.shape.pages)
	p.show(plainFont, margin, topLine-pageLines*pitch-pitch/2, []byte(foot))
	return true
}

// advance goes to the next line, and writes the page when that was its last.
func (p *layout) advance() error {
	p.line++
	if p.line%pageLines == 0 {
		return p.flush()
	}
	return nil
}

// flush writes the page that is being filled, if there is one.
func (p *layout) flush() error {
	if len(p.content) == 0 {
		return nil
	}
	p.content = append(p.content, "ET"...)
	number := (p.line - 1) / pageLines
	err := p.doc.writePage(number, p.content)
	p.content = p.content[:0]
	return err
}

func (p *layout) baseline() tenths {
	return topLine - tenths(p.line%pageLines)*pitch
}

func (p *layout) titles(t table, y tenths) {
	x := margin
	for _, c := range t.columns {
		p.cell(c, boldFont, x, y, []byte(c.title))
		x += c.width
	}
}

func (p *layout) row(t table, r *row) {
	font := plainFont
	if r.total {
		font = boldFont
	}
	x, y := margin, p.baseline()
	for i, cell := range r.cells() {
		p.cell(t.columns[i], font, x, y, cell)
		x += t.columns[i].width
	}
}

func (p *layout) cell(c column, font byte, x, y tenths, text []byte) {
	if c.width == 0 || len(text) == 0 {
		return
	}
	if c.number {
		x += c.width - gutter - textWidth(text)
	}
	p.show(font, x, y, text)
}

// show sets a text at a place (ISO 32000-1 section 9.4).
func (p *layout) show(font byte, x, y tenths, text []byte) {
	b := p.content
	if font != p.font {
		p.font = font
		b = append(b, '/', font, ' ')
		b = appendTenths(b, fontSize(font))
		b = append(b, " Tf\n"...)
	}
	b = appendTenths(append(b, "1 0 0 1 "...), x)
	b = appendTenths(append(b, ' '), y)
	b = appendPDFText(append(b, " Tm ("...), text)
	p.content = append(b, ") Tj\n"...)
}

func appendTenths(b []byte, t tenths) []byte {
	b = strconv.AppendInt(b, int64(t)/10, 10)
	return append(b, '.', byte('0'+t%10))
}

// textWidth is the width of a number by Helvetica's own metrics, which are in
// thousandths of the font's size. A letter, which only a column's title has,
// counts as one of average width.
func textWidth(text []byte) tenths {
	var width tenths
	for _, c := range text {
		switch c {
		case '.', ',', ' ', '/':
			width += 278
		case '-':
			width += 333
		default:
			width += 556
		}
	}
	return width * textSize / 1000
}

// appendPDFText writes text as the inside of a literal string in
// WinAnsiEncoding (ISO 32000-1 section 7.3.4.2 and annex D). A text that would
// run off the page is cut short.
func appendPDFText(b, text []byte) []byte {
	for shown := 0; len(text) > 0; shown++ {
		if shown == clipAt {
			return append(b, "..."...)
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		switch {
		case r == '(' || r == ')' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= 0x20 && r < 0x7f, r >= 0xa0 && r <= 0xff:
			b = append(b, byte(r))
		default:
			b = append(b, '?')
		}
	}
	return b
}
