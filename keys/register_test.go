package keys_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
)

const (
	day = 24 * time.Hour
	ops = "operator:ops"
)

// fixture is a register with the client acme.
type fixture struct {
	*keys.Register
	db    *database.DB
	ahead atomic.Int64
	acme  reports.ClientID
}

func newFixture(tb testing.TB, e databasetest.Engine) *fixture {
	tb.Helper()
	db, _ := e.Open(tb, tb.TempDir())
	f := &fixture{db: db, acme: clientID(tb, "acme")}
	f.Register = keys.NewRegister(db, f.now)
	if err := f.AddClient(context.Background(), ops, keys.Client{ID: f.acme, Name: "Acme"}); err != nil {
		tb.Fatal(err)
	}
	return f
}

func (f *fixture) now() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }

func clientID(tb testing.TB, s string) reports.ClientID {
	tb.Helper()
	id, err := reports.ParseClientID(s)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// Recipients is what the register reads, if it is what it remembers, too.
func (f *fixture) Recipients(ctx context.Context, client reports.ClientID) ([]pgp.Certificate, error) {
	list, err := f.Register.Recipients(ctx, client)
	to, failed := f.Addressee(ctx, client)
	if failed != nil {
		return nil, failed
	}
	if again, failed := to.Recipients(); fmt.Sprint(again, failed) != fmt.Sprint(list, err) {
		return nil, fmt.Errorf("it reads %v, %w, and remembers %v, %w", list, err, again, failed)
	}
	return list, err
}

func (f *fixture) client(tb testing.TB, id reports.ClientID) keys.Client {
	tb.Helper()
	c, err := f.Client(context.Background(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func (f *fixture) mark(tb testing.TB) int64 {
	tb.Helper()
	n, err := f.db.Read().GetMark(context.Background(), database.AccessMark)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		tb.Fatal(err)
	}
	return n
}

func (f *fixture) records(tb testing.TB) int {
	tb.Helper()
	head, err := audit.Verify(context.Background(), f.db.Read(), audit.Head{})
	if err != nil {
		tb.Fatal(err)
	}
	return int(head.Seq)
}

// noticed fails unless what fn changes is recorded, and running gateways notice;
// or, if it changes nothing, neither.
func (f *fixture) noticed(tb testing.TB, changes bool, fn func() error) {
	tb.Helper()
	mark, records := f.mark(tb), f.records(tb)
	if err := fn(); err != nil {
		tb.Fatal(err)
	}
	if moved, recorded := f.mark(tb) != mark, f.records(tb) != records; moved != changes || recorded != changes {
		tb.Errorf("the access mark moved: %v; it was recorded: %v; want %v", moved, recorded, changes)
	}
}

func sshKey(tb testing.TB) []keys.Public {
	tb.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	k, err := ssh.NewPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	return readKeys(tb, string(ssh.MarshalAuthorizedKey(k)))
}

func pgpKey(tb testing.TB) []keys.Public {
	tb.Helper()
	k, err := pgp.GeneratePrivateKey("Acme reports", time.Now().Add(-time.Minute))
	if err != nil {
		tb.Fatal(err)
	}
	return readKeys(tb, k.Certificate().Armored())
}

func readKeys(tb testing.TB, text string) []keys.Public {
	tb.Helper()
	list, err := keys.Read([]byte(text), time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

func (f *fixture) importKeys(tb testing.TB, list []keys.Public) []keys.Imported {
	tb.Helper()
	done, err := f.Import(context.Background(), ops, f.acme, list)
	if err != nil {
		tb.Fatal(err)
	}
	return done
}

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestClients(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		beta := keys.Client{ID: clientID(t, "beta"), Name: "Beta", Retention: 10 * day, Allow: prefixes("10.1.2.3/8", "192.0.2.0/24", "10.0.0.0/8", "::ffff:198.51.100.0/120")}
		f.noticed(t, true, func() error { return f.AddClient(ctx, ops, beta) })
		var exists *keys.ExistsError
		if err := f.AddClient(ctx, ops, beta); !errors.As(err, &exists) || exists.Hint() == "" {
			t.Errorf("adding it again: %v", err)
		}
		got := f.client(t, beta.ID)
		if want := prefixes("10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24"); !slices.Equal(got.Allow, want) || got.Retention != 10*day || got.Name != "Beta" {
			t.Errorf("it is %+v", got)
		}
		if _, err := f.Client(ctx, clientID(t, "nobody")); !errors.Is(err, reports.ErrUnknownClient) {
			t.Errorf("nobody: %v", err)
		}
		name, allow := "Beta Ltd", prefixes("10.0.0.0/8")
		f.noticed(t, true, func() error {
			_, err := f.UpdateClient(ctx, ops, beta.ID, keys.Change{Name: &name, Allow: &allow})
			return err
		})
		f.noticed(t, false, func() error { // the same again
			_, err := f.UpdateClient(ctx, ops, beta.ID, keys.Change{Name: &name, Allow: &allow})
			return err
		})
		if got := f.client(t, beta.ID); got.Name != name || !slices.Equal(got.Allow, allow) || got.Retention != 10*day {
			t.Errorf("changed to %+v", got)
		}
		var ids []string
		if err := f.Clients(ctx, func(c keys.Client) bool { ids = append(ids, c.ID.String()); return true }); err != nil || !slices.Equal(ids, []string{"acme", "beta"}) {
			t.Errorf("clients %q, %v", ids, err)
		}
		f.noticed(t, true, func() error { return f.RemoveClient(ctx, ops, beta.ID) })
		if err := f.RemoveClient(ctx, ops, beta.ID); !errors.Is(err, reports.ErrUnknownClient) {
			t.Errorf("removing it again: %v", err)
		}
	})
}

// TestClientThatIsAddedAnewInheritsNothing: neither keys, nor networks, nor what
// the one before it began to upload, nor that it was sent a report already.
func TestClientThatIsAddedAnewInheritsNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		f.importKeys(t, sshKey(t))
		err := f.db.Write(ctx, func(tx *database.Tx) error {
			_, err := tx.InsertSource(tx.Context(), query.InsertSourceParams{ClientID: "acme", Source: "s", EntryID: "e"})
			return errors.Join(err, tx.PutPartial(tx.Context(), query.PutPartialParams{ClientID: "acme", Name: "secret.csv", Blob: "b", Size: 9}))
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.RemoveClient(ctx, ops, f.acme); err != nil {
			t.Fatal(err)
		}
		if err := f.AddClient(ctx, ops, keys.Client{ID: f.acme, Name: "another Acme"}); err != nil {
			t.Fatal(err)
		}
		if list, err := f.Keys(ctx, f.acme); len(list) != 0 || err != nil {
			t.Errorf("keys %v, %v", list, err)
		}
		if _, err := f.db.Read().GetPartial(ctx, query.GetPartialParams{ClientID: "acme", Name: "secret.csv"}); !errors.Is(err, database.ErrNotFound) {
			t.Errorf("the interrupted upload: %v", err)
		}
		if _, err := f.db.Read().GetSource(ctx, query.GetSourceParams{ClientID: "acme", Source: "s"}); !errors.Is(err, database.ErrNotFound) {
			t.Errorf("the delivery: %v", err)
		}
		if known, err := f.db.Read().BlobKnown(ctx, query.BlobKnownParams{Blob: "b", Last: "c"}); known != 1 || err != nil {
			t.Errorf("the interrupted upload's blob is not let go: %v", err)
		}
	})
}

func TestClientWithReportsStays(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		err := f.db.Write(t.Context(), func(tx *database.Tx) error {
			return tx.InsertEntry(tx.Context(), query.InsertEntryParams{ID: "e", ClientID: "acme", Name: "a", Kind: "report", State: "held", Blob: "b"})
		})
		if err != nil {
			t.Fatal(err)
		}
		var has *keys.HasReportsError
		if err := f.RemoveClient(t.Context(), ops, f.acme); !errors.As(err, &has) || has.Reports != 1 || has.Hint() == "" {
			t.Errorf("removing: %v", err)
		}
	})
}

