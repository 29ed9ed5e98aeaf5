package status

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports/expect"
)

// How much of one question's answer is read. What is beyond changes no colour.
const (
	maxArrivals = 500_000
	maxRefusals = 10_000
	maxEnding   = 10_000
	maxHabits   = 1000 // clients whose habit is looked up, those with the oldest reports
	habitOver   = 30   // reports
)

// arrivalsTogether is how far back the arrivals of all clients are read at once; a
// client with rarer expectations is asked for by itself.
const arrivalsTogether = 5 * day

// Wanted is an expectation of one client.
type Wanted struct {
	Client string
	expect.Expectation
}

// Collector gathers a [Snapshot]. Its functions are asked once each, but Why.
type Collector struct {
	Queries *query.Queries
	Now     func() time.Time
	Zone    *time.Location
	Limits  Limits
	Wanted  []Wanted

	// Why says why a client's reports are held.
	Why func(ctx context.Context, client string) (Why, error)
	// Spool lists what lies in the spool folders.
	Spool func() ([]Queued, []Fault)
	// Disk tells the size of the disk and what is free on it.
	Disk func() (Disk, error)
	// Running says whether a gateway runs.
	Running func() Running
	// Standing returns what of the gateway stands still, such as a refused purge.
	Standing func(ctx context.Context) []Fault
}

// Snapshot gathers what is known now, of one client or of all ("").
func (c *Collector) Snapshot(ctx context.Context, client string) (Snapshot, error) {
	g := gathering{Collector: c, out: Snapshot{Now: c.Now(), Zone: c.Zone, Client: client, Limits: c.Limits}}
	g.dawn = expect.Midnight(g.out.Now, c.Zone)
	steps := []func(context.Context) error{
		g.counts, g.expected, g.held, g.uncollected, g.refusals, g.credentials, g.approvals, g.bans, g.mail,
	}
	if client == "" {
		steps = append(steps, g.audit, g.backup, g.disk)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return Snapshot{}, err
		}
	}
	g.queue()
	g.out.Running = c.Running()
	if client == "" {
		g.out.Faults = append(g.out.Faults, c.Standing(ctx)...)
	}
	return g.out, nil
}

// gathering is the making of one snapshot.
type gathering struct {
	*Collector
	out  Snapshot
	dawn time.Time
}

// about reports whether a client is asked about.
func (g *gathering) about(client string) bool { return g.out.Client == "" || g.out.Client == client }

func (g *gathering) counts(ctx context.Context) error {
	since, client := database.Micros(g.dawn), g.out.Client
	came, err := g.Queries.CountReceived(ctx, query.CountReceivedParams{Since: since, ClientID: client})
	if err != nil {
		return fmt.Errorf("counting what was received: %w", err)
	}
	g.out.Counts.Received, g.out.Counts.Sealed = came.Received, came.Sealed
	if client == "" {
		g.out.Counts.Published, err = g.Queries.CountPublished(ctx, since)
	} else {
		g.out.Counts.Published, err = g.Queries.CountClientPublished(ctx, query.CountClientPublishedParams{ClientID: client, Since: since})
	}
	if err != nil {
		return fmt.Errorf("counting what was published: %w", err)
	}
	if client == "" {
		g.out.Counts.Collected, err = g.Queries.CountCollected(ctx, since)
	} else {
		g.out.Counts.Collected, err = g.Queries.CountClientCollected(ctx, query.CountClientCollectedParams{ClientID: client, Since: since})
	}
	if err != nil {
		return fmt.Errorf("counting what was collected: %w", err)
	}
	return nil
}

