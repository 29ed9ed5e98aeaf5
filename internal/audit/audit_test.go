package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// chain is a catalog with an audit of n records, and a way behind its back.
type chain struct {
	*database.DB
	raw *sql.DB
}

func newChain(tb testing.TB, e databasetest.Engine, n int) chain {
	tb.Helper()
	db, home := e.Open(tb, tb.TempDir())
	c := chain{db, home.Raw(tb)}
	for i := range n {
		c.append(tb, audit.Entry{
			Event: "report.published", Actor: "operator:ops", Client: "acme", Subject: fmt.Sprint("r", i),
			Detail: map[string]string{"name": "a.csv", "size": fmt.Sprint(i)},
		})
	}
	return c
}

func (c chain) append(tb testing.TB, e audit.Entry) {
	tb.Helper()
	if err := c.Write(context.Background(), func(tx *database.Tx) error { return audit.Append(tx, now, e) }); err != nil {
		tb.Fatal(err)
	}
}

func (c chain) exec(tb testing.TB, statement string) {
	tb.Helper()
	for part := range strings.SplitSeq(statement, ";") {
		if _, err := c.raw.Exec(part); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestWholeChainVerifies(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		c := newChain(t, e, 3)
		noted, err := audit.Verify(t.Context(), c.Read(), audit.Head{})
		if err != nil || noted.Seq != 3 || len(noted.Hash) != 64 {
			t.Fatalf("head %v, %v", noted, err)
		}
		c.append(t, audit.Entry{Event: "a.b"})
		head, err := audit.Verify(t.Context(), c.Read(), noted)
		if err != nil || head.Seq != 4 {
			t.Errorf("with the noted head: %v, %v", head, err)
		}
		empty := newChain(t, e, 0)
		if head, err := audit.Verify(t.Context(), empty.Read(), audit.Head{}); err != nil || head != (audit.Head{}) {
			t.Errorf("an empty chain: %v, %v", head, err)
		}
	})
}

// TestFailedWritesLeaveTheChainWhole: what shares a transaction with a write that is taken
// back follows what is left.
func TestFailedWritesLeaveTheChainWhole(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		c := newChain(t, e, 1)
		own := errors.New("own")
		begun, goOn := make(chan struct{}), make(chan struct{})
		var group sync.WaitGroup
		write := func(fn func(tx *database.Tx) error) {
			group.Go(func() {
				if err := c.Write(t.Context(), fn); err != nil && !errors.Is(err, own) {
					t.Error(err)
				}
			})
		}
		write(func(*database.Tx) error { close(begun); <-goOn; return nil }) // the others wait for its end together
		<-begun
		for i := range 30 {
			write(func(tx *database.Tx) error {
				err := audit.AppendAll(tx, now, []audit.Entry{{Event: "a.a"}, {Event: "a.b"}})
				if i%2 == 0 {
					err = errors.Join(err, audit.Append(tx, now, audit.Entry{Event: "a.c"}))
				}
				if i%3 == 0 {
					return own
				}
				return err
			})
		}
		close(goOn)
		group.Wait()
		// Of the thirty, twenty were not taken back, of which ten have three records.
		if head, err := audit.Verify(t.Context(), c.Read(), audit.Head{}); err != nil || head.Seq != 1+20*2+10 {
			t.Errorf("head %v, %v", head, err)
		}
	})
}

func TestTampering(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for attack, test := range map[string]struct {
			statement string
			at        int64
		}{
			"time-changed":              {"UPDATE audit SET at = at + 1 WHERE seq = 2", 2},
			"event-changed":             {"UPDATE audit SET event = 'login.allowed' WHERE seq = 2", 2},
			"actor-changed":             {"UPDATE audit SET actor = 'operator:eve' WHERE seq = 2", 2},
			"client-changed":            {"UPDATE audit SET client_id = 'other' WHERE seq = 2", 2},
			"subject-changed":           {"UPDATE audit SET subject = 'x' WHERE seq = 2", 2},
			"detail-changed":            {`UPDATE audit SET detail = '{"name":"b.csv"}' WHERE seq = 2`, 2},
			"hash-changed":              {"UPDATE audit SET hash = '" + strings.Repeat("0", 64) + "' WHERE seq = 2", 2},
			"last-hash-changed":         {"UPDATE audit SET hash = '" + strings.Repeat("0", 64) + "' WHERE seq = 5", 5},
			"text-moved-between-fields": {"UPDATE audit SET actor = 'operator:op', client_id = 'sacme' WHERE seq = 2", 2},
			"record-deleted":            {"DELETE FROM audit WHERE seq = 3", 3},
			"first-record-deleted":      {"DELETE FROM audit WHERE seq = 1", 1},
			"deleted-and-renumbered":    {"DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5", 3},
			"two-records-swapped":       {"UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 99", 2},
			"record-inserted-in-front":  {"INSERT INTO audit SELECT 0, at, event, actor, client_id, subject, detail, hash FROM audit WHERE seq = 1", 0},
			"record-appended":           {"INSERT INTO audit SELECT 6, at, event, actor, client_id, subject, detail, hash FROM audit WHERE seq = 5", 6},
		} {
			t.Run(attack, func(t *testing.T) {
				t.Parallel()
				c := newChain(t, e, 5)
				c.exec(t, test.statement)
				_, err := audit.Verify(t.Context(), c.Read(), audit.Head{})
				var broken *audit.BrokenError
				if !errors.As(err, &broken) || broken.Seq != test.at || broken.Hint() == "" {
					t.Errorf("error is %v, want record %d", err, test.at)
				}
			})
		}
	})
}

