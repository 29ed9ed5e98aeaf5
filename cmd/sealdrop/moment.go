package main

import (
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/config"
)

// parseMoment reads a point in time: so long ago (36h, 30d), a day in UTC, or a
// whole RFC 3339 time.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if ago, err := config.ParseDuration(text); err == nil {
		return now.Add(-ago.Std()), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: 30d means so long ago, 2026-11-01 the beginning of that day (UTC), and 2026-11-01T06:30:00Z that moment", text)
}
