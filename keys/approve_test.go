package keys_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
)

// Two people at one service account, by sudo, and one of them without a login that
// the kernel knows of.
var (
	alice       = keys.Operator{Actor: "operator:alice", UID: 990, Login: 1001}
	bob         = keys.Operator{Actor: "operator:bob", UID: 990, Login: 1002}
	aliceByCron = keys.Operator{Actor: "operator:service", UID: 990, Login: keys.NoUID}
)

func TestSameOperator(t *testing.T) {
	t.Parallel()
	uid := func(n int64) keys.Operator { return keys.Operator{UID: n, Login: keys.NoUID} }
	for _, test := range []struct {
		name string
		a, b keys.Operator
		want bool
	}{
		{"one service account, two logins", alice, bob, false},
		{"one login, two accounts", alice, keys.Operator{UID: 0, Login: 1001}, true},
		{"one login, another name", alice, keys.Operator{Actor: "operator:mallory", UID: 990, Login: 1001}, true},
		{"no logins, two users", uid(1), uid(2), false},
		{"no logins, one user", uid(1), uid(1), true},
		{"one login is not known, one account", alice, aliceByCron, true},
		{"one login is not known, two accounts", alice, uid(1), false},
		{"one login is not known, and its own account", alice, uid(1001), true},
		{"nothing is known", uid(keys.NoUID), uid(1), true},
	} {
		if test.a.Same(test.b) != test.want || test.b.Same(test.a) != test.want {
			t.Errorf("%s: want %v", test.name, test.want)
		}
	}
}

func twoPerson(tb testing.TB, e databasetest.Engine) (*fixture, *keys.Register) {
	tb.Helper()
	f := newFixture(tb, e)
	return f, f.WithPolicy(keys.Policy{TwoPerson: true})
}

func importAs(tb testing.TB, r *keys.Register, f *fixture, by keys.Operator, list []keys.Public) []keys.Imported {
	tb.Helper()
	done, err := r.ImportAs(context.Background(), by, f.acme, list, keys.ImportOptions{Overlap: 14 * day})
	if err != nil {
		tb.Fatal(err)
	}
	return done
}

func TestTwoPersonRule(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, r := twoPerson(t, e)
		ctx := t.Context()
		list := append(sshKey(t), pgpKey(t)...)
		done := importAs(t, r, f, alice, list)
		for _, i := range done {
			if i.Action != keys.ActionPending || i.State(f.now()) != keys.Pending || i.Usable(f.now()) {
				t.Errorf("imported: %s, %s", i.Action, i.State(f.now()))
			}
		}
		if _, err := r.Recipients(ctx, f.acme); !errors.Is(err, keys.ErrNoRecipient) || !strings.Contains(err.Error(), "key approve "+done[1].ID) {
			t.Errorf("sealing: %v", err)
		}
		if pending, err := r.Pending(ctx); err != nil || len(pending) != 2 || !pending[0].New || pending[0].By != alice {
			t.Errorf("pending: %+v, %v", pending, err)
		}
		// Importing it once more is no approval, whoever does.
		if again := importAs(t, r, f, bob, list); again[0].Action != keys.ActionPending || again[0].Importer != alice {
			t.Errorf("again: %+v", again[0])
		}
		f.noticed(t, true, func() error { _, err := r.Approve(ctx, bob, done[0].ID); return err })
		k := f.key(t, done[0].ID)
		if k.State(f.now()) != keys.Active || k.ApprovedBy != bob.Actor || k.Importer != alice {
			t.Errorf("approved: %+v", k)
		}
		if rec := f.lastEvent(t); rec.Event != "key.approved" || rec.Actor != bob.Actor || rec.Detail["imported_by"] != alice.Actor || rec.Detail["login_uid"] != "1002" {
			t.Errorf("recorded: %+v", rec)
		}
		var nothing *keys.NothingPendingError
		if _, err := r.Approve(ctx, bob, done[0].ID); !errors.As(err, &nothing) || nothing.Hint() == "" {
			t.Errorf("approving it twice: %v", err)
		}
		// Whoever imported it may take it back.
		if _, err := r.Reject(ctx, alice, done[1].Fingerprint, "a mistake"); err != nil {
			t.Error(err)
		}
		if _, err := f.Find(ctx, done[1].ID); !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("rejected, and found: %v", err)
		}
	})
}

