package guide

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// face is one of the fonts that every reader of PDF has.
type face int

const (
	plain face = iota // Helvetica
	bold              // Helvetica-Bold
	mono              // Courier
)

// advances are the widths of the characters from space to tilde in thousandths of
// the font's size, as Adobe's metrics of the standard fonts give them.
var advances = [...]string{
	plain: "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584 584 584 556 " +
		"1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 " +
		"333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584",
	bold: "278 333 474 556 556 889 722 238 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 333 333 584 584 584 611 " +
		"975 722 722 722 722 667 611 778 722 278 556 722 611 833 722 778 667 778 722 667 611 722 667 944 667 667 611 333 278 333 584 556 " +
		"333 556 611 556 611 556 333 611 611 278 278 556 278 889 611 611 611 611 389 556 333 611 556 778 556 556 500 389 280 389 584",
}

// advance is the width of a character in thousandths of the font's size. What the
// standard fonts don't have is set in a Japanese one, where all is as wide as high.
func advance(r rune, f face) float64 {
	if _, ok := charmap.Windows1252.EncodeRune(r); !ok || r < ' ' {
		return 1000
	}
	if f == mono {
		return 600
	}
	if r > '~' {
		switch r {
		case 'ß':
			return 611
		case '…', '—':
			return 1000
		case '•':
			return 350
		case '‘', '’', '‚', '·':
			return 278
		case '“', '”', '„':
			return 500
		case '‹', '›':
			return 333
		}
		r, _ = utf8.DecodeRuneInString(norm.NFD.String(string(r)))
		if r > '~' {
			return 556
		}
	}
	n, at := 0, advances[f]
	for range r - ' ' {
		at = at[strings.IndexByte(at, ' ')+1:]
	}
	for i := 0; i < len(at) && at[i] != ' '; i++ {
		n = n*10 + int(at[i]-'0')
	}
	return float64(n)
}

func width(text string, size float64, f face) float64 {
	var sum float64
	for _, r := range text {
		sum += advance(r, f)
	}
	return sum * size / 1000
}

// faceOf is the face of a span in text that is otherwise of face f.
func faceOf(s span, f face) face {
	switch {
	case s.code:
		return mono
	case s.bold:
		return bold
	}
	return f
}

// noStart are marks that don't begin a line in Japanese, noEnd those that don't end one.
const (
	noStart = "、。，．）」』】〕・：；？！ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
	noEnd   = "（「『【〔"
)

// pieces cuts text at the places where a line may end: after a space, and between
// Japanese characters.
func pieces(text string) []string {
	var list []string
	var b strings.Builder
	runes := []rune(text)
	for i, r := range runes {
		b.WriteRune(r)
		last := i+1 == len(runes)
		switch {
		case last:
		case r == ' ':
		case (wide(r) || wide(runes[i+1])) && runes[i+1] != ' ' && !strings.ContainsRune(noStart, runes[i+1]) && !strings.ContainsRune(noEnd, r):
		default:
			continue
		}
		list = append(list, b.String())
		b.Reset()
	}
	return list
}

func wide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xffef
}

// wrap breaks a line of spans into lines no wider than limit. A piece that is wider
// alone is cut where the line is full.
func wrap(line []span, size, limit float64, f face) [][]span {
	var lines [][]span
	var now []span
	used := 0.0
	end := func() {
		lines = append(lines, now)
		now, used = nil, 0
	}
	add := func(s span, text string, w float64) {
		if n := len(now); n > 0 && now[n-1].bold == s.bold && now[n-1].code == s.code {
			now[n-1].text += text
		} else {
			now = append(now, span{text: text, bold: s.bold, code: s.code})
		}
		used += w
	}
	for _, s := range line {
		of := faceOf(s, f)
		for _, piece := range pieces(s.text) {
			if used > 0 && used+width(strings.TrimRight(piece, " "), size, of) > limit {
				end()
			}
			for _, r := range piece {
				w := advance(r, of) * size / 1000
				if used > 0 && r != ' ' && used+w > limit {
					end()
				}
				add(s, string(r), w)
			}
		}
	}
	if len(now) > 0 || len(lines) == 0 {
		end()
	}
	return slices.Clip(lines)
}