func (g *gathering) expected(ctx context.Context) error {
	since := make(map[string]time.Time) // by client: from when on something counts
	together := g.out.Now
	schedules := make(map[schedule]time.Time)
	for _, w := range g.Wanted {
		if !g.about(w.Client) {
			continue
		}
		e := w.In(g.Zone)
		key := schedule{e.By, e.Days, e.Zone}
		opens, known := schedules[key]
		if !known {
			if opens = e.Last(g.out.Now).Opens; opens.After(g.dawn.Add(-Lead)) {
				opens = g.dawn.Add(-Lead)
			}
			schedules[key] = opens
		}
		if at, known := since[w.Client]; !known || opens.Before(at) {
			since[w.Client] = opens
		}
		if opens.Before(together) && g.out.Now.Sub(opens) <= arrivalsTogether {
			together = opens
		}
	}
	if len(since) == 0 {
		return nil
	}
	arrivals, err := g.arrivals(ctx, since, together)
	if err != nil {
		return fmt.Errorf("listing what came: %w", err)
	}
	young, err := g.Queries.ListYoungClients(ctx, database.Micros(g.out.Now.Add(-2*arrivalsTogether)))
	if err != nil {
		return fmt.Errorf("listing new clients: %w", err)
	}
	added := make(map[string]time.Time)
	for _, y := range young {
		added[y.ID] = database.Time(y.CreatedAt)
	}
	for _, w := range g.Wanted {
		if g.about(w.Client) {
			g.out.Expected = append(g.out.Expected, Expected{
				Client: w.Client, Expectation: w.Expectation, Arrivals: arrivals[w.Client], Young: added[w.Client],
			})
		}
	}
	return nil
}

// Lead is that of package expect.
const Lead = expect.Lead

// arrivals lists what came for each client since the time that matters for it.
func (g *gathering) arrivals(ctx context.Context, since map[string]time.Time, together time.Time) (map[string][]Arrival, error) {
	found := make(map[string][]Arrival)
	if g.out.Client == "" {
		rows, err := g.Queries.ListArrivals(ctx, query.ListArrivalsParams{Since: database.Micros(together), N: maxArrivals})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if _, wanted := since[row.ClientID]; wanted {
				found[row.ClientID] = append(found[row.ClientID], Arrival{row.Name, database.Time(row.ReceivedAt)})
			}
		}
	}
	for client, at := range since {
		if g.out.Client == "" && !at.Before(together) {
			continue
		}
		found[client] = nil
		rows, err := g.Queries.ListClientArrivals(ctx, query.ListClientArrivalsParams{ClientID: client, Since: database.Micros(at), N: maxArrivals})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			found[client] = append(found[client], Arrival{row.Name, database.Time(row.ReceivedAt)})
		}
	}
	return found, nil
}

func (g *gathering) held(ctx context.Context) error {
	rows, err := g.Queries.SummarizeHeld(ctx)
	if err != nil {
		return fmt.Errorf("counting what is held: %w", err)
	}
	slices.SortFunc(rows, func(a, b query.SummarizeHeldRow) int { return cmp.Compare(a.Oldest, b.Oldest) })
	for _, row := range rows {
		if !g.about(row.ClientID) {
			continue
		}
		h := Held{Client: row.ClientID, Count: row.Reports, Oldest: database.Time(row.Oldest)}
		if len(g.out.Held) < MaxItems { // the others are only counted
			if h.Why, err = g.Why(ctx, row.ClientID); err != nil {
				return fmt.Errorf("finding out why reports of client %s are held: %w", row.ClientID, err)
			}
		}
		g.out.Held = append(g.out.Held, h)
	}
	return nil
}

func (g *gathering) uncollected(ctx context.Context) error {
	rows, err := g.Queries.SummarizeUncollected(ctx, query.SummarizeUncollectedParams{
		Now: database.Micros(g.out.Now), By: database.Micros(g.out.Now.Add(PurgeAhead)),
	})
	if err != nil {
		return fmt.Errorf("counting what is not collected: %w", err)
	}
	rows = slices.DeleteFunc(rows, func(r query.SummarizeUncollectedRow) bool {
		fresh := r.Waiting == 0 || g.out.Now.Sub(database.Time(r.WaitingSince)) <= min(leastHabit, g.Limits.UncollectedAfter)
		return r.Purging == 0 && fresh || !g.about(r.ClientID)
	})
	slices.SortFunc(rows, func(a, b query.SummarizeUncollectedRow) int { return cmp.Compare(a.Oldest, b.Oldest) })
	looked := 0
	for _, row := range rows {
		u := Uncollected{
			Client: row.ClientID, Count: row.Waiting, Oldest: database.Time(row.Oldest),
			Purging: row.Purging, PurgedAt: database.Time(row.PurgedAt),
		}
		if u.Purging == 0 {
			u.Oldest = database.Time(row.WaitingSince)
		}
		if u.Purging == 0 && looked < maxHabits {
			looked++
			delays, err := g.Queries.ListDelays(ctx, query.ListDelaysParams{ClientID: row.ClientID, N: habitOver})
			if err != nil {
				return fmt.Errorf("finding out how client %s collects: %w", row.ClientID, err)
			}
			for _, d := range delays {
				u.Delays = append(u.Delays, time.Duration(d)*time.Microsecond)
			}
		}
		g.out.Uncollected = append(g.out.Uncollected, u)
	}
	return nil
}

