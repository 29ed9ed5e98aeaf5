package keytext

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Layout of an armored block's base64.
const (
	bodyColumns    = 64 // what over-long lines are folded to
	maxBodyColumns = 76 // the longest line that is left as it is
	minBodyWord    = 40 // characters that tell a key's base64 from a word of prose
)

// markers matches the first and last line of an armored block, also where an
// editor replaced pairs of hyphens by dashes.
var markers = regexp.MustCompile(`([-\x{2010}-\x{2015}\x{2212}]{2,}) ?(BEGIN|END) ([A-Z0-9][A-Z0-9 ]*?) ?([-\x{2010}-\x{2015}\x{2212}]{2,})`)

// marker is one BEGIN or END line, and what stood around it.
type marker struct {
	before, after string
	begin         bool
	label         string // such as PGP PUBLIC KEY BLOCK
}

// parseMarker finds the first marker of a line.
func parseMarker(line string) (marker, bool) {
	m := markers.FindStringSubmatchIndex(line)
	if m == nil || dashes(line[m[2]:m[3]]) < 4 || dashes(line[m[8]:m[9]]) < 4 {
		return marker{}, false
	}
	return marker{
		before: strings.TrimSpace(line[:m[0]]),
		after:  strings.TrimSpace(line[m[1]:]),
		begin:  line[m[4]:m[5]] == "BEGIN",
		label:  line[m[6]:m[7]],
	}, true
}

// mentionsMarker is a cheap test that lets almost every line skip parseMarker.
func mentionsMarker(line string) bool {
	return strings.Contains(line, "BEGIN ") || strings.Contains(line, "END ")
}

// dashes counts hyphens; a typographic dash stands for two.
func dashes(run string) int {
	return 2*utf8.RuneCountInString(run) - strings.Count(run, "-")
}

// String returns the marker as the formats prescribe it: RFC 4716, section 3.2,
// and RFC 7468, section 2.
func (m marker) String() string {
	word := "END"
	if m.begin {
		word = "BEGIN"
	}
	if strings.HasPrefix(m.label, "SSH2 ") {
		return "---- " + word + " " + m.label + " ----"
	}
	return "-----" + word + " " + m.label + "-----"
}

// splitMarkers puts every BEGIN and END on a line of its own, and unfolds a
// block that lost its line ends. A sentence that only mentions a marker stays a
// sentence.
func splitMarkers(lines []string) []string {
	out := make([]string, 0, len(lines))
	for _, line := range lines {
		if mentionsMarker(line) {
			out = appendSplit(out, line)
		} else {
			out = append(out, line)
		}
	}
	return out
}

func appendSplit(out []string, line string) []string {
	inBlock := false
	for line != "" {
		m, ok := parseMarker(line)
		switch {
		case ok && m.begin && m.opens():
			if m.before != "" {
				out = append(out, m.before)
			}
			inBlock = true
		case ok && !m.begin && (inBlock || m.closes()):
			out = append(out, unfold(m.before)...)
			inBlock = false
		case inBlock:
			return append(out, unfold(line)...)
		default:
			return append(out, line)
		}
		out = append(out, m.String())
		line = m.after
	}
	return out
}

// opens reports whether a block starts at a BEGIN marker: nothing follows on its
// line, or a header, or base64.
func (m marker) opens() bool {
	body := m.after
	if next, ok := parseMarker(body); ok {
		body = next.before
	}
	words := strings.Fields(body)
	if m.after == "" || len(words) > 0 && strings.HasSuffix(words[0], ":") {
		return true
	}
	return slices.ContainsFunc(words, isBody)
}

// closes reports whether an END marker ends a block that began on an earlier
// line: nothing stands ahead of it, or one word of base64.
func (m marker) closes() bool {
	return isBase64(m.before)
}

// unfold gives headers and base64 that share one line a line each.
func unfold(text string) []string {
	var out []string
	inHeader := false
	for _, word := range strings.Fields(text) {
		switch {
		case strings.HasSuffix(word, ":"):
			out = append(out, word)
			inHeader = true
		case inHeader && !isBody(word):
			out[len(out)-1] += " " + word
		default:
			out = append(out, word)
			inHeader = false
		}
	}
	return out
}

// layOut gives every whole block its canonical layout. A block without its END,
// or with another's, is damaged and left for its parser to say so.
func layOut(lines []string) []string {
	out := make([]string, 0, len(lines))
	for i := 0; i < len(lines); {
		m, ok := wholeMarker(lines[i])
		if !ok || !m.begin {
			out = append(out, lines[i])
			i++
			continue
		}
		end := i + 1
		var last marker
		for ok = false; end < len(lines) && !ok; {
			if last, ok = wholeMarker(lines[end]); !ok {
				end++
			}
		}
		if !ok || last.begin || last.label != m.label {
			out = append(out, lines[i:end]...)
			i = end
			continue
		}
		out = append(out, lines[i])
		out = appendBlock(out, m.label, lines[i+1:end])
		out = append(out, lines[end])
		i = end + 1
	}
	return out
}

// wholeMarker parses a line that is a marker and nothing else.
func wholeMarker(line string) (marker, bool) {
	if !mentionsMarker(line) {
		return marker{}, false
	}
	m, ok := parseMarker(line)
	return m, ok && m.before == "" && m.after == ""
}

// appendBlock lays out what stands between BEGIN and END. Only an OpenPGP block
// has a blank line even without headers (RFC 9580, section 6.2); only an RFC 4716
// block continues headers, after a backslash, and has no blank line at all.
func appendBlock(out []string, label string, lines []string) []string {
	pgp, ssh2 := strings.HasPrefix(label, "PGP "), strings.HasPrefix(label, "SSH2 ")
	headers, continued := 0, false
	for ; len(lines) > 0; lines = lines[1:] {
		line := lines[0]
		if line == "" {
			continue
		}
		if !continued && !isHeader(line) {
			break
		}
		continued = ssh2 && strings.HasSuffix(line, `\`)
		out = append(out, line)
		headers++
	}
	if pgp || headers > 0 && !ssh2 {
		out = append(out, "")
	}
	for _, line := range lines {
		for _, word := range strings.Fields(line) {
			word, sum := cutChecksum(word)
			for len(word) > maxBodyColumns {
				out = append(out, word[:bodyColumns])
				word = word[bodyColumns:]
			}
			out = append(out, word)
			if sum != "" {
				out = append(out, sum)
			}
		}
	}
	return out
}

// isHeader recognises "Name: value". Base64 has no colon.
func isHeader(line string) bool {
	name, _, ok := strings.Cut(line, ":")
	return ok && name != "" && !strings.ContainsAny(name, " \t")
}

// cutChecksum cuts off the armor checksum ("=" and four characters) that joined
// lines leave at the end of the base64. Within base64 a "=" is never followed by
// anything else, so there is no doubt which is which.
func cutChecksum(word string) (body, sum string) {
	cut := len(word) - 5
	if cut <= 0 || cut%4 != 0 || word[cut] != '=' || strings.Contains(word[cut+1:], "=") {
		return word, ""
	}
	return word[:cut], word[cut:]
}

// isBody reports whether a word can only be a key's base64.
func isBody(word string) bool {
	return len(word) >= minBodyWord && isBase64(word)
}

func isBase64(word string) bool {
	return strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") == ""
}
