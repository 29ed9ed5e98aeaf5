package keys

import (
	"fmt"
	"slices"
	"strings"

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
