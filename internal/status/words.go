package status

import (
	"fmt"
	"strings"
	"time"
)

// lasting says how long something lasts, in its largest unit.
func lasting(d time.Duration) string {
	switch {
	case d < time.Minute:
		return plural(int64(max(d.Seconds(), 0)), "second")
	case d < time.Hour:
		return plural(int64(d.Minutes()), "minute")
	case d < 2*day:
		return plural(int64(d.Hours()), "hour")
	}
	return plural(int64(d/day), "day")
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func verb(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func timesText(n int64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

func dateText(t time.Time) string { return t.Format("2 Jan 2006") }

// dueText is a time that was due lately; the day is told where it is not today.
func dueText(due, now time.Time) string {
	if due.Format(time.DateOnly) == now.In(due.Location()).Format(time.DateOnly) {
		return due.Format("15:04 MST")
	}
	return due.Format("15:04 MST on Mon 2 Jan")
}

func typeText(keyType string) string { return strings.ToUpper(keyType) }

// shortFingerprint is enough of a fingerprint to tell a client's keys apart.
func shortFingerprint(s string) string {
	const short = 16
	if hash, is := strings.CutPrefix(s, "SHA256:"); is {
		return "SHA256:" + hash[:min(len(hash), 8)] + "…"
	}
	if len(s) > short {
		return s[len(s)-short:]
	}
	return s
}

const (
	plainChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"
	globChars  = "*?[]"
)

// shellArg quotes a text for a shell, where it has to be.
func shellArg(s string) string { return quoteUnless(s, plainChars) }

// globArg is [shellArg] for a pattern of names, which the shell is to expand.
func globArg(s string) string { return quoteUnless(s, plainChars+globChars) }

func quoteUnless(s, safe string) string {
	if s != "" && strings.Trim(s, safe) == "" && !strings.HasPrefix(s, "-") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
