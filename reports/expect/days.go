package expect

import (
	"strconv"
	"strings"
	"time"
)

// Days is a set of days of the week. The zero value has none.
type Days uint8

// Daily is every day.
const Daily Days = 1<<7 - 1

// names are the days as they are written, from Sunday on as in package time.
func names() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

// ParseDays reads "daily", a day ("mon"), a range ("mon-fri", "sat-mon") or several
// with commas between ("mon,wed,fri").
func ParseDays(s string) (Days, error) {
	if s == "daily" {
		return Daily, nil
	}
	var days Days
	for part := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			last = first
		}
		from, to := dayOf(first), dayOf(last)
		if from < 0 || to < 0 {
			return 0, fault(strconv.Quote(s)+" is no list of days", "write daily, mon-fri, or days such as mon,wed,fri")
		}
		for day := from; ; day = (day + 1) % 7 {
			days |= 1 << day
			if day == to {
				break
			}
		}
	}
	return days, nil
}

func dayOf(s string) int {
	for i, name := range names() {
		if s == name {
			return i
		}
	}
	return -1
}

func (d Days) has(day time.Weekday) bool { return d&(1<<day) != 0 }

// String writes d as [ParseDays] reads it: "daily", "mon-fri", "mon,wed,fri".
func (d Days) String() string {
	if d == Daily {
		return "daily"
	}
	var parts []string
	for i := 0; i < 7; { // from Monday on
		from := i
		for i < 7 && d.has(time.Weekday((i+1)%7)) {
			i++
		}
		first, last := names()[(from+1)%7], names()[i%7]
		switch {
		case i == from:
			i++
		case i-from == 1:
			parts = append(parts, first)
		case i-from == 2:
			parts = append(parts, first, last)
		default:
			parts = append(parts, first+"-"+last)
		}
	}
	return strings.Join(parts, ",")
}
