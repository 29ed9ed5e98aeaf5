package config

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text, printed string
		want          time.Duration
	}{
		{"100d", "100d", 100 * day},
		{"12h", "12h", 12 * time.Hour},
		{"30s", "30s", 30 * time.Second},
		{"1d12h", "1d12h", 36 * time.Hour},
		{"2w", "14d", 2 * week},
		{"1w2d3h4m5s", "9d3h4m5s", week + 2*day + 3*time.Hour + 4*time.Minute + 5*time.Second},
		{"24h", "1d", day},
		{"1.5h", "1h30m", 90 * time.Minute},
		{"1m500ms", "1m500ms", time.Minute + 500*time.Millisecond},
		{"1ns", "1ns", 1},
		{"0", "0s", 0},
		{"0d", "0s", 0},
		{"106751d", "106751d", 106751 * day},
		{"9223372036854775807ns", "106751d23h47m16.854775807s", math.MaxInt64},
	} {
		d, err := ParseDuration(test.text)
		if err != nil || d.Std() != test.want || d.String() != test.printed {
			t.Errorf("%s: %v (%s), %v; want %v (%s)", test.text, d.Std(), d, err, test.want, test.printed)
		}
		if again, err := ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%s printed as %s is read as %v, %v", test.text, d, again.Std(), err)
		}
	}
	for _, text := range []string{
		"", "d", "100", "-1d", "+1d", "-1h", "1d-1h", "1d+1h", "1h1d", "1d1w", "1dd", "1.5d", "1 d", "1d ", "1y", "1mo",
		"106752d", "106751d24h", "9999999999999w", "15251w", "15250w2d", "9223372036854775808ns", "1e3s", "١d", "0x1d",
	} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is read as %v", text, d)
		} else if hintOf(err) == "" {
			t.Errorf("%q: no hint with %v", text, err)
		}
	}
}

// TestTooLongADuration: it is one, though more than fits.
func TestTooLongADuration(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"99999999999d", "99999999999999h", "106752d", "106751d24h", "9999999999999w", "1d9223372036854775807ns"} {
		_, err := ParseDuration(text)
		if want := `"` + text + `" is too long`; err == nil || err.Error() != want || hintOf(err) != "106751d is the most" {
			t.Errorf("%s: %v (hint %q), want %s", text, err, hintOf(err), want)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, text := range []string{"100d", "1d12h", "2w", "1.5h", "-1d", "106751d24h", "1d0", "0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if again, err := ParseDuration(d.String()); d < 0 || err != nil || again != d {
			t.Errorf("%q is %d, printed as %s, which is %d, %v", text, d, d, again, err)
		}
	})
}

func TestParseAllow(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"203.0.113.0/24": "203.0.113.0/24", "2001:db8::/48": "2001:db8::/48", "198.51.100.7": "198.51.100.7/32",
		"2001:db8::7": "2001:db8::7/128", "0.0.0.0/0": "0.0.0.0/0", "::/0": "::/0", "198.51.100.7/32": "198.51.100.7/32",
		"2001:DB8:0::/48": "2001:db8::/48",
	} {
		if p, err := ParseAllow(text); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"::ffff:0.0.0.0/96", "::ffff:0:0/0", "::", "::/128", "0.0.0.0/32", "::1/0", "1.2.3.4/024", "1.2.3.4/", "/24", "1.2.3/24", "fe80::1%1", "fe80::%1/64", "1.2.3.0/255.0.255.0"} {
		if p, err := ParseAllow(text); err == nil {
			t.Errorf("%q is read as %v", text, p)
		} else if hintOf(err) == "" {
			t.Errorf("%q: no hint with %v", text, err)
		}
	}
}

// FuzzParseAllow holds what an entry may never do: match more than it says.
func FuzzParseAllow(f *testing.F) {
	for _, text := range []string{"203.0.113.0/24", "::ffff:1.2.3.4/120", "0/0", "::/0", "fe80::1%eth0", "1.2.3.4", "any"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseAllow(text)
		if err != nil {
			return
		}
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" || p.Bits() == 0 && text != "0.0.0.0/0" && text != "::/0" {
			t.Errorf("%q is read as %v", text, p)
		}
	})
}

func TestParseListen(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		":32": ":32", ":0032": ":32", "[::]:32": ":32", "0.0.0.0:32": "0.0.0.0:32", "[2001:DB8::7]:32": "[2001:db8::7]:32",
		"[::ffff:192.0.2.7]:32": "192.0.2.7:32", "[fe80::1%eth0]:32": "[fe80::1%eth0]:32", "127.0.0.1:0": "127.0.0.1:0",
	} {
		if got, err := parseListen(text); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestQuoteIsBounded(t *testing.T) {
	t.Parallel()
	if got := quote(strings.Repeat("ä\n", 1000)); len(got) > 300 || strings.Contains(got, "\n") {
		t.Errorf("a long text is quoted as %s", got)
	}
}
