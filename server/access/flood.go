package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// RepeatWindow is how long refusals of one kind are counted rather than
// recorded one by one.
const RepeatWindow = 10 * time.Minute

// maxKinds bounds how many kinds of refusals are told apart at a time. Beyond
// it, all addresses count as one.
const maxKinds = 4096

// refusal is a kind of refusal: what is the same about repeated ones.
type refusal struct {
	bucket string // address or network
	client string
	reason Reason
	proved bool
	// probe: how often it came is not worth a record.
	probe bool
	// stranger: it is counted as a stranger's, and not recorded.
	stranger bool
}

type repeats struct {
	since time.Time
	more  int // beyond the first
}

// refusals counts repeated refusals.
type refusals struct {
	mu   sync.Mutex
	seen map[refusal]*repeats
}

// first reports whether a refusal is to be recorded, as the first of its kind,
// and counts it otherwise.
func (r *refusals) first(kind refusal, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) >= maxKinds && r.seen[kind] == nil {
		kind = refusal{bucket: "many addresses", reason: kind.reason}
	}
	if seen := r.seen[kind]; seen != nil {
		seen.more++
		return false
	}
	r.seen[kind] = &repeats{since: now}
	return true
}

// take removes and returns the kinds whose window is over.
func (r *refusals) take(now time.Time) map[refusal]repeats {
	r.mu.Lock()
	defer r.mu.Unlock()
	over := map[refusal]repeats{}
	for kind, seen := range r.seen {
		if now.Sub(seen.since) >= RepeatWindow {
			over[kind] = *seen
			delete(r.seen, kind)
		}
	}
	return over
}

// giveBack adds counts that could not be recorded to what is counted now.
func (r *refusals) giveBack(kind refusal, seen repeats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if current := r.seen[kind]; current != nil {
		// What was recorded meanwhile as the first of its kind is not in it.
		seen.more += current.more
	}
	r.seen[kind] = &seen
}

