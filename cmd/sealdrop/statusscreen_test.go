package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/internal/status"
	"github.com/sealdrop/sealdrop/reports/expect"
)

var updateScreens = flag.Bool("update-screens", false, "write the screens into the golden files")

// morning is a bad one.
func morning(t *testing.T) status.Status {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 6, 2, 0, 0, time.UTC)
	s := status.Snapshot{
		Now: now, Zone: zone, Limits: status.Limits{BackupAge: 48 * time.Hour, AuditAge: 7 * 24 * time.Hour, UncollectedAfter: 72 * time.Hour},
		Counts:   status.Counts{Received: 1240, Sealed: 1228, Published: 1228, Collected: 311},
		Expected: []status.Expected{owed(t, "acme", "Activity_*.csv", "06:30"), owed(t, "hooli", "Balance.csv", "18:00")},
		Held: []status.Held{{Client: "globex", Count: 12, Oldest: now.Add(-70 * time.Hour), Why: status.Why{
			Reason: "its PGP key 0C4FD0E5B1A3F3A1 expired on 20 Nov 2026", Fix: "sealdrop key import --client globex FILE",
		}}},
		Refusals: []status.Refusal{{At: now.Add(-9 * time.Hour), Client: "initech", Reason: "address-not-allowed", Address: "198.51.100.7", Protocol: "sftp", Times: 17}},
		Uncollected: []status.Uncollected{
			{Client: "umbrella", Count: 3, Oldest: now.Add(-95 * 24 * time.Hour), Purging: 2, PurgedAt: now.Add(5*24*time.Hour + time.Hour)},
			{Client: "a-client-with-quite-a-long-name", Count: 4, Oldest: now.Add(-4 * 24 * time.Hour)},
		},
		Running:   status.Running{Known: true, Running: true, PID: 812},
		Disk:      status.Disk{Path: "/srv/sealdrop", Total: 1 << 40, Free: 1 << 39, Reserve: 1 << 28, In: 14 << 31, Over: 14 * 24 * time.Hour},
		Audit:     status.Audit{Last: 12480, Began: now.Add(-1000 * time.Hour), Verified: 12412, VerifiedAt: now.Add(-5 * time.Hour)},
		Backup:    status.Backup{At: now.Add(-4 * time.Hour), Folder: "/mnt/backup"},
		Strangers: status.Strangers{Attempts: 2314, Addresses: 41}, Bans: []status.Ban{{Name: "192.0.2.4"}},
		Credentials: []status.Credential{{Kind: status.KindPassword, Client: "hooli", Ends: now.Add(45 * 24 * time.Hour)}},
	}
	return status.Judge(s)
}

// owed is an expectation that nothing came for.
func owed(t *testing.T, client, name, by string) status.Expected {
	t.Helper()
	p, err := expect.ParsePattern(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := expect.ParseClock(by)
	if err != nil {
		t.Fatal(err)
	}
	e := status.Expected{Client: client, Expectation: expect.Expectation{Name: p, By: c, Days: expect.Daily}}
	if client == "hooli" { // yesterday's came
		e.Arrivals = []status.Arrival{{Name: name, At: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}}
	}
	return e
}

func calmMorning(t *testing.T) status.Status {
	t.Helper()
	s := morning(t)
	s.Items, s.Red, s.Yellow, s.Notices, s.Day.Overdue, s.Day.Met = nil, 0, 0, 0, 0, 1
	return s
}

// TestStatusScreens holds what the overview looks like. Look at the files after
// `go test ./cmd/sealdrop -run Screens -update-screens`.
func TestStatusScreens(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	one := morning(t)
	one.Client, one.System = "globex", nil
	for name, screen := range map[string]string{
		"80":     statusScreen{width: 80, zone: zone}.render(morning(t)),
		"100":    statusScreen{width: 100, zone: zone}.render(morning(t)),
		"calm":   statusScreen{width: 80, zone: zone}.render(calmMorning(t)),
		"colour": statusScreen{width: 80, zone: zone, colour: true}.render(morning(t)),
		"client": statusScreen{width: 80, zone: zone}.render(one),
		"watch":  statusScreen{width: 80, height: 12, zone: zone, terminal: true, watching: true}.redraw(morning(t)),
	} {
		path := filepath.Join("testdata", "screens", "status-"+name+".txt")
		if *updateScreens {
			if err := os.WriteFile(path, []byte(screen), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), screen); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestScreenOfTheREADMEIsWhole: it once spoke of two yellow lines and showed one.
func TestScreenOfTheREADMEIsWhole(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	screen, err := os.ReadFile(filepath.Join("testdata", "screens", "status-100.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "\n```\n"+string(screen)+"```\n") {
		t.Error("README.md shows another screen than testdata/screens/status-100.txt")
	}
}

// TestWatchedTitleFitsTheTerminal: with a client's name, it was broken at 80 columns, in
// the middle of "yellow".
func TestWatchedTitleFitsTheTerminal(t *testing.T) {
	t.Parallel()
	s := morning(t)
	s.Client = "acme-capital"
	title, _, _ := strings.Cut(statusScreen{width: 80, zone: time.UTC, watching: true}.render(s), "\n")
	if len([]rune(title)) > 80 {
		t.Errorf("%q has %d columns", title, len([]rune(title)))
	}
}

// TestStatusFitsTheTerminal: only commands, which are copied, may be wider.
func TestStatusFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for _, width := range []int{80, 100} {
		for line := range strings.Lines(statusScreen{width: width, zone: time.UTC}.render(morning(t))) {
			line = strings.TrimRight(line, "\n")
			if len([]rune(line)) > width && !strings.Contains(line, "$ ") {
				t.Errorf("%d columns: %q", width, line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("%q ends in a space", line)
			}
		}
	}
}

// TestColoursOnlyRepeatWords: without them the screen says the same.
func TestColoursOnlyRepeatWords(t *testing.T) {
	t.Parallel()
	coloured := statusScreen{width: 80, zone: time.UTC, colour: true}.render(morning(t))
	for _, escape := range []string{escBold, escRed, escYellow, escGreen, escDim, escReset} {
		coloured = strings.ReplaceAll(coloured, escape, "")
	}
	if plain := (statusScreen{width: 80, zone: time.UTC}).render(morning(t)); plain != coloured || !strings.Contains(plain, "RED") {
		t.Error("the words differ")
	}
}
