package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sealdrop/sealdrop/reports/expect"
)

// expectsKey is the key of a client's expectations, which is no field: its value is
// a list of mappings, each with the keys of [expectFields].
const expectsKey = "expects"

const expectsDoc = "Reports that the client's producer owes it again and again. `sealdrop status` tells of one that has not come by its time."

// expectFields returns the table of an expectation's keys.
func expectFields() []field[expect.Expectation] {
	return []field[expect.Expectation]{{
		key: "name", kind: "text",
		doc:   "The report's name, as it is delivered or as the client sees it; * stands for any characters, ? for one. Required.",
		value: one(func(e *expect.Expectation) *expect.Pattern { return &e.Name }, expect.ParsePattern),
	}, {
		key: "by", kind: "time of day",
		doc:   "When it is due, such as \"06:30\". What comes in the 12 hours before, or later until 12 hours before the next is due, counts for it. Required.",
		value: one(func(e *expect.Expectation) *expect.Clock { return &e.By }, expect.ParseClock),
	}, {
		key: "days", kind: "list of days",
		doc:   "On which days: daily, mon-fri, or days such as mon,wed,fri. Default: daily.",
		value: daysAccessor(),
	}, {
		key: "timezone", kind: "text",
		doc:   "Where its time and days are reckoned, by its name in the IANA database, such as Europe/Berlin. Default: status.timezone.",
		value: one(func(e *expect.Expectation) **time.Location { return &e.Zone }, expect.ParseZone),
	}}
}

// daysAccessor takes days as one text or as a list.
func daysAccessor() accessor[expect.Expectation] {
	return accessor[expect.Expectation]{
		list: true,
		set: func(e *expect.Expectation, texts []string, fail func(int, error)) {
			days, err := expect.ParseDays(strings.Join(texts, ","))
			if err != nil {
				fail(0, err)
				return
			}
			e.Days = days
		},
		show: func(e *expect.Expectation) any { return e.Days.String() },
	}
}

// expects reads a client's expectations, and reports whether all are good.
func (cr *clientReader) expects(d *document, n *yaml.Node, key string) (list []expect.Expectation, good bool) {
	if n.Kind != yaml.SequenceNode {
		d.faultf(n, key, `begin each with "- name: …"`, "is %s; a list of expectations is expected", kindOf(n))
		return nil, false
	}
	if d.tagged(n, key) || !d.spend(n, len(n.Content)) {
		return nil, false
	}
	good = true
	for i, c := range n.Content {
		e, ok := cr.expectation(d, follow(c), indexed(key, i))
		list, good = append(list, e), good && ok
	}
	return list, good
}

func (cr *clientReader) expectation(d *document, n *yaml.Node, key string) (e expect.Expectation, good bool) {
	table := expectFields()
	var known []string
	for _, f := range table {
		known = append(known, f.key)
	}
	e.Days, good = expect.Daily, true
	seen := make(map[string]bool)
	entries := d.entries(n, key, known)
	if entries == nil && (n.Kind != yaml.MappingNode || len(n.Content) > 0) {
		return e, false // told
	}
	for _, entry := range entries {
		seen[entry.name] = true
		f := table[slices.Index(known, entry.name)]
		s := setting{items: d.scalars(entry.value, join(key, entry.name), f.value.list), file: d.file, key: join(key, entry.name)}
		if f.value.list && len(s.items) == 0 {
			d.faultf(entry.value, s.key, "leave it out for every day", "is empty")
			good = false
			continue
		}
		good = apply(cr.report, f, s, &e) && good
	}
	for _, name := range []string{"name", "by"} {
		if !seen[name] {
			d.faultf(n, key, fmt.Sprintf("add %q", name+": …"), "has no %s", name)
			good = false
		}
	}
	return e, good
}

// effectiveExpects shows expectations as maps.
func effectiveExpects(list []expect.Expectation) []any {
	shown := make([]any, 0, len(list))
	for _, e := range list {
		one := make(map[string]any)
		for _, f := range expectFields() {
			if f.key != "timezone" || e.Zone != nil {
				one[f.key] = f.value.show(&e)
			}
		}
		shown = append(shown, one)
	}
	return shown
}
