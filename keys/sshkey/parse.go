package sshkey

import (
	"bytes"
	"errors"
	"strings"

	"github.com/sealdrop/sealdrop/internal/keytext"
)

// Parse reads every SSH public key in a file: at least one, each once. One key that
// can't be taken refuses them all.
//
// The error is [ErrNotSSHKey], a [*PrivateKeyError], a [*WeakKeyError], an
// [*UnsupportedKeyError], a [*SyntaxError] or a [*keytext.TooLargeError]. Line
// numbers count the lines of data; in HTML, and after a block that had to be laid
// out anew, they are approximate.
func Parse(data []byte) ([]PublicKey, error) {
	if len(data) > keytext.MaxSize {
		return nil, &keytext.TooLargeError{Name: "this"}
	}
	if what, found := keytext.Private(data); found {
		return nil, &PrivateKeyError{What: what}
	}
	text := keytext.Normalize(data)
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, ErrNotSSHKey
	}
	r := &reader{lines: strings.Split(string(text), "\n"), skipped: leadingLines(data), seen: map[string]bool{}}
	for r.next < len(r.lines) {
		if err := r.readNext(); err != nil {
			return nil, err
		}
	}
	switch {
	case len(r.keys) == 0:
		return nil, ErrNotSSHKey
	case r.foreign > 0:
		return nil, &SyntaxError{Line: r.foreign, Problem: "something other than an SSH key begins here: put each kind of key into a file of its own"}
	case r.stray > 0:
		return nil, &SyntaxError{Line: r.stray, Problem: "this line looks like part of a key, but belongs to none"}
	}
	return r.keys, nil
}

// reader walks through the lines of a normalised text.
type reader struct {
	lines   []string
	next    int // index of the first line not yet read
	skipped int // lines that normalising took away ahead of the first

	keys    []PublicKey
	seen    map[string]bool // by fingerprint
	foreign int             // number of the line where a block of another kind begins
	stray   int             // number of a line with base64 of no key
}

// readNext reads one line, and those that belong to it.
func (r *reader) readNext() error {
	number, line := r.skipped+r.next+1, r.lines[r.next]
	r.next++
	var key PublicKey
	var err error
	switch label, begins := blockLabel(line); {
	case line == "" || line[0] == '#':
		return nil
	case begins:
		key, err = r.readBlock(label, number)
	default:
		key, err = r.readLine(line, number)
	}
	switch {
	case errors.Is(err, errNoKey):
		return nil
	case err != nil:
		return locate(err, number)
	}
	if fingerprint := key.Fingerprint(); !r.seen[fingerprint] {
		r.seen[fingerprint] = true
		r.keys = append(r.keys, key)
	}
	return nil
}

// errNoKey says that what was read is no key and may be skipped.
var errNoKey = errors.New("no key here")

// locate tells an error where its key begins.
func locate(err error, line int) error {
	var (
		weak        *WeakKeyError
		unsupported *UnsupportedKeyError
		syntax      *SyntaxError
	)
	switch {
	case errors.As(err, &weak):
		weak.Line = line
	case errors.As(err, &unsupported):
		unsupported.Line = line
	case errors.As(err, &syntax) && syntax.Line == 0:
		syntax.Line = line
	}
	return err
}

// leadingLines counts the blank lines ahead of a text, in any of its encodings.
func leadingLines(data []byte) int {
	blank := bytes.TrimLeft(data, "\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
	head := bytes.ReplaceAll(data[:len(data)-len(blank)], []byte{0}, nil)
	head = bytes.ReplaceAll(head, []byte("\r\n"), []byte("\n"))
	return bytes.Count(head, []byte("\n")) + bytes.Count(head, []byte("\r"))
}