// TestOwnImportIsNotApprovedByItsImporter under another name, account or road.
func TestOwnImportIsNotApprovedByItsImporter(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, r := twoPerson(t, e)
		done := importAs(t, r, f, alice, sshKey(t))
		for _, by := range []keys.Operator{
			alice, aliceByCron,
			{Actor: "operator:bob", UID: 990, Login: 1001},
			{Actor: "operator:root (sudo: bob)", UID: 0, Login: 1001},
			{Actor: "operator:nobody", UID: keys.NoUID, Login: keys.NoUID},
		} {
			var own *keys.OwnImportError
			if _, err := r.Approve(t.Context(), by, done[0].ID); !errors.As(err, &own) || own.Hint() == "" {
				t.Errorf("by %+v: %v", by, err)
			}
		}
		if s := f.key(t, done[0].ID).State(f.now()); s != keys.Pending {
			t.Errorf("it is %s", s)
		}
	})
}

// TestPendingKeyIsStillPendingWithoutTheRule: switching the rule off approves nothing.
func TestPendingKeyIsStillPendingWithoutTheRule(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, r := twoPerson(t, e)
		list := sshKey(t)
		done := importAs(t, r, f, alice, list)
		if again := f.importKeys(t, list); again[0].Action != keys.ActionPending || f.key(t, done[0].ID).Usable(f.now()) {
			t.Errorf("imported again without the rule: %s", again[0].Action)
		}
	})
}

func TestNewSubkeyWaitsForApproval(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	first := o.copy()
	o.extend(time.Minute, 400*day)
	extended := o.copy()
	o.addSubkey(2 * time.Minute)
	o.extend(3*time.Minute, 500*day)
	subkey := o.copy()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, r := twoPerson(t, e)
		ctx := t.Context()
		f.importKeys(t, first) // before the rule
		if done := importAs(t, r, f, alice, extended); done[0].Action != keys.ActionUpdated {
			t.Errorf("a longer expiry: %s", done[0].Action)
		}
		done := importAs(t, r, f, alice, subkey)
		if done[0].Action != keys.ActionPending || !says(done[0].Changes, "new encryption subkey") {
			t.Errorf("a new subkey: %s %v", done[0].Action, done[0].Changes)
		}
		sealsTo := func() (subkeys int, days float64) {
			list, err := r.Recipients(ctx, f.acme)
			if err != nil || len(list) != 1 {
				t.Fatalf("%d recipients, %v", len(list), err)
			}
			return len(list[0].EncryptionKeyIDs()), list[0].Expires().Sub(o.made).Hours() / 24
		}
		// What concerns the approved key counts meanwhile.
		if n, days := sealsTo(); n != 1 || days < 499 {
			t.Errorf("waiting, it has %d encryption keys for %.0f days", n, days)
		}
		if pending, err := r.Pending(ctx); err != nil || len(pending) != 1 || pending[0].New || !says(pending[0].Changes, "new encryption subkey") {
			t.Errorf("pending: %+v, %v", pending, err)
		}
		var own *keys.OwnImportError
		if _, err := r.Approve(ctx, alice, done[0].ID); !errors.As(err, &own) {
			t.Errorf("by its importer: %v", err)
		}
		if _, err := r.Approve(ctx, bob, done[0].ID); err != nil {
			t.Fatal(err)
		}
		if n, _ := sealsTo(); n != 2 {
			t.Errorf("approved, it has %d encryption keys", n)
		}
		if pending, err := r.Pending(ctx); err != nil || len(pending) != 0 {
			t.Errorf("pending: %+v, %v", pending, err)
		}
	})
}

