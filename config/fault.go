package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// environment stands in [Fault.File] for a fault in a SEALDROP_ variable.
const environment = "environment"

// maxFaults bounds how many faults are kept and printed. Whoever has more has
// one mistake many times over.
const maxFaults = 1000

// Fault is one thing wrong with the configuration, or one warning about it.
type Fault struct {
	// File is the file's path as it was given or found, or "environment".
	File string
	// Line is counted from 1; 0 where no line can be named.
	Line int
	// Key is the full key ("sftp.listen", "clients[acme].allow[0]") or the name
	// of the variable; "" if the fault is the file's.
	Key string
	// Message says what is wrong; Hint says what to do, "" if that is plain.
	Message, Hint string
}

// Place returns where the fault is: "config.yaml:12", or the file alone.
func (f Fault) Place() string { return place{f.File, f.Line}.String() }

// Error returns "config.yaml:12: sftp.listen: message", without the hint.
func (f Fault) Error() string {
	if f.Key == "" {
		return f.Place() + ": " + f.Message
	}
	return f.Place() + ": " + f.Key + ": " + f.Message
}

// Faults is everything wrong with a configuration, ordered by file and line. It
// is the only error type that [Load] and [LoadClients] return.
type Faults []Fault

// Error returns the one fault, or a count and then each fault on a line of its
// own with its hint behind it.
func (fs Faults) Error() string {
	if len(fs) == 1 {
		return fs[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults in the configuration", len(fs))
	for _, f := range fs {
		b.WriteString("\n  " + f.Error())
		if f.Hint != "" {
			b.WriteString("; " + f.Hint)
		}
	}
	return b.String()
}

// Hint returns the hint of a single fault; of several, each stands in the text
// of the error, and what is left to say is how to check the mended file.
func (fs Faults) Hint() string {
	if len(fs) == 1 {
		return fs[0].Hint
	}
	return "mend these, then run `sealdrop config check`"
}

// place is a line of a file, or the name of another source of values.
type place struct {
	file string
	line int
}

func (p place) String() string {
	if p.line == 0 {
		return p.file
	}
	return p.file + ":" + strconv.Itoa(p.line)
}

// report gathers faults and warnings over all files of one load.
type report struct {
	// main stands for the place of what comes from no place, such as a default.
	main     string
	faults   Faults
	omitted  int
	warnings []Fault
	files    []string // in the order read, which is the order of printing
}

// full reports whether further faults are only counted. A caller may then spare
// itself the making of a hint.
func (r *report) full() bool { return len(r.faults) >= maxFaults }

// fault keeps f. One place may be come to several times by way of aliases; the
// same fault is told once.
func (r *report) fault(f Fault) {
	f.File = cmp.Or(f.File, r.main)
	if n := len(r.faults); n > 0 && r.faults[n-1] == f {
		return
	}
	if r.full() {
		r.omitted++
		return
	}
	r.faults = append(r.faults, f)
}

func (r *report) warn(f Fault) {
	f.File = cmp.Or(f.File, r.main)
	if len(r.warnings) < maxFaults {
		r.warnings = append(r.warnings, f)
	}
}

// err returns the faults found, ordered, or nil. It returns an error and not
// Faults, so that no caller gets a nil slice in a non-nil interface.
func (r *report) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	r.sort(r.faults)
	if r.omitted > 0 {
		last := r.faults[len(r.faults)-1]
		r.faults = append(r.faults, Fault{File: last.File, Message: fmt.Sprintf("%d more faults are not shown", r.omitted)})
	}
	return r.faults
}

func (r *report) sort(fs []Fault) {
	rank := make(map[string]int, len(r.files)+1)
	for i, f := range r.files {
		rank[f] = i
	}
	rank[environment] = len(r.files)
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(rank[a.File], rank[b.File]), cmp.Compare(a.Line, b.Line))
	})
}

// valueError is what the parse functions of this package return: a message that
// begins with the value, and a hint.
type valueError struct{ message, hint string }

func (e *valueError) Error() string { return e.message }

// Hint says how the value is meant to be written.
func (e *valueError) Hint() string { return e.hint }

// bad makes a valueError about text, which it quotes.
func bad(text, problem, hint string) error {
	return &valueError{quote(text) + " " + problem, hint}
}

// isKey reports whether text is a key that was pasted where none belongs.
func isKey(text string) bool {
	return strings.Contains(text, "-----BEGIN") || strings.Contains(text, "PRIVATE KEY")
}

// quote prints a value on one line and of bounded length; of a key, nothing.
func quote(text string) string {
	if isKey(text) {
		return "(a key)"
	}
	const limit = 60
	if r := []rune(text); len(text) > limit && len(r) > limit {
		return fmt.Sprintf("%q…", string(r[:limit]))
	}
	return fmt.Sprintf("%q", text)
}
