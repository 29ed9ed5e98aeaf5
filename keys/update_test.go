package keys_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
)

// owner is a client's own key pair, of which it sends copies.
type owner struct {
	tb     testing.TB
	entity *openpgp.Entity
	made   time.Time
}

func newOwner(tb testing.TB) *owner {
	tb.Helper()
	o := &owner{tb: tb, made: time.Now().Add(-time.Hour)}
	var err error
	o.entity, err = openpgp.NewEntity("Acme", "", "ops@acme.example", o.at(0, 60*day))
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// at is a configuration for a signature so long after the key was made.
func (o *owner) at(after, lifetime time.Duration) *packet.Config {
	return &packet.Config{
		Time: func() time.Time { return o.made.Add(after) }, KeyLifetimeSecs: uint32(lifetime / time.Second),
	}
}

// extend has the certificate last longer, without a new key.
func (o *owner) extend(after, lifetime time.Duration) {
	o.tb.Helper()
	for _, identity := range o.entity.Identities {
		self := *identity.SelfCertifications[0].Packet
		seconds := uint32(lifetime / time.Second)
		self.KeyLifetimeSecs, self.CreationTime = &seconds, o.made.Add(after)
		if err := self.SignUserId(identity.UserId.Id, o.entity.PrimaryKey, o.entity.PrivateKey, o.at(after, lifetime)); err != nil {
			o.tb.Fatal(err)
		}
		identity.SelfCertifications = append(identity.SelfCertifications, packet.NewVerifiableSig(&self))
	}
	for i := range o.entity.Subkeys {
		subkey := &o.entity.Subkeys[i]
		binding := *subkey.Bindings[0].Packet
		seconds := uint32(lifetime / time.Second)
		binding.KeyLifetimeSecs, binding.CreationTime = &seconds, o.made.Add(after)
		if err := binding.SignKey(subkey.PublicKey, o.entity.PrivateKey, o.at(after, lifetime)); err != nil {
			o.tb.Fatal(err)
		}
		subkey.Bindings = append(subkey.Bindings, packet.NewVerifiableSig(&binding))
	}
}

func (o *owner) addSubkey(after time.Duration) {
	o.tb.Helper()
	if err := o.entity.AddEncryptionSubkey(o.at(after, 400*day)); err != nil {
		o.tb.Fatal(err)
	}
}

// revocation ends the key, and returns the revocation certificate by itself.
func (o *owner) revocation(reason packet.ReasonForRevocation) string {
	o.tb.Helper()
	if err := o.entity.Revoke(reason, "lost", o.at(time.Minute, 0)); err != nil {
		o.tb.Fatal(err)
	}
	var raw bytes.Buffer
	if err := o.entity.Revocations[0].Packet.Serialize(&raw); err != nil {
		o.tb.Fatal(err)
	}
	return "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: This is a revocation certificate\n\n" +
		base64.StdEncoding.EncodeToString(raw.Bytes()) + "\n-----END PGP PUBLIC KEY BLOCK-----\n"
}

func (o *owner) copy() []keys.Public {
	o.tb.Helper()
	var raw bytes.Buffer
	if err := o.entity.Serialize(&raw); err != nil {
		o.tb.Fatal(err)
	}
	return readAll(o.tb, raw.String())
}

func readAll(tb testing.TB, text string) []keys.Public {
	tb.Helper()
	list, err := keys.ReadAll([]byte(text), time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

func (f *fixture) key(tb testing.TB, fingerprint string) keys.Key {
	tb.Helper()
	k, err := f.Find(context.Background(), fingerprint)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func says(changes []string, words string) bool {
	return slices.ContainsFunc(changes, func(s string) bool { return strings.Contains(s, words) })
}

func TestCertificateIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	first := o.copy()
	o.extend(time.Minute, 400*day)
	extended := o.copy()
	o.addSubkey(2 * time.Minute)
	subkey := o.copy()
	o.extend(3*time.Minute, 10*day)
	shortened := o.copy()
	fingerprint := first[0].Fingerprint
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		for _, step := range []struct {
			list   []keys.Public
			action keys.Action
			change string
			days   int
		}{
			{first, keys.ActionAdded, "", 60},
			{first, keys.ActionUnchanged, "", 60},
			{extended, keys.ActionUpdated, "expires ", 400},
			{first, keys.ActionUnchanged, "", 400}, // a copy from before
			{subkey, keys.ActionUpdated, "new encryption subkey ", 400},
			{extended, keys.ActionUnchanged, "", 400}, // a stripped copy
			{shortened, keys.ActionUpdated, "shortened by its owner", 10},
		} {
			done := f.importKeys(t, step.list)
			k := f.key(t, fingerprint)
			days := int(k.Expires.Sub(o.made).Hours()/24 + .5)
			if done[0].Action != step.action || days != step.days || step.change != "" && !says(done[0].Changes, step.change) {
				t.Errorf("%s %v, and it expires after %d days; want %s, %q, %d", done[0].Action, done[0].Changes, days, step.action, step.change, step.days)
			}
		}
	})
}

func TestOwnersRevocation(t *testing.T) {
	t.Parallel()
	o, other := newOwner(t), newOwner(t)
	first := o.copy()
	alone := readAll(t, o.revocation(packet.KeySuperseded))
	within := o.copy()
	foreign := readAll(t, other.revocation(packet.KeyCompromised))
	for name, revocation := range map[string][]keys.Public{"alone": alone, "within": within} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
				f := newFixture(t, e)
				ctx := t.Context()
				var unmatched *keys.UnmatchedRevocationError
				if _, err := f.Import(ctx, ops, f.acme, alone); !errors.As(err, &unmatched) || unmatched.Hint() == "" {
					t.Errorf("before the key is registered: %v", err)
				}
				var unusable *pgp.UnusableError
				if _, err := f.Import(ctx, ops, f.acme, within); !errors.As(err, &unusable) || unusable.Reason != pgp.ReasonRevoked {
					t.Errorf("a revoked certificate that is not registered: %v", err)
				}
				f.importKeys(t, first)
				if _, err := f.Import(ctx, ops, f.acme, foreign); !errors.As(err, &unmatched) {
					t.Errorf("another key's: %v", err)
				}
				f.noticed(t, true, func() error {
					done, err := f.Import(ctx, ops, f.acme, revocation)
					if err == nil && (done[0].Action != keys.ActionRevoked || !says(done[0].Changes, "revoked by its owner")) {
						t.Errorf("%s %v", done[0].Action, done[0].Changes)
					}
					return err
				})
				k := f.key(t, first[0].Fingerprint)
				if k.State(f.now()) != keys.Revoked || k.RevokedReason != "by its owner: the key is superseded: lost (soft)" {
					t.Errorf("it is %s: %q", k.State(f.now()), k.RevokedReason)
				}
				if _, err := f.Recipients(ctx, f.acme); !errors.Is(err, keys.ErrNoRecipient) || !strings.Contains(err.Error(), "superseded") {
					t.Errorf("sealing: %v", err)
				}
				var revoked *keys.RevokedError
				if _, err := f.Import(ctx, ops, f.acme, first); !errors.As(err, &revoked) {
					t.Errorf("a copy from before: %v", err)
				}
				f.noticed(t, false, func() error { _, err := f.Import(ctx, ops, f.acme, alone); return err })
			})
		})
	}
}

