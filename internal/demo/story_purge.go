package demo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// shortLife is the retention in the copy of the gateway: long enough for a
	// sweep that finds nothing due yet.
	shortLife = 3 * time.Second
	shortName = "Short-lived.csv"
	onCopy    = "sealdrop -c $D/copy/config.yaml "
)

// sweeps keeps count of what the sweeps on the copy have purged.
type sweeps struct {
	delivered time.Time // before the short-lived statement was published
	purged    int
}

// purge runs sweeps, on a copy of the gateway so that nothing is lost in the one
// that goes on.
func (t *tour) purge(context.Context) (chapter, error) {
	something := gpg // was published with it, or was uploaded
	if !t.tools.have(gpg) {
		something = sftp | sshKeys
	}
	ch := chapter{title: "Past its time: a sweep, on a copy", steps: []step{
		{
			say: "Statements are kept for 100 days. To see them go, the gateway is stopped and copied, with all that it has.",
			run: "kill $(cat $D/gateway.pid)", do: func(context.Context) (string, error) { return "", t.stopGateway() },
		},
		{run: "cp -a $D/gateway $D/copy"},
		{
			say: "Nothing is due now. In 101 days all of it will be.", run: onCopy + "retention plan",
			check: func(output string) error { return wantDue(output, func(due, _ int) bool { return due == 0 }) },
		},
		{
			run: onCopy + "retention plan --at 101d --limit 2", needs: something,
			check: func(output string) error {
				return wantDue(output, func(due, all int) bool { return due == all && due > 0 })
			},
		},
	}}
	ch.steps = append(ch.steps, t.shortRetention()...)
	return ch, nil
}

// shortRetention publishes a statement with a short retention, and sweeps before
// and after its time is over.
func (t *tour) shortRetention() []step {
	var sw sweeps
	deliver := t.shortDelivery()
	return []step{
		{
			say: fmt.Sprintf("The copy gets one more statement, to be kept for %d seconds only. The others keep the time that was "+
				"set when they were published.", int(shortLife.Seconds())),
			run: deliver, needs: gpg, want: []string{"published"},
			do: func(ctx context.Context) (string, error) {
				sw.delivered = time.Now()
				output, _, err := t.shell(ctx, deliver)
				return output, err
			},
		},
		{
			say: "A sweep now is too early, even for it.", run: onCopy + "retention run", needs: gpg,
			check: sw.early, show: []string{"purged"},
		},
		{
			say: "And a moment later:", needs: gpg,
			run:   fmt.Sprintf("sleep %d\n%sretention plan", int(shortLife.Seconds()), onCopy),
			check: func(output string) error { return wantDue(output, func(due, _ int) bool { return due+sw.purged == 1 }) },
		},
		{run: onCopy + "retention run", needs: gpg, check: sw.late, show: []string{"purged"}},
		{
			say: "It alone is gone. Its sealed bytes follow after a day of grace, for the sake of downloads under way.",
			run: onCopy + "report list", needs: gpg,
			want: []string{t.activity()}, never: []string{shortName},
		},
	}
}

// early holds the sweep before the time against what may go: nothing, unless the
// machine is so slow that the time is over already.
func (sw *sweeps) early(output string) error {
	n, err := purgedBy(output)
	if err != nil {
		return err
	}
	sw.purged = n
	if most := time.Since(sw.delivered) / shortLife; n > min(int(most), 1) {
		return fmt.Errorf("a sweep purged %d before their time", n)
	}
	return nil
}

// late holds the sweep after the time against what must go.
func (sw *sweeps) late(output string) error {
	n, err := purgedBy(output)
	if err != nil {
		return err
	}
	if sw.purged += n; sw.purged != 1 {
		return fmt.Errorf("the sweeps purged %d instead of 1", sw.purged)
	}
	return nil
}

func (t *tour) shortDelivery() string {
	return fmt.Sprintf("SEALDROP_RETENTION_AFTER=%ds %sdeliver --client acme --name %s $D/statements/acme/%s",
		int(shortLife.Seconds()), onCopy, shortName, t.activity())
}

var (
	dueLine    = regexp.MustCompile(`(?m)^(\d+) of (\d+) are due`)
	purgedLine = regexp.MustCompile(`(?m)^purged\s+(\d+)`)
)

// wantDue looks at what `retention plan` says.
func wantDue(output string, right func(due, all int) bool) error {
	m := dueLine.FindStringSubmatch(output)
	if m == nil {
		return errors.New("a plan should say how much is due")
	}
	due, _ := strconv.Atoi(m[1]) // digits
	all, _ := strconv.Atoi(m[2])
	if !right(due, all) {
		return fmt.Errorf("the plan is wrong: %s", strings.TrimSpace(m[0]))
	}
	return nil
}

// purgedBy reads how much `retention run` has purged.
func purgedBy(output string) (int, error) {
	m := purgedLine.FindStringSubmatch(output)
	if m == nil {
		return 0, errors.New("a sweep should say how much it purged")
	}
	return strconv.Atoi(m[1])
}
