package guide

import (
	"fmt"
	"html"
	"strings"
)

// A picture is drawn once, of a few shapes, and then written as SVG or into a PDF.
// Its unit is a pixel, and its y grows downwards.
type picture struct {
	width, height float64
	shapes        []shape
}

// shape is a box, a line or a text; what it has no need of is zero.
type shape struct {
	form       form
	x, y, w, h float64 // of a line: from x, y by w, h
	fill       string  // of a box, "#rrggbb"
	text       string
	size       float64
	face       face
	centred    bool
	round      bool // of a box: a circle
	arrow      bool // of a line
}

type form int

const (
	formBox form = iota
	formLine
	formText
)

// The colours: dark ink on light ground, in any order of printing.
const (
	ink    = "#1f2937"
	white  = "#ffffff"
	pale   = "#eef2f7"
	yellow = "#fff3c4"
	blue   = "#0b5394"
)

// labelSize is the height of a drawing's letters.
const labelSize = 14.0

func (p *picture) box(x, y, w, h float64, fill string) {
	p.shapes = append(p.shapes, shape{form: formBox, x: x, y: y, w: w, h: h, fill: fill})
}

func (p *picture) arrow(x, y, w, h float64) {
	p.shapes = append(p.shapes, shape{form: formLine, x: x, y: y, w: w, h: h, arrow: true})
}

// label sets text in lines no wider than width, the first of them at y, and returns
// where the next would be.
func (p *picture) label(x, y, width float64, text string, f face, centred bool) float64 {
	for _, line := range wrap([]span{{text: text}}, labelSize, width, f) {
		var b strings.Builder
		for _, s := range line {
			b.WriteString(s.text)
		}
		p.shapes = append(p.shapes, shape{form: formText, x: x, y: y, text: b.String(), size: labelSize, face: f, centred: centred})
		y += 19
	}
	return y
}

// number is a callout: the step that speaks of what is beside it.
func (p *picture) number(x, y float64, n int) {
	p.shapes = append(p.shapes,
		shape{form: formBox, x: x - 11, y: y - 11, w: 22, h: 22, fill: blue, round: true},
		shape{form: formText, x: x, y: y + 5, text: fmt.Sprint(n), size: 14, face: bold, centred: true, fill: white})
}

// titled is a box with a heading in it and a text below.
func (p *picture) titled(x, y, w, h float64, fill, head, text string) {
	p.box(x, y, w, h, fill)
	next := p.label(x+w/2, y+24, w-16, head, bold, true)
	p.label(x+w/2, next+4, w-16, text, plain, true)
}

// draw makes the picture of a block.
func draw(b block, f Facts) picture {
	switch b.info {
	case "flow":
		return drawFlow(b.labels, f)
	case "firewall":
		return drawFirewall(b.labels, f)
	case "puttygen":
		return drawForm(b.labels, []row{
			{"type", "RSA", 1}, {"bits", "4096", 1}, {"passphrase", "••••••••••••", 3}, {"confirm", "••••••••••••", 3},
		}, []button{{"generate", 2}, {"public", 4}, {"private", 5}})
	case "filezilla":
		return drawForm(b.labels, []row{
			{"protocol", "SFTP - SSH File Transfer Protocol", 1},
			{"host", f.Host, 2},
			{"port", f.SFTPPort, 3},
			{"logon", b.labels["keyfile"], 4},
			{"user", f.Client, 5},
			{"file", b.labels["path"], 6},
		}, []button{{"connect", 7}})
	}
	return picture{width: 1, height: 1}
}

// drawFlow shows who has which half, and what goes where.
func drawFlow(l map[string]string, f Facts) picture {
	p := picture{width: 720, height: 300}
	p.titled(10, 10, 220, 280, pale, l["you"], l["keys"])
	p.titled(490, 10, 220, 280, pale, l["gateway"], f.Host)
	for i, step := range []struct {
		label string
		y     float64
		back  bool
	}{{"send", 78, false}, {"fetch", 178, true}} {
		p.number(260, step.y-28, 1+2*i)
		p.label(280, step.y-24, 200, l[step.label], plain, false)
		if step.back {
			p.arrow(485, step.y+24, -250, 0)
		} else {
			p.arrow(235, step.y+24, 250, 0)
		}
	}
	p.box(500, 130, 200, 96, yellow)
	p.number(500, 130, 2)
	p.label(600, 156, 176, l["seal"], plain, true)
	p.box(20, 200, 200, 80, yellow)
	p.number(20, 200, 4)
	p.label(120, 226, 176, l["decrypt"], plain, true)
	return p
}

