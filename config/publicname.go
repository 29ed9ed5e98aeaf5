package config

import (
	"net/netip"
	"strings"
)

// ParsePublicName reads what clients connect to: a host name of letters, digits, dots
// and hyphens, or an IP address. It stands in commands that clients copy, so nothing
// else is taken.
func ParsePublicName(text string) (string, error) {
	const form = "write a host name as in reports.example.com, or an IP address, without a port"
	if text == "" {
		return "", nil
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return addr.String(), nil
	}
	if len(text) > 253 {
		return "", bad(text, "is too long for a host name", form)
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label || strings.ContainsFunc(label, notInHostName) {
			return "", bad(text, "is no host name", form)
		}
	}
	return strings.ToLower(text), nil
}

func notInHostName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
}

func publicNameSettings() []field[Config] {
	return []field[Config]{{
		key: "public_name", kind: "host name", def: "",
		doc:   "The host name or address by which clients reach this gateway. `sealdrop guide` writes it into what clients are handed; the gateway itself makes nothing of it.",
		value: one(func(c *Config) *string { return &c.PublicName }, ParsePublicName),
	}}
}
