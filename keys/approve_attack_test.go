package keys_test

import (
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
)

// TestAttackConfigurationOfTheCallersOwn: who may run this program runs it with a
// configuration that asks for nobody's approval.
func TestAttackConfigurationOfTheCallersOwn(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f, r := twoPerson(t, e)
		lax := f.WithPolicy(keys.Policy{})
		if err := r.Enforce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if done := importAs(t, lax, f, alice, sshKey(t)); done[0].Action != keys.ActionPending {
			t.Errorf("imported without the rule: %s", done[0].Action)
		}
		// Only the gateway's own configuration lifts it.
		records := f.records(t)
		if err := lax.Enforce(t.Context()); err != nil || f.records(t) != records+1 {
			t.Errorf("lifted with %d records: %v", f.records(t)-records, err)
		}
		if done := importAs(t, lax, f, alice, sshKey(t)); done[0].Action != keys.ActionAdded {
			t.Errorf("imported after the rule was lifted: %s", done[0].Action)
		}
		// An import under it sets it, before any gateway has run.
		importAs(t, r, f, alice, sshKey(t))
		if done := importAs(t, lax, f, alice, sshKey(t)); done[0].Action != keys.ActionPending {
			t.Errorf("imported without the rule, after an import under it: %s", done[0].Action)
		}
	})
}

// TestAttackRetirementPutOffWithoutTheRule: a caller's own configuration gives a key
// that is to end more time.
func TestAttackRetirementPutOffWithoutTheRule(t *testing.T) {
	t.Parallel()
	f, r := twoPerson(t, databasetest.SQLite)
	k := f.importKeys(t, sshKey(t))[0]
	if err := r.Enforce(t.Context()); err != nil {
		t.Fatal(err)
	}
	lax := f.WithPolicy(keys.Policy{})
	if _, err := lax.Retire(t.Context(), "operator:mallory", k.ID, f.now().Add(day)); err != nil {
		t.Fatal(err)
	}
	if _, err := lax.Retire(t.Context(), "operator:mallory", k.ID, f.now().Add(900*day)); err == nil {
		t.Error("a key that was to end in a day lasts for 900")
	}
}

// TestAttackSubkeyThatBidesItsTime: a signature from the future says that a new subkey
// is not for encryption, so that it counts at once, as nothing that could be sealed to;
// and until then an earlier one says that it is.
func TestAttackSubkeyThatBidesItsTime(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	first := o.copy()
	o.addSubkey(time.Minute)
	subkey := &o.entity.Subkeys[len(o.entity.Subkeys)-1]
	later := *subkey.Bindings[0].Packet
	later.CreationTime = o.made.Add(900 * day)
	later.FlagsValid, later.FlagEncryptCommunications, later.FlagEncryptStorage = true, false, false
	if err := later.SignKey(subkey.PublicKey, o.entity.PrivateKey, o.at(900*day, 0)); err != nil {
		t.Fatal(err)
	}
	subkey.Bindings = append(subkey.Bindings, packet.NewVerifiableSig(&later))
	disguised := o.copy()

	f, r := twoPerson(t, databasetest.SQLite)
	f.importKeys(t, first)
	if done := importAs(t, r, f, alice, disguised); done[0].Action != keys.ActionPending || !says(done[0].Changes, "new encryption subkey") {
		t.Errorf("%s %v", done[0].Action, done[0].Changes)
	}
	list, err := r.Recipients(t.Context(), f.acme)
	if err != nil || len(list) != 1 || len(list[0].EncryptionKeyIDs()) != 1 {
		t.Errorf("sealed to what nobody approved: %v, %v", list, err)
	}
}
