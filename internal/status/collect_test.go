package status_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/status"
	"github.com/sealdrop/sealdrop/keys"
)

// entry puts a report into the catalog, as it would come to be.
func entry(t *testing.T, db *database.DB, e query.InsertEntryParams, collected time.Time) {
	t.Helper()
	e.Kind = "report"
	e.Blob = e.ID
	check(t, db.Write(t.Context(), func(tx *database.Tx) error {
		if err := tx.InsertEntry(tx.Context(), e); err != nil || collected.IsZero() {
			return err
		}
		return tx.SetCoverage(tx.Context(), query.SetCoverageParams{ID: e.ID, State: "collected", CollectedAt: database.Micros(collected)})
	}))
}

// seed makes a gateway with one of everything.
func seed(t *testing.T, db *database.DB, now time.Time) {
	t.Helper()
	at := func(d time.Duration) int64 { return database.Micros(now.Add(d)) }
	check(t, db.Write(t.Context(), func(tx *database.Tx) error {
		for _, id := range []string{"acme", "beta", "gone"} {
			c := query.InsertClientParams{ID: id, Name: id, CreatedAt: at(-90 * day)}
			if id == "gone" {
				c.Disabled = 1
			}
			if err := tx.InsertClient(tx.Context(), c); err != nil {
				return err
			}
		}
		if err := tx.InsertNetwork(tx.Context(), query.InsertNetworkParams{ClientID: "beta", Prefix: "203.0.113.0/24"}); err != nil {
			return err
		}
		for _, id := range []string{"beta", "gone"} {
			err := tx.PutPassword(tx.Context(), query.PutPasswordParams{ClientID: id, Hash: "h", ExpiresAt: at(3 * day)})
			if err != nil {
				return err
			}
		}
		for address, until := range map[string]int64{"203.0.113.9": at(time.Minute), "198.51.100.1": at(time.Minute), "client:acme": at(time.Minute), "192.0.2.1": at(-time.Minute)} {
			if err := tx.PutBan(tx.Context(), query.PutBanParams{Address: address, UntilAt: until, Failures: 20}); err != nil {
				return err
			}
		}
		for name, n := range map[string]int64{database.VerifiedMark: 1, database.VerifiedAtMark: at(-time.Hour), database.BackupMark: at(-3 * day), database.BackupAuditMark: 2} {
			if err := tx.SetMark(tx.Context(), query.SetMarkParams{Name: name, N: n}); err != nil {
				return err
			}
		}
		return errors.Join(
			audit.Append(tx, now.Add(-80*day), audit.Entry{Event: "client.added", Actor: "test"}),
			audit.Append(tx, now.Add(-3*day), audit.Entry{Event: "backup.made", Actor: "test", Detail: map[string]string{"backup": "/mnt/backup/20261120T020000Z"}}),
			refusal(tx, now.Add(-50*time.Hour), "acme", "key-unknown", ""),
			refusal(tx, now.Add(-25*time.Hour), "acme", "address-not-allowed", ""),
			refusal(tx, now.Add(-time.Hour), "acme", "address-not-allowed", "40"),
			refusal(tx, now.Add(-time.Hour), "", "unknown-client", "7"),
		)
	}))
	report := func(id, client, name, state string, came, published, expires, collected time.Duration) {
		e := query.InsertEntryParams{ID: id, ClientID: client, Name: name, State: state, Size: 1000, ReceivedAt: at(came)}
		if state != "held" {
			e.PublishedAt, e.ExpiresAt = at(published), at(expires)
		}
		fetched := time.Time{}
		if collected != 0 {
			fetched = now.Add(collected)
		}
		entry(t, db, e, fetched)
	}
	report("1", "acme", "Activity_1.csv.pgp", "published", -time.Hour, -time.Hour, 99*day, 0)
	report("2", "acme", "Activity_0.csv.pgp", "published", -25*time.Hour, -25*time.Hour, 99*day, -time.Minute)
	report("3", "beta", "Balance.csv.pgp", "held", -2*time.Hour, 0, 0, 0)
	report("4", "beta", "Old.csv.pgp", "published", -95*day, -95*day, 5*day, 0)
	report("5", "beta", "Older.csv.pgp", "held", -3*day, 0, 0, 0)
	for i := range 6 {
		id := string(rune('a' + i))
		report(id, "acme", "Earlier"+id, "published", -20*day, -20*day, 80*day, -20*day+time.Duration(i+1)*time.Hour)
	}
}

