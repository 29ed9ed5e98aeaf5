package access

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/keys"
)

const (
	// learnWithin is how far [Gate.Learned] looks back.
	learnWithin = 30 * 24 * time.Hour
	// learnFrom is how many refusals it looks at.
	learnFrom = 5000
	// maxLearned is how many addresses it returns.
	maxLearned = 20
)

// Learned is an address from which a client has proved who it is, and was refused
// because the address is not on its list.
type Learned struct {
	Address  netip.Addr `json:"address"`
	Protocol string     `json:"protocol"`
	// Key is the fingerprint of what it was proved with, or [ByPassword].
	Key   string    `json:"key"`
	Last  time.Time `json:"last"`
	Times int64     `json:"times"`
	// Command lets it in.
	Command string `json:"command"`
}

// Learned lists the addresses that a client should perhaps be allowed, the newest
// first. A proof counts only as long as it would be good today: where a key was
// revoked, whoever used it last may be the reason.
func (g *Gate) Learned(ctx context.Context, c keys.Client) ([]Learned, error) {
	rows, err := g.DB.Read().ListRefusals(ctx, query.ListRefusalsParams{Before: math.MaxInt64, ClientID: c.ID.String(), N: learnFrom})
	if err != nil {
		return nil, fmt.Errorf("looking for addresses of client %s: %w", c.ID, err)
	}
	var list []Learned
	more := map[string]int64{} // repetitions of what is older
	good := map[string]bool{}  // proofs that were looked up
	for _, row := range rows {
		at := database.Time(row.At)
		if g.now().Sub(at) >= learnWithin {
			break
		}
		var detail map[string]string
		if err := json.Unmarshal([]byte(row.Detail), &detail); err != nil {
			return nil, &audit.BrokenError{Seq: row.Seq, Reason: "its detail is not JSON"}
		}
		if detail["again"] == "proved" {
			n, _ := strconv.ParseInt(detail["times"], 10, 64) // what can't be read counts for nothing
			more[detail["address"]] += n
			continue
		}
		addr, err := netip.ParseAddr(detail["address"])
		if addr = addr.WithZone(""); detail["proved"] == "" || err != nil || allows(c, addr) {
			continue
		}
		ok, err := g.stillGood(ctx, c, detail["proved"], at, good)
		if err != nil {
			return nil, err
		}
		times := 1 + more[bucket(addr)]
		delete(more, bucket(addr))
		if !ok {
			continue
		}
		if i := slices.IndexFunc(list, func(l Learned) bool { return l.Address == addr }); i >= 0 {
			list[i].Times += times
			continue
		}
		list = append(list, Learned{
			Address: addr, Protocol: detail["protocol"], Key: detail["proved"], Last: at, Times: times,
			Command: fmt.Sprintf("sealdrop client allow %s %s", c.ID, addr),
		})
	}
	slices.SortStableFunc(list, func(a, b Learned) int { return b.Last.Compare(a.Last) })
	return list[:min(len(list), maxLearned)], nil
}

// stillGood reports whether what a client proved itself with at a time would let it
// in today. known keeps what was found of keys.
func (g *Gate) stillGood(ctx context.Context, c keys.Client, proof string, at time.Time, known map[string]bool) (bool, error) {
	if proof == ByPassword {
		p, ok, err := g.register.Password(ctx, c.ID)
		return ok && p.Set.Before(at) && p.State(g.now()) != keys.Expired && c.FTP != keys.FTPOff, err
	}
	if ok, looked := known[proof]; looked {
		return ok, nil
	}
	k, found, err := g.register.SSHKey(ctx, proof)
	known[proof] = found && k.Client == c.ID && k.Usable(g.now())
	return known[proof], err
}