func TestKeysLife(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		list := sshKey(t)
		f.noticed(t, true, func() error { _, err := f.Import(ctx, ops, f.acme, list); return err })
		f.noticed(t, false, func() error {
			done, err := f.Import(ctx, ops, f.acme, list)
			if err == nil && done[0].Action != "unchanged" {
				t.Errorf("again: %s", done[0].Action)
			}
			return err
		})
		fingerprint := list[0].Fingerprint
		state := func() keys.State {
			k, found, err := f.SSHKey(ctx, fingerprint)
			if err != nil || !found {
				t.Fatalf("found %v, %v", found, err)
			}
			return k.State(f.now())
		}
		f.noticed(t, true, func() error { _, err := f.Retire(ctx, ops, fingerprint, f.now().Add(day)); return err })
		if s := state(); s != keys.Retiring {
			t.Errorf("it is %s", s)
		}
		f.ahead.Store(int64(day))
		if s := state(); s != keys.Retired {
			t.Errorf("a day later it is %s", s)
		}
		if done := f.importKeys(t, list); done[0].Action != "renewed" || state() != keys.Active {
			t.Errorf("taken back into use: %s, and it is %s", done[0].Action, state())
		}
		f.noticed(t, true, func() error { _, err := f.Revoke(ctx, ops, fingerprint, "lost"); return err })
		// Revoked is for good.
		var revoked *keys.RevokedError
		if _, err := f.Import(ctx, ops, f.acme, list); !errors.As(err, &revoked) || revoked.Hint() == "" {
			t.Errorf("importing a revoked key: %v", err)
		}
		if _, err := f.Retire(ctx, ops, fingerprint, f.now().Add(day)); err == nil {
			t.Error("a revoked key was retired")
		}
		if _, err := f.Revoke(ctx, ops, fingerprint, "another reason"); err == nil {
			t.Error("a revoked key was revoked again")
		}
		if s := state(); s != keys.Revoked {
			t.Errorf("it is %s", s)
		}
		if _, err := f.Find(ctx, "no such key"); !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("finding nothing: %v", err)
		}
	})
}