// TestNotedHead: what a chain alone can't tell, one that was noted does.
func TestNotedHead(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for attack, test := range map[string]struct {
			statement string
			at        int64
		}{
			"end-cut-off":                 {"DELETE FROM audit WHERE seq > 3", 4},
			"all-cut-off":                 {"DELETE FROM audit", 1},
			"end-cut-off-and-forged-anew": {"DELETE FROM audit WHERE seq > 3", 5},
		} {
			t.Run(attack, func(t *testing.T) {
				t.Parallel()
				c := newChain(t, e, 5)
				noted, err := audit.Verify(t.Context(), c.Read(), audit.Head{})
				if err != nil {
					t.Fatal(err)
				}
				c.exec(t, test.statement)
				if strings.Contains(attack, "forged") {
					for range 4 {
						c.append(t, audit.Entry{Event: "nothing.happened"})
					}
				}
				if _, err := audit.Verify(t.Context(), c.Read(), audit.Head{}); err != nil {
					t.Fatalf("the rest is a chain, and yet: %v", err)
				}
				_, err = audit.Verify(t.Context(), c.Read(), noted)
				var broken *audit.BrokenError
				if !errors.As(err, &broken) || broken.Seq != test.at {
					t.Errorf("error is %v, want record %d", err, test.at)
				}
			})
		}
	})
}

func TestChainAcrossPagesAndWriters(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		c := newChain(t, e, 0)
		var group sync.WaitGroup
		const writers, each = 8, 20
		for range writers {
			group.Go(func() {
				for range each {
					err := c.Write(context.Background(), func(tx *database.Tx) error {
						for range 8 {
							if err := audit.Append(tx, now, audit.Entry{Event: "a.b", Actor: "gateway"}); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if head, err := audit.Verify(t.Context(), c.Read(), audit.Head{}); err != nil || head.Seq != writers*each*8 {
			t.Errorf("head %v, %v", head, err)
		}
	})
}

// TestRecordGoesWithItsEvent: a change that is rolled back leaves no record, and
// no gap.
func TestRecordGoesWithItsEvent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		c := newChain(t, e, 1)
		wrong := errors.New("wrong")
		err := c.Write(t.Context(), func(tx *database.Tx) error {
			return errors.Join(audit.Append(tx, now, audit.Entry{Event: "a.b"}), wrong)
		})
		if !errors.Is(err, wrong) {
			t.Fatal(err)
		}
		c.append(t, audit.Entry{Event: "c.d"})
		if head, err := audit.Verify(t.Context(), c.Read(), audit.Head{}); err != nil || head.Seq != 2 {
			t.Errorf("head %v, %v", head, err)
		}
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		c := newChain(t, e, 3)
		hostile := "a\x00\"'\u202e\xff\n;--"
		c.append(t, audit.Entry{Event: "login.refused", Actor: "gateway", Subject: hostile, Detail: map[string]string{"user": "x", "address": "::1"}})
		all, err := audit.List(t.Context(), c.Read(), audit.Filter{Limit: 10})
		if err != nil || len(all) != 4 || all[0].Seq != 4 || all[3].Seq != 1 {
			t.Fatalf("%d records, %v", len(all), err)
		}
		if all[0].DetailText() != "address=::1 user=x" || !all[0].Time.Equal(now) || all[0].Subject != `a\x00"'`+"\u202e"+`\xff`+"\n;--" {
			t.Errorf("record %+v", all[0])
		}
		if head, err := audit.Verify(t.Context(), c.Read(), audit.Head{}); err != nil || head.Hash != all[0].Hash {
			t.Errorf("a hostile text breaks the chain: %v, %v", head, err)
		}
		acme, err := audit.List(t.Context(), c.Read(), audit.Filter{Client: "acme", Before: 3, Limit: 1})
		if err != nil || len(acme) != 1 || acme[0].Seq != 2 {
			t.Errorf("acme's before 3: %+v, %v", acme, err)
		}
		c.exec(t, "UPDATE audit SET detail = 'no json' WHERE seq = 1")
		var broken *audit.BrokenError
		if _, err := audit.List(t.Context(), c.Read(), audit.Filter{Limit: 10}); !errors.As(err, &broken) || broken.Seq != 1 {
			t.Errorf("a damaged detail: %v", err)
		}
	})
}
