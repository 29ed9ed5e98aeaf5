package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
)

// field is one key of a mapping that is read into an owner C: the whole
// configuration, or one client.
type field[C any] struct {
	key  string // full key: "sftp.limits.tries"; for a client's, the key alone
	kind string // what a value is, for the reference
	def  string // default, written as in an environment variable; the only place it is written
	doc  string // meaning and unit, as sentences
	// shown: the template sets this key instead of leaving it commented out.
	shown bool
	// rare: the template leaves this key to the reference.
	rare  bool
	value accessor[C]
}

// variable returns the name of the environment variable that overrides f.
func (f field[C]) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

// accessor parses texts into a field of C, and shows that field again.
type accessor[C any] struct {
	list bool
	// set parses the texts (exactly one unless list) and stores the result. It
	// calls fail for each text that can't be parsed, and then stores nothing.
	set func(c *C, texts []string, fail func(i int, err error))
	// show returns a bool, an int, a string or a []any of these.
	show func(c *C) any
}

// one makes the accessor of a single value.
func one[C, T any](at func(*C) *T, parse func(string) (T, error)) accessor[C] {
	return accessor[C]{
		set: func(c *C, texts []string, fail func(int, error)) {
			v, err := parse(texts[0])
			if err != nil {
				fail(0, err)
				return
			}
			*at(c) = v
		},
		show: func(c *C) any { return plain(*at(c)) },
	}
}

// many makes the accessor of a list.
func many[C, T any](at func(*C) *[]T, parse func(string) (T, error)) accessor[C] {
	return accessor[C]{
		list: true,
		set: func(c *C, texts []string, fail func(int, error)) {
			values, failed := make([]T, 0, len(texts)), false
			for i, text := range texts {
				v, err := parse(text)
				if err != nil {
					fail(i, err)
					failed = true
					continue
				}
				values = append(values, v)
			}
			if !failed {
				*at(c) = values
			}
		},
		show: func(c *C) any {
			values := make([]any, 0, len(*at(c)))
			for _, v := range *at(c) {
				values = append(values, plain(v))
			}
			return values
		},
	}
}

// plain turns a parsed value into what YAML and JSON write it as.
func plain(v any) any {
	switch v := v.(type) {
	case bool, int, string:
		return v
	case slog.Level:
		return strings.ToLower(v.String())
	case netip.Prefix:
		if v.IsSingleIP() {
			return v.Addr().String()
		}
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}

// item is one scalar as it was written, with its line.
type item struct {
	text string
	line int
	// bad: a fault was told already; the text is not to be parsed.
	bad bool
}

// setting is the value of a field as one source gives it.
type setting struct {
	items []item
	// origin is where the value comes from, as it is shown to people.
	origin place
	// file and key are what a fault in the value is reported under.
	file, key string
}

// setFromText makes the setting that a text means: for a list, its parts
// between commas.
func setFromText[C any](f field[C], text, file, key string, origin place) setting {
	s := setting{origin: origin, file: file, key: key}
	if !f.value.list {
		s.items = []item{{text: text}}
		return s
	}
	if strings.TrimSpace(text) == "" {
		return s
	}
	for part := range strings.SplitSeq(text, ",") {
		s.items = append(s.items, item{text: strings.TrimSpace(part)})
	}
	return s
}

// apply parses s into c by way of f and reports whether all of it was good.
func apply[C any](r *report, f field[C], s setting, c *C) bool {
	good := true
	texts, index := make([]string, 0, len(s.items)), make([]int, 0, len(s.items))
	for i, it := range s.items {
		if it.bad {
			good = false
			continue
		}
		texts, index = append(texts, it.text), append(index, i)
	}
	if len(texts) == 0 && !f.value.list {
		return false
	}
	f.value.set(c, texts, func(n int, err error) {
		good = false
		i, key := index[n], s.key
		if f.value.list && s.file != environment {
			key = indexed(key, i)
		}
		r.fault(Fault{File: s.file, Line: s.items[i].line, Key: key, Message: err.Error(), Hint: hintOf(err)})
	})
	return good
}

func hintOf(err error) string {
	if h, ok := err.(interface{ Hint() string }); ok {
		return h.Hint()
	}
	return ""
}
