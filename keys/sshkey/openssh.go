package sshkey

import (
	"slices"
	"strings"
)

// Lengths of words, in characters.
const (
	minStray = 40 // base64 of that length is no word of prose
	minBlob  = 8  // the least of a key's base64, after the name of its type, that is seen as a key
	minPiece = 16 // the least that is seen as a piece of base64 broken by a blank
)

const base64Characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

// readLine reads a key in OpenSSH's form, wherever on the line it begins: ahead of
// it may stand options, or a few words in a mail.
func (r *reader) readLine(line string, number int) (PublicKey, error) {
	words := splitWords(line)
	at, declared := findBlob(words)
	if at == len(words) && at > 0 {
		if line, words = r.continuation(true); len(words) == 0 {
			return PublicKey{}, errNoKey // a sentence that ends with the name of a type
		}
		at = 0
	}
	if at < 0 {
		if r.stray == 0 && slices.ContainsFunc(words, func(w word) bool { return len(w.text) >= minStray && isBase64(w.text) }) {
			r.stray = number
		}
		return PublicKey{}, errNoKey
	}
	if err := checkOptions(words[:at]); err != nil {
		return PublicKey{}, err
	}
	wire, comment, err := r.gather(line, words, at)
	if err != nil {
		return PublicKey{}, err
	}
	if name, _ := wireName(wire); declared != "" && declared != name {
		return PublicKey{}, &SyntaxError{Problem: "the line says " + declared + ", but the key itself is of type " + name}
	}
	pub, err := vet(wire)
	if err != nil {
		return PublicKey{}, err
	}
	return newPublicKey(pub, comment, FormOpenSSH), nil
}

// checkOptions refuses the marks that turn the meaning of a line around. All other
// options are dropped.
func checkOptions(words []word) error {
	for _, w := range words {
		for option := range strings.SplitSeq(w.text, ",") {
			switch strings.TrimPrefix(option, "@") {
			case certAuthority:
				return &UnsupportedKeyError{Algorithm: certAuthority}
			case "revoked":
				return &SyntaxError{Problem: "the key is marked as revoked"}
			}
		}
	}
	return nil
}

// findBlob finds the word that a key's base64 begins with, and the name of a type
// that stands ahead of it, if any. A line that ends with such a name may have been
// wrapped there: at is then the number of words. If no key begins on the line, at
// is -1.
func findBlob(words []word) (at int, declared string) {
	for i, w := range words {
		declared = ""
		if i > 0 && isAlgorithm(words[i-1].text) {
			declared = words[i-1].text
		}
		// AAAA is the base64 of a short string's length, which each key begins with.
		// What follows need not be base64 to be meant as a key: it may be damaged.
		begins := len(w.text) >= minBlob && strings.HasPrefix(w.text, "AAAA")
		long := len(w.text) >= minStray && isBase64(w.text)
		if declared != "" && (begins || long) || begins && startsKey(w.text) {
			return i, declared
		}
	}
	if n := len(words); n > 0 && isAlgorithm(words[n-1].text) {
		return n, words[n-1].text
	}
	return -1, ""
}

// startsKey reports whether base64 begins with the name of a type of key.
func startsKey(text string) bool {
	const enough = (4 + maxWireName + 2) / 3 * 4
	wire, err := decodeBase64(text[:min(len(text)/4*4, enough)])
	if err != nil {
		return false
	}
	_, ok := wireName(wire)
	return ok
}

// gather puts together the base64 of a key that begins at words[at] and may have
// been wrapped. The lengths inside the key tell when it is whole, so that neither
// the comment nor the next key is taken for a part of it. The comment is what
// follows on the last line.
//
// It decodes again only when a length that it read has been reached, so that the
// work doesn't depend on how short the pieces are.
func (r *reader) gather(line string, words []word, at int) (wire []byte, comment string, err error) {
	var text strings.Builder
	need := 1
	for first := true; ; first = false {
		switch {
		case at == len(words):
			if line, words = r.continuation(false); len(words) == 0 {
				return nil, "", cutOff()
			}
			at = 0
		case !first && (len(words[at].text) < minPiece || !isPiece(words[at].text)):
			return nil, "", cutOff()
		}
		piece := words[at]
		at++
		text.WriteString(piece.text)
		if text.Len()/4*3 < need-2 {
			continue
		}
		whole := strings.TrimRight(text.String(), "=")
		odd := len(whole)%4 == 1 // the beginning of a group that the next piece completes
		if odd {
			whole = whole[:len(whole)-1]
		}
		if wire, err = decodeBase64(whole); err != nil {
			return nil, "", err
		}
		if need, err = wireLength(wire); err != nil {
			return nil, "", err
		}
		if len(wire) >= need && odd {
			return nil, "", trailing()
		}
		if len(wire) >= need {
			return wire, strings.TrimSpace(line[piece.end:]), nil
		}
	}
}

// continuation takes the next line that isn't blank if it goes on with a key's
// base64: at its very beginning, or in the middle. Otherwise it takes nothing and
// returns no words.
func (r *reader) continuation(beginning bool) (line string, words []word) {
	next := r.next
	for next < len(r.lines) && r.lines[next] == "" {
		next++
	}
	if next == len(r.lines) {
		return "", nil
	}
	line = r.lines[next]
	words = splitWords(line)
	if len(words) == 0 {
		return "", nil
	}
	first := words[0].text
	if beginning && !startsKey(first) || !beginning && !isPiece(first) {
		return "", nil
	}
	r.next = next + 1
	return line, words
}

// isPiece reports whether a word can be a later part of a key's base64. One that
// begins as keys do is taken for the next key, never for a part of this one.
func isPiece(text string) bool {
	return isBase64(text) && !startsKey(text)
}

func cutOff() error {
	return &SyntaxError{Problem: "the key is cut off: its base64 ends too early"}
}

// A word is a run of characters without blanks.
type word struct {
	text string // without quotation marks and the like around it
	end  int    // where it ends on its line
}

// splitWords splits a line at its blanks, except those inside an option's quoted
// value, such as command="a b" (sshd(8), AUTHORIZED_KEYS FILE FORMAT). A quote
// that never ends quotes nothing: no key may hide behind it.
func splitWords(line string) []word {
	words, ok := splitQuoted(line, true)
	if !ok {
		words, _ = splitQuoted(line, false)
	}
	return words
}

func splitQuoted(line string, quotes bool) (words []word, ok bool) {
	start, quoted := 0, false
	for i := 0; i <= len(line); i++ {
		switch {
		case i == len(line), !quoted && (line[i] == ' ' || line[i] == '\t'):
			if text := strings.Trim(line[start:i], "\"'`,;()[]"); text != "" {
				words = append(words, word{text: text, end: i})
			}
			start = i + 1
		case quoted && line[i] == '\\':
			i++ // an escaped quote doesn't end the value
			if i == len(line) {
				i--
			}
		case quoted && line[i] == '"':
			quoted = false
		case quotes && line[i] == '"' && i > start && line[i-1] == '=':
			quoted = true
		}
	}
	return words, !quoted
}

func isBase64(text string) bool {
	return text != "" && strings.Trim(text, base64Characters) == ""
}
