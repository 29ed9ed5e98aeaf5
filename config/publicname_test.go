package config

import (
	"strings"
	"testing"
)

func TestParsePublicName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "reports.example.com": "reports.example.com", "Reports.Example.COM": "reports.example.com", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"203.0.113.9": "203.0.113.9", "2001:DB8::1": "2001:db8::1", "gateway": "gateway",
	} {
		if got, err := ParsePublicName(text); err != nil || got != want {
			t.Errorf("ParsePublicName(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestAttackPublicNameIsACommand(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"a;reboot", "$(id)", "a b", "-oProxyCommand=x", "a..b", "host:32", "https://host", "fe80::1%eth0", "a.b.", "`id`", "a\nb", strings.Repeat("a", 64), "bücher.example",
	} {
		if got, err := ParsePublicName(text); err == nil {
			t.Errorf("ParsePublicName(%q) = %q", text, got)
		}
	}
}
