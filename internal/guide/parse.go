package guide

import "strings"

// kind tells blocks apart.
type kind int

const (
	paragraph  kind = iota
	title           // "# "
	heading         // "## Text {#id}"
	subheading      // "### Text {#id}"
	bullets         // "- ", one line each
	numbered        // "1. ", one line each
	note            // "> "
	table           // "| a | b |"; the first row is the head
	code            // "```sh"
	drawing         // "```drawing name", with lines "label: text"
)

// block is a part of a document.
type block struct {
	kind  kind
	text  string   // of paragraphs, headings, notes and code
	id    string   // of headings
	info  string   // of code: its language; of drawings: their name
	items []string // of lists
	rows  [][]string
	// labels are a drawing's; "alt" says in words what is to be seen.
	labels map[string]string
}

// parse reads the Markdown that the templates make: the blocks above, a paragraph or
// list item on one line, and inline only `code`, **bold**, and a backslash before
// what is meant as it is. Whatever else it is, is a paragraph.
func parse(text string) []block {
	var doc []block
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case line == "":
		case strings.HasPrefix(line, "```"):
			var body []string
			for i++; i < len(lines) && lines[i] != "```"; i++ {
				body = append(body, lines[i])
			}
			doc = append(doc, fenced(strings.TrimPrefix(line, "```"), body))
		case strings.HasPrefix(line, "| "):
			var rows [][]string
			for ; i < len(lines) && strings.HasPrefix(lines[i], "|"); i++ {
				if !strings.HasPrefix(lines[i], "|--") {
					rows = append(rows, cells(lines[i]))
				}
			}
			i--
			doc = append(doc, block{kind: table, rows: rows})
		default:
			doc = appendLine(doc, line, i > 0 && lines[i-1] != "")
		}
	}
	return doc
}

func fenced(info string, body []string) block {
	name, ok := strings.CutPrefix(info, "drawing ")
	if !ok {
		return block{kind: code, info: info, text: strings.Join(body, "\n")}
	}
	b := block{kind: drawing, info: name, labels: map[string]string{}}
	for _, line := range body {
		if label, text, ok := strings.Cut(line, ": "); ok {
			b.labels[label] = unescape(text)
		}
	}
	return b
}

func cells(line string) []string {
	var list []string
	for c := range strings.SplitSeq(strings.Trim(line, "|"), " |") {
		list = append(list, strings.TrimSpace(c))
	}
	return list
}

// appendLine adds a line that is a block of its own, or an item of the list before it.
func appendLine(doc []block, line string, follows bool) []block {
	for _, h := range []struct {
		prefix string
		kind   kind
	}{{"# ", title}, {"## ", heading}, {"### ", subheading}, {"> ", note}} {
		if text, ok := strings.CutPrefix(line, h.prefix); ok {
			text, id, _ := strings.Cut(text, " {#")
			return append(doc, block{kind: h.kind, text: text, id: strings.TrimSuffix(id, "}")})
		}
	}
	k, item := paragraph, line
	if text, ok := strings.CutPrefix(line, "- "); ok {
		k, item = bullets, text
	} else if number, text, ok := strings.Cut(line, ". "); ok && number != "" && strings.Trim(number, "0123456789") == "" {
		k, item = numbered, text
	}
	if k == paragraph {
		return append(doc, block{kind: paragraph, text: line})
	}
	if last := len(doc) - 1; follows && last >= 0 && doc[last].kind == k {
		doc[last].items = append(doc[last].items, item)
		return doc
	}
	return append(doc, block{kind: k, items: []string{item}})
}

// span is a run of text of one style.
type span struct {
	text       string
	bold, code bool
}

// spans takes a line apart by its inline marks.
func spans(line string) []span {
	var list []span
	var now span
	flush := func() {
		if now.text != "" {
			list = append(list, now)
		}
		now.text = ""
	}
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '`':
			flush()
			now.code = !now.code
		case now.code:
			now.text += line[i : i+1]
		case line[i] == '\\' && i+1 < len(line):
			i++
			now.text += line[i : i+1]
		case strings.HasPrefix(line[i:], "**"):
			flush()
			now.bold = !now.bold
			i++
		default:
			now.text += line[i : i+1]
		}
	}
	flush()
	return list
}

// unescape is the text of a line without its marks.
func unescape(line string) string {
	var b strings.Builder
	for _, s := range spans(line) {
		b.WriteString(s.text)
	}
	return b.String()
}

// standalone is Markdown as other programs read it: in the place of each drawing what
// it shows in words, since Markdown has no drawings of its own, and before a heading
// the anchor that links to it find.
func standalone(text string) string {
	var out []string
	inDrawing := false
	for line := range strings.SplitSeq(text, "\n") {
		heading, id, named := strings.Cut(line, " {#")
		switch {
		case strings.HasPrefix(line, "```drawing "):
			inDrawing = true
		case inDrawing && line == "```":
			inDrawing = false
		case inDrawing:
			if alt, ok := strings.CutPrefix(line, "alt: "); ok {
				out = append(out, "> "+alt)
			}
		case named && strings.HasPrefix(line, "##"):
			out = append(out, `<a id="`+strings.TrimSuffix(id, "}")+`"></a>`, "", heading)
		default:
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}
