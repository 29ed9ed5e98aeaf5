package guide

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
)

// A page is A4, in points, measured from its lower left corner.
const (
	pageWidth  = 595.0
	pageHeight = 842.0
	margin     = 56.0
	pageTop    = pageHeight - margin
	textWidth  = pageWidth - 2*margin
	textSize   = 10.5
	codeSize   = 8.5
	gap        = 6.0 // between blocks
)

// pages sets blocks on pages.
type pages struct {
	done [][]byte
	now  bytes.Buffer
	y    float64 // where the next line's top is
}

// pdfDocument sets the guide with the fonts that readers have: Helvetica and Courier,
// and for what these lack one of the Japanese fonts that ISO 32000-1 section 9.7.5.2
// names the encoding of. Nothing is embedded: the document stays small, and shows a
// client's name in whatever characters it is written.
func pdfDocument(doc []block, f Facts, o Options) []byte {
	p := &pages{y: pageTop}
	name := ""
	for i, b := range doc {
		if b.kind == title {
			name = unescape(b.text)
		}
		p.room(needed(doc[i:], f))
		p.block(b, after(doc[i:], f), f)
		if i+1 < len(doc) {
			p.y -= gap
		}
	}
	p.end()
	return p.file(name, o.Language)
}

// block sets a block. Its end stays on one page with as much of what follows as next is
// high.
func (p *pages) block(b block, next float64, f Facts) {
	switch b.kind {
	case title, heading, subheading:
		size := headSize(b.kind)
		p.y -= size * 0.7
		p.text(spans(b.text), size, bold, margin, textWidth)
	case paragraph:
		p.text(spans(b.text), textSize, plain, margin, textWidth)
	case note:
		p.note(b.text)
	case bullets, numbered:
		p.list(b, next)
	case code:
		p.code(b)
	case table:
		p.table(b.rows)
	case drawing:
		p.picture(draw(b, f))
	}
}

// room begins a new page unless there is the height for what comes, or the page is new.
func (p *pages) room(height float64) {
	if p.y-height < margin && p.y < pageTop {
		p.end()
	}
}

func (p *pages) end() {
	p.done = append(p.done, bytes.Clone(p.now.Bytes()))
	p.now.Reset()
	p.y = pageTop
}

// text sets a line in as many as it takes.
func (p *pages) text(line []span, size float64, f face, x, limit float64) {
	for _, l := range wrap(line, size, limit, f) {
		p.room(size * 1.4)
		p.y -= size * 1.4
		at := x
		for _, s := range l {
			at += p.show(s.text, at, p.y+size*0.3, size, faceOf(s, f), ink)
		}
	}
}

func (p *pages) note(text string) {
	height := noteHeight(text)
	p.room(height)
	p.rectangle(margin, p.y-height, textWidth, height, yellow, "")
	p.y -= 5
	p.text(spans(text), textSize, plain, margin+10, textWidth-20)
	p.y -= 5
}

// list sets its items, the last of them on one page with what follows.
func (p *pages) list(b block, next float64) {
	for i, item := range b.items {
		mark := "•"
		if b.kind == numbered {
			mark = strconv.Itoa(i+1) + "."
		}
		height := itemHeight(item)
		if i+1 == len(b.items) {
			height += next
		}
		p.room(height)
		p.show(mark, margin+4, p.y-textSize*1.1, textSize, plain, ink)
		p.text(spans(item), textSize, plain, margin+24, textWidth-24)
		p.y -= 2
	}
}

func (p *pages) code(b block) {
	lines, size := codeLines(b)
	for _, line := range lines {
		height := size * 1.5
		p.room(height)
		p.rectangle(margin, p.y-height, textWidth, height, pale, "")
		p.y -= height
		p.show(line, margin+10, p.y+size*0.4, size, mono, ink)
	}
}

// table sets its rows, and the first of them again on each page.
func (p *pages) table(rows [][]string) {
	for i, row := range rows {
		if height, _ := rowHeight(row, i == 0); i > 0 && p.y-height < margin {
			p.end()
			p.row(rows[0], true)
		}
		p.row(row, i == 0)
	}
}

func (p *pages) row(row []string, head bool) {
	f := plain
	if head {
		f = bold
	}
	height, widths := rowHeight(row, head)
	top, x := p.y, margin
	for k, cell := range row {
		p.rectangle(x, top-height, widths[k], height, "", ink)
		p.y = top - 2
		p.text(spans(cell), textSize-1, f, x+5, widths[k]-10)
		x += widths[k]
	}
	p.y = top - height
}

