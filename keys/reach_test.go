package keys_test

import (
	"testing"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

func TestReach(t *testing.T) {
	t.Parallel()
	acme, err := reports.ParseClientID("acme")
	if err != nil {
		t.Fatal(err)
	}
	for text, test := range map[string]struct {
		normal   string
		includes bool
	}{
		"": {"", false}, "*": {"*", true}, "acme": {"acme", true}, "globex": {"globex", false}, "globex,acme,acme": {"acme,globex", true},
	} {
		r, err := keys.ParseReach(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if r.String() != test.normal || r.Includes(acme) != test.includes || r.IsZero() != (text == "") {
			t.Errorf("%q: %q, includes acme: %v, is zero: %v", text, r, r.Includes(acme), r.IsZero())
		}
	}
	for _, text := range []string{",", "acme,", "*,acme", "../acme"} {
		if _, err := keys.ParseReach(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