func refusal(tx *database.Tx, at time.Time, client, reason, times string) error {
	detail := map[string]string{"reason": reason, "address": "203.0.113.77", "protocol": "sftp"}
	if times != "" {
		detail["times"] = times
	}
	return audit.Append(tx, at, audit.Entry{Event: "login.refused", Actor: "gateway", Client: client, Detail: detail})
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, _ := e.Open(t, t.TempDir())
		now := monday()
		seed(t, db, now)
		c := collector(t, db, now)
		c.Wanted = []status.Wanted{
			wanted(t, "acme", "Activity_*.csv", "06:30", "mon-fri", "Europe/Berlin"),
			wanted(t, "beta", "Balance.csv", "04:45", "daily", "UTC"),
			wanted(t, "beta", "Weekly.csv", "04:45", "tue", "UTC"),
		}
		s, err := c.Snapshot(t.Context(), "")
		check(t, err)
		out := status.Judge(s)
		want := "red | missing | beta | Weekly.csv was due at 04:45 UTC on Tue 17 Nov and has not come | $ sealdrop deliver --client beta Weekly.csv\n" +
			"red | held | beta | 2 reports held: no PGP key was imported | $ sealdrop key import\n" +
			"red | purging | beta | 1 report uncollected, purged on 28 Nov 2026 | $ sealdrop attempts --client beta\n" +
			"red | password | beta | its password expires on 26 Nov 2026 | $ sealdrop password set --client beta --generate\n" +
			"red | backup |  | the last backup is 3 days old | $ sealdrop backup /mnt/backup\n" +
			"yellow | refused | acme | refused 41 times from 203.0.113.77: address not allowed | $ sealdrop client allow acme 203.0.113.77\n" +
			"yellow | ban | acme | its password is locked out after wrong ones from its own addresses | $ sealdrop ban lift client:acme\n" +
			"yellow | ban | beta | is locked out from 203.0.113.9 after failed logins | $ sealdrop ban lift 203.0.113.9"
		var got []string
		for _, i := range out.Items {
			got = append(got, summary(i))
		}
		if text := strings.Join(got, "\n"); text != want {
			t.Errorf("got\n%s\nwant\n%s", text, want)
		}
		d := out.Day
		if d.Expected != 2 || d.Met != 2 || d.Received != 2 || d.Sealed != 1 || d.Published != 1 || d.Collected != 1 || d.Overdue != 1 {
			t.Errorf("%+v", d)
		}
		y := out.System
		if y.AuditLast != 6 || y.Verified != 1 || y.Bans != 3 || y.Strangers.Attempts != 7 || y.Strangers.Addresses != 1 || y.DiskGrowth != 71 {
			t.Errorf("%+v", y)
		}
	})
}

func TestSnapshotOfOneClient(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, _ := e.Open(t, t.TempDir())
		now := monday()
		seed(t, db, now)
		c := collector(t, db, now)
		c.Wanted = []status.Wanted{wanted(t, "acme", "Activity_*.csv", "06:30", "mon-fri", "Europe/Berlin"), wanted(t, "beta", "x", "04:45", "daily", "UTC")}
		s, err := c.Snapshot(t.Context(), "acme")
		check(t, err)
		out := status.Judge(s)
		for _, i := range out.Items {
			if i.Client != "acme" {
				t.Errorf("%s", summary(i))
			}
		}
		if d := out.Day; d.Expected != 1 || d.Met != 1 || d.Received != 1 || d.Collected != 1 || d.Published != 1 || len(out.Items) != 2 || out.System != nil {
			t.Errorf("%+v, %d items", d, len(out.Items))
		}
	})
}

// TestHabit: what the client took for its last reports, from the catalog.
func TestHabit(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, _ := e.Open(t, t.TempDir())
		now := monday().Add(30 * time.Hour)
		seed(t, db, monday())
		s, err := collector(t, db, now).Snapshot(t.Context(), "acme")
		check(t, err)
		out := status.Judge(s)
		want := "yellow | uncollected | acme | 1 report uncollected, the oldest for 31 hours; it usually takes up to 24 hours | $ sealdrop attempts --client acme"
		if len(out.Items) == 0 || summary(out.Items[len(out.Items)-1]) != want {
			t.Errorf("%v", out.Items)
		}
	})
}

// TestHandedOverByEmail: a client that is sent its reports by email is not late in
// fetching them, and yet it is said before they are purged.
func TestHandedOverByEmail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, _ := e.Open(t, t.TempDir())
		seed(t, db, monday())
		check(t, db.Write(t.Context(), func(tx *database.Tx) error {
			return errors.Join(
				tx.InsertReceipt(tx.Context(), query.InsertReceiptParams{ID: "r1", EntryID: "1", ClientID: "acme", Protocol: "email", Bytes: 1000, Size: 1000}),
				tx.InsertReceipt(tx.Context(), query.InsertReceiptParams{ID: "r4", EntryID: "4", ClientID: "beta", Protocol: "email", Bytes: 1000, Size: 1000}),
			)
		}))
		s, err := collector(t, db, monday().Add(30*time.Hour)).Snapshot(t.Context(), "")
		check(t, err)
		if len(s.Uncollected) != 1 || s.Uncollected[0].Client != "beta" || s.Uncollected[0].Count != 0 || s.Uncollected[0].Purging != 1 || s.Uncollected[0].Oldest.IsZero() {
			t.Errorf("%+v", s.Uncollected)
		}
	})
}

