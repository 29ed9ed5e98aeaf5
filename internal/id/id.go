// Package id makes the ids of keys, reports and receipts.
package id

import (
	"crypto/rand"
	"strings"
	"time"
)

// digits are those of base32 in the order of their bytes, so that ids sort as the numbers do.
const digits = "234567abcdefghijklmnopqrstuvwxyz"

// timeDigits hold milliseconds since 1970 until the year 3084.
const timeDigits = 9

// New returns a new id: 26 lower-case base32 characters, of which the last 17 carry 85
// random bits, so that no two are the same and none can be guessed. Those before them are the
// time: what is made at the same time, and so is purged at the same time, lies side by side in
// the catalog's indexes. With random ids each change was to a page of its own.
func New() string { return at(time.Now()) }

func at(t time.Time) string {
	var b [timeDigits]byte
	n := t.UnixMilli()
	for i := timeDigits - 1; i >= 0; i-- {
		b[i] = digits[n&31]
		n >>= 5
	}
	return string(b[:]) + strings.ToLower(rand.Text()[timeDigits:])
}
