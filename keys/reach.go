package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// Reach says for whom a producer hands in reports. The zero value is that of a
// client, which hands in none.
type Reach struct {
	// All: for every client, also those to come; otherwise for those of Clients.
	All     bool
	Clients []reports.ClientID
}

// everyClient stands for all clients.
const everyClient = "*"

// IsZero reports whether r reaches nobody.
func (r Reach) IsZero() bool { return !r.All && len(r.Clients) == 0 }

// Includes reports whether r reaches a client.
func (r Reach) Includes(client reports.ClientID) bool {
	return r.All || slices.Contains(r.Clients, client)
}

// String returns the clients' ids in order, joined by commas; "*" for all.
func (r Reach) String() string {
	if r.All {
		return everyClient
	}
	ids := make([]string, 0, len(r.Clients))
	for _, c := range r.Clients {
		ids = append(ids, c.String())
	}
	slices.Sort(ids)
	return strings.Join(slices.Compact(ids), ",")
}

// ParseReach reads what [Reach.String] writes.
func ParseReach(s string) (Reach, error) {
	switch s {
	case "":
		return Reach{}, nil
	case everyClient:
		return Reach{All: true}, nil
	}
	var r Reach
	for text := range strings.SplitSeq(s, ",") {
		id, err := reports.ParseClientID(text)
		if err != nil {
			return Reach{}, err
		}
		r.Clients = append(r.Clients, id)
	}
	return r, nil
}

// Reached returns the clients that a reach includes and that there are, in the order
// of ids, at most limit of them, from behind after.
func (r *Register) Reached(ctx context.Context, reach Reach, after string, limit int) ([]reports.ClientID, error) {
	list := []reports.ClientID{}
	if reach.All {
		rows, err := r.db.Read().ListRecipients(ctx, query.ListRecipientsParams{After: after, N: int64(limit)})
		if err != nil {
			return nil, fmt.Errorf("reading the clients: %w", err)
		}
		for _, text := range rows {
			id, err := reports.ParseClientID(text)
			if err != nil {
				return nil, fmt.Errorf("reading the catalog: %w", err)
			}
			list = append(list, id)
		}
		return list, nil
	}
	ids := slices.SortedFunc(slices.Values(reach.Clients), func(a, b reports.ClientID) int { return strings.Compare(a.String(), b.String()) })
	for _, id := range slices.Compact(ids) {
		if len(list) == limit {
			break
		}
		if id.String() <= after {
			continue
		}
		row, err := r.db.Read().GetClient(ctx, id.String())
		switch {
		case errors.Is(err, database.ErrNotFound):
		case err != nil:
			return nil, fmt.Errorf("reading client %s: %w", id, err)
		case row.DeliversTo == "":
			list = append(list, id)
		}
	}
	return list, nil
}

// RoleError says that a client was to become a producer, or the other way round.
type RoleError struct{ Client Client }

func (e *RoleError) Error() string {
	if e.Client.Producer() {
		return fmt.Sprintf("%s is a producer and hands in reports; it can't become a client", e.Client.ID)
	}
	return fmt.Sprintf("%s is a client and is delivered to; it can't become a producer", e.Client.ID)
}

// Hint says what an operator can do.
func (e *RoleError) Hint() string {
	return "add an account of another name: `sealdrop client add NAME --help`"
}
