// Package id makes the ids of keys, reports and receipts.
package id

import (
	"crypto/rand"
	"strings"
)

// New returns a new id: 26 lower-case base32 characters that carry 130 random
// bits, so that no two are the same and none can be guessed.
func New() string { return strings.ToLower(rand.Text()) }
