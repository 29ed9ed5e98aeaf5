package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
)

// Addressee is whom a report is for.
type Addressee struct {
	// Client is without its networks, as [Register.Account] returns it. It is shared, and
	// must not be changed.
	Client Client

	register *Register
	keys     []Key // PGP ones
}

// Recipients is [Register.Recipients].
func (a Addressee) Recipients() ([]pgp.Certificate, error) {
	return a.register.recipients(a.Client.ID, a.keys)
}

// Addressee returns what [Register.Account] and [Register.Recipients] read. What was read
// since the last change is not read again, which for a small report cost as much as
// compressing it: the access mark tells, and moves in the transaction of each change,
// whoever makes it. So an import or a revocation holds for the next report as if there was
// no memory, and what ends by the clock does so here, too.
func (r *Register) Addressee(ctx context.Context, id reports.ClientID) (Addressee, error) {
	access, err := r.db.Read().GetMark(ctx, database.AccessMark)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return Addressee{}, fmt.Errorf("reading the access mark: %w", err)
	}
	if a, ok := r.addressees.under(access, id); ok {
		return a, nil
	}
	client, err := r.Account(ctx, id)
	if err != nil {
		return Addressee{}, err
	}
	list, err := r.Keys(ctx, id)
	if err != nil {
		return Addressee{}, err
	}
	list = slices.DeleteFunc(list, func(k Key) bool { return k.Kind != PGP })
	a := Addressee{Client: client, register: r, keys: slices.Clip(list)}
	r.addressees.keep(access, a) // it was read after the mark, and is no older
	return a, nil
}

// addressees keeps those that were read under one mark.
type addressees struct {
	mu     sync.Mutex
	access int64
	known  map[reports.ClientID]Addressee
}

// maxAddressees bounds the memory that they take.
const maxAddressees = 4096

func newAddressees() *addressees {
	return &addressees{known: map[reports.ClientID]Addressee{}}
}

func (s *addressees) under(access int64, id reports.ClientID) (a Addressee, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.access != access {
		return a, false
	}
	a, ok = s.known[id]
	return a, ok
}

func (s *addressees) keep(access int64, a Addressee) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.access != access || len(s.known) >= maxAddressees {
		clear(s.known)
	}
	s.access, s.known[a.Client.ID] = access, a
}
