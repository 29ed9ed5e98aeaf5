package reports

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of a [Name].
const (
	// MaxSegment is the longest segment in bytes, after normalisation. It is
	// what every file system that a client may save to can hold.
	MaxSegment = 255
	// MaxDepth is the largest number of segments.
	MaxDepth = 16
)

// Name is the place of a file or folder within one client's folder, as a
// sequence of segments. The zero value is the client's folder itself.
//
// A Name is UTF-8 in Unicode normalisation form C, so that a name typed on
// macOS (form D) and on Windows (form C) is one name. It holds no control or
// format characters, no '/' or '\' within a segment, and no "." or "..".
type Name struct{ s string }

// ParseName reads a slash-separated path, relative to the client's folder or
// absolute within it ("/a/b" and "a/b" are the same name). It refuses "." and
// "..": a protocol resolves those against its working folder beforehand.
// Every error wraps [ErrName].
func ParseName(path string) (Name, error) {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return Name{}, nil
	}
	if len(path) > MaxDepth*(MaxSegment+1)*3 {
		return Name{}, fmt.Errorf("%w: the path has %d bytes", ErrName, len(path))
	}
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	if len(parts) > MaxDepth {
		return Name{}, fmt.Errorf("%w: %d folders deep, %d at most", ErrName, len(parts), MaxDepth)
	}
	for i, part := range parts {
		segment, err := cleanSegment(part)
		if err != nil {
			return Name{}, err
		}
		parts[i] = segment
	}
	return Name{strings.Join(parts, "/")}, nil
}

// ParseSegment reads the name of one file or folder without its path.
// Every error wraps [ErrName].
func ParseSegment(s string) (Name, error) {
	segment, err := cleanSegment(s)
	return Name{segment}, err
}

func cleanSegment(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: %q is not UTF-8", ErrName, s)
	}
	s = norm.NFC.String(s)
	switch {
	case s == "":
		return "", fmt.Errorf("%w: a part of it is empty", ErrName)
	case s == "." || s == "..":
		return "", fmt.Errorf("%w: %q is not a name", ErrName, s)
	case len(s) > MaxSegment:
		return "", fmt.Errorf("%w: %.40q… has %d bytes, %d at most", ErrName, s, len(s), MaxSegment)
	}
	for _, r := range s {
		if r == '/' || r == '\\' || unicode.IsControl(r) || isInvisible(r) {
			return "", fmt.Errorf("%w: %q has the character %U, which no name may have", ErrName, s, r)
		}
	}
	return s, nil
}

// isInvisible reports whether r can make two names look alike or a listing read
// in another order: line separators and format characters such as the
// bidirectional overrides. The two joiners are left, since Persian and several
// Indic scripts are not written without them.
func isInvisible(r rune) bool {
	const zwnj, zwj = '\u200c', '\u200d'
	return r == '\u2028' || r == '\u2029' || r != zwnj && r != zwj && unicode.Is(unicode.Cf, r)
}

// String returns the segments joined by '/', without a leading one; "" for the
// client's folder itself.
func (n Name) String() string { return n.s }

// IsRoot reports whether n is the client's folder itself.
func (n Name) IsRoot() bool { return n.s == "" }

// Base returns the last segment, "" for the root.
func (n Name) Base() string { return n.s[strings.LastIndexByte(n.s, '/')+1:] }

// Dir returns the name of the folder that holds n. The root holds itself.
func (n Name) Dir() Name {
	i := strings.LastIndexByte(n.s, '/')
	if i < 0 {
		return Name{}
	}
	return Name{n.s[:i]}
}

// Segments returns the parts of the name from the outermost inwards, none for
// the root.
func (n Name) Segments() []string {
	if n.s == "" {
		return nil
	}
	return strings.Split(n.s, "/")
}

// Contains reports whether other is n or lies below it.
func (n Name) Contains(other Name) bool {
	return n.s == "" || n.s == other.s || strings.HasPrefix(other.s, n.s+"/")
}

// Version returns the name that the k-th version of a file gets when its own is
// taken: "Activity.csv.pgp" becomes "Activity~2.csv.pgp". It keeps within
// [MaxSegment] by shortening the stem, on a character's edge.
func (n Name) Version(k int) Name {
	base := n.Base()
	stem, ext := base, ""
	if i := strings.IndexByte(base, '.'); i > 0 && len(base)-i <= 64 {
		stem, ext = base[:i], base[i:]
	}
	mark := fmt.Sprintf("~%d", k)
	for len(stem)+len(mark)+len(ext) > MaxSegment {
		_, size := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-size]
	}
	versioned := stem + mark + ext
	if dir := n.Dir(); !dir.IsRoot() {
		versioned = dir.s + "/" + versioned
	}
	return Name{versioned}
}

// MarshalText implements [encoding.TextMarshaler].
func (n Name) MarshalText() ([]byte, error) { return []byte(n.s), nil }