// picture sets a drawing, smaller than usual if it would need a new page otherwise.
func (p *pages) picture(d picture) {
	scale := pictureScale(d)
	if there := p.y - margin - 10; d.height*scale > there && d.height*scale*leastPicture <= there {
		scale = there / d.height
	}
	top, left := p.y-5, margin+(pictureScale(d)-scale)*d.width/2
	for _, s := range d.shapes {
		x, y := left+s.x*scale, top-s.y*scale
		switch s.form {
		case formBox:
			if s.round {
				p.circle(x+s.w*scale/2, y-s.h*scale/2, s.w*scale/2, s.fill)
			} else {
				p.rectangle(x, y-s.h*scale, s.w*scale, s.h*scale, s.fill, ink)
			}
		case formLine:
			p.line(x, y, s.w*scale)
		case formText:
			if s.centred {
				x -= width(s.text, s.size*scale, s.face) / 2
			}
			colour := ink
			if s.fill != "" {
				colour = s.fill
			}
			p.show(s.text, x, y, s.size*scale, s.face, colour)
		}
	}
	p.y = top - d.height*scale - 5
}

func (p *pages) rectangle(x, y, w, h float64, fill, stroke string) {
	switch {
	case fill != "" && stroke != "":
		fmt.Fprintf(&p.now, "%s rg %s RG %.2f %.2f %.2f %.2f re B\n", colour(fill), colour(stroke), x, y, w, h)
	case fill != "":
		fmt.Fprintf(&p.now, "%s rg %.2f %.2f %.2f %.2f re f\n", colour(fill), x, y, w, h)
	default:
		fmt.Fprintf(&p.now, "%s RG 0.5 w %.2f %.2f %.2f %.2f re S\n", colour(stroke), x, y, w, h)
	}
}

// circle is four Bézier curves.
func (p *pages) circle(x, y, r float64, fill string) {
	k := r * 0.5523
	fmt.Fprintf(&p.now, "%s rg %.2f %.2f m %.2f %.2f %.2f %.2f %.2f %.2f c %.2f %.2f %.2f %.2f %.2f %.2f c %.2f %.2f %.2f %.2f %.2f %.2f c %.2f %.2f %.2f %.2f %.2f %.2f c f\n",
		colour(fill), x+r, y, x+r, y+k, x+k, y+r, x, y+r, x-k, y+r, x-r, y+k, x-r, y, x-r, y-k, x-k, y-r, x, y-r, x+k, y-r, x+r, y-k, x+r, y)
}

// line is a level arrow.
func (p *pages) line(x, y, w float64) {
	back := -7.0
	if w < 0 {
		back = 7
	}
	fmt.Fprintf(&p.now, "%s RG 1.2 w %.2f %.2f m %.2f %.2f l %.2f %.2f m %.2f %.2f l %.2f %.2f l S\n",
		colour(ink), x, y, x+w, y, x+w+back, y+4, x+w, y, x+w+back, y-4)
}

// colour writes "#rrggbb" as the numbers of a PDF.
func colour(hex string) string {
	n, _ := strconv.ParseUint(hex[1:], 16, 32)
	return fmt.Sprintf("%.3f %.3f %.3f", float64(n>>16)/255, float64(n>>8&255)/255, float64(n&255)/255)
}

// show sets text at a place and returns its width. Characters that the face lacks are
// set in the Japanese font.
func (p *pages) show(text string, x, y, size float64, f face, ink string) float64 {
	start := x
	var run []rune
	narrow := true
	flush := func() {
		if len(run) == 0 {
			return
		}
		fmt.Fprintf(&p.now, "BT %s rg /%s %.2f Tf %.2f %.2f Td %s Tj ET\n", colour(ink), fontName(f, narrow), size, x, y, encode(run, narrow))
		x += width(string(run), size, f)
		run = run[:0]
	}
	for _, r := range text {
		_, has := charmap.Windows1252.EncodeRune(r)
		if has != narrow {
			flush()
			narrow = has
		}
		run = append(run, r)
	}
	flush()
	return x - start
}

func fontName(f face, narrow bool) string {
	if !narrow {
		return "J"
	}
	return [...]string{plain: "P", bold: "B", mono: "M"}[f]
}

// encode writes text as a PDF's string in hexadecimal: in the standard fonts' encoding,
// or as UTF-16 for the Japanese font.
func encode(text []rune, narrow bool) string {
	var b strings.Builder
	b.WriteByte('<')
	if narrow {
		for _, r := range text {
			c, _ := charmap.Windows1252.EncodeRune(r)
			fmt.Fprintf(&b, "%02X", c)
		}
	} else {
		for _, u := range utf16.Encode(text) {
			fmt.Fprintf(&b, "%04X", u)
		}
	}
	return b.String() + ">"
}
