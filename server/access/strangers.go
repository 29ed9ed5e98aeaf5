package access

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

const (
	// maxStrangers bounds how many strangers are told apart between two writings.
	maxStrangers = 256
	// keptStrangers is how many the catalog keeps when it is pruned, which is done once
	// a minute: it never has more than maxStrangers for each writing between.
	keptStrangers = 1000
	// keepStrangers is how long one is kept.
	keepStrangers = 30 * 24 * time.Hour
	// strangersEvery is how often they are written.
	strangersEvery = 2 * time.Second
	pruneEvery     = time.Minute
	// others stands for the addresses of all those that are too many.
	others = "others"
)

// stranger is what is counted as one: connections that ended in the same way, from
// one address, without a proof of who it was.
type stranger struct {
	protocol string
	bucket   string
	reason   Reason
}

// tries are a stranger's since the last writing.
type tries struct {
	user, detail string // the last
	first, last  time.Time
	n            int64
}

// strangers counts what strangers do. Anybody can make that as much as he likes, so
// it is no part of the audit: it is a number of rows in the catalog that is bounded.
type strangers struct {
	mu      sync.Mutex
	pending map[stranger]tries
	written time.Time
	pruned  time.Time
}

func (s *strangers) add(who stranger, user, detail string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.merge(who, tries{user: user, detail: detail, first: now, last: now, n: 1})
}

// merge adds to what is pending.
func (s *strangers) merge(who stranger, more tries) {
	t, known := s.pending[who]
	if !known && len(s.pending) >= maxStrangers {
		who = stranger{protocol: who.protocol, bucket: others, reason: who.reason}
		t, known = s.pending[who]
		more.user = ""
	}
	if !known {
		s.pending[who] = more
		return
	}
	if more.last.After(t.last) {
		t.user, t.detail, t.last = more.user, more.detail, more.last
	}
	if more.first.Before(t.first) {
		t.first = more.first
	}
	t.n += more.n
	s.pending[who] = t
}

// take removes and returns what is pending, and says whether the catalog is to be
// pruned.
func (s *strangers) take(now time.Time) (list map[stranger]tries, prune bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = now
	if len(s.pending) == 0 {
		return nil, false
	}
	list, s.pending = s.pending, map[stranger]tries{}
	if prune = now.Sub(s.pruned) >= pruneEvery || now.Before(s.pruned); prune {
		s.pruned = now
	}
	return list, prune
}

func (s *strangers) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(s.written) >= strangersEvery || now.Before(s.written)
}

func (s *strangers) giveBack(list map[stranger]tries) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for who, t := range list {
		s.merge(who, t)
	}
}

// TurnedAway notes a connection that was closed at accept, for [AddressNotAllowed]
// or [TooManyConnections], where detail is the setting of that limit. It only counts, and so
// may be called by whoever accepts; [Gate.Run] writes it.
func (g *Gate) TurnedAway(protocol string, addr netip.Addr, r Reason, detail string) {
	if addr.IsValid() {
		g.strangers.add(stranger{protocol, bucket(addr), r}, "", detail, g.now())
	}
}

func (g *Gate) flushStrangersSometimes(ctx context.Context) error {
	if !g.strangers.due(g.now()) {
		return nil
	}
	return g.flushStrangers(ctx)
}

// flushStrangers writes what was counted.
func (g *Gate) flushStrangers(ctx context.Context) error {
	list, prune := g.strangers.take(g.now())
	if len(list) == 0 {
		return nil
	}
	err := g.DB.Write(ctx, func(tx *database.Tx) error {
		for who, t := range list {
			err := tx.CountStranger(tx.Context(), query.CountStrangerParams{
				Protocol: who.protocol, Address: who.bucket, Reason: string(who.reason), UserName: t.user, Detail: t.detail,
				FirstAt: database.Micros(t.first), LastAt: database.Micros(t.last), Times: t.n,
			})
			if err != nil {
				return err
			}
		}
		if !prune {
			return nil
		}
		return g.pruneStrangers(tx)
	})
	if err != nil {
		g.strangers.giveBack(list)
		return fmt.Errorf("counting strangers: %w", err)
	}
	return nil
}

// pruneStrangers forgets those that were long ago, and the oldest of too many.
func (g *Gate) pruneStrangers(tx *database.Tx) error {
	before := database.Micros(g.now().Add(-keepStrangers))
	newest, err := tx.NewestStrangers(tx.Context(), keptStrangers)
	if err != nil {
		return err
	}
	if len(newest) == keptStrangers {
		before = max(before, newest[keptStrangers-1])
	}
	return tx.ForgetOldStrangers(tx.Context(), before)
}
