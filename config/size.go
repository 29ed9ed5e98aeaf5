package config

import (
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes that something may have, or [Unlimited]. It is
// written as a whole number with its unit: "10GiB", "500MB".
type Size int64

// Unlimited is a [Size], or a [Count], that sets no limit. It is written as
// "unlimited".
const Unlimited = -1

const unlimited = "unlimited"

// sizeUnits are the units of a Size, the largest first of each kind.
func sizeUnits() []struct {
	name  string
	bytes int64
} {
	return []struct {
		name  string
		bytes int64
	}{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"B", 1},
	}
}

// ParseSize reads a Size of at least one byte.
func ParseSize(text string) (Size, error) {
	const hint = "write a whole number with its unit, such as 500MiB, 10GiB or 1TiB, or unlimited"
	if text == unlimited {
		return Unlimited, nil
	}
	for _, unit := range sizeUnits() {
		number, found := strings.CutSuffix(text, unit.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(number, " "), 10, 63)
		if err != nil || n == 0 || int64(n) > math.MaxInt64/unit.bytes {
			break
		}
		return Size(int64(n) * unit.bytes), nil
	}
	return 0, bad(text, "is not a size", hint)
}

// String prints s in the largest unit that leaves a whole number, as [ParseSize]
// reads it.
func (s Size) String() string {
	if s < 0 {
		return unlimited
	}
	for _, unit := range sizeUnits() {
		if s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name
		}
	}
	return "0B"
}

// MarshalText implements [encoding.TextMarshaler].
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Count is how many of something there may be, or [Unlimited].
type Count int64

// ParseCount reads a Count of at least 1.
func ParseCount(text string) (Count, error) {
	if text == unlimited {
		return Unlimited, nil
	}
	const most = 1_000_000_000_000
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, bad(text, "is not a number of files", "write a whole number from 1, or unlimited")
	}
	return Count(n), nil
}

// String prints n as [ParseCount] reads it.
func (n Count) String() string {
	if n < 0 {
		return unlimited
	}
	return strconv.FormatInt(int64(n), 10)
}

// MarshalText implements [encoding.TextMarshaler].
func (n Count) MarshalText() ([]byte, error) { return []byte(n.String()), nil }
