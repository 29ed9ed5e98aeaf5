package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads the one document of a file; nil if the file has none, or
// an empty one, which is a file of defaults. A fault is told, and then ok is false.
func (r *report) parseYAML(file string, data []byte) (root *yaml.Node, ok bool) {
	var node, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&node)
	if errors.Is(err, io.EOF) {
		return nil, true
	}
	if err == nil {
		err = dec.Decode(&second)
		if errors.Is(err, io.EOF) {
			if root = node.Content[0]; isNull(root) {
				return nil, true
			}
			return root, true
		}
	}
	if err == nil {
		r.fault(Fault{
			File: file, Line: second.Line, Message: "a second YAML document begins here",
			Hint: "keep one document to a file and remove the --- line",
		})
		return nil, false
	}
	r.fault(syntaxFault(file, data, err))
	return nil, false
}

// wholeDocuments reports whether data is YAML from beginning to end.
func wholeDocuments(data []byte) bool {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		switch err := dec.Decode(&node); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return false
		}
	}
}

// syntaxFault explains an error of the YAML reader. Only the parts of its text
// that are known to quote nothing are passed on.
func syntaxFault(file string, data []byte, err error) Fault {
	reported := 0
	if m := regexp.MustCompile(`line (\d+): `).FindStringSubmatch(err.Error()); m != nil {
		reported, _ = strconv.Atoi(m[1])
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	f := Fault{File: file, Line: brokenLine(lines, data, reported)}
	text := ""
	if f.Line > 0 && f.Line <= len(lines) {
		text = string(lines[f.Line-1])
	}
	f.Message, f.Hint = explainSyntax(err.Error(), text)
	return f
}

// explainSyntax turns a message of the YAML reader into words for an operator.
// line is the line at fault.
func explainSyntax(message, line string) (problem, hint string) {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case strings.Contains(indent, "\t"):
		return "the line is indented with a tab", "YAML is indented with spaces only"
	case strings.Contains(message, "anchor"):
		return "an alias (*name) has no anchor (&name) before it", "put quotes around a value that begins with *"
	case strings.Contains(message, "mapping values are not allowed"):
		return "this line does not fit the one before it", "keys of one level begin in the same column, and a value with \": \" in it needs quotes"
	case strings.Contains(message, "did not find expected ',' or ']'"), strings.Contains(message, "did not find expected ',' or '}'"):
		return "a list or mapping that is opened here is not closed", "close it with ] or }"
	case strings.Contains(message, "unexpected end of stream"):
		return "a quoted value that is opened here is not closed", "close it with the same quote"
	case strings.Contains(message, "cannot start any token"), strings.Contains(message, "alphabetic or numeric"),
		strings.Contains(message, "expected node content"):
		return "a value begins with a character that means something in YAML", "put quotes around the value, as in \":32\" or \"*.yaml\""
	case strings.Contains(message, "did not find expected"), strings.Contains(message, "could not find expected"):
		return "this line does not fit those before it", "keys of one level begin in the same column and have a colon; each entry of a list begins with -"
	case strings.Contains(message, "UTF-8"), strings.Contains(message, "UTF-16"), strings.Contains(message, "control characters"):
		return "the file is not plain text in UTF-8", "save it as UTF-8 without control characters"
	}
	return "this is not valid YAML", ""
}

// brokenLine returns the line at which a file stops being YAML: the first after
// the longest beginning that is. The reader's own number (0 if it has none) is
// often that of a line before or long after, so it only narrows the search.
func brokenLine(lines [][]byte, data []byte, reported int) int {
	const maxSize = 256 << 10 // reading a larger file many times takes too long
	if len(data) > maxSize {
		return reported
	}
	ends := make([]int, len(lines)+1)
	for i, l := range lines {
		ends[i+1] = ends[i] + len(l)
	}
	good := func(n int) bool { return wholeDocuments(data[:ends[n]]) }
	lo, hi := 0, len(lines) // good(lo) holds, good(hi) does not
	if near := reported - 2; near > 0 && near < hi && good(near) {
		lo = near
	}
	for lo+1 < hi {
		if mid := (lo + hi) / 2; good(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	// A beginning may also break within a list that is closed some lines on.
	const lookAhead = 20
	for n := lo + 2; n < len(lines) && n <= lo+lookAhead; n++ {
		if good(n) {
			lo = n
		}
	}
	return lo + 1
}
