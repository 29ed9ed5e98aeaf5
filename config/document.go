package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// document is one YAML document while it is read. It hands out mappings, lists
// and scalars of the kind that is wanted, and reports what is something else.
type document struct {
	*report
	file string
	// everywhere are the full keys of the schema, for hints.
	everywhere []string
	// budget is how many more nodes may be looked at. A file has at most a node
	// for each byte; what goes beyond comes from aliases that unfold.
	budget int
}

// aliasBudget is how many nodes aliases may add to those that are written.
const aliasBudget = 1_000_000

// maxMerge bounds merge keys within merge keys, which may form a circle.
const maxMerge = 8

// entry is one key of a mapping with its value; an alias is followed.
type entry struct {
	name  string
	line  int // of the key
	value *yaml.Node
}

func (d *document) faultf(n *yaml.Node, key, hint, format string, args ...any) {
	if d.full() {
		d.omitted++
		return
	}
	d.fault(Fault{File: d.file, Line: n.Line, Key: key, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// spend takes n nodes off the budget and reports whether there was enough.
func (d *document) spend(at *yaml.Node, n int) bool {
	if d.budget < 0 {
		return false
	}
	if d.budget -= n; d.budget < 0 {
		d.faultf(at, "", "write the values out", "the aliases of this file unfold to too many values")
		return false
	}
	return true
}

// follow returns what an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// kindOf names what n is, for messages.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping (key: value)"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "empty"
	}
	return "a single value"
}

// tagged reports (and tells) that n has an explicit tag, which could make a
// value something else than it looks.
func (d *document) tagged(n *yaml.Node, key string) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return false
	}
	d.faultf(n, key, "leave the tag out", "has a YAML tag (!…)")
	return true
}

// entries returns the entries of the mapping n, whose keys must be among known.
func (d *document) entries(n *yaml.Node, key string, known []string) []entry {
	n = follow(n)
	if d.tagged(n, key) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.faultf(n, key, "known here: "+strings.Join(known, ", "), "is %s; a mapping is expected", kindOf(n))
		return nil
	}
	if !d.spend(n, len(n.Content)) {
		return nil
	}
	var found []entry
	var merges []*yaml.Node
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.ShortTag() == "!!merge" {
			merges = append(merges, v)
			continue
		}
		if d.keep(k, key, known, seen) {
			found = append(found, entry{k.Value, k.Line, follow(v)})
		}
	}
	for _, m := range merges {
		found = d.merge(m, key, known, found, 1)
	}
	return found
}

// keep decides on the key node k of a mapping, and tells what is wrong with it.
func (d *document) keep(k *yaml.Node, parent string, known []string, seen map[string]int) bool {
	if k.Kind != yaml.ScalarNode || k.Style&yaml.TaggedStyle != 0 {
		d.faultf(k, parent, "known here: "+strings.Join(known, ", "), "has a key that is not a plain word")
		return false
	}
	if first, twice := seen[k.Value]; twice {
		d.faultf(k, join(parent, printable(k.Value)), "keep one of the two", "is set twice; first in line %d", first)
		return false
	}
	seen[k.Value] = k.Line
	if slices.Contains(known, k.Value) {
		return true
	}
	hint := ""
	if !d.full() {
		hint = keyHint(parent, k.Value, known, d.everywhere)
	}
	d.faultf(k, join(parent, printable(k.Value)), hint, "unknown key")
	return false
}

// merge adds to found what the value of a merge key (<<) brings: entries that
// are not there yet. Faults within it are told where it is written, not here.
func (d *document) merge(n *yaml.Node, key string, known []string, found []entry, depth int) []entry {
	n = follow(n)
	if !d.spend(n, len(n.Content)) {
		return found
	}
	switch {
	case depth > maxMerge:
		d.faultf(n, key, "write the values out", "has merge keys (<<) within merge keys, too deep")
	case n.Kind == yaml.SequenceNode:
		for _, c := range n.Content {
			found = d.merge(c, key, known, found, depth+1)
		}
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if k.ShortTag() == "!!merge" {
				found = d.merge(v, key, known, found, depth+1)
				continue
			}
			has := slices.ContainsFunc(found, func(e entry) bool { return e.name == k.Value })
			if !has && slices.Contains(known, k.Value) {
				found = append(found, entry{k.Value, k.Line, follow(v)})
			}
		}
	default:
		d.faultf(n, key, "", "has a merge key (<<) that does not name a mapping")
	}
	return found
}

// scalars returns the texts of a value: one, or with list any number. Where a
// list is expected a single value may stand for a list of one.
func (d *document) scalars(n *yaml.Node, key string, list bool) []item {
	n = follow(n)
	if n.Kind != yaml.SequenceNode {
		return []item{d.scalar(n, key)}
	}
	if !list {
		d.faultf(n, key, "", "is a list; one value is expected")
		return []item{{bad: true}}
	}
	if d.tagged(n, key) || !d.spend(n, len(n.Content)) {
		return []item{{bad: true}}
	}
	items := make([]item, len(n.Content))
	for i, c := range n.Content {
		items[i] = d.scalar(follow(c), indexed(key, i))
	}
	return items
}

// scalar returns the text of one value as it is written.
func (d *document) scalar(n *yaml.Node, key string) item {
	switch {
	case d.tagged(n, key):
		return item{bad: true}
	case n.Kind == yaml.MappingNode && len(n.Content) > 0 && strings.Contains(n.Content[0].Value, ":"):
		d.faultf(n, key, `put an IPv6 address in quotes: "2001:db8::7"`, "is %s; a value is expected", kindOf(n))
		return item{bad: true}
	case n.Kind != yaml.ScalarNode:
		d.faultf(n, key, "", "is %s; one value is expected", kindOf(n))
		return item{bad: true}
	case isNull(n):
		d.faultf(n, key, "give it a value or leave it out", "has no value")
		return item{bad: true}
	}
	return item{text: n.Value, line: n.Line}
}

// printable makes a key of the file fit to print: its letters if it is a plain
// word of bounded length, else a stand-in, because it may be anything.
func printable(key string) string {
	const limit = 64
	odd := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-. ", r)
	}
	if key == "" || len(key) > limit || strings.ContainsFunc(key, odd) {
		return "(a key that is not a plain word)"
	}
	return key
}
