package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/status"
)

// maxScreen is how wide the overview is at most, in columns.
const maxScreen = 100

// shownOfKind is how many items of one kind a screen shows; -o json has more.
const shownOfKind = 5

// statusScreen renders the overview as text. Colours only repeat what words say.
type statusScreen struct {
	width, height int // height 0: no limit
	colour        bool
	terminal      bool
	watching      bool
	zone          *time.Location
}

// The escape sequences of a terminal that are used.
const (
	escBold   = "\x1b[1m"
	escRed    = "\x1b[1;31m"
	escYellow = "\x1b[33m"
	escGreen  = "\x1b[32m"
	escDim    = "\x1b[2m"
	escReset  = "\x1b[0m"
)

func (t statusScreen) paint(escape, text string) string {
	if !t.colour || escape == "" || text == "" {
		return text
	}
	return escape + text + escReset
}

// render returns the whole screen.
func (t statusScreen) render(s status.Status) string {
	var b strings.Builder
	t.head(&b, s)
	t.day(&b, s)
	t.items(&b, s)
	if s.System != nil {
		t.system(&b, s)
	}
	return b.String()
}

// redraw returns what puts the screen in the place of the one before. What does
// not fit on the terminal is left out, so that the red above stays in sight.
func (t statusScreen) redraw(s status.Status) string {
	text := t.render(s)
	if !t.terminal {
		return text + "\n"
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if t.height > 2 && len(lines) > t.height-1 {
		left := len(lines) - (t.height - 2)
		lines = append(lines[:t.height-2], t.paint(escDim, fmt.Sprintf("… %d more lines; `sealdrop status` shows them", left)))
	}
	return "\x1b[H" + strings.Join(lines, "\x1b[K\n") + "\x1b[K\x1b[J"
}

func (t statusScreen) head(b *strings.Builder, s status.Status) {
	title := "Sealdrop"
	if s.Client != "" {
		title = "Client " + s.Client
	}
	at := s.At.In(t.zone).Format("Mon 2 Jan 2006, 15:04 MST")
	if t.watching {
		at = s.At.In(t.zone).Format("Mon 2 Jan 2006, 15:04:05 MST")
	}
	word, escape := "nothing needs you", escGreen
	switch {
	case s.Red > 0:
		word, escape = fmt.Sprintf("%d red, %d yellow", s.Red, s.Yellow), escRed
	case s.Yellow > 0:
		word, escape = fmt.Sprintf("nothing red, %d yellow", s.Yellow), escYellow
	}
	fmt.Fprintf(b, "%s  %s  %s\n", t.paint(escBold, title), at, t.paint(escape, word))
	if t.watching { // on a line of its own: beside a long id, it would not fit into 80 columns
		fmt.Fprintf(b, "%s\n", t.paint(escDim, "every 5s, Ctrl-C ends"))
	}
	b.WriteString("\n")
}

func (t statusScreen) day(b *strings.Builder, s status.Status) {
	d := s.Day
	names := []string{"expected", "received", "sealed", "published", "collected", "overdue"}
	for i, n := range []int64{d.Expected, d.Received, d.Sealed, d.Published, d.Collected, d.Overdue} {
		cell := fmt.Sprintf("%*s", len(names[i])+2, thousands(n))
		if names[i] == "overdue" && n > 0 {
			cell = t.paint(escRed, cell)
		}
		b.WriteString(cell)
	}
	came := ""
	if d.Expected > 0 {
		came = fmt.Sprintf("; %s of %s expected came", thousands(d.Met), thousands(d.Expected))
	}
	fmt.Fprintf(b, "\n  %s\n  %s\n", strings.Join(names, "  "),
		t.paint(escDim, "since "+d.Since.In(t.zone).Format("Mon 2 Jan 15:04 MST")+came))
}

// items prints what needs a person.
func (t statusScreen) items(b *strings.Builder, s status.Status) {
	of := make(map[status.Kind]int)
	level := status.Level("")
	for n, i := range s.Items {
		of[i.Kind]++
		if of[i.Kind] <= shownOfKind {
			if i.Level != level {
				level = i.Level
				fmt.Fprintf(b, "\n%s\n", t.levelHead(level))
			}
			t.item(b, s, i)
		}
		last := n == len(s.Items)-1 || s.Items[n+1].Kind != i.Kind
		if more := of[i.Kind] - shownOfKind; last && more > 0 {
			fmt.Fprintf(b, "  %-11s  and %s more; `sealdrop status -o json` lists them\n", i.Kind, thousands(int64(more+s.More[i.Kind])))
		}
	}
	if len(s.Items) == 0 {
		fmt.Fprintf(b, "\n%s\n", t.paint(escGreen, "Nothing needs you."))
	}
}

func (t statusScreen) levelHead(l status.Level) string {
	switch l {
	case status.Red:
		return t.paint(escRed, "RED: now")
	case status.Yellow:
		return t.paint(escYellow, "YELLOW: soon")
	}
	return t.paint(escBold, "TO KNOW")
}

// item prints one: a line that says what is wrong and for how long, and the command
// on a line of its own, never broken.
func (t statusScreen) item(b *strings.Builder, s status.Status, i status.Item) {
	const kindWidth, ageWidth = 11, 7
	when := ""
	switch {
	case i.Until != nil && i.Until.After(s.At):
		when = "in " + age(i.Until.Sub(s.At))
	case i.Since != nil:
		when = age(s.At.Sub(*i.Since))
	}
	text := i.What
	if i.Client != "" && s.Client == "" {
		text = i.Client + ": " + text
	}
	escape := map[status.Level]string{status.Red: escRed, status.Yellow: escYellow}[i.Level]
	indent := 2 + kindWidth + 2
	lines := wrap(plain(text), t.width-indent-ageWidth-1)
	if when != "" {
		lines[0] = fmt.Sprintf("%-*s%*s", t.width-indent-ageWidth, lines[0], ageWidth, when)
	}
	fmt.Fprintf(b, "  %s  %s\n", t.paint(escape, fmt.Sprintf("%-*s", kindWidth, i.Kind)), lines[0])
	pad := strings.Repeat(" ", indent)
	for _, l := range lines[1:] {
		b.WriteString(pad + l + "\n")
	}
	fmt.Fprintf(b, "%s%s\n", pad, t.paint(escBold, "$ "+plain(i.Fix)))
}

// system prints the state of the gateway as a whole.
func (t statusScreen) system(b *strings.Builder, s status.Status) {
	y := s.System
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-11s  %s\n", name, plain(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(b, "\n%s\n", t.paint(escBold, "THE GATEWAY"))
	switch {
	case y.Running == nil:
		line("gateway", "it can't be told from here whether it runs")
	case *y.Running && y.PID > 0:
		line("gateway", "runs (process %d)", y.PID)
	case *y.Running:
		line("gateway", "runs")
	default:
		line("gateway", "does not run")
	}
	queue := "nothing waits"
	if y.Waiting > 0 {
		queue = fmt.Sprintf("%s waiting, the oldest for %s", count(y.Waiting, "file"), age(s.At.Sub(*y.Oldest)))
	}
	if y.Rejected > 0 {
		queue += fmt.Sprintf(", %d rejected", y.Rejected)
	}
	line("queue", "%s", queue)
	line("mail", "%s", mailLine(y))
	line("disk", "%s", diskLine(y))
	line("audit", "%s", auditLine(s.At, y))
	backup := "none was ever made"
	if y.BackupAt != nil {
		backup = "the last is " + age(s.At.Sub(*y.BackupAt)) + " old"
	}
	line("backup", "%s", backup)
	line("strangers", "%s since yesterday, from %s", count(int(y.Strangers.Attempts), "attempt"), count(y.Strangers.Addresses, "address"))
	line("locked out", "%s", lockedOut(y.Bans))
}

func mailLine(y *status.System) string {
	switch {
	case y.MailFailed == 0 && y.MailWaiting == 0:
		return "nothing waits, nothing failed"
	case y.MailFailed == 0:
		return fmt.Sprintf("%s to be sent", count(int(y.MailWaiting), "notification"))
	}
	return fmt.Sprintf("%s to be sent, %s given up", count(int(y.MailWaiting), "notification"), thousands(y.MailFailed))
}

func diskLine(y *status.System) string {
	text := fmt.Sprintf("%s free of %s", size(int64(y.DiskFree)), size(int64(y.DiskTotal)))
	switch {
	case y.DiskDays != nil && *y.DiskDays > 3*365:
		return text + ", enough for years"
	case y.DiskDays != nil:
		return text + fmt.Sprintf(", enough for %s at %s a day", count(int(*y.DiskDays), "day"), size(y.DiskGrowth))
	}
	return text + ", and it does not fill up"
}

func auditLine(at time.Time, y *status.System) string {
	switch {
	case y.VerifiedAt == nil:
		return fmt.Sprintf("%s, never verified yet", count(int(y.AuditLast), "record"))
	case y.Verified >= y.AuditLast:
		return fmt.Sprintf("all of %s verified %s ago", count(int(y.AuditLast), "record"), age(at.Sub(*y.VerifiedAt)))
	}
	return fmt.Sprintf("verified to %s of %s, %s ago", thousands(y.Verified), count(int(y.AuditLast), "record"), age(at.Sub(*y.VerifiedAt)))
}

func lockedOut(n int) string {
	if n == 0 {
		return "nobody"
	}
	return fmt.Sprintf("%d after failed logins; `sealdrop ban list` shows them", n)
}

func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "s"):
		return thousands(int64(n)) + " " + noun + "es"
	}
	return thousands(int64(n)) + " " + noun + "s"
}

// thousands writes a number as people read it: 12,345.
func thousands(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return thousands(n/1000) + fmt.Sprintf(",%03d", n%1000)
}