// TestEndingKeys: a key is told of while its client has no other of its kind for longer.
func TestEndingKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, home := e.Open(t, t.TempDir())
		now := monday()
		seed(t, db, now)
		raw := home.Raw(t)
		for _, k := range []struct {
			id, client, kind                string
			expires, added, maxAge, retires time.Duration
			revoked, pending                bool
		}{
			{id: "superseded", client: "acme", kind: "pgp", expires: -day},
			{id: "good", client: "acme", kind: "pgp", expires: 400 * day},
			{id: "aged", client: "acme", kind: "ssh", added: -360 * day, maxAge: 365 * day},
			{id: "retires", client: "beta", kind: "ssh", retires: 20 * day},
			{id: "retired", client: "beta", kind: "ssh", retires: -day},
			{id: "expired", client: "beta", kind: "pgp", expires: -2 * day},
			{id: "revoked", client: "beta", kind: "pgp", expires: -day, revoked: true},
			{id: "pending", client: "beta", kind: "pgp", expires: 400 * day, pending: true},
			{id: "pending-that-ends", client: "acme", kind: "ssh", expires: 10 * day, pending: true},
			{id: "disabled", client: "gone", kind: "pgp", expires: -day},
		} {
			micros := func(d time.Duration) int64 {
				if d == 0 {
					return 0
				}
				return database.Micros(now.Add(d))
			}
			revoked, approved := int64(0), int64(1)
			if k.revoked {
				revoked = 1
			}
			if k.pending {
				approved = 0
			}
			added := micros(k.added)
			if added == 0 {
				added = micros(-90 * day)
			}
			_, err := raw.Exec(`INSERT INTO keys (id, client_id, kind, fingerprint, algorithm, label, material, added_at, expires_at, max_age, retires_at, revoked_at, revoked_reason,
				last_used_at, imported_by, imported_uid, imported_login, approved_by, approved_at, replaces, overlap)
				VALUES ($1, $2, $3, $4, '', '', '', $5, $6, $7, $8, $9, '', 0, '', 0, 0, '', $10, '', 0)`,
				k.id, k.client, k.kind, k.id, added, micros(k.expires), k.maxAge.Microseconds(), micros(k.retires), revoked, approved)
			check(t, err)
		}
		s, err := collector(t, db, now).Snapshot(t.Context(), "")
		check(t, err)
		var got []string
		for _, c := range s.Credentials {
			if c.Kind == status.KindKey {
				got = append(got, c.ID+" "+c.Ends.Format(time.DateOnly))
			}
		}
		for _, want := range []string{"aged 2026-11-28", "retires 2026-12-13", "expired 2026-11-21"} {
			if !strings.Contains(strings.Join(got, ", "), want) {
				t.Errorf("%v, want %s", got, want)
			}
		}
		if len(got) != 3 || len(s.Approvals) != 2 {
			t.Errorf("%v, approvals %v", got, s.Approvals)
		}
		// `key list --expiring` and the messages to clients go by the same rule.
		ending, err := keys.NewRegister(db, func() time.Time { return now }).Ending(t.Context(), status.EndsAhead)
		check(t, err)
		var same []string
		for _, k := range ending {
			if k.Successor == "" && k.Client.String() != "gone" {
				same = append(same, k.ID+" "+k.At.Format(time.DateOnly))
			}
		}
		slices.Sort(got)
		slices.Sort(same)
		if !slices.Equal(got, same) {
			t.Errorf("the overview has %v, the register %v", got, same)
		}
	})
}

// TestFaultsAroundTheCatalog are told, and keep nothing else from being shown.
func TestFaultsAroundTheCatalog(t *testing.T) {
	t.Parallel()
	db, _ := databasetest.SQLite.Open(t, t.TempDir())
	c := collector(t, db, monday())
	c.Disk = func() (status.Disk, error) { return status.Disk{}, errors.New("input/output error") }
	c.Spool = func() ([]status.Queued, []status.Fault) {
		return nil, []status.Fault{{Kind: status.KindSpool, What: "no", Fix: "ls -ld /spool"}}
	}
	c.Standing = func(context.Context) []status.Fault { return []status.Fault{{Kind: status.KindSweep, What: "refused"}} }
	s, err := c.Snapshot(t.Context(), "")
	check(t, err)
	var got []string
	for _, i := range status.Judge(s).Items {
		got = append(got, string(i.Kind))
	}
	if text := strings.Join(got, " "); text != "disk spool sweep backup" {
		t.Errorf("%s", text)
	}
}

// TestMessageIsCountedBeforeItIsLate: the overview said that nothing waits while a message
// was to be sent in a minute.
func TestMessageIsCountedBeforeItIsLate(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, _ := e.Open(t, t.TempDir())
		now := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
		check(t, db.Write(t.Context(), func(tx *database.Tx) error {
			return tx.InsertMessage(tx.Context(), query.InsertMessageParams{
				ID: "m", Channel: "email", Target: "ops@example.com", Kind: "test", CreatedAt: database.Micros(now), NextAt: database.Micros(now.Add(time.Minute)),
			})
		}))
		s, err := collector(t, db, now).Snapshot(t.Context(), "")
		check(t, err)
		if out := status.Judge(s); s.Mail.Waiting != 0 || out.System.MailWaiting != 1 {
			t.Errorf("%+v, and %d are shown to be sent", s.Mail, out.System.MailWaiting)
		}
	})
}
