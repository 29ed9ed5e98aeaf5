package keys_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

// TestAddresseeIsNeverStale: what another program has changed a moment ago holds for the
// next report, although what was read before is remembered.
func TestAddresseeIsNeverStale(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		ctx := t.Context()
		other := keys.NewRegister(f.db, f.now) // remembers for itself
		same := func(what string, recipients int) {
			t.Helper()
			for range 2 {
				to, err := f.Addressee(ctx, f.acme)
				if err != nil {
					t.Fatal(err)
				}
				list, err := to.Recipients()
				account, accountErr := f.Account(ctx, f.acme)
				if len(list) != recipients || (recipients == 0) != errors.Is(err, keys.ErrNoRecipient) || accountErr != nil || !reflect.DeepEqual(to.Client, account) {
					t.Errorf("%s: %d recipients, %v; %+v, %v", what, len(list), err, to.Client, accountErr)
				}
			}
		}
		same("a client without keys", 0)
		a, b := pgpKey(t), pgpKey(t)
		for _, list := range [][]keys.Public{a, b, sshKey(t)} {
			if _, err := other.Import(ctx, ops, f.acme, list); err != nil {
				t.Fatal(err)
			}
		}
		same("after imports", 2)
		if _, err := other.Retire(ctx, ops, a[0].Fingerprint, f.now().Add(day)); err != nil {
			t.Fatal(err)
		}
		same("while one retires", 2)
		f.ahead.Store(int64(day))
		same("once it has", 1)
		if _, err := other.Revoke(ctx, ops, b[0].Fingerprint, "lost"); err != nil {
			t.Fatal(err)
		}
		same("after a revocation", 0)
		disabled, kept := true, day
		if _, err := other.UpdateClient(ctx, ops, f.acme, keys.Change{Disabled: &disabled, Retention: &kept}); err != nil {
			t.Fatal(err)
		}
		same("a changed client", 0)
		if err := other.RemoveClient(ctx, ops, f.acme); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := f.Addressee(ctx, f.acme); !errors.Is(err, reports.ErrUnknownClient) {
				t.Errorf("a removed client: %v", err)
			}
		}
	})
}
