package status

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sealdrop/sealdrop/reports/expect"
)

// How far the overview looks ahead.
const (
	day        = 24 * time.Hour
	PurgeAhead = 14 * day
	EndsAhead  = 60 * day
	DiskAhead  = 14 * day
)

const (
	purgeRed    = 7 * day
	endsRed     = 7 * day
	endsYellow  = 30 * day
	diskRed     = 7
	diskYellow  = 30 // days
	waitYellow  = 10 * time.Minute
	waitRed     = time.Hour
	mailYellow  = time.Hour
	leastHabit  = day
	habitNeeds  = 5 // collected reports
	habitsTenth = 9 // of ten
)

// Judge says what a snapshot means. It has no state and looks at no clock.
func Judge(s Snapshot) Status {
	j := judge{s: s, schedules: make(map[schedule]times)}
	since := expect.Midnight(s.Now, s.Zone)
	j.out = Status{
		At: s.Now.UTC(), Client: s.Client, Items: []Item{},
		Day: Day{
			Date: s.Now.In(s.Zone).Format(time.DateOnly), Timezone: s.Zone.String(), Since: since.UTC(),
			Received: s.Counts.Received, Sealed: s.Counts.Sealed, Published: s.Counts.Published, Collected: s.Counts.Collected,
		},
	}
	j.tomorrow = expect.Midnight(since.Add(36*time.Hour), s.Zone)
	j.since = since
	j.missing()
	j.held()
	j.uncollected()
	j.refused()
	j.credentials()
	j.approvals()
	j.queue()
	j.bans()
	j.mail()
	for _, f := range s.Faults {
		j.add(Item{Level: Red, Kind: f.Kind, What: f.What, Fix: f.Fix})
	}
	if s.Client == "" {
		j.system()
	}
	j.finish()
	return j.out
}

type judge struct {
	s               Snapshot
	out             Status
	since, tomorrow time.Time
	schedules       map[schedule]times
}

func (j *judge) add(i Item) { j.out.Items = append(j.out.Items, i) }

// from sets since when something is.
func (j *judge) from(i Item, at time.Time) Item {
	utc := at.UTC()
	i.Since, i.Age = &utc, int64(j.s.Now.Sub(at).Seconds())
	return i
}

func until(i Item, at time.Time) Item {
	utc := at.UTC()
	i.Until = &utc
	return i
}

// finish orders and counts the items, and keeps those of each kind that matter most.
func (j *judge) finish() {
	rank := func(i Item) int { return slices.Index([]Level{Red, Yellow, Notice}, i.Level) }
	order := make(map[Kind]int)
	for n, k := range kinds() {
		order[k] = n
	}
	at := func(t *time.Time) int64 {
		if t == nil {
			return 0
		}
		return t.UnixMicro()
	}
	slices.SortStableFunc(j.out.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(order[a.Kind], order[b.Kind]),
			cmp.Compare(at(a.Until), at(b.Until)), cmp.Compare(at(a.Since), at(b.Since)), cmp.Compare(a.Client, b.Client))
	})
	listed := make(map[Kind]int)
	kept := j.out.Items[:0]
	for _, i := range j.out.Items {
		switch i.Level {
		case Red:
			j.out.Red++
		case Yellow:
			j.out.Yellow++
		default:
			j.out.Notices++
		}
		if listed[i.Kind]++; listed[i.Kind] <= MaxItems {
			kept = append(kept, i)
			continue
		}
		if j.out.More == nil {
			j.out.More = make(map[Kind]int)
		}
		j.out.More[i.Kind]++
	}
	j.out.Items = kept
}

// schedule is what many expectations have in common.
type schedule struct {
	by   expect.Clock
	days expect.Days
	zone *time.Location
}

type times struct {
	last  expect.Occurrence
	today []expect.Occurrence
}

func (j *judge) times(e expect.Expectation) times {
	key := schedule{e.By, e.Days, e.Zone}
	t, known := j.schedules[key]
	if !known {
		t = times{last: e.Last(j.s.Now), today: e.Between(j.since, j.tomorrow)}
		j.schedules[key] = t
	}
	return t
}

func (j *judge) missing() {
	for _, x := range j.s.Expected {
		e := x.In(j.s.Zone)
		var arrivals []time.Time
		for _, a := range x.Arrivals {
			if e.Name.Matches(a.Name) {
				arrivals = append(arrivals, a.At)
			}
		}
		t := j.times(e)
		for _, o := range t.today {
			j.out.Day.Expected++
			if !o.Met(arrivals).IsZero() {
				j.out.Day.Met++
			}
		}
		if t.last.Due.IsZero() || x.Young.After(t.last.Due) || !t.last.Met(arrivals).IsZero() {
			continue
		}
		j.out.Day.Overdue++
		j.add(j.from(Item{
			Level: Red, Kind: KindMissing, Client: x.Client,
			What:   fmt.Sprintf("%s was due at %s and has not come", e.Name, dueText(t.last.Due.In(e.Zone), j.s.Now)),
			Fix:    fmt.Sprintf("sealdrop deliver --client %s %s", x.Client, globArg(e.Name.String())),
			Advice: "ask its producer for it",
		}, t.last.Due))
	}
}

func (j *judge) held() {
	for _, h := range j.s.Held {
		i := Item{
			Level: Red, Kind: KindHeld, Client: h.Client, Count: h.Count,
			What: fmt.Sprintf("%s held: %s", plural(h.Count, "report"), h.Reason),
			Fix:  h.Fix, Advice: h.Advice,
		}
		if h.Usable {
			i.Level = Yellow
		}
		j.add(j.from(i, h.Oldest))
	}
}

func (j *judge) uncollected() {
	for _, u := range j.s.Uncollected {
		i := Item{
			Kind: KindUncollected, Level: Yellow, Client: u.Client, Count: u.Count,
			Fix: "sealdrop attempts --client " + u.Client, Advice: "see whether the client tries to, and call it",
		}
		if u.Purging > 0 {
			i.Kind, i.Count = KindPurging, u.Purging
			if u.PurgedAt.Sub(j.s.Now) <= purgeRed {
				i.Level = Red
			}
			i.What = fmt.Sprintf("%s uncollected, purged on %s", plural(u.Purging, "report"), dateText(u.PurgedAt.In(j.s.Zone)))
			if u.Purging > 1 {
				i.What = fmt.Sprintf("%s uncollected, purged from %s", plural(u.Purging, "report"), dateText(u.PurgedAt.In(j.s.Zone)))
			}
			j.add(until(j.from(i, u.Oldest), u.PurgedAt))
			continue
		}
		habit, known := habitOf(u.Delays)
		usual := "; its habit is not known yet"
		if known {
			usual = fmt.Sprintf("; it usually takes up to %s", lasting(habit))
		} else {
			habit = j.s.Limits.UncollectedAfter
		}
		if j.s.Now.Sub(u.Oldest) <= max(habit, leastHabit) {
			continue
		}
		i.What = fmt.Sprintf("%s uncollected, the oldest for %s%s", plural(u.Count, "report"), lasting(j.s.Now.Sub(u.Oldest)), usual)
		j.add(j.from(i, u.Oldest))
	}
}

// habitOf returns within what time nine of ten reports were collected, and whether
// there are enough of them to tell.
func habitOf(delays []time.Duration) (time.Duration, bool) {
	if len(delays) < habitNeeds {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(delays))
	return sorted[(len(sorted)*habitsTenth+9)/10-1], true
}
