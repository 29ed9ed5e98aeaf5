package access_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/server/access"
)

// enrolUnder is enrol under a policy.
func (f *fixture) enrolUnder(tb testing.TB, p keys.Policy, id, fingerprint string) access.Key {
	tb.Helper()
	was := f.register
	f.register = was.WithPolicy(p)
	defer func() { f.register = was }()
	return f.enrol(tb, id, fingerprint)
}

// TestPendingKeyLetsNobodyIn, offered or proved, and its session begins only with the
// approval.
func TestPendingKeyLetsNobodyIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := context.Background()
	pending := f.enrolUnder(t, keys.Policy{TwoPerson: true}, "acme", "SHA256:pending")
	if worth, err := f.Offered(ctx, "acme", pending); worth || err != nil {
		t.Errorf("it is worth proving: %v, %v", worth, err)
	}
	s, d, err := f.Login(ctx, f.attempt(pending), func(string) {})
	if s != nil || err != nil || d.Reason != access.KeyPending || !strings.Contains(d.Remedy, "sealdrop key approve "+d.KeyID) {
		t.Fatalf("session %v: %+v, %v", s, d, err)
	}
	colleague := keys.Operator{Actor: "operator:bob", UID: 1002, Login: keys.NoUID}
	if _, err := f.register.Approve(ctx, colleague, d.KeyID); err == nil {
		t.Error("whose import it was is not known, and it was approved")
	}
	// The fixture's operator is unknown to the system; this one is another.
	alice := keys.Operator{Actor: "operator:alice", UID: 1001, Login: keys.NoUID}
	known := f.register.WithPolicy(keys.Policy{TwoPerson: true})
	done, err := known.ImportAs(ctx, alice, clientID(t, "acme"), []keys.Public{{Kind: keys.SSH, Fingerprint: "SHA256:second", Text: "ssh-ed25519 second"}}, keys.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := known.Approve(ctx, colleague, done[0].ID); err != nil {
		t.Fatal(err)
	}
	s, d, err = f.Login(ctx, f.attempt(access.Key{Fingerprint: "SHA256:second", Algorithm: "ssh-ed25519", Bits: 256}), func(string) {})
	if err != nil || s == nil {
		t.Fatalf("approved: %s, %v", d.Reason, err)
	}
	s.Close()
}

// TestKeyPastTheLimitOnAge says by whose rule it has expired.
func TestKeyPastTheLimitOnAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.enrolUnder(t, keys.Policy{SSHMaxAge: 365 * 24 * time.Hour}, "acme", "SHA256:old")
	f.clock.advance(365 * 24 * time.Hour)
	s, d, err := f.Login(context.Background(), f.attempt(old), func(string) {})
	if s != nil || err != nil || d.Reason != access.KeyExpired || !strings.Contains(d.What, "by this gateway's policy (keys.ssh_max_age)") || !strings.Contains(d.Remedy, "--replaces SHA256:old") {
		t.Errorf("session %v: %+v, %v", s, d, err)
	}
}
