package access_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/access"
)

const ops = "operator:ops"

var home = netip.MustParseAddr("192.0.2.7")

// clock is a time that moves when it is told to. Zero, it is the system's.
type clock struct {
	ahead atomic.Int64
	// asked, if set, is called once when somebody next asks for the time.
	asked atomic.Pointer[func()]
}

func (c *clock) now() time.Time {
	if fn := c.asked.Swap(nil); fn != nil {
		(*fn)()
	}
	return time.Now().Add(time.Duration(c.ahead.Load()))
}

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// fixture is a gate, with client acme, its network 192.0.2.0/24 and its key.
type fixture struct {
	*access.Gate
	home     databasetest.Home
	db       *database.DB
	register *keys.Register
	clock    *clock
	key      access.Key
}

func newFixture(tb testing.TB) *fixture { return newFixtureOn(tb, databasetest.SQLite) }

func newFixtureOn(tb testing.TB, e databasetest.Engine) *fixture {
	tb.Helper()
	f := &fixture{clock: &clock{}}
	f.db, f.home = e.Open(tb, tb.TempDir())
	f.register = keys.NewRegister(f.db, f.clock.now)
	f.Gate = access.New(access.Config{
		DB: f.db, Register: f.register, Now: f.clock.now, Log: slog.New(slog.DiscardHandler), SessionsPerClient: 3, Failures: 5,
		Window: 10 * time.Minute, Ban: time.Hour, PlainFTP: true,
	})
	f.add(tb, "acme", "192.0.2.0/24")
	f.key = f.enrol(tb, "acme", "K")
	return f
}

func clientID(tb testing.TB, s string) reports.ClientID {
	tb.Helper()
	id, err := reports.ParseClientID(s)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func (f *fixture) add(tb testing.TB, id string, networks ...string) {
	tb.Helper()
	c := keys.Client{ID: clientID(tb, id), Name: id}
	for _, n := range networks {
		c.Allow = append(c.Allow, netip.MustParsePrefix(n))
	}
	if err := f.register.AddClient(context.Background(), ops, c); err != nil {
		tb.Fatal(err)
	}
}

// enrol registers a key of the given fingerprint, as if it had been read.
func (f *fixture) enrol(tb testing.TB, id, fingerprint string) access.Key {
	tb.Helper()
	_, err := f.register.Import(context.Background(), ops, clientID(tb, id), []keys.Public{{
		Kind: keys.SSH, Fingerprint: fingerprint, Algorithm: "ssh-ed25519 256", Text: "ssh-ed25519 " + fingerprint,
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return access.Key{Fingerprint: fingerprint, Algorithm: "ssh-ed25519", Bits: 256}
}

func (f *fixture) attempt(proved access.Key) access.Attempt {
	return access.Attempt{
		Protocol: "sftp", Address: home, User: "acme", Software: "SSH-2.0-test", Proved: &proved, Offered: []access.Key{proved},
	}
}

// login logs acme in; ended is closed when the gate ends the session.
func (f *fixture) login(tb testing.TB) (s *access.Session, ended chan struct{}) {
	tb.Helper()
	ended = make(chan struct{})
	s, d, err := f.Login(context.Background(), f.attempt(f.key), func(string) { close(ended) })
	if err != nil || s == nil {
		tb.Fatalf("login: %s, %v", d.Reason, err)
	}
	tb.Cleanup(s.Close)
	return s, ended
}

// records returns the audit's records of an event, the oldest first.
func (f *fixture) records(tb testing.TB, event audit.Event) (found []audit.Record) {
	tb.Helper()
	list, err := audit.List(context.Background(), f.db.Read(), audit.Filter{Limit: 1 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Event == event {
			found = append(found, list[i])
		}
	}
	return found
}

// refusals adds up the refusals that the audit tells of.
func (f *fixture) refusals(tb testing.TB) (records, total int) {
	tb.Helper()
	for _, r := range f.records(tb, "login.refused") {
		records++
		times, err := strconv.Atoi(r.Detail["times"])
		if err != nil {
			times = 1
		}
		total += times
	}
	return records, total
}

// exec changes the catalog behind the gate's back.
func (f *fixture) exec(tb testing.TB, statement string) {
	tb.Helper()
	if _, err := f.home.Raw(tb).Exec(statement); err != nil {
		tb.Fatal(err)
	}
}

func (f *fixture) revoke(tb testing.TB, k access.Key) {
	tb.Helper()
	if _, err := f.register.Revoke(context.Background(), ops, k.Fingerprint, "lost"); err != nil {
		tb.Fatal(err)
	}
}

func (f *fixture) disable(tb testing.TB, id string) {
	tb.Helper()
	yes := true
	if _, err := f.register.UpdateClient(context.Background(), ops, clientID(tb, id), keys.Change{Disabled: &yes}); err != nil {
		tb.Fatal(err)
	}
}

// manyClients adds n clients with a key and a network each, in one transaction.
func (f *fixture) manyClients(tb testing.TB, n int) {
	tb.Helper()
	err := f.db.Write(context.Background(), func(tx *database.Tx) error {
		for i := range n {
			id := fmt.Sprintf("client-%05d", i)
			if err := tx.InsertClient(tx.Context(), query.InsertClientParams{ID: id, Name: id}); err != nil {
				return err
			}
			prefix := fmt.Sprintf("10.%d.%d.0/24", i/256%256, i%256)
			if err := tx.InsertNetwork(tx.Context(), query.InsertNetworkParams{ClientID: id, Prefix: prefix}); err != nil {
				return err
			}
			err := tx.InsertKey(tx.Context(), query.InsertKeyParams{
				ID: "key-" + id, ClientID: id, Kind: "ssh", Fingerprint: "SHA256:" + id, ApprovedAt: 1,
			})
			if err != nil {
				return err
			}
		}
		return tx.BumpMark(tx.Context(), database.AccessMark)
	})
	if err != nil {
		tb.Fatal(err)
	}
}
