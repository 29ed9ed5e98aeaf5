package access_test

import (
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/server/access"
)

// TestUnprovedRegisteredKeyIsNotAMissingKey: a client whose key's passphrase nobody typed
// offers the key and hangs up. It was said to have offered none, and sent to set one.
func TestUnprovedRegisteredKeyIsNotAMissingKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.attempt(f.key)
	a.Proved, a.Failure = nil, access.ClosedBeforeLogin
	d, err := f.Explain(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if d.Reason != access.ClosedBeforeLogin || !strings.Contains(d.What, "offered its registered key "+f.key.Fingerprint) || !strings.Contains(d.Remedy, "passphrase") {
		t.Errorf("%s: %s; %s", d.Reason, d.What, d.Remedy)
	}
	a.Offered = nil
	if d, err = f.Explain(t.Context(), a); err != nil || !strings.Contains(d.What, "before it offered a key") {
		t.Errorf("without an offer: %s, %v", d.What, err)
	}
}
