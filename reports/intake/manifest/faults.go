package manifest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sealdrop/sealdrop/reports"
)

// maxFaults is how many faults are told; a wrong column makes as many as there are
// lines.
const maxFaults = 50

// Fault is something that is wrong with one line.
type Fault struct {
	Line  int
	Field string // "" if it is the line as a whole
	Err   error
}

func (f Fault) String() string {
	if f.Field == "" {
		return fmt.Sprintf("line %d: %v", f.Line, f.Err)
	}
	return fmt.Sprintf("line %d: %s: %v", f.Line, f.Field, f.Err)
}

// Faults is all that is wrong with a manifest.
type Faults struct {
	// List has the first of them, in the order of the lines.
	List  []Fault
	count int
}

func (f *Faults) add(line int, field string, err error) {
	if f.count++; len(f.List) < maxFaults {
		f.List = append(f.List, Fault{line, field, err})
	}
}

// Error tells each fault on a line of its own.
func (f *Faults) Error() string {
	lines := make([]string, 0, len(f.List)+1)
	for _, fault := range f.List {
		lines = append(lines, fault.String())
	}
	if more := f.count - len(f.List); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Count is how many faults there are, told or not.
func (f *Faults) Count() int { return f.count }

// Hint says what an operator can do.
func (f *Faults) Hint() string {
	hint := "nothing was delivered; correct the manifest and run it again"
	for _, fault := range f.List {
		if errors.Is(fault.Err, reports.ErrUnknownClient) {
			return hint + "\n`sealdrop client list` shows the clients there are"
		}
	}
	return hint
}
