package access

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// SeenFilter selects attempts. The zero value selects all.
type SeenFilter struct {
	// Client selects those of one client, or in its name: a user name that is no
	// client's will do.
	Client string
	// Reason selects those with one reason.
	Reason Reason
	// Address selects those from within a network.
	Address netip.Prefix
	// Failed leaves out those that got in.
	Failed bool
	// Since leaves out what was over before.
	Since time.Time
	// Limit is how many are returned at most, the newest; 0 for all.
	Limit int
}

func (f SeenFilter) selects(s Seen) bool {
	return (f.Client == "" || s.Client == f.Client || s.User == f.Client) && (f.Reason == "" || s.Reason == f.Reason) &&
		(!f.Address.IsValid() || within(f.Address, s.Address)) && (!f.Failed || s.Answer != AnswerAllowed) && !s.lastTime().Before(f.Since)
}

// within reports whether an address or network, as it was recorded, overlaps p.
func within(p netip.Prefix, recorded string) bool {
	if addr, err := netip.ParseAddr(recorded); err == nil {
		return p.Contains(addr.Unmap().WithZone(""))
	}
	other, err := netip.ParsePrefix(recorded)
	return err == nil && p.Overlaps(other)
}

// seenPage is how many records are read at a time.
const seenPage = 500

// Attempts lists what was recorded of attempts to get in, the oldest first. The
// repetitions of a refusal are counted with the first.
func (g *Gate) Attempts(ctx context.Context, f SeenFilter) ([]Seen, error) {
	list, _, err := g.attempts(ctx, f)
	return list, err
}

// cursor is what has been told of so far.
type cursor struct {
	after     int64              // the number of the last record
	strangers map[stranger]int64 // how often each was there
	since     time.Time          // when one of them was there last
}

func (g *Gate) attempts(ctx context.Context, f SeenFilter) ([]Seen, cursor, error) {
	c := cursor{strangers: map[stranger]int64{}}
	last, err := g.DB.Read().LastAudit(ctx)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return nil, c, fmt.Errorf("listing attempts: %w", err)
	}
	c.after = last.Seq
	list, err := g.recordedAttempts(ctx, f, last.Seq+1)
	if err != nil {
		return nil, c, fmt.Errorf("listing attempts: %w", err)
	}
	counted, err := g.newStrangers(ctx, &c)
	if err != nil {
		return nil, c, err
	}
	for _, s := range counted {
		if f.selects(s) {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b Seen) int {
		return cmp.Or(a.lastTime().Compare(b.lastTime()), cmp.Compare(a.Number, b.Number))
	})
	if f.Limit > 0 && len(list) > f.Limit {
		list = list[len(list)-f.Limit:]
	}
	return list, c, nil
}

// recordedAttempts reads the audit backwards, from before a number.
func (g *Gate) recordedAttempts(ctx context.Context, f SeenFilter, before int64) (list []Seen, err error) {
	var counts []Seen // repetitions whose first has not come yet
	for {
		rows, err := g.DB.Read().ListAttempts(ctx, query.ListAttemptsParams{Before: before, N: seenPage})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			before = row.Seq
			s, err := readSeen(row)
			if err != nil {
				return nil, err
			}
			if s.Time.Before(f.Since) || f.Limit > 0 && len(list) >= f.Limit && !couldBeFirst(counts, s) {
				return appendSelected(list, f, counts), nil
			}
			if s.repeated() {
				counts = append(counts, s)
				continue
			}
			if i := slices.IndexFunc(counts, func(count Seen) bool { return count.repeats(s) }); i >= 0 {
				s.Times, s.Last = s.Times+counts[i].Times, counts[i].Last
				counts = slices.Delete(counts, i, i+1)
			}
			list = appendSelected(list, f, []Seen{s})
		}
		if len(rows) < seenPage {
			return appendSelected(list, f, counts), nil
		}
	}
}

// couldBeFirst reports whether s, or what comes before it, may be what one of the
// counts repeats.
func couldBeFirst(counts []Seen, s Seen) bool {
	return slices.ContainsFunc(counts, func(count Seen) bool { return !s.Time.Before(count.since.Add(-time.Minute)) })
}

func appendSelected(list []Seen, f SeenFilter, more []Seen) []Seen {
	for _, s := range more {
		if f.selects(s) {
			list = append(list, s)
		}
	}
	return list
}

func readSeen(row query.Audit) (Seen, error) {
	var detail map[string]string
	if err := json.Unmarshal([]byte(row.Detail), &detail); err != nil {
		return Seen{}, &audit.BrokenError{Seq: row.Seq, Reason: "its detail is not JSON"}
	}
	return seen(row, detail), nil
}

// clockSlack is how far the clocks of gateways that share a catalog may lie apart.
const clockSlack = 5 * time.Minute

// newStrangers lists the strangers that were there since the cursor, each as often as
// it was since, and moves the cursor.
func (g *Gate) newStrangers(ctx context.Context, c *cursor) (list []Seen, err error) {
	since := int64(0)
	if !c.since.IsZero() {
		since = database.Micros(c.since.Add(-clockSlack))
	}
	rows, err := g.DB.Read().ListStrangers(ctx, since)
	if err != nil {
		return nil, fmt.Errorf("listing strangers: %w", err)
	}
	for _, row := range rows {
		who := stranger{row.Protocol, row.Address, Reason(row.Reason)}
		told := c.strangers[who]
		c.strangers[who] = row.Times
		if last := database.Time(row.LastAt); last.After(c.since) {
			c.since = last
		}
		if row.Times == told {
			continue
		}
		if row.Times < told { // it was forgotten meanwhile, and came again
			told = 0
		}
		s := seenStranger(row)
		if s.Times -= told; told > 0 {
			s.Time = s.lastTime()
		}
		list = append(list, s)
	}
	return list, nil
}

// FollowAttempts lists attempts and then, at each tick, those that have come since,
// each of them once, until ctx ends or tell fails. What repeats a refusal that was
// told of comes by itself, with its count.
func (g *Gate) FollowAttempts(ctx context.Context, f SeenFilter, tick <-chan time.Time, tell func([]Seen) error) error {
	list, c, err := g.attempts(ctx, f)
	for ; err == nil; list, err = g.moreAttempts(ctx, f, &c) {
		if err = tell(list); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (g *Gate) moreAttempts(ctx context.Context, f SeenFilter, c *cursor) (list []Seen, err error) {
	for {
		rows, err := g.DB.Read().ListAttemptsAfter(ctx, query.ListAttemptsAfterParams{After: c.after, N: seenPage})
		if err != nil {
			return nil, fmt.Errorf("following attempts: %w", err)
		}
		for _, row := range rows {
			s, err := readSeen(row)
			if err != nil {
				return nil, err
			}
			list, c.after = appendSelected(list, f, []Seen{s}), row.Seq
		}
		if len(rows) < seenPage {
			break
		}
	}
	counted, err := g.newStrangers(ctx, c)
	return appendSelected(list, f, counted), err
}
