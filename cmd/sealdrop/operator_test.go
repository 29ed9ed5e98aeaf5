package main

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/sealdrop/sealdrop/keys"
)

func TestParseLogin(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1001": 1001, "0": 0, "1001\n": 1001, "4294967295": keys.NoUID, "": keys.NoUID, "-1": keys.NoUID, "someone": keys.NoUID,
	} {
		if got := parseLogin(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

// TestOperatorIsNotWhoTheVariablesSay: they are the caller's to choose.
func TestOperatorIsNotWhoTheVariablesSay(t *testing.T) {
	t.Setenv("SUDO_USER", "mallory")
	t.Setenv("SUDO_UID", "4711")
	t.Setenv("USER", "mallory")
	t.Setenv("LOGNAME", "mallory")
	o := operator()
	if o.UID != int64(os.Getuid()) || o.Actor == "operator:mallory" {
		t.Errorf("it is %+v", o)
	}
	if got := actor(); got == "operator:mallory" || got != o.Actor {
		t.Errorf("the audit has %q, and approvals %q", got, o.Actor)
	}
}

// TestAttackLoginOfOnesOwnChoice: who has no audit login uid writes one into
// /proc/self/loginuid, once as one operator and once as another. The kernel allows it.
func TestAttackLoginOfOnesOwnChoice(t *testing.T) {
	t.Parallel()
	sessions := fstest.MapFS{
		"5":     {Data: []byte("# This is private data. Do not parse.\nUID=1001\nUSER=alice\nLEADER=77\nAUDIT=5\n")},
		"c1":    {Data: []byte("UID=1002\nUSER=bob\n")},
		"5.ref": {Data: []byte("AUDIT=9")},
	}
	for _, test := range []struct {
		name, session string
		login, want   int64
	}{
		{"a login", "5", 1001, 1001},
		{"another's login in a session of one's own", "5", 1002, keys.NoUID},
		{"a session that nobody knows", "6", 1001, keys.NoUID},
		{"a session without a number", "", 1002, keys.NoUID},
		{"none", "4294967295", keys.NoUID, keys.NoUID},
	} {
		if got := vouchedLogin(sessions, test.session, test.login); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	if got := vouchedLogin(os.DirFS(t.TempDir()+"/none"), "5", 1001); got != keys.NoUID {
		t.Errorf("without systemd-logind it is %d", got)
	}
}
