package keys

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/reports"
)

// replaced looks up the keys that the import is to replace.
func (im importing) replaced() ([]Key, error) {
	var list []Key
	for _, ref := range im.options.Replaces {
		k, err := find(im.tx.Context(), im.tx.Queries, ref)
		if err != nil {
			return nil, err
		}
		if k.Client != im.client {
			return nil, &ReplaceError{Key: k, Client: im.client}
		}
		list = append(list, k)
	}
	return list, nil
}

// retire has the replaced keys end after the overlap. Where a successor waits for
// approval that happens when it is approved.
func (im importing) retire(replaced []Key, done []Imported) ([]Imported, error) {
	var retired []Imported
	for _, old := range replaced {
		waits, found := false, false
		for _, i := range done {
			if i.Kind == old.Kind && i.ID != old.ID && i.Action != ActionRevoked {
				found, waits = true, waits || i.Pending
			}
		}
		if !found {
			return nil, &ReplaceError{Key: old, Client: im.client}
		}
		if waits {
			continue
		}
		one, err := im.retireOld(old, im.options.Overlap)
		if err != nil {
			return nil, err
		}
		retired = append(retired, one...)
	}
	return retired, nil
}

// retireOld gives a key no more time than it has already.
func (im importing) retireOld(old Key, overlap time.Duration) ([]Imported, error) {
	now := im.r.now()
	at := now.Add(overlap)
	if !old.Usable(now) || !old.Retires.IsZero() && old.Retires.Before(at) {
		return nil, nil
	}
	if err := im.r.retire(im.tx, &old, at); err != nil {
		return nil, err
	}
	err := im.record("key.retired", old, map[string]string{"at": at.UTC().Format(time.RFC3339), "why": "replaced"})
	return []Imported{{Key: old, Action: ActionRetiring}}, err
}

// retireReplaced is for a key that was approved just now.
func (im importing) retireReplaced(k Key) ([]Imported, error) {
	var retired []Imported
	if k.replaces == "" {
		return nil, nil
	}
	for ref := range strings.SplitSeq(k.replaces, ",") {
		old, err := find(im.tx.Context(), im.tx.Queries, ref)
		if errors.Is(err, ErrUnknownKey) {
			continue // it was rejected meanwhile
		}
		if err != nil {
			return nil, err
		}
		one, err := im.retireOld(old, k.overlap)
		if err != nil {
			return nil, err
		}
		retired = append(retired, one...)
	}
	return retired, nil
}

// Ending is a key whose end is near, or past.
type Ending struct {
	Key
	At time.Time // when it ends, or did
	// Successor is the fingerprint of a key of the same client and kind that is in
	// use and lasts beyond the time that was asked about; "" if there is none.
	Successor string
}

// Ending returns the keys of all clients that end within a time, the earliest first,
// and those that have expired, unless another key has taken their place since.
// Revoked and retired keys have ended by somebody's decision, and those that wait for
// approval have not begun: they are left out.
func (r *Register) Ending(ctx context.Context, within time.Duration) ([]Ending, error) {
	var list []Ending
	var failed error
	err := r.Clients(ctx, func(c Client) bool {
		var found []Ending
		found, failed = r.EndingOf(ctx, c.ID, within)
		list = append(list, found...)
		return failed == nil
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b Ending) int { return a.At.Compare(b.At) })
	return list, nil
}

// EndingOf is [Register.Ending] of one client.
func (r *Register) EndingOf(ctx context.Context, client reports.ClientID, within time.Duration) ([]Ending, error) {
	all, err := r.Keys(ctx, client)
	if err != nil {
		return nil, err
	}
	now := r.now()
	return ending(all, now, now.Add(within)), nil
}

// ending is the rule of [Register.Ending]. The query ListEndingKeys has it in SQL, for
// the overview of many clients.
func ending(all []Key, now, until time.Time) (list []Ending) {
	for _, k := range all {
		e := Ending{Key: k, At: k.End()}
		s := k.State(now)
		if s == Revoked || s == Retired || s == Pending || e.At.IsZero() || e.At.After(until) {
			continue
		}
		for _, other := range all {
			if other.Kind == k.Kind && other.Usable(now) && (other.End().IsZero() || other.End().After(until)) {
				e.Successor = other.Fingerprint
			}
		}
		if s != Expired || e.Successor == "" {
			list = append(list, e)
		}
	}
	return list
}

// End returns when k ends: by itself, by policy or by an operator, whichever is the
// earliest. The zero time means never.
func (k Key) End() time.Time {
	if k.Expires.IsZero() || !k.Retires.IsZero() && k.Retires.Before(k.Expires) {
		return k.Retires
	}
	return k.Expires
}
