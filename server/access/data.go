package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// The events that tell whether a client's address could open a data port. The
// catalog has an index for them.
const (
	dataUnreachable audit.Event = "data.unreachable"
	dataReached     audit.Event = "data.reached"
	dataRefused     audit.Event = "data.refused"
)

const (
	// diagnoseWithin is how far [Gate.Diagnose] looks back.
	diagnoseWithin = 24 * time.Hour
	// unreachableAgain is after what time a data port that is still unreachable is
	// recorded once more: soon enough for Diagnose to see it.
	unreachableAgain = diagnoseWithin / 2
	// maxPorts bounds how many clients and addresses are kept in memory.
	maxPorts = 4096
)

// dataPorts keeps what was last recorded of the data ports, so that nothing is
// recorded twice.
type dataPorts struct {
	mu   sync.Mutex
	last map[portKey]portState
}

type portKey struct{ client, address string }

// portState is what was last recorded. The zero value: nothing.
type portState struct {
	unreachable bool
	announced   netip.AddrPort
	at          time.Time
}

func (d *dataPorts) get(key portKey) (portState, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.last[key]
	return s, ok
}

// replace stores next if what is there is still before. Of several who find out the
// same at a time, one succeeds.
func (d *dataPorts) replace(key portKey, before, next portState) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.last[key]; ok && s != before {
		return false
	}
	if len(d.last) >= maxPorts {
		clear(d.last) // the audit knows it
	}
	d.last[key] = next
	return true
}

func (s *Session) portKey() portKey {
	return portKey{s.Client.ID.String(), s.Address.WithZone("").String()}
}

// Unreachable notes that an FTP client has logged in, and never opened the data port
// that it was told of. The first time is logged and recorded; [Gate.Diagnose] tells
// of it.
func (g *Gate) Unreachable(ctx context.Context, s *Session, announced netip.AddrPort) {
	announced = netip.AddrPortFrom(announced.Addr().Unmap(), announced.Port())
	key, now := s.portKey(), g.now()
	before, err := g.lastData(ctx, key)
	if err != nil {
		g.Log.Error("an unreachable data port could not be recorded", "event", "fault.not-recorded", "client", key.client, "error", err)
		return
	}
	if before.unreachable && before.announced.Addr() == announced.Addr() && now.Sub(before.at) < unreachableAgain {
		return
	}
	next := portState{unreachable: true, announced: announced, at: now}
	if !g.data.replace(key, before, next) {
		return
	}
	what, remedy := explanation(PassivePortUnreachable, facts{user: key.client, address: key.address, ftp: true, announced: announced})
	g.Log.Warn("data port not reached", "event", "data.unreachable", "client", key.client, "address", key.address, "announced", announced, "what", what, "remedy", remedy)
	g.recordData(ctx, key, dataUnreachable, map[string]string{"announced": announced.String()}, before, next)
}

// Reached notes that an FTP client has opened a data port. After [Gate.Unreachable]
// for the same client and address that is recorded.
func (g *Gate) Reached(ctx context.Context, s *Session) {
	key := s.portKey()
	before, err := g.lastData(ctx, key)
	if err != nil {
		g.Log.Error("whether a data port was unreachable could not be found out", "event", "fault.catalog", "client", key.client, "error", err)
		return
	}
	if !before.unreachable {
		return
	}
	next := portState{at: g.now()}
	if !g.data.replace(key, before, next) {
		return
	}
	g.Log.Info("data port reached", "event", "data.reached", "client", key.client, "address", key.address)
	g.recordData(ctx, key, dataReached, nil, before, next)
}

// DataRefused records that a data connection of a client who has logged in over FTP
// was refused: for [DataNotResumed], [DataTLSFailed] or [DataInTheClear].
func (g *Gate) DataRefused(ctx context.Context, s *Session, r Reason) {
	key := s.portKey()
	var d Decision
	d.conclude(r, facts{user: key.client, address: key.address, ftp: true, tls: s.attempt.TLS})
	if !g.refusals.first(refusal{bucket: bucket(s.Address), client: key.client, reason: r, probe: true}, g.now()) {
		return
	}
	g.Log.Warn("data connection refused", "event", "data.refused", "reason", r, "client", key.client, "address", key.address, "what", d.What, "remedy", d.Remedy)
	err := g.DB.Write(ctx, func(tx *database.Tx) error {
		return audit.Append(tx, g.now(), audit.Entry{
			Event: dataRefused, Actor: "gateway", Client: key.client, Subject: key.address,
			Detail: map[string]string{"reason": string(r), "user": key.client},
		})
	})
	if err != nil {
		g.Log.Error("the refusal of a data connection could not be recorded", "event", "fault.not-recorded", "client", key.client, "error", err)
	}
}

