package main

import (
	"slices"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/reports/notify/message"
	"github.com/sealdrop/sealdrop/server/access"
)

// TestEverythingCanBeSaid: the lists that package message has of its own are those of
// the packages whose words it puts into words.
func TestEverythingCanBeSaid(t *testing.T) {
	t.Parallel()
	for _, k := range contact.Kinds() {
		if !slices.Contains(message.Kinds(), message.Kind(k)) {
			t.Errorf("there is no message for the event %s", k)
		}
	}
	for _, r := range access.Reasons() {
		said := slices.Contains(message.Reasons(message.AccessRefused), string(r))
		// Who gets in was not refused, and who is unknown has no contacts.
		if nothing := r == access.Allowed || r == access.UnknownClient; said == nothing {
			t.Errorf("the reason %s: there is a text: %v", r, said)
		}
	}
}

// TestKeyThatEndedAnHourAgoIsNotADayOver: whole days are counted in both directions.
func TestKeyThatEndedAnHourAgoIsNotADayOver(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]int{-time.Hour: 0, time.Hour: 0, -25 * time.Hour: -1, 25 * time.Hour: 1, -48 * time.Hour: -2} {
		if got := viewEnding(keys.Ending{At: at.Add(left)}, at).Days; got != want {
			t.Errorf("%s before its end it is %d days, want %d", left, got, want)
		}
	}
}