func TestKeyState(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, test := range []struct {
		key  keys.Key
		want keys.State
	}{
		{keys.Key{}, keys.Active},
		{keys.Key{Expires: now.Add(1)}, keys.Active},
		{keys.Key{Expires: now}, keys.Expired},
		{keys.Key{Retires: now.Add(1)}, keys.Retiring},
		{keys.Key{Retires: now}, keys.Retired},
		{keys.Key{Expires: now, Retires: now}, keys.Expired},
		{keys.Key{Expires: now, Retires: now, Revoked: now.Add(day)}, keys.Revoked},
	} {
		if got := test.key.State(now); got != test.want || test.key.Usable(now) != (got == keys.Active || got == keys.Retiring) {
			t.Errorf("%+v is %s, want %s", test.key, got, test.want)
		}
	}
}

func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		beta := clientID(t, "beta")
		if err := f.AddClient(ctx, ops, keys.Client{ID: beta}); err != nil {
			t.Fatal(err)
		}
		taken := sshKey(t)
		if _, err := f.Import(ctx, ops, beta, taken); err != nil {
			t.Fatal(err)
		}
		mark, records := f.mark(t), f.records(t)
		done, err := f.Import(ctx, ops, f.acme, append(sshKey(t), taken...))
		var theirs *keys.TakenError
		if !errors.As(err, &theirs) || theirs.Owner != beta || theirs.Fingerprint != taken[0].Fingerprint || theirs.Hint() == "" || done != nil {
			t.Errorf("importing: %v, %v", done, err)
		}
		if list, err := f.Keys(ctx, f.acme); len(list) != 0 || err != nil || f.mark(t) != mark || f.records(t) != records {
			t.Errorf("it left %d keys, %v", len(list), err)
		}
		// A revoked key stays its owner's.
		if _, err := f.Revoke(ctx, ops, taken[0].Fingerprint, "lost"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Import(ctx, ops, f.acme, taken); !errors.As(err, &theirs) {
			t.Errorf("importing another's revoked key: %v", err)
		}
		if _, err := f.Import(ctx, ops, clientID(t, "nobody"), sshKey(t)); !errors.Is(err, reports.ErrUnknownClient) {
			t.Errorf("importing for nobody: %v", err)
		}
		twice := sshKey(t)
		if done := f.importKeys(t, append(twice, twice...)); len(done) != 2 || done[0].Action != keys.ActionAdded || done[1].Action != keys.ActionUnchanged {
			t.Errorf("the same key twice in a file: %+v", done)
		}
	})
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		none := func(words ...string) {
			t.Helper()
			list, err := f.Recipients(ctx, f.acme)
			if !errors.Is(err, keys.ErrNoRecipient) || list != nil {
				t.Fatalf("%d recipients, %v", len(list), err)
			}
			for _, word := range words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the error %q does not say %q", err, word)
				}
			}
		}
		f.importKeys(t, sshKey(t))
		none("none was imported")
		a, b := pgpKey(t), pgpKey(t)
		f.importKeys(t, append(a, b...))
		for range 2 { // the second time from the cache
			if list, err := f.Recipients(ctx, f.acme); err != nil || len(list) != 2 || list[0].Fingerprint() == list[1].Fingerprint() {
				t.Errorf("%d recipients, %v", len(list), err)
			}
		}
		if _, err := f.Revoke(ctx, ops, a[0].Fingerprint, "lost"); err != nil {
			t.Fatal(err)
		}
		if list, err := f.Recipients(ctx, f.acme); err != nil || len(list) != 1 || list[0].Fingerprint() != b[0].Fingerprint {
			t.Errorf("%d recipients, %v", len(list), err)
		}
		if _, err := f.Retire(ctx, ops, b[0].Fingerprint, f.now().Add(day)); err != nil {
			t.Fatal(err)
		}
		if list, err := f.Recipients(ctx, f.acme); err != nil || len(list) != 1 {
			t.Errorf("while it is retiring: %d recipients, %v", len(list), err)
		}
		f.ahead.Store(int64(day))
		none(a[0].Fingerprint+" is revoked", b[0].Fingerprint+" is retired")
	})
}