// TestRevocationOfAnotherClientsKey ends nothing: it is imported for the wrong one.
func TestRevocationOfAnotherClientsKey(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	first := o.copy()
	alone := readAll(t, o.revocation(packet.KeyCompromised))
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		beta := clientID(t, "beta")
		if err := f.AddClient(t.Context(), ops, keys.Client{ID: beta}); err != nil {
			t.Fatal(err)
		}
		f.importKeys(t, first)
		if _, err := f.Import(t.Context(), ops, beta, alone); err == nil || f.key(t, first[0].Fingerprint).State(f.now()) != keys.Active {
			t.Errorf("error is %v", err)
		}
	})
}

func TestRotation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		by := keys.Operator{Actor: ops, UID: 1000, Login: keys.NoUID}
		oldSSH, oldPGP := sshKey(t), pgpKey(t)
		f.importKeys(t, append(oldSSH, oldPGP...))
		next := append(sshKey(t), pgpKey(t)...)
		o := keys.ImportOptions{Replaces: []string{oldSSH[0].Fingerprint, oldPGP[0].Fingerprint}, Overlap: 14 * day}

		var refused *keys.ReplaceError
		if _, err := f.ImportAs(ctx, by, f.acme, next[:1], o); !errors.As(err, &refused) || refused.Key.Kind != keys.PGP || refused.Hint() == "" {
			t.Errorf("without a successor for each: %v", err)
		}
		if _, err := f.ImportAs(ctx, by, f.acme, next, keys.ImportOptions{Replaces: []string{"nothing"}}); !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("replacing nothing: %v", err)
		}
		if list, err := f.Keys(ctx, f.acme); len(list) != 2 || err != nil {
			t.Fatalf("a refused rotation left %d keys, %v", len(list), err)
		}
		done, err := f.ImportAs(ctx, by, f.acme, next, o)
		if err != nil || len(done) != 4 || done[2].Action != keys.ActionRetiring || done[3].State(f.now()) != keys.Retiring {
			t.Fatalf("%+v, %v", done, err)
		}
		if list, err := f.Recipients(ctx, f.acme); err != nil || len(list) != 2 {
			t.Errorf("within the overlap it is sealed to %d, %v", len(list), err)
		}
		ending, err := f.Ending(ctx, 60*day)
		if err != nil || len(ending) != 2 || ending[0].Successor == "" {
			t.Errorf("ending: %+v, %v", ending, err)
		}
		// Doing it again gives the old keys no more time.
		until := f.key(t, oldSSH[0].Fingerprint).Retires
		f.ahead.Store(int64(5 * day))
		if _, err := f.ImportAs(ctx, by, f.acme, next, o); err != nil || !f.key(t, oldSSH[0].Fingerprint).Retires.Equal(until) {
			t.Errorf("again: %v", err)
		}
		f.ahead.Store(int64(15 * day))
		if s := f.key(t, oldSSH[0].Fingerprint).State(f.now()); s != keys.Retired {
			t.Errorf("after the overlap the old one is %s", s)
		}
		if list, err := f.Recipients(ctx, f.acme); err != nil || len(list) != 1 || list[0].Fingerprint() != next[1].Fingerprint {
			t.Errorf("after the overlap it is sealed to %v, %v", list, err)
		}
		var ended *keys.EndedError
		if _, err := f.Retire(ctx, ops, oldSSH[0].Fingerprint, f.now().Add(day)); !errors.As(err, &ended) || ended.Hint() == "" {
			t.Errorf("giving it more time: %v", err)
		}
	})
}

func TestAnothersKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		beta := clientID(t, "beta")
		if err := f.AddClient(t.Context(), ops, keys.Client{ID: beta}); err != nil {
			t.Fatal(err)
		}
		theirs := sshKey(t)
		f.importKeys(t, theirs)
		var refused *keys.ReplaceError
		_, err := f.ImportAs(t.Context(), keys.Operator{Actor: ops}, beta, sshKey(t), keys.ImportOptions{Replaces: []string{theirs[0].Fingerprint}})
		if !errors.As(err, &refused) || f.key(t, theirs[0].Fingerprint).State(f.now()) != keys.Active {
			t.Errorf("error is %v", err)
		}
	})
}

// TestAgeLimit: it is noted at import, so that another policy changes nothing by
// itself, and importing a key again gives it no more time.
func TestAgeLimit(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		by := keys.Operator{Actor: ops, UID: 1000, Login: keys.NoUID}
		old, limited, cert := sshKey(t), sshKey(t), pgpKey(t)
		f.importKeys(t, old)
		year := f.WithPolicy(keys.Policy{SSHMaxAge: 365 * day})
		if _, err := year.Import(ctx, ops, f.acme, append(limited, cert...)); err != nil {
			t.Fatal(err)
		}
		state := func(p []keys.Public) keys.State { return f.key(t, p[0].Fingerprint).State(f.now()) }
		f.ahead.Store(int64(364 * day))
		if ending, err := f.Ending(ctx, 7*day); err != nil || len(ending) != 1 || !ending[0].ByPolicy() || ending[0].Fingerprint != limited[0].Fingerprint {
			t.Errorf("ending: %+v, %v", ending, err)
		}
		f.ahead.Store(int64(365 * day))
		if state(old) != keys.Active || state(limited) != keys.Expired || state(cert) != keys.Active {
			t.Errorf("after a year: %s, %s, %s", state(old), state(limited), state(cert))
		}
		var tooOld *keys.TooOldError
		if _, err := year.Import(ctx, ops, f.acme, limited); !errors.As(err, &tooOld) || tooOld.Hint() == "" {
			t.Errorf("importing it again: %v", err)
		}
		plan, err := year.ApplyLimit(ctx, by, true)
		if err != nil || len(plan) != 1 || plan[0].Key.Fingerprint != old[0].Fingerprint || plan[0].Key.State(f.now()) != keys.Expired || state(old) != keys.Active {
			t.Errorf("plan: %+v, %v", plan, err)
		}
		f.noticed(t, true, func() error { _, err := year.ApplyLimit(ctx, by, false); return err })
		f.noticed(t, false, func() error { _, err := year.ApplyLimit(ctx, by, false); return err })
		if state(old) != keys.Expired || !f.key(t, old[0].Fingerprint).ByPolicy() {
			t.Errorf("applied, and it is %s", state(old))
		}
		if _, err := f.WithPolicy(keys.Policy{}).ApplyLimit(ctx, by, false); err != nil || state(old) != keys.Active || state(limited) != keys.Active {
			t.Errorf("without a limit: %s, %s, %v", state(old), state(limited), err)
		}
	})
}

func (f *fixture) lastEvent(tb testing.TB) audit.Record {
	tb.Helper()
	list, err := audit.List(context.Background(), f.db.Read(), audit.Filter{Limit: 1})
	if err != nil || len(list) != 1 {
		tb.Fatalf("%d records, %v", len(list), err)
	}
	return list[0]
}
