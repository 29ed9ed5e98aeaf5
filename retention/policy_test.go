package retention_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/retention"
)

const day = 24 * time.Hour

var (
	start  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	policy = retention.Policy{MaxShare: 25, MaxGap: 14 * day}
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		gap        time.Duration // since the last sweep; -1: there was none
		due, files int64
		refused    string // part of the reason, "" if it goes ahead
	}{
		{"nothing at all", time.Hour, 0, 0, ""},
		{"nothing due", time.Hour, 0, 1000, ""},
		{"the first sweep", -1, 10, 1000, ""},
		{"the first sweep of too much", -1, 900, 1000, "more than 25 %"},
		{"a usual one", time.Hour, 10, 1000, ""},
		{"just the share", time.Hour, 250, 1000, ""},
		{"one more", time.Hour, 251, 1000, "more than 25 %"},
		{"a few may always go", time.Hour, 10, 10, ""},
		{"one more than a few", time.Hour, 11, 11, "more than 25 %"},
		{"the same moment", 0, 10, 1000, ""},
		{"just the gap", 14 * day, 10, 1000, ""},
		{"clock-jumps-forward", 14*day + time.Microsecond, 10, 1000, "14 days after"},
		{"clock-jumps-years", 3650 * day, 10, 1000, "3650 days after"},
		{"clock-jumps-back", -time.Hour, 10, 1000, "the last sweep was at"},
		{"clock-jumps-forward-and-nothing-is-due-yet", 40 * day, 0, 1000, "40 days after"},
		{"clock-jumps-back-and-nothing-is-due", -time.Hour, 0, 1000, "the last sweep was at"},
		{"an empty gateway was off for a month", 40 * day, 0, 0, ""},
	} {
		var last time.Time
		if test.gap != -1 {
			last = start.Add(-test.gap)
		}
		err := policy.Check(start, last, catalog.Counts{Files: test.files, Due: test.due})
		var refused *retention.RefusedError
		switch {
		case test.refused == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.refused != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), test.refused) || refused.Hint() == ""):
			t.Errorf("%s: %v, want %q", test.name, err, test.refused)
		}
	}
}

func TestShareDoesNotOverflow(t *testing.T) {
	t.Parallel()
	everything := retention.Policy{MaxShare: 100, MaxGap: 14 * day}
	if err := everything.Check(start, start, catalog.Counts{Files: 1 << 40, Due: 1 << 40}); err != nil {
		t.Errorf("100 %%: %v", err)
	}
	nothing := retention.Policy{MaxGap: 14 * day}
	if err := nothing.Check(start, start, catalog.Counts{Files: 1000, Due: 101}); err == nil {
		t.Error("0 % let 101 of 1000 go")
	}
}
