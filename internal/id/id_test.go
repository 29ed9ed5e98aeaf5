package id

import (
	"strings"
	"testing"
	"time"
)

func TestNew(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 10000 {
		s := New()
		if len(s) != 26 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Fatalf("id %q", s)
		}
		if seen[s] {
			t.Fatalf("id %q came twice", s)
		}
		seen[s] = true
	}
}

// TestIDsFollowTime: what was made later has the greater id.
func TestIDsFollowTime(t *testing.T) {
	t.Parallel()
	last := ""
	for _, when := range []time.Time{
		time.UnixMilli(0), time.UnixMilli(1), time.UnixMilli(31), time.UnixMilli(32), time.UnixMilli(1024),
		time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 0, 0, 0, 1e6, time.UTC), time.Date(3084, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		s := at(when)
		if len(s) != 26 || s <= last {
			t.Errorf("%v: %s after %s", when, s, last)
		}
		last = s
	}
}