// recordData records a change, and takes it back if that fails.
func (g *Gate) recordData(ctx context.Context, key portKey, event audit.Event, detail map[string]string, before, next portState) {
	err := g.DB.Write(ctx, func(tx *database.Tx) error {
		return audit.Append(tx, next.at, audit.Entry{Event: event, Actor: "gateway", Client: key.client, Subject: key.address, Detail: detail})
	})
	if err != nil {
		g.data.replace(key, next, before)
		g.Log.Error("the state of a data port could not be recorded", "event", "fault.not-recorded", "client", key.client, "record", event, "error", err)
	}
}

// lastData returns what was last recorded for a client and address, by this process
// or, if it does not remember, by any.
func (g *Gate) lastData(ctx context.Context, key portKey) (portState, error) {
	if s, ok := g.data.get(key); ok {
		return s, nil
	}
	s, err := g.recordedData(ctx, key)
	if err == nil {
		g.data.replace(key, s, s)
	}
	return s, err
}

func (g *Gate) recordedData(ctx context.Context, key portKey) (portState, error) {
	row, err := g.DB.Read().LastDataEvent(ctx, query.LastDataEventParams{ClientID: key.client, Subject: key.address})
	if errors.Is(err, database.ErrNotFound) {
		return portState{}, nil
	}
	if err != nil {
		return portState{}, fmt.Errorf("looking up the data ports of client %s: %w", key.client, err)
	}
	s := portState{unreachable: audit.Event(row.Event) == dataUnreachable, at: database.Time(row.At)}
	if !s.unreachable {
		return s, nil
	}
	var detail map[string]string
	err = json.Unmarshal([]byte(row.Detail), &detail)
	if err == nil {
		s.announced, err = netip.ParseAddrPort(detail["announced"])
	}
	if err != nil {
		return portState{}, fmt.Errorf("reading record %d of the audit: %w", row.Seq, err)
	}
	return s, nil
}

// Diagnose is [Gate.Explain] for a client that is taken to give the right password,
// and looks at what really happened within the last day: that its last try from
// there was refused for its password ([PasswordWrong]), or that it got in over FTP
// and could not open the data port ([PassivePortUnreachable]). No login is refused
// for the latter.
func (g *Gate) Diagnose(ctx context.Context, a Attempt) (Decision, error) {
	d, err := g.Explain(ctx, a)
	if err != nil || !d.Allowed() || a.Protocol != FTP {
		return d, err
	}
	address := a.Address.Unmap().WithZone("").String()
	f := facts{user: d.Client, address: address, ftp: true, tls: a.TLS}
	wrong, err := g.lastWasWrong(ctx, d.Client, address)
	if err != nil {
		return d, err
	}
	if wrong {
		d.conclude(PasswordWrong, f)
		d.What = "it could get in, but " + d.What
		return d, nil
	}
	last, err := g.recordedData(ctx, portKey{d.Client, address})
	if err != nil || !last.unreachable || g.now().Sub(last.at) >= diagnoseWithin {
		return d, err
	}
	f.announced = last.announced
	d.conclude(PassivePortUnreachable, f)
	return d, nil
}

// lastWasWrong reports whether the last that was recorded of a client's logins over
// FTP from an address, within a day, is that its password was wrong.
func (g *Gate) lastWasWrong(ctx context.Context, client, address string) (bool, error) {
	const most = 200 // records looked at; a client that has done more since is in no need
	records, err := audit.List(ctx, g.DB.Read(), audit.Filter{Client: client, Limit: most})
	if err != nil {
		return false, fmt.Errorf("looking up the logins of client %s: %w", client, err)
	}
	for _, r := range records { // the newest first
		switch {
		case g.now().Sub(r.Time) >= diagnoseWithin, r.Event == "password.set":
			return false, nil
		case r.Detail["protocol"] != FTP || r.Detail["address"] != address:
		case r.Event == loginAllowed:
			return false, nil
		case r.Event == loginRefused:
			return Reason(r.Detail["reason"]) == PasswordWrong, nil
		}
	}
	return false, nil
}
