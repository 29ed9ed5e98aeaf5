package expect

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a minimal container has no timezones of its own

	"github.com/sealdrop/sealdrop/reports"
)

// Lead is how long before its due time a report counts for it.
const Lead = 12 * time.Hour

// Expectation is a report that its producer owes a client again and again.
type Expectation struct {
	Name Pattern
	By   Clock
	Days Days
	// Zone is where By and Days are reckoned; nil: where its user is.
	Zone *time.Location
}

// In returns e with a zone, if it has none of its own.
func (e Expectation) In(zone *time.Location) Expectation {
	if e.Zone == nil {
		e.Zone = zone
	}
	return e
}

// String describes e as "Activity_*.csv by 06:30 mon-fri".
func (e Expectation) String() string {
	return fmt.Sprintf("%s by %s %s", e.Name, e.By, e.Days)
}

// Occurrence is one time at which a report is due. What arrives from Opens on, and
// before Closes, counts for it.
type Occurrence struct{ Opens, Due, Closes time.Time }

// Met returns when the first of the arrivals that count came, the zero time if
// none did.
func (o Occurrence) Met(arrivals []time.Time) time.Time {
	var first time.Time
	for _, at := range arrivals {
		if !at.Before(o.Opens) && at.Before(o.Closes) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// week is how many days one has to look ahead or back for a day of the week, with
// one for the time of day and one for the timezone.
const week = 9

// Last returns the occurrence that was due last at the time now.
func (e Expectation) Last(now time.Time) Occurrence {
	for back := -1; back < week; back++ {
		if due, ok := e.due(now, -back); ok && !due.After(now) {
			return e.occurrence(due)
		}
	}
	return Occurrence{} // no day of the week: not from ParseDays
}

// Between returns the occurrences that are due from a time on and before another,
// the earliest first. The times should not be more than a few days apart.
func (e Expectation) Between(from, to time.Time) []Occurrence {
	var list []Occurrence
	for ahead := -1; ; ahead++ {
		due, ok := e.due(from, ahead)
		switch {
		case ahead > week && !due.Before(to):
			return list
		case ok && !due.Before(from) && due.Before(to):
			list = append(list, e.occurrence(due))
		}
	}
}

func (e Expectation) occurrence(due time.Time) Occurrence {
	o := Occurrence{Opens: due.Add(-Lead), Due: due}
	for ahead := 1; ahead < week; ahead++ {
		if next, ok := e.due(due, ahead); ok && next.After(due) {
			o.Closes = next.Add(-Lead)
			return o
		}
	}
	return o
}

// due returns the time of day on the day that is some days after the time at, and
// whether the report is due on it.
func (e Expectation) due(at time.Time, days int) (time.Time, bool) {
	zone := e.Zone
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := at.In(zone).Date()
	date := time.Date(y, m, d+days, 0, 0, 0, 0, time.UTC)
	return instant(date, time.Duration(e.By), zone, true), e.Days.has(date.Weekday())
}

// Midnight returns when the day of the time at began in a zone.
func Midnight(at time.Time, zone *time.Location) time.Time {
	y, m, d := at.In(zone).Date()
	return instant(time.Date(y, m, d, 0, 0, 0, 0, time.UTC), 0, zone, false)
}

// instant returns when clocks in a zone show a time of a day. date is that day's
// midnight in UTC. Where clocks show it twice, late chooses; where they leave it
// out, it is as long after the gap as it lies in it.
func instant(date time.Time, clock time.Duration, zone *time.Location, late bool) time.Time {
	wall := date.Add(clock)
	_, before := wall.Add(-36 * time.Hour).In(zone).Zone()
	_, after := wall.Add(36 * time.Hour).In(zone).Zone()
	one, two := shown(wall, before), shown(wall, after)
	if two.Before(one) {
		one, two = two, one
	}
	oneRight, twoRight := shows(one, zone, wall), shows(two, zone, wall)
	switch {
	case oneRight && (!twoRight || !late):
		return one
	default: // both, the later alone, or neither
		return two
	}
}

// shown returns when clocks that are offset seconds ahead of UTC show wall.
func shown(wall time.Time, offset int) time.Time {
	return wall.Add(-time.Duration(offset) * time.Second)
}

func shows(at time.Time, zone *time.Location, wall time.Time) bool {
	_, offset := at.In(zone).Zone()
	return shown(wall, offset).Equal(at)
}

// Pattern says which names are meant: * for any characters but "/", ? for one,
// [a-z] for one of a range. Without a "/" it is about the name in whatever folder.
type Pattern struct{ s string }

// maxPattern is as long as a name may be.
const maxPattern = reports.MaxSegment

// ParsePattern reads a pattern of names.
func ParsePattern(s string) (Pattern, error) {
	switch _, err := path.Match(s, ""); {
	case s == "":
		return Pattern{}, fault("is empty", `write a report's name, or a pattern such as "Activity_*.csv"`)
	case len(s) > maxPattern:
		return Pattern{}, fault(fmt.Sprintf("has %d bytes, %d at most", len(s), maxPattern), "")
	case err != nil:
		return Pattern{}, fault(strconv.Quote(s)+" is no pattern of names", `close the bracket; * stands for any characters, ? for one`)
	}
	if _, err := reports.ParseName(s); err != nil {
		return Pattern{}, fault(err.Error(), "")
	}
	return Pattern{strings.TrimPrefix(s, "/")}, nil
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.s }

// version is what stands before the first dot of a name that was taken.
var version = regexp.MustCompile(`~[0-9]+(\.|$)`)

// sealedSuffix is what sealing adds to a name.
const sealedSuffix = ".pgp"

// Matches reports whether a report's name is meant: as it is in the client's
// folder, or as it was delivered, without ".pgp" and the "~2" of a later version.
func (p Pattern) Matches(name string) bool {
	if !strings.Contains(p.s, "/") {
		name = path.Base(name)
	}
	delivered := strings.TrimSuffix(name, sealedSuffix)
	return p.match(name) || p.match(delivered) || p.match(version.ReplaceAllString(delivered, "$1"))
}

func (p Pattern) match(name string) bool {
	ok, _ := path.Match(p.s, name) // it was parsed
	return ok
}

// Clock is a time of day, as the time since midnight that clocks show.
type Clock time.Duration

// ParseClock reads a time of day such as "06:30", up to "23:59".
func ParseClock(s string) (Clock, error) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, fault(strconv.Quote(s)+" is not a time of day", `write hours and minutes in quotes, such as "06:30"`)
	}
	return Clock(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute), nil
}

// String writes c as "06:30".
func (c Clock) String() string {
	d := time.Duration(c)
	return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
}

// ParseZone reads the name of a timezone, such as "Europe/Berlin".
func ParseZone(s string) (*time.Location, error) {
	zone, err := time.LoadLocation(s)
	if err != nil || s == "" || s == "Local" {
		return nil, fault(strconv.Quote(s)+" is not a timezone", "write its name in the IANA database, such as Europe/Berlin, America/New_York or UTC")
	}
	return zone, nil
}

// valueError is a text that is not what it should be.
type valueError struct{ message, hint string }

func fault(message, hint string) error { return &valueError{message, hint} }

func (e *valueError) Error() string { return e.message }

// Hint says how the value is meant to be written.
func (e *valueError) Hint() string { return e.hint }
