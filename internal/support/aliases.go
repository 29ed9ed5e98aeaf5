package support

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
)

// Aliases gives names that say nothing, and always the same for the same thing.
type Aliases struct{ key []byte }

// NewAliases derives the aliases from a secret of the gateway's.
func NewAliases(secret []byte) Aliases {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("aliases in support bundles"))
	return Aliases{key: mac.Sum(nil)}
}

// of hashes a thing of a kind, to so many bytes.
func (a Aliases) of(kind, thing string, size int) string {
	mac := hmac.New(sha256.New, a.key)
	mac.Write([]byte(kind + "\x00" + thing))
	return hex.EncodeToString(mac.Sum(nil)[:size])
}

func (a Aliases) named(kind, thing string) string {
	if thing == "" {
		return ""
	}
	return kind + "-" + a.of(kind, thing, 5)
}

// Client is the alias of a client's id.
func (a Aliases) Client(id string) string { return a.named("client", id) }

// Report is the alias of a report's id.
func (a Aliases) Report(id string) string { return a.named("report", id) }

// Key is the alias of a fingerprint, or of a key's id.
func (a Aliases) Key(fingerprint string) string { return a.named("key", fingerprint) }

// Address is the alias of an address: its family, whether it is a private one, the
// alias of its network (IPv4 /24, IPv6 /48), and its own. What can't be parsed has
// none.
func (a Aliases) Address(text string) string {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	family, bits := "ip4", 24
	if addr.Is6() {
		family, bits = "ip6", 48
	}
	scope := "public"
	switch {
	case addr.IsLoopback():
		scope = "loopback"
	case addr.IsPrivate(), addr.IsLinkLocalUnicast():
		scope = "private"
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return family + "-" + scope + "-" + a.of("network", network.String(), 3) + "-" + a.of("address", addr.String(), 4)
}
