package contact

import (
	"fmt"
	"time"
	_ "time/tzdata" // a container may have no time zones of its own
)

// Schedule says when reports that have come in are told of. The zero value tells
// of each.
type Schedule struct {
	daily        bool
	hour, minute int
}

// ParseSchedule reads "each" or "daily HH:MM".
func ParseSchedule(s string) (Schedule, error) {
	if s == "" || s == "each" {
		return Schedule{}, nil
	}
	t, err := time.Parse("daily 15:04", s)
	if err != nil {
		return Schedule{}, &ParseError{Message: fmt.Sprintf("%.80q says no time", s), Advice: `write each, or a time of day as in "daily 07:00"`}
	}
	return Schedule{daily: true, hour: t.Hour(), minute: t.Minute()}, nil
}

// Daily reports whether everything is told at once, once a day.
func (s Schedule) Daily() bool { return s.daily }

// String returns what [ParseSchedule] reads.
func (s Schedule) String() string {
	if !s.daily {
		return "each"
	}
	return fmt.Sprintf("daily %02d:%02d", s.hour, s.minute)
}

// MarshalText returns what [ParseSchedule] reads.
func (s Schedule) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is [ParseSchedule].
func (s *Schedule) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSchedule(string(text))
	return err
}

// Next returns when that which happens at a time is told of: then, or at the next
// time of day in the zone. There is one such time on each day of the zone's
// calendar: where the clocks go forward over it, the next time there is, and where
// they go back over it, the first of the two.
func (s Schedule) Next(after time.Time, zone *time.Location) time.Time {
	if !s.daily {
		return after
	}
	local := after.In(zone)
	for day := 0; ; day++ {
		if t := s.on(local.Year(), local.Month(), local.Day()+day, zone); t.After(after) {
			return t
		}
	}
}

// on is the time on one day. time.Date promises not which of two it returns where
// the clocks change, so the offsets of the hours around decide.
func (s Schedule) on(year int, month time.Month, day int, zone *time.Location) time.Time {
	wall := time.Date(year, month, day, s.hour, s.minute, 0, 0, time.UTC)
	var best time.Time
	for _, around := range []time.Duration{-12 * time.Hour, 12 * time.Hour} {
		_, offset := wall.Add(around).In(zone).Zone()
		t := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if t.Hour() == s.hour && t.Minute() == s.minute && (best.IsZero() || t.Before(best)) {
			best = t
		}
	}
	if !best.IsZero() {
		return best
	}
	// Skipped by the clocks: as late as the offset from before says.
	_, offset := wall.Add(-12 * time.Hour).In(zone).Zone()
	return wall.Add(-time.Duration(offset) * time.Second).In(zone)
}

// Zone is a time zone of the IANA database. The zero value is UTC.
type Zone struct{ location *time.Location }

// ParseZone reads a zone's name, such as "Europe/Berlin". "Local" is refused: a
// gateway that moves would mean another.
func ParseZone(s string) (Zone, error) {
	if s == "" {
		return Zone{}, nil
	}
	location, err := time.LoadLocation(s)
	if err != nil || s == "Local" {
		return Zone{}, &ParseError{Message: fmt.Sprintf("%.80q is no time zone", s), Advice: "write its name as in Europe/Berlin, America/Sao_Paulo, Asia/Tokyo or UTC"}
	}
	return Zone{location}, nil
}

// Location returns the zone.
func (z Zone) Location() *time.Location {
	if z.location == nil {
		return time.UTC
	}
	return z.location
}

// IsZero reports whether no zone was chosen.
func (z Zone) IsZero() bool { return z.location == nil }

// String returns the zone's name, "" for the zero value.
func (z Zone) String() string {
	if z.location == nil {
		return ""
	}
	return z.location.String()
}

// MarshalText returns what [ParseZone] reads.
func (z Zone) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

// UnmarshalText is [ParseZone].
func (z *Zone) UnmarshalText(text []byte) (err error) {
	*z, err = ParseZone(string(text))
	return err
}