// flushRefusals records the counts whose window is over, as of now.
func (g *Gate) flushRefusals(ctx context.Context, now time.Time) error {
	var errs []error
	for kind, seen := range g.refusals.take(now) {
		if seen.more == 0 || kind.probe {
			continue
		}
		g.Log.Warn("login refused again", "event", "login.refused-again", "reason", kind.reason, "client", kind.client, "address", kind.bucket, "times", seen.more)
		if kind.stranger {
			continue
		}
		detail := map[string]string{
			"reason": string(kind.reason), "address": kind.bucket, "times": strconv.Itoa(seen.more),
			"since": seen.since.UTC().Format(time.RFC3339),
		}
		if kind.proved {
			detail["again"] = "proved"
		}
		err := g.recordRefusal(ctx, Decision{Client: kind.client}, detail)
		if err != nil {
			g.refusals.giveBack(kind, seen)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// bucket is what stands for an address where addresses are counted: itself, or
// the /64 of an IPv6 address, which is what one customer of a provider has.
func bucket(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

type tally struct {
	since time.Time
	n     int
}

// failures counts failed logins by address, or by client.
type failures struct {
	mu   sync.Mutex
	seen map[string]*tally
}

// maxTallies bounds the memory that counting takes.
const maxTallies = 65536

func (f *failures) add(address string, now time.Time, window time.Duration) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.seen[address]
	if t == nil || now.Sub(t.since) > window {
		if len(f.seen) >= maxTallies {
			f.forgetOld(now, window)
		}
		t = &tally{since: now}
		f.seen[address] = t
	}
	t.n++
	return t.n
}

// forgetOld makes room; where every tally is recent, all go.
func (f *failures) forgetOld(now time.Time, window time.Duration) {
	for address, t := range f.seen {
		if now.Sub(t.since) > window {
			delete(f.seen, address)
		}
	}
	if len(f.seen) >= maxTallies {
		clear(f.seen)
	}
}

func (f *failures) forget(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.seen, address)
}

// fail counts a failed login, and locks its address out if there were too many.
func (g *Gate) fail(ctx context.Context, addr netip.Addr) error {
	return g.count(ctx, &g.failures, g.Failures, bucket(addr), bucket(addr), audit.Entry{Event: "address.banned", Subject: bucket(addr)})
}

// manyAddresses is how many times as many wrong passwords lock a client's password
// out as lock an address out. One address can't do it, so that nobody who shares a
// client's network keeps the client from getting in.
const manyAddresses = 3

// failPassword counts a wrong password that a client gave from an address of its
// own, and locks its password out if there were too many from all of them. Its keys
// stay good.
func (g *Gate) failPassword(ctx context.Context, id reports.ClientID) error {
	return g.count(ctx, &g.guesses, manyAddresses*g.Failures, id.String(), passwordBan(id), audit.Entry{Event: "password.banned", Client: id.String()})
}

// passwordBan stands for a client's password where addresses are locked out. It is
// no address, whatever the id.
func passwordBan(id reports.ClientID) string { return passwordBans + id.String() }

const passwordBans = "client:"

func (g *Gate) count(ctx context.Context, f *failures, most int, key, locked string, e audit.Entry) error {
	now := g.now()
	n := f.add(key, now, g.Window)
	if n < most {
		return nil
	}
	f.forget(key)
	until := now.Add(g.Ban)
	e.Actor, e.Detail = "gateway", map[string]string{"failures": strconv.Itoa(n), "until": until.UTC().Format(time.RFC3339)}
	err := g.DB.Write(ctx, func(tx *database.Tx) error {
		if err := tx.DeleteOldBans(tx.Context(), database.Micros(now)); err != nil {
			return err
		}
		err := tx.PutBan(tx.Context(), query.PutBanParams{Address: locked, UntilAt: database.Micros(until), Failures: int64(n)})
		if err != nil {
			return err
		}
		return audit.Append(tx, now, e)
	})
	if err != nil {
		return fmt.Errorf("locking %s out: %w", locked, err)
	}
	// Not earlier: who reads it may rely on it.
	g.Log.Warn("locked out after failed logins", "event", "address.banned", "address", locked, "failures", n, "until", until.UTC())
	return nil
}

// bannedUntil returns until when a bucket of addresses or a [passwordBan] is locked
// out, the zero time if it is not.
func (g *Gate) bannedUntil(ctx context.Context, locked string) (time.Time, error) {
	row, err := g.DB.Read().GetBan(ctx, locked)
	if errors.Is(err, database.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("looking up whether %s is locked out: %w", locked, err)
	}
	until := database.Time(row.UntilAt)
	if !g.now().Before(until) {
		return time.Time{}, nil
	}
	return until, nil
}

// Ban is something that is locked out: an address, an IPv6 network, or a client's
// password from wherever it is given.
type Ban struct {
	Address  string    `json:"address,omitempty"`
	Client   string    `json:"client,omitempty"`
	Until    time.Time `json:"until"`
	Failures int64     `json:"failures"`
}

// Bans lists what is locked out now.
func (g *Gate) Bans(ctx context.Context) ([]Ban, error) {
	const most = 10000
	rows, err := g.DB.Read().ListBans(ctx, query.ListBansParams{Now: database.Micros(g.now()), N: most})
	if err != nil {
		return nil, fmt.Errorf("listing what is locked out: %w", err)
	}
	bans := make([]Ban, 0, len(rows))
	for _, row := range rows {
		b := Ban{Address: row.Address, Until: database.Time(row.UntilAt), Failures: row.Failures}
		if client, is := strings.CutPrefix(row.Address, passwordBans); is {
			b.Address, b.Client = "", client
		}
		bans = append(bans, b)
	}
	return bans, nil
}

// LiftBan lets an address try again. lifted is false if it was not locked out.
func (g *Gate) LiftBan(ctx context.Context, actor string, addr netip.Addr) (lifted bool, err error) {
	return g.lift(ctx, bucket(addr), audit.Entry{Event: "address.unbanned", Actor: actor, Subject: bucket(addr)})
}

// LiftPasswordBan lets a client try its password again. lifted is false if it was
// not locked out.
func (g *Gate) LiftPasswordBan(ctx context.Context, actor string, id reports.ClientID) (lifted bool, err error) {
	return g.lift(ctx, passwordBan(id), audit.Entry{Event: "password.unbanned", Actor: actor, Client: id.String()})
}

func (g *Gate) lift(ctx context.Context, locked string, e audit.Entry) (lifted bool, err error) {
	err = g.DB.Write(ctx, func(tx *database.Tx) error {
		n, err := tx.DeleteBan(tx.Context(), locked)
		if err != nil || n == 0 {
			return err
		}
		lifted = true
		return audit.Append(tx, g.now(), e)
	})
	return lifted, err
}