// drawFirewall shows which connections the client's firewall lets out.
func drawFirewall(l map[string]string, f Facts) picture {
	lines := []string{fmt.Sprintf("TCP %s: %s", f.SFTPPort, l["sftp"])}
	if f.FTP.Port != "" && f.FTP.Enabled() {
		lines = append(lines, fmt.Sprintf("TCP %s: %s", f.FTP.Port, l["ftp"]))
	}
	if f.FTP.ImplicitPort != "" && f.FTP.TLS {
		lines = append(lines, fmt.Sprintf("TCP %s: %s", f.FTP.ImplicitPort, l["implicit"]))
	}
	if f.FTP.Enabled() {
		passive := f.FTP.Passive
		if passive == "" {
			passive = "1024-65535"
		}
		lines = append(lines, fmt.Sprintf("TCP %s: %s", passive, l["data"]))
	}
	height := 70 + 58*float64(len(lines))
	p := picture{width: 720, height: height}
	p.titled(10, 10, 120, height-20, pale, l["you"], "")
	p.titled(550, 10, 160, height-20, pale, l["gateway"], f.Host)
	p.box(490, 10, 16, height-20, yellow)
	p.label(410, 30, 150, l["firewall"], bold, true)
	for i, line := range lines {
		y := 84 + 58*float64(i)
		p.label(142, y-10, 345, line, plain, false)
		p.arrow(135, y, 410, 0)
	}
	return p
}

// row is a field of a window: the name of its label, what to fill in, the step.
type row struct {
	label, value string
	step         int
}

type button struct {
	label string
	step  int
}

// drawForm is a window of a program, with the fields to fill in and no others.
func drawForm(l map[string]string, rows []row, buttons []button) picture {
	height := 60 + 46*float64(len(rows)) + 60
	p := picture{width: 640, height: height}
	p.box(6, 6, 628, height-12, white)
	p.box(6, 6, 628, 34, pale)
	p.label(20, 28, 600, l["window"], bold, false)
	y := 60.0
	for _, r := range rows {
		top := y + 21
		if width(l[r.label], labelSize, plain) > 205 {
			top = y + 12 // two lines
		}
		p.label(40, top, 205, l[r.label], plain, false)
		p.box(250, y, 360, 32, yellow)
		p.label(262, y+21, 340, r.value, mono, false)
		p.number(24, y+16, r.step)
		y += 46
	}
	width := 590 / float64(len(buttons))
	for i, b := range buttons {
		x := 24 + width*float64(i)
		p.box(x+10, y+4, width-20, 34, pale)
		p.label(x+width/2, y+26, width-50, l[b.label], bold, true)
		p.number(x+10, y+21, b.step)
	}
	return p
}

// svg writes the picture with its words for who can't see it.
func (p picture) svg(alt string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img" aria-labelledby="figure-%d">`, p.width, p.height, p.width, p.height, n)
	fmt.Fprintf(&b, "<title id=\"figure-%d\">%s</title>\n", n, html.EscapeString(alt))
	for _, s := range p.shapes {
		switch s.form {
		case formBox:
			radius := 5.0
			if s.round {
				radius = s.w / 2
			}
			fmt.Fprintf(&b, "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" rx=\"%g\" fill=\"%s\" stroke=\"%s\"/>\n", s.x, s.y, s.w, s.h, radius, s.fill, ink)
		case formLine:
			fmt.Fprintf(&b, "<path d=\"M%g %gl%g %g%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", s.x, s.y, s.w, s.h, svgHead(s), ink)
		case formText:
			svgText(&b, s)
		}
	}
	b.WriteString("</svg>")
	return b.String()
}

// svgHead is the head of a level arrow, drawn from its tip.
func svgHead(s shape) string {
	back := -10.0
	if s.w < 0 {
		back = 10
	}
	return fmt.Sprintf("m%g -6l%g 6l%g 6", back, -back, back)
}

func svgText(b *strings.Builder, s shape) {
	fill, family, more := ink, "system-ui,sans-serif", ""
	if s.fill != "" {
		fill = s.fill
	}
	if s.face == bold {
		more = ` font-weight="bold"`
	}
	if s.face == mono {
		family = "ui-monospace,Consolas,monospace"
	}
	if s.centred {
		more += ` text-anchor="middle"`
	}
	fmt.Fprintf(b, "<text x=\"%g\" y=\"%g\" font-size=\"%g\" font-family=\"%s\" fill=\"%s\"%s>%s</text>\n", s.x, s.y, s.size, family, fill, more, html.EscapeString(s.text))
}