// TestRecipientWhoseCertificateCannotBeRead must be a reason to hold, not a
// failure, and must not take a good certificate with it.
func TestRecipientWhoseCertificateCannotBeRead(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		f.importKeys(t, []keys.Public{{Kind: keys.PGP, Fingerprint: "BAD", Text: "no certificate"}})
		if _, err := f.Recipients(t.Context(), f.acme); !errors.Is(err, keys.ErrNoRecipient) || !strings.Contains(err.Error(), "BAD") {
			t.Errorf("error is %v", err)
		}
		f.importKeys(t, pgpKey(t))
		if list, err := f.Recipients(t.Context(), f.acme); err != nil || len(list) != 1 {
			t.Errorf("%d recipients, %v", len(list), err)
		}
	})
}

func TestReadRefusesPrivateKeys(t *testing.T) {
	t.Parallel()
	k, err := pgp.GeneratePrivateKey("Acme", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"pgp":              k.Armored(),
		"pgp after public": k.Certificate().Armored() + "\n" + k.Armored(),
		"openssh":          "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n",
	} {
		list, err := keys.Read([]byte(text), time.Now())
		var private *keys.PrivateKeyError
		if !errors.As(err, &private) || list != nil || private.Hint() == "" || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "hello", "\x00\x01", "<html>"} {
		if list, err := keys.Read([]byte(text), time.Now()); err == nil || list != nil {
			t.Errorf("%q was read", text)
		}
	}
}
