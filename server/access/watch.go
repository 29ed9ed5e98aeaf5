package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
)

const (
	// watchInterval is how often a running gateway looks whether access was
	// changed by another process. A revoked key must end its sessions within two
	// seconds.
	watchInterval = 500 * time.Millisecond
	// reviewInterval is how often sessions are judged anew although nothing was
	// changed: a key may have reached the time when it retires.
	reviewInterval = 15 * time.Second
	// missInterval is how often, at most, strangers make the gate look at the
	// catalog for a network that was just added.
	missInterval = 20 * time.Millisecond
)

// networks is the set of networks that anybody may connect from. It is only
// ever used to turn strangers away early; who is in it still has to log in.
type networks struct {
	current atomic.Pointer[table]

	mu      sync.Mutex
	checked time.Time
}

type table struct {
	mark     int64
	prefixes map[netip.Prefix]struct{}
	bits4    []int // the prefix lengths in use
	bits6    []int
}

func (t *table) contains(addr netip.Addr) bool {
	lengths := t.bits6
	if addr.Is4() {
		lengths = t.bits4
	}
	for _, n := range lengths {
		p, err := addr.Prefix(n)
		if err != nil {
			return false
		}
		if _, ok := t.prefixes[p]; ok {
			return true
		}
	}
	return false
}

// Admit reports whether an address is on anybody's list. It is asked at accept,
// before a byte is exchanged. A no for an address that the table does not have
// makes it look at the catalog once more, so that a network which was added a
// moment ago counts.
func (g *Gate) Admit(ctx context.Context, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return false
	}
	if t := g.networks.current.Load(); t != nil && t.contains(addr) {
		return true
	}
	g.networks.mu.Lock()
	defer g.networks.mu.Unlock()
	if now := g.now(); now.Sub(g.networks.checked) >= missInterval || now.Before(g.networks.checked) {
		g.networks.checked = now
		if err := g.refresh(ctx); err != nil {
			g.Log.Error("the list of networks could not be read", "event", "fault.catalog", "error", err)
			return false
		}
	}
	t := g.networks.current.Load()
	return t != nil && t.contains(addr)
}

// accessMark returns the number that moves with every change of access.
func (g *Gate) accessMark(ctx context.Context) (int64, error) {
	mark, err := g.DB.Read().GetMark(ctx, database.AccessMark)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return 0, fmt.Errorf("reading the access mark: %w", err)
	}
	return mark, nil
}

// refresh reads the networks again if access was changed since.
func (g *Gate) refresh(ctx context.Context) error {
	mark, err := g.accessMark(ctx)
	if err != nil {
		return err
	}
	if before := g.networks.current.Load(); before != nil && before.mark == mark {
		return nil
	}
	texts, err := g.DB.Read().AllNetworks(ctx)
	if err != nil {
		return fmt.Errorf("reading the networks: %w", err)
	}
	t := &table{mark: mark, prefixes: make(map[netip.Prefix]struct{}, len(texts))}
	used := map[[2]int]bool{}
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("reading the networks: %w", err)
		}
		t.prefixes[p] = struct{}{}
		if length := [2]int{p.Addr().BitLen(), p.Bits()}; !used[length] {
			used[length] = true
			if p.Addr().Is4() {
				t.bits4 = append(t.bits4, p.Bits())
			} else {
				t.bits6 = append(t.bits6, p.Bits())
			}
		}
	}
	g.networks.current.Store(t)
	return nil
}

// Run watches for changes of access until ctx ends: it keeps the table of
// networks fresh, ends the sessions that are no longer allowed, and records the
// counts of repeated refusals. When ctx ends it records what it has counted so
// far.
func (g *Gate) Run(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	reviewed := g.now()
	var seen int64 = -1
	for {
		select {
		case <-ctx.Done():
			ctx := context.WithoutCancel(ctx)
			if err := errors.Join(g.flushRefusals(ctx, g.now().Add(RepeatWindow)), g.flushStrangers(ctx)); err != nil {
				g.Log.Error("repeated refusals could not be recorded", "event", "fault.not-recorded", "error", err)
			}
			return
		case <-tick.C:
		}
		if err := g.refresh(ctx); err != nil {
			g.Log.Error("access could not be checked", "event", "fault.catalog", "error", err)
			continue
		}
		// Admit may have refreshed the table first: what counts is which mark the
		// sessions were last judged by.
		mark := g.networks.current.Load().mark
		if mark != seen || g.now().Sub(reviewed) >= reviewInterval {
			g.review(ctx)
			seen, reviewed = mark, g.now()
		}
		if err := errors.Join(g.flushRefusals(ctx, g.now()), g.flushStrangersSometimes(ctx)); err != nil {
			g.Log.Error("repeated refusals could not be recorded", "event", "fault.not-recorded", "error", err)
		}
	}
}

// review judges every session anew and ends those that are no longer allowed. A
// session that can't be judged is left alone: a catalog that is locked for a
// moment must not throw everybody out. That its address was locked out since
// neither ends a session nor keeps it from being judged: failed logins from
// beside it must not shield one whose key was revoked.
func (g *Gate) review(ctx context.Context) {
	g.mu.Lock()
	sessions := make([]*Session, 0, len(g.sessions))
	for s := range g.sessions {
		if !s.ended {
			sessions = append(sessions, s)
		}
	}
	g.mu.Unlock()
	for _, s := range sessions {
		d, err := g.judge(ctx, s.attempt, time.Time{})
		if err != nil {
			g.Log.Error("a session could not be judged", "event", "fault.catalog", "client", s.Client.ID, "error", err)
			continue
		}
		if d.Allowed() {
			continue
		}
		g.mu.Lock()
		s.ended = true
		g.mu.Unlock()
		g.Log.Warn("session ended", "event", "session.ended", "client", s.Client.ID, "address", s.Address, "reason", d.Reason, "what", d.What, "remedy", d.Remedy)
		s.end(string(d.Reason))
		detail := d.facts.lasting()
		detail["reason"], detail["protocol"], detail["address"] = string(d.Reason), s.attempt.Protocol, s.Address.String()
		err = g.DB.Write(ctx, func(tx *database.Tx) error {
			return audit.Append(tx, g.now(), audit.Entry{
				Event: sessionEnded, Actor: "gateway", Client: s.Client.ID.String(), Subject: s.KeyID, Detail: detail,
			})
		})
		if err != nil {
			g.Log.Error("the end of a session could not be recorded", "event", "fault.not-recorded", "client", s.Client.ID, "error", err)
		}
	}
}

// Sessions returns how many sessions are open.
func (g *Gate) Sessions() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}