func (g *gathering) refusals(ctx context.Context) error {
	yesterday := expect.Midnight(g.dawn.Add(-12*time.Hour), g.Zone)
	rows, err := g.Queries.ListRefusedSince(ctx, query.ListRefusedSinceParams{Since: database.Micros(yesterday), N: maxRefusals})
	if err != nil {
		return fmt.Errorf("listing refusals: %w", err)
	}
	strangers := make(map[string]bool)
	g.out.LastLogins = make(map[string]time.Time)
	for _, row := range rows {
		var detail map[string]string
		if err := json.Unmarshal([]byte(row.Detail), &detail); err != nil {
			continue // `audit verify` tells of a record that was changed
		}
		times, _ := strconv.ParseInt(detail["times"], 10, 64) // absent: it is the first
		r := Refusal{
			At: database.Time(row.At), Client: row.ClientID, Reason: detail["reason"], Address: detail["address"],
			Protocol: detail["protocol"], Owner: detail["owner"], Times: max(times, 1),
		}
		if r.Client == "" {
			strangers[r.Address] = true
			g.out.Strangers.Attempts += r.Times
			continue
		}
		if !g.about(r.Client) {
			continue
		}
		g.out.Refusals = append(g.out.Refusals, r)
		if _, known := g.out.LastLogins[r.Client]; !known && len(g.out.LastLogins) < maxHabits {
			if g.out.LastLogins[r.Client], err = g.lastLogin(ctx, r.Client); err != nil {
				return fmt.Errorf("finding out when client %s last got in: %w", r.Client, err)
			}
		}
	}
	return g.strangers(ctx, yesterday, strangers)
}

func (g *gathering) strangers(ctx context.Context, since time.Time, seen map[string]bool) error {
	rows, err := g.Queries.ListStrangers(ctx, database.Micros(since))
	if err != nil {
		return fmt.Errorf("listing strangers: %w", err)
	}
	for _, row := range rows {
		seen[row.Address] = true
		g.out.Strangers.Attempts += row.Times
	}
	g.out.Strangers.Addresses = len(seen)
	return nil
}

func (g *gathering) lastLogin(ctx context.Context, client string) (time.Time, error) {
	used, err := g.Queries.LastKeyUse(ctx, client)
	if err != nil {
		return time.Time{}, err
	}
	password, err := g.Queries.GetPassword(ctx, client)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return time.Time{}, err
	}
	return database.Time(max(used, password.LastUsedAt)), nil
}

