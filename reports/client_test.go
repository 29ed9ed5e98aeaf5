package reports_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/reports"
)

func TestParseClientID(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "0", "acme", "acme-2.eu_x", "a--", "a..b", strings.Repeat("a", reports.MaxClientID)} {
		id, err := reports.ParseClientID(good)
		if err != nil || id.String() != good || id.IsZero() {
			t.Errorf("ParseClientID(%q) = %q, %v", good, id, err)
		}
	}
	for attack, bad := range map[string]string{
		"empty":            "",
		"too-long":         strings.Repeat("a", reports.MaxClientID+1),
		"upper-case":       "Acme",
		"leading-dot":      "..",
		"leading-dash":     "-rf",
		"leading-low-line": "_a",
		"slash":            "a/b",
		"space":            "a b",
		"shell":            "a;id",
		"newline":          "a\n",
		"nul":              "a\x00",
		"umlaut":           "münchen",
		"cyrillic-a":       "\u0430cme",
		"sql":              "a'--",
	} {
		id, err := reports.ParseClientID(bad)
		if !errors.Is(err, reports.ErrClientID) || !id.IsZero() {
			t.Errorf("%s: ParseClientID(%q) = %q, %v; want ErrClientID", attack, bad, id, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%s: the error repeats the text raw: %q", attack, err)
		}
	}
}

func TestClientIDText(t *testing.T) {
	t.Parallel()
	var got struct{ ID reports.ClientID }
	if err := json.Unmarshal([]byte(`{"ID":"acme"}`), &got); err != nil || got.ID.String() != "acme" {
		t.Errorf("unmarshalled %q, %v", got.ID, err)
	}
	if err := json.Unmarshal([]byte(`{"ID":"../x"}`), &got); !errors.Is(err, reports.ErrClientID) || got.ID.String() != "acme" {
		t.Errorf("a bad id gave %q, %v", got.ID, err)
	}
	if text, err := json.Marshal(got.ID); string(text) != `"acme"` || err != nil {
		t.Errorf("marshalled %s, %v", text, err)
	}
}

func FuzzParseClientID(f *testing.F) {
	for _, seed := range []string{"", "acme", "a.b", "..", "Acme", "a\xff", "a b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		id, err := reports.ParseClientID(in)
		if (err == nil) == id.IsZero() || err == nil && id.String() != in {
			t.Fatalf("ParseClientID(%q) = %q, %v", in, id, err)
		}
		// Every id is a name as well, and one that no shell or URL would quote.
		if err != nil {
			return
		}
		if name, err := reports.ParseSegment(in); err != nil || name.String() != in {
			t.Fatalf("client %q is no name: %v", in, err)
		}
		if strings.Trim(in, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || len(in) > reports.MaxClientID {
			t.Fatalf("client %q", in)
		}
	})
}
