package main

import (
	"os"
	"testing"

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
}
