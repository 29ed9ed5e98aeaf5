package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// Duration is a length of time, never negative. It is written with Go's units
// and, before them, weeks and days: "100d", "1d12h", "2w", "30s". A day is 24
// hours.
type Duration time.Duration

// ParseDuration reads a Duration. Weeks and days are whole numbers and come
// first; every number has its unit.
func ParseDuration(text string) (Duration, error) {
	const hint = "write a number with its unit: 30s, 15m, 12h, 100d or 2w"
	rest, total := text, time.Duration(0)
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", week}, {"d", day}} {
		number, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 31)
		if errors.Is(err, strconv.ErrRange) || err == nil && time.Duration(n) > (math.MaxInt64-total)/unit.length {
			return 0, tooLong(text)
		}
		if err != nil {
			return 0, bad(text, "is not a length of time", hint)
		}
		rest, total = after, total+time.Duration(n)*unit.length
		if rest == "" {
			return Duration(total), nil
		}
	}
	d, err := time.ParseDuration(rest)
	switch {
	case err != nil && wellFormed(rest), err == nil && d > math.MaxInt64-total:
		return 0, tooLong(text)
	case err != nil:
		return 0, bad(text, "is not a length of time", hint)
	case strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+"):
		return 0, bad(text, "has a sign; a length of time has none", hint)
	}
	return Duration(total + d), nil
}

func tooLong(text string) error {
	return bad(text, "is too long", fmt.Sprintf("%dd is the most", int64(math.MaxInt64/day)))
}

// wellFormed reports whether a text that is no time of Go's would be one with smaller
// numbers.
func wellFormed(text string) bool {
	_, err := time.ParseDuration(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '0'
		}
		return r
	}, text))
	return err == nil
}

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String prints d in days, hours, minutes and seconds and leaves out what is
// zero: "100d", "1d12h". [ParseDuration] reads it back to the same value.
func (d Duration) String() string {
	rest := time.Duration(d)
	if rest == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}} {
		if n := rest / unit.length; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + unit.letter)
			rest -= n * unit.length
		}
	}
	if rest != 0 {
		b.WriteString(rest.String())
	}
	return b.String()
}

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] by way of [ParseDuration].
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}
