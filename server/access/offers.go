package access

import "sync"

// maxOffers bounds how many keys that were offered are remembered.
const maxOffers = 1024

// offers remember what was looked up for keys that are about to be proved, so that it
// need not be looked up again a moment later. A login that begins with it ends with a
// look at the access mark: what is remembered stands for nothing once that has moved.
// Only keys that got a yes are here, and nothing but a proof of one looks here, so that
// no stranger can tell by the time of an answer who has been there.
type offers struct {
	mu   sync.Mutex
	seen map[offer]looked
}

type offer struct{ user, fingerprint string }

// looked is what was found no earlier than the access mark had a value.
type looked struct {
	found found
	mark  int64
}

func (o *offers) add(key offer, l looked) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.seen) >= maxOffers {
		// They belong to clients that never prove their key, and to a few that are slow.
		clear(o.seen)
	}
	o.seen[key] = l
}

// take returns what is remembered, and forgets it.
func (o *offers) take(key offer) (looked, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l, ok := o.seen[key]
	delete(o.seen, key)
	return l, ok
}
