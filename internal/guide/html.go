package guide

import (
	"fmt"
	"html"
	"strings"
)

// style makes the page read well on screens and on paper. There is nothing in the
// document that a browser would have to fetch.
const style = `:root{color-scheme:light}
body{font:16px/1.6 system-ui,-apple-system,"Segoe UI","Hiragino Sans","Noto Sans CJK JP","Yu Gothic UI",Meiryo,sans-serif;color:#1f2937;max-width:46rem;margin:2rem auto;padding:0 1rem}
h1{line-height:1.25}h2{margin-top:2.5rem;border-bottom:2px solid #0b5394;padding-bottom:.2rem}h3{margin-top:1.8rem}
code,pre{font-family:ui-monospace,Consolas,"DejaVu Sans Mono",Menlo,monospace;font-size:.9em}
code{background:#eef2f7;padding:.1em .25em;overflow-wrap:anywhere}pre{background:#eef2f7;padding:.8rem 1rem;overflow-x:auto;border-left:4px solid #0b5394}
pre code{background:none;padding:0;overflow-wrap:normal}table{border-collapse:collapse;width:100%}th,td{border:1px solid #9ca3af;padding:.35rem .6rem;text-align:left;vertical-align:top}
th{background:#eef2f7}blockquote{margin:1rem 0;padding:.5rem 1rem;background:#fff3c4;border-left:4px solid #8a5a00}
figure{margin:1.5rem 0}svg{max-width:100%;height:auto}nav ol{columns:2}
@media print{body{margin:0;max-width:none}pre{white-space:pre-wrap;overflow-wrap:anywhere}h2,h3{break-after:avoid}figure,pre,tr{break-inside:avoid}}`

// htmlDocument is one page that stands alone.
func htmlDocument(doc []block, f Facts, o Options) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html lang=%q>\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n", o.Language)
	for _, part := range doc {
		if part.kind == title {
			fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(unescape(part.text)))
		}
	}
	fmt.Fprintf(&b, "<style>%s</style>\n</head>\n<body>\n", style)
	figures := 0
	for _, part := range doc {
		if part.kind == drawing {
			figures++
		}
		htmlBlock(&b, part, f, figures)
		if part.kind == title {
			htmlContents(&b, doc)
		}
	}
	b.WriteString("</body>\n</html>\n")
	return []byte(b.String())
}

func htmlContents(b *strings.Builder, doc []block) {
	b.WriteString("<nav><ol>\n")
	for _, part := range doc {
		if part.kind == heading {
			fmt.Fprintf(b, "<li><a href=\"#%s\">%s</a></li>\n", part.id, inline(part.text))
		}
	}
	b.WriteString("</ol></nav>\n")
}

func htmlBlock(b *strings.Builder, part block, f Facts, figure int) {
	switch part.kind {
	case paragraph:
		fmt.Fprintf(b, "<p>%s</p>\n", inline(part.text))
	case title:
		fmt.Fprintf(b, "<h1>%s</h1>\n", inline(part.text))
	case heading:
		fmt.Fprintf(b, "<h2 id=%q>%s</h2>\n", part.id, inline(part.text))
	case subheading:
		fmt.Fprintf(b, "<h3 id=%q>%s</h3>\n", part.id, inline(part.text))
	case note:
		fmt.Fprintf(b, "<blockquote>%s</blockquote>\n", inline(part.text))
	case bullets:
		htmlList(b, "ul", part.items)
	case numbered:
		htmlList(b, "ol", part.items)
	case code:
		fmt.Fprintf(b, "<pre><code class=\"language-%s\">%s</code></pre>\n", part.info, html.EscapeString(part.text))
	case table:
		htmlTable(b, part.rows)
	case drawing:
		fmt.Fprintf(b, "<figure>%s</figure>\n", draw(part, f).svg(part.labels["alt"], figure))
	}
}

func htmlList(b *strings.Builder, tag string, items []string) {
	fmt.Fprintf(b, "<%s>\n", tag)
	for _, item := range items {
		fmt.Fprintf(b, "<li>%s</li>\n", inline(item))
	}
	fmt.Fprintf(b, "</%s>\n", tag)
}

func htmlTable(b *strings.Builder, rows [][]string) {
	b.WriteString("<table>\n")
	for i, row := range rows {
		tag := "td"
		if i == 0 {
			tag = "th"
		}
		b.WriteString("<tr>")
		for _, c := range row {
			fmt.Fprintf(b, "<%s>%s</%s>", tag, inline(c), tag)
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table>\n")
}

func inline(line string) string {
	var b strings.Builder
	for _, s := range spans(line) {
		text := html.EscapeString(s.text)
		switch {
		case s.code:
			text = "<code>" + text + "</code>"
		case s.bold:
			text = "<strong>" + text + "</strong>"
		}
		b.WriteString(text)
	}
	return b.String()
}