func (g *gathering) credentials(ctx context.Context) error {
	by := database.Micros(g.out.Now.Add(EndsAhead))
	disabled, err := g.disabled(ctx)
	if err != nil {
		return fmt.Errorf("listing disabled clients: %w", err)
	}
	keys, err := g.Queries.ListEndingKeys(ctx, query.ListEndingKeysParams{By: by, Now: database.Micros(g.out.Now), N: maxEnding})
	if err != nil {
		return fmt.Errorf("listing keys that expire: %w", err)
	}
	add := func(c Credential) {
		if g.about(c.Client) && !disabled[c.Client] {
			g.out.Credentials = append(g.out.Credentials, c)
		}
	}
	for _, k := range keys {
		c := Credential{Kind: KindKey, Client: k.ClientID, Type: k.Kind, ID: k.ID, Fingerprint: k.Fingerprint, Ends: database.Time(k.ExpiresAt)}
		if aged := k.AddedAt + k.MaxAge; k.MaxAge > 0 && (c.Ends.IsZero() || database.Time(aged).Before(c.Ends)) {
			c.Ends = database.Time(aged)
		}
		if k.RetiresAt > 0 && (c.Ends.IsZero() || database.Time(k.RetiresAt).Before(c.Ends)) {
			c.Ends, c.Retired = database.Time(k.RetiresAt), true
		}
		add(c)
	}
	passwords, err := g.Queries.ListEndingPasswords(ctx, query.ListEndingPasswordsParams{By: by, N: maxEnding})
	if err != nil {
		return fmt.Errorf("listing passwords that expire: %w", err)
	}
	for _, p := range passwords {
		add(Credential{Kind: KindPassword, Client: p.ClientID, Ends: database.Time(p.ExpiresAt)})
	}
	if g.out.Client != "" {
		return nil
	}
	producers, err := g.Queries.ListEndingProducers(ctx, query.ListEndingProducersParams{By: by, N: maxEnding})
	if err != nil {
		return fmt.Errorf("listing producers whose right expires: %w", err)
	}
	for _, p := range producers {
		g.out.Credentials = append(g.out.Credentials, Credential{Kind: KindToken, Client: p.Name, Ends: database.Time(p.ExpiresAt)})
	}
	return nil
}

func (g *gathering) disabled(ctx context.Context) (map[string]bool, error) {
	ids, err := g.Queries.ListDisabledClients(ctx)
	found := make(map[string]bool)
	for _, id := range ids {
		found[id] = true
	}
	return found, err
}

func (g *gathering) approvals(ctx context.Context) error {
	keys, err := g.Queries.ListUnapprovedKeys(ctx, maxEnding)
	if err != nil {
		return fmt.Errorf("listing keys that wait for approval: %w", err)
	}
	updates, err := g.Queries.ListUnapprovedUpdates(ctx, maxEnding)
	if err != nil {
		return fmt.Errorf("listing keys that wait for approval: %w", err)
	}
	add := func(a Approval) {
		if g.about(a.Client) {
			g.out.Approvals = append(g.out.Approvals, a)
		}
	}
	for _, k := range keys {
		add(Approval{k.ClientID, k.Kind, k.ID, k.Fingerprint, database.Time(k.AddedAt)})
	}
	for _, u := range updates {
		add(Approval{u.ClientID, u.Kind, u.ID, u.Fingerprint, database.Time(u.At)})
	}
	return nil
}

const passwordBans = "client:"

func (g *gathering) bans(ctx context.Context) error {
	rows, err := g.Queries.ListBans(ctx, query.ListBansParams{Now: database.Micros(g.out.Now), N: maxEnding})
	if err != nil || len(rows) == 0 {
		return err
	}
	networks, err := g.networks(ctx)
	if err != nil {
		return fmt.Errorf("finding out whose addresses are locked out: %w", err)
	}
	for _, row := range rows {
		b := Ban{Name: row.Address, Until: database.Time(row.UntilAt)}
		if client, is := strings.CutPrefix(row.Address, passwordBans); is {
			b.Client = client
		}
		for _, n := range networks {
			if b.Client == "" && owns([]netip.Prefix{n.prefix}, row.Address) {
				b.Client = n.client
			}
		}
		if g.out.Client == "" || b.Client == g.out.Client {
			g.out.Bans = append(g.out.Bans, b)
		}
	}
	return nil
}

type network struct {
	client string
	prefix netip.Prefix
}

func (g *gathering) networks(ctx context.Context) ([]network, error) {
	rows, err := g.Queries.AllClientNetworks(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]network, 0, len(rows))
	for _, row := range rows {
		if prefix, err := netip.ParsePrefix(row.Prefix); err == nil && g.about(row.ClientID) {
			list = append(list, network{row.ClientID, prefix})
		}
	}
	return list, nil
}
