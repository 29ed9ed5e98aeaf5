// Package keytext reads the texts in which people send keys, and undoes what
// mail programs, editors and ticket systems did to them on the way.
//
// A key pasted into a mail arrives with a byte order mark, as UTF-16 (Notepad's
// "Unicode"), with CRLF or lone CR line ends, indented, quoted with "> ", inside
// HTML, or as one long line. None of that changes the key, so none of it is a
// reason to send it back. [Normalize] gives the text that was meant; the parsers
// of the packages keys/pgp and keys/sshkey read that and nothing else.
//
// Start with [ReadFile] or [Read], which refuse what is too large to be a key
// before reading it whole. Then ask [Private] whether the sender gave away a
// secret. Only then normalise and parse.
//
// What the package promises:
//
//   - It knows nothing about keys beyond their text. A damaged key stays damaged:
//     no character of a key's base64 is ever added, changed or dropped.
//   - Binary input, such as binary OpenPGP packets, comes back as the same slice.
//   - Time and memory grow linearly with the input; no input makes it panic.
//   - It keeps no copy of what it read, and no error holds a byte of it.
package keytext

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Normalize returns data as the text its sender meant: UTF-8 without a byte
// order mark, LF line ends, no quoting, no indentation, no HTML, no blank lines
// ahead. Armored blocks (PEM, OpenPGP, RFC 4716) get their canonical layout: the
// BEGIN line, headers, the blank line where the format wants one, base64 in
// lines of at most 76 characters, the END line.
//
// Text in a single-byte encoding keeps its bytes beyond ASCII. Binary input is
// returned untouched, as the same slice.
func Normalize(data []byte) []byte {
	text, ok := decode(data)
	if !ok {
		return data
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	text = stripHTML(text)
	text = blanks.Replace(text)

	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = unquote(line)
	}
	lines = layOut(splitMarkers(lines))
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return []byte{}
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// blanks turns the blanks that word processors and web pages put into text into
// plain ones, and drops those of no width, which nobody sees and no parser takes.
var blanks = strings.NewReplacer(
	"\u00a0", " ", "\u2007", " ", "\u202f", " ", "\v", " ", "\f", " ",
	"\u200b", "", "\u00ad", "", "\ufeff", "", "\x1a", "",
)

// unquote takes away the marks of a quoted mail, the escape that a clear-signed
// mail puts before lines with dashes (RFC 9580, section 7.2), and the blanks at
// both ends.
func unquote(line string) string {
	line = strings.Trim(line, " \t")
	for strings.HasPrefix(line, ">") {
		line = strings.TrimLeft(line[1:], " \t")
	}
	if rest, ok := strings.CutPrefix(line, "- "); ok && strings.HasPrefix(rest, "----") {
		line = rest
	}
	return line
}

// decode returns data as UTF-8 text, or false if it is not text.
func decode(data []byte) (string, bool) {
	switch {
	case bytes.HasPrefix(data, []byte{0xef, 0xbb, 0xbf}):
		data = data[3:]
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		return decodeUTF16(data[2:], false)
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return decodeUTF16(data[2:], true)
	default:
		if bigEndian, ok := sniffUTF16(data); ok {
			return decodeUTF16(data, bigEndian)
		}
	}
	if !isText(data) {
		return "", false
	}
	return string(data), true
}

// isText tells text from binary. Every OpenPGP packet starts with a byte beyond
// ASCII (RFC 9580, section 4.2) and has control characters or invalid UTF-8 soon
// after. Text that starts with ASCII and has bytes beyond it later on is a name
// in a single-byte encoding.
func isText(data []byte) bool {
	for _, b := range data {
		switch {
		case b == '\t', b == '\n', b == '\v', b == '\f', b == '\r', b == 0x1a:
		case b < 0x20, b == 0x7f:
			return false
		}
	}
	return len(data) == 0 || data[0] < utf8.RuneSelf || utf8.Valid(data)
}

// sniffUTF16 recognises UTF-16 without a byte order mark: the first characters
// of a key's text are ASCII, so that every other byte is zero.
func sniffUTF16(data []byte) (bigEndian, ok bool) {
	const enough = 16 // characters
	if len(data) < 2*enough {
		return false, false
	}
	bigEndian = data[0] == 0
	for i := 0; i < 2*enough; i += 2 {
		char, zero := data[i], data[i+1]
		if bigEndian {
			char, zero = zero, char
		}
		if zero != 0 || char == 0 || char >= utf8.RuneSelf {
			return false, false
		}
	}
	return bigEndian, true
}

// decodeUTF16 refuses what is not text after decoding. A last odd byte is what
// editors leave when they append a plain newline: it is dropped.
func decodeUTF16(data []byte, bigEndian bool) (string, bool) {
	units := make([]uint16, len(data)/2)
	for i := range units {
		a, b := uint16(data[2*i]), uint16(data[2*i+1])
		if bigEndian {
			a, b = b, a
		}
		units[i] = a | b<<8
	}
	text := strings.TrimPrefix(string(utf16.Decode(units)), "\ufeff")
	if !isText([]byte(text)) {
		return "", false
	}
	return text, true
}
