package retention

import (
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Policy says when a sweep goes ahead.
type Policy struct {
	// MaxShare is the largest share, in percent, of all reports that one sweep
	// purges without being told to. A few reports may always go; see smallSweep.
	MaxShare int
	// MaxGap is the longest time between two sweeps that is believed.
	MaxGap time.Duration
}

// smallSweep is how many reports a sweep may purge whatever share they are: a
// gateway that has only a handful would otherwise ask each time.
const smallSweep = 10

// RefusedError says that a sweep was refused, and why.
type RefusedError struct {
	Due, Files int64
	Reason     string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the sweep was refused: %s (%d of %d reports are due)", e.Reason, e.Due, e.Files)
}

// Hint says what an operator can do.
func (e *RefusedError) Hint() string {
	return "check the clock (`timedatectl`); if it is right, look at `sealdrop retention plan` and let it go with `sealdrop retention run --confirm`"
}

// Check decides whether a sweep at the time now may go ahead, given the time of
// the last one (zero if there was none) and what it would find.
func (p Policy) Check(now, last time.Time, found catalog.Counts) error {
	refuse := func(format string, args ...any) error {
		return &RefusedError{Due: found.Due, Files: found.Files, Reason: fmt.Sprintf(format, args...)}
	}
	if found.Files == 0 {
		return nil
	}
	if doubt := p.doubt(now, last); doubt != "" {
		return refuse("%s", doubt)
	}
	if p.tooMany(found.Due, found.Files) {
		return refuse("it would purge more than %d %% of all reports at once", p.MaxShare)
	}
	return nil
}

// tooMany reports whether n of all is a larger share than one sweep may take.
func (p Policy) tooMany(n, all int64) bool {
	return n > smallSweep && n*100 > all*int64(p.MaxShare)
}

// OrphansError says that more blobs belong to nobody than crashes leave behind. The numbers
// are the most that there may be, since small ones lie together.
type OrphansError struct{ Orphans, Blobs int64 }

func (e *OrphansError) Error() string {
	return fmt.Sprintf("up to %d of %d blobs belong to no report, and none of them was deleted: the catalog may be an older copy than the blobs", e.Orphans, e.Blobs)
}

// Hint says what an operator can do.
func (e *OrphansError) Hint() string {
	return "if the catalog was restored from a backup, the reports since then are only in these blobs; if they are of no use, `sealdrop retention run --confirm` lets them go"
}

// skew is by how much the clocks of gateways that share a catalog may differ: the
// last sweep may have been another's. A clock that is behind purges late, never early.
const skew = time.Minute

// doubt says why the clock can't be believed, "" if it can.
func (p Policy) doubt(now, last time.Time) string {
	if last.IsZero() {
		return ""
	}
	switch gap := now.Sub(last); {
	case gap < -skew:
		return fmt.Sprintf("the clock says %s, and the last sweep was at %s", stamp(now), stamp(last))
	case gap > p.MaxGap:
		return fmt.Sprintf("the clock says %s, %d days after the last sweep at %s", stamp(now), int(gap.Hours()/24), stamp(last))
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
