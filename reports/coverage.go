package reports

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Coverage is a set of byte ranges of a file, kept sorted and merged. The zero
// value covers nothing. It is not safe for concurrent use, and neither are it
// and a copy of it.
//
// It takes bounded memory: of a file that is read in very many pieces, it may
// know less than what was added, never more.
type Coverage struct{ ranges []span }

type span struct{ from, to int64 } // [from, to)

// Add includes the bytes from offset from up to but not including offset to.
func (c *Coverage) Add(from, to int64) {
	if from >= to || from < 0 {
		return
	}
	// The common case is a transfer in order: the last range grows.
	if n := len(c.ranges); n > 0 {
		last := &c.ranges[n-1]
		if from == last.to {
			last.to = to
			return
		}
	}
	// first range that ends at or after from, and first that begins after to
	i, _ := slices.BinarySearchFunc(c.ranges, from, func(s span, at int64) int { return compare(s.to, at) })
	j := i
	for j < len(c.ranges) && c.ranges[j].from <= to {
		from, to = min(from, c.ranges[j].from), max(to, c.ranges[j].to)
		j++
	}
	c.ranges = slices.Replace(c.ranges, i, j, span{from, to})
	if len(c.ranges) > maxHeld {
		c.ranges = c.ranges[:maxHeld]
	}
}

// maxHeld bounds the ranges of a [Coverage] to 256 KiB: a client that reads
// every other byte of a file must not fill the gateway's memory with them.
const maxHeld = 16384

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Merge includes everything that other covers.
func (c *Coverage) Merge(other Coverage) {
	for _, s := range other.ranges {
		c.Add(s.from, s.to)
	}
}

// Whole reports whether every byte of a file of the given size is covered. An
// empty file always is.
func (c *Coverage) Whole(size int64) bool {
	return size == 0 || len(c.ranges) > 0 && c.ranges[0].from == 0 && c.ranges[0].to >= size
}

// Overlaps reports whether any byte from offset from up to but not including
// offset to is covered.
func (c *Coverage) Overlaps(from, to int64) bool {
	i, _ := slices.BinarySearchFunc(c.ranges, from+1, func(s span, at int64) int { return compare(s.to, at) })
	return from < to && i < len(c.ranges) && c.ranges[i].from < to
}

// Bytes returns how many bytes are covered.
func (c *Coverage) Bytes() int64 {
	var n int64
	for _, s := range c.ranges {
		n += s.to - s.from
	}
	return n
}

// maxRanges bounds what is stored of a file that was read in scattered pieces.
// Beyond it, the smallest knowledge that is still true is kept: the first ranges.
const maxRanges = 256

// String returns the ranges as "from-to,from-to", the form that
// [ParseCoverage] reads.
func (c *Coverage) String() string {
	var b strings.Builder
	for i, s := range c.ranges[:min(len(c.ranges), maxRanges)] {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d-%d", s.from, s.to)
	}
	return b.String()
}

// ParseCoverage reads what [Coverage.String] wrote.
func ParseCoverage(s string) (Coverage, error) {
	var c Coverage
	if s == "" {
		return c, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		a, b, ok := strings.Cut(part, "-")
		from, err1 := strconv.ParseInt(a, 10, 64)
		to, err2 := strconv.ParseInt(b, 10, 64)
		if !ok || err1 != nil || err2 != nil || from < 0 || from >= to {
			return Coverage{}, fmt.Errorf("not a byte range: %q", part)
		}
		c.Add(from, to)
	}
	return c, nil
}

// TakeFrom removes the range that begins at from and returns its end; ok is
// false if there is none.
func (c *Coverage) TakeFrom(from int64) (end int64, ok bool) {
	if len(c.ranges) == 0 || c.ranges[0].from != from {
		return 0, false
	}
	end = c.ranges[0].to
	c.ranges = slices.Delete(c.ranges, 0, 1)
	return end, true
}
