package access_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/server/access"
)

// TestObserve: each attempt is told of, also those that the log only counts; Windows
// Explorer's first try is not.
func TestObserve(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var got []string
	f.Observe = func(protocol string, r access.Reason, took time.Duration) {
		decided := "given up"
		if took > 0 {
			decided = "decided"
		}
		got = append(got, protocol+" "+string(r)+" "+decided)
	}
	f.login(t)
	for range 2 {
		wrong := f.attempt(access.Key{Fingerprint: "other", Algorithm: "ssh-ed25519", Bits: 256})
		if _, d, err := f.Login(context.Background(), wrong, nil); err != nil || d.Reason != access.KeyUnknown {
			t.Fatalf("%v, %v", d.Reason, err)
		}
	}
	closed := f.attempt(f.key)
	closed.Proved, closed.Failure = nil, access.ClosedBeforeLogin
	if _, err := f.Refused(context.Background(), closed); err != nil {
		t.Fatal(err)
	}
	secret := "guess"
	probe := access.Attempt{Protocol: access.FTP, Address: home, User: "anonymous", TLS: true, Password: &secret}
	if _, _, err := f.Login(context.Background(), probe, nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"sftp allowed decided", "sftp key-unknown decided", "sftp key-unknown decided", "sftp closed-before-login given up"}
	if !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
}
