package message

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with a file of texts.
type Fault struct {
	File    string // "de.yaml"
	Line    int    // counted from 1; 0 where no line can be named
	ID      string // the text's name; "" if the fault is the file's
	Message string
}

// Error returns "de.yaml:12: report.ready.subject: message".
func (f Fault) Error() string {
	place := f.File
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	if f.ID == "" {
		return place + ": " + f.Message
	}
	return place + ": " + f.ID + ": " + f.Message
}

// Faults is everything wrong with the texts, ordered by file and line.
type Faults []Fault

// Error returns the one fault, or a count and then each fault on a line of its own.
func (fs Faults) Error() string {
	if len(fs) == 1 {
		return fs[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults in the texts of messages", len(fs))
	for _, f := range fs {
		b.WriteString("\n  " + f.Error())
	}
	return b.String()
}

func (fs Faults) sort() {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, strings.Compare(a.ID, b.ID))
	})
}
