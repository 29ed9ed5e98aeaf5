package guide

import "strings"

// leastCode is the smallest size of commands that can be read, in points.
const leastCode = 5.0

// leastPicture is how small a drawing may get, in parts of its usual size.
const leastPicture = 0.7

// needed is the height that must be left on a page for the first of the blocks to begin
// there: a heading stays with what it is the heading of, commands stay together and with
// the words before them.
func needed(doc []block, f Facts) float64 {
	if len(doc) == 0 {
		return 0
	}
	height := 0.0
	switch b := doc[0]; b.kind {
	case title, heading, subheading:
		size := headSize(b.kind)
		height = size*0.7 + linesHeight(b.text, size, textWidth, bold) + gap + needed(doc[1:], f)
	case paragraph:
		height = linesHeight(b.text, textSize, textWidth, plain) + after(doc, f)
	case note:
		height = noteHeight(b.text)
	case bullets, numbered:
		height = itemHeight(b.items[0])
		if len(b.items) == 1 {
			height += after(doc, f)
		}
	case code:
		lines, size := codeLines(b)
		if height = float64(len(lines)) * size * 1.5; height > pageTop-margin {
			height = 4 * size * 1.5 // it can't be kept together
		}
	case table:
		for i := range min(2, len(b.rows)) {
			row, _ := rowHeight(b.rows[i], i == 0)
			height += row
		}
	case drawing:
		d := draw(b, f)
		height = d.height*pictureScale(d)*leastPicture + 10
	}
	return height
}

// after is the height of what must stay on one page with the end of the first block:
// commands that it introduces.
func after(doc []block, f Facts) float64 {
	if len(doc) < 2 || doc[1].kind != code {
		return 0
	}
	return gap + needed(doc[1:], f)
}

func headSize(k kind) float64 {
	switch k {
	case title:
		return 20
	case heading:
		return 15
	}
	return 12
}

func linesHeight(text string, size, limit float64, f face) float64 {
	return float64(len(wrap(spans(text), size, limit, f))) * size * 1.4
}

func noteHeight(text string) float64 { return linesHeight(text, textSize, textWidth-20, plain) + 10 }

func itemHeight(item string) float64 { return linesHeight(item, textSize, textWidth-24, plain) + 2 }

// rowHeight is the height of a table's row, and the widths of its cells: two columns, or
// as many of one width.
func rowHeight(row []string, head bool) (float64, []float64) {
	f := plain
	if head {
		f = bold
	}
	widths := []float64{150, textWidth - 150}
	if len(row) != 2 {
		widths = nil
		for range row {
			widths = append(widths, textWidth/float64(len(row)))
		}
	}
	height := 0.0
	for k, cell := range row {
		height = max(height, linesHeight(cell, textSize-1, widths[k]-10, f))
	}
	return height + 6, widths
}

func pictureScale(d picture) float64 { return textWidth / max(d.width, 640) }

// codeLines are the lines of commands as they are printed, and the size of their letters:
// smaller than usual if the longest does not fit otherwise. Who copies commands from a page
// gets what is a line there as a line, so none is broken but in a way that the shell takes
// for one: by a backslash at its end. That holds in here-documents, too, as long as the
// word after << is not quoted.
func codeLines(b block) ([]string, float64) {
	const limit = textWidth - 20
	lines := strings.Split(b.text, "\n")
	size := codeSize
	for _, line := range lines {
		if w := width(line, 1, mono); w*size > limit {
			size = limit / w
		}
	}
	if size >= leastCode || b.info != "sh" {
		return lines, size
	}
	var broken []string
	for _, line := range lines {
		now, used := "", 0.0
		for _, r := range line {
			w := advance(r, mono) * leastCode / 1000
			if used+2*w > limit {
				broken = append(broken, now+`\`)
				now, used = "", 0
			}
			now += string(r)
			used += w
		}
		broken = append(broken, now)
	}
	return broken, leastCode
}
