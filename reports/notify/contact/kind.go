package contact

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what somebody is told of: one of a closed list.
type Kind string

// The kinds.
const (
	ReportReady       Kind = "report.ready"
	ReportHeld        Kind = "report.held"
	ReportUncollected Kind = "report.uncollected"
	KeyExpiring       Kind = "key.expiring"
	AccessChanged     Kind = "access.changed"
	AccessRefused     Kind = "access.refused"
)

// Kinds lists all kinds in the order of the documentation.
func Kinds() []Kind {
	return []Kind{ReportReady, ReportHeld, ReportUncollected, KeyExpiring, AccessChanged, AccessRefused}
}

// Sentence says when somebody is told.
func (k Kind) Sentence() string {
	switch k {
	case ReportReady:
		return "reports are in the client's folder and can be fetched"
	case ReportHeld:
		return "a report can't be sealed for the client and waits for a usable PGP key; operators are told as well"
	case ReportUncollected:
		return "reports will be purged soon and have not been fetched"
	case KeyExpiring:
		return "an SSH key, a PGP certificate or a password expires in 60, 30 or 7 days, or has expired"
	case AccessChanged:
		return "a key was imported, retired or revoked, a password was set or removed, or the networks changed"
	case AccessRefused:
		return "the client was refused again and again for one cause, at most once a day; operators are told as well"
	}
	return ""
}

// ParseKind reads the name of a kind.
func ParseKind(s string) (Kind, error) {
	if k := Kind(s); slices.Contains(Kinds(), k) {
		return k, nil
	}
	names := make([]string, 0, len(Kinds()))
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return "", &ParseError{Message: fmt.Sprintf("%.80q is no event", s), Advice: "there are: " + strings.Join(names, ", ")}
}

// ParseError says that a text is not what it should be.
type ParseError struct {
	Message string
	Advice  string
}

func (e *ParseError) Error() string { return e.Message }

// Hint says what to write instead.
func (e *ParseError) Hint() string { return e.Advice }