// TestTwoImportersDoNotApproveEachOthersPart: what the second imports takes the place
// of what the first did. Put together, the first could approve its own part.
func TestTwoImportersDoNotApproveEachOthersPart(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	first := o.copy()
	o.addSubkey(time.Minute)
	one := o.copy()
	kept := o.entity.Subkeys
	o.entity.Subkeys = kept[:1]
	o.addSubkey(2 * time.Minute)
	other := o.copy()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, r := twoPerson(t, e)
		f.importKeys(t, first)
		done := importAs(t, r, f, alice, one)
		importAs(t, r, f, bob, other)
		if _, err := r.Approve(t.Context(), alice, done[0].ID); err != nil {
			t.Fatal(err)
		}
		want, err := pgp.Parse([]byte(other[0].Text))
		if err != nil {
			t.Fatal(err)
		}
		list, err := r.Recipients(t.Context(), f.acme)
		if err != nil || len(list[0].EncryptionKeyIDs()) != 2 || list[0].EncryptionKeyIDs()[1] != want[0].EncryptionKeyIDs()[1] {
			t.Errorf("approved: %v, want %v, %v", list[0].EncryptionKeyIDs(), want[0].EncryptionKeyIDs(), err)
		}
	})
}

// TestRevocationNeedsNoApproval, and takes what waits with it.
func TestRevocationNeedsNoApproval(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	first := o.copy()
	o.addSubkey(time.Minute)
	subkey := o.copy()
	alone := readAll(t, o.revocation(packet.KeyCompromised))
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, r := twoPerson(t, e)
		f.importKeys(t, first)
		importAs(t, r, f, alice, subkey)
		if done := importAs(t, r, f, alice, alone); done[0].Action != keys.ActionRevoked {
			t.Errorf("it is %s", done[0].Action)
		}
		var revoked *keys.RevokedError
		if _, err := r.Approve(t.Context(), bob, first[0].Fingerprint); !errors.As(err, &revoked) {
			t.Errorf("approving: %v", err)
		}
		if pending, err := r.Pending(t.Context()); err != nil || len(pending) != 0 {
			t.Errorf("pending: %+v, %v", pending, err)
		}
	})
}

func TestRetiredKeyComesBackByApprovalOnly(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, r := twoPerson(t, e)
		ctx := t.Context()
		list := sshKey(t)
		f.importKeys(t, list)
		if _, err := r.Retire(ctx, ops, list[0].Fingerprint, f.now()); err != nil {
			t.Fatal(err)
		}
		done := importAs(t, r, f, alice, list)
		if k := f.key(t, list[0].Fingerprint); done[0].Action != keys.ActionPending || k.State(f.now()) != keys.Retired {
			t.Errorf("%s, and it is %s", done[0].Action, k.State(f.now()))
		}
		if _, err := r.Reject(ctx, bob, done[0].ID, ""); err != nil {
			t.Fatal(err)
		}
		importAs(t, r, f, alice, list)
		if _, err := r.Approve(ctx, bob, done[0].ID); err != nil || f.key(t, done[0].ID).State(f.now()) != keys.Active {
			t.Errorf("approved: %v", err)
		}
	})
}

// TestRotationBeginsWithTheApproval: until then the old key has all the time it had.
func TestRotationBeginsWithTheApproval(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, r := twoPerson(t, e)
		ctx := t.Context()
		old := sshKey(t)
		f.importKeys(t, old)
		done, err := r.ImportAs(ctx, alice, f.acme, sshKey(t), keys.ImportOptions{Replaces: []string{old[0].Fingerprint}, Overlap: 14 * day})
		if err != nil || len(done) != 1 {
			t.Fatalf("%+v, %v", done, err)
		}
		f.ahead.Store(int64(30 * day))
		if k := f.key(t, old[0].Fingerprint); k.State(f.now()) != keys.Active {
			t.Errorf("the old one is %s", k.State(f.now()))
		}
		approved, err := r.Approve(ctx, bob, done[0].ID)
		if err != nil || len(approved) != 2 || approved[1].Action != keys.ActionRetiring {
			t.Fatalf("%+v, %v", approved, err)
		}
		var ended *keys.EndedError
		if _, err := r.Retire(ctx, ops, old[0].Fingerprint, f.now().Add(1000*day)); !errors.As(err, &ended) {
			t.Errorf("putting its end off without an approval: %v", err)
		}
		k := f.key(t, old[0].Fingerprint)
		if left := k.Retires.Sub(f.now()); k.State(f.now()) != keys.Retiring || left < 13*day || left > 14*day {
			t.Errorf("the old one is %s for %v", k.State(f.now()), left)
		}
	})
}
