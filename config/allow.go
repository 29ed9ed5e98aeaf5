package config

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// ParseAllow reads one entry of an allow list: a network ("203.0.113.0/24") or
// a single address, which becomes a network of one. It is strict, because an
// entry that means more than it seems to lets strangers in:
//   - no bits may be set beyond the mask;
//   - IPv4 addresses are written as such, not mapped into IPv6, because
//     connections are compared unmapped and the entry would never match;
//   - "everyone" is written 0.0.0.0/0 or ::/0 and no other way;
//   - host names are refused: nothing is looked up.
//
// The errors have a method Hint() string.
func ParseAllow(text string) (netip.Prefix, error) {
	p, err := parsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	addr := p.Addr()
	switch {
	case addr.Is4In6():
		return netip.Prefix{}, bad(text, "is an IPv4 address written as IPv6 and would never match", unmappedHint(p))
	case p != p.Masked():
		return netip.Prefix{}, bad(text, fmt.Sprintf("has address bits set beyond /%d", p.Bits()), maskHint(p))
	case p.Bits() == 0 && text != p.String():
		return netip.Prefix{}, bad(text, "means everyone", "if that is meant, write "+p.String())
	case p.IsSingleIP() && addr.IsUnspecified():
		return netip.Prefix{}, bad(text, "is nobody's address", "if everyone is meant, write "+netip.PrefixFrom(addr, 0).String())
	}
	return p, nil
}

// parsePrefix reads a network or an address and explains what it can't read.
func parsePrefix(text string) (netip.Prefix, error) {
	const form = "write a network like 203.0.113.0/24 or 2001:db8::/48, or one address"
	address, mask, isNetwork := strings.Cut(text, "/")
	addr, err := netip.ParseAddr(address)
	switch {
	case text == "":
		return netip.Prefix{}, bad(text, "is empty", form)
	case text == "*" || text == "any" || text == "all":
		return netip.Prefix{}, bad(text, "is not a network", "if everyone is meant, write both 0.0.0.0/0 and ::/0")
	case err != nil && strings.ContainsAny(address, "*-,") && strings.ContainsAny(address, "0123456789"):
		return netip.Prefix{}, bad(text, "is not one network or address", form+"; give each an entry of its own")
	case err != nil && !strings.Contains(address, ":") && strings.ContainsAny(strings.ToLower(address), "ghijklmnopqrstuvwxyz"):
		return netip.Prefix{}, bad(text, "is a name; names are not looked up", form)
	case err != nil:
		return netip.Prefix{}, bad(text, "is not a network or an address", form)
	case addr.Zone() != "":
		return netip.Prefix{}, bad(text, "has a zone, which no entry may have", "write "+addr.WithZone("").String())
	case !isNetwork:
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err == nil {
		return p, nil
	}
	if bits, ok := netmask(mask); ok && addr.Is4() {
		return netip.Prefix{}, bad(text, "has a netmask", fmt.Sprintf("write %s/%d", addr, bits))
	}
	return netip.Prefix{}, bad(text, "is not a network", fmt.Sprintf("after the / comes a number from 0 to %d", addr.BitLen()))
}

// netmask reads 255.255.255.0 as 24.
func netmask(text string) (bits int, ok bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() {
		return 0, false
	}
	ones, size := net.IPMask(addr.AsSlice()).Size()
	return ones, size == 32
}

// maskHint offers the two things that an entry with host bits may mean. Its
// whole network is not offered where that is everyone.
func maskHint(p netip.Prefix) string {
	if p.Bits() == 0 {
		return fmt.Sprintf("for the one address write %s", p.Addr())
	}
	return fmt.Sprintf("for the whole network write %s, for the one address %s", p.Masked(), p.Addr())
}

func unmappedHint(p netip.Prefix) string {
	const mapped = 96 // bits of the prefix ::ffff:0:0/96
	v4 := p.Addr().Unmap()
	switch {
	case p.Bits() <= mapped:
		return "write the IPv4 network itself, as in 203.0.113.0/24"
	case p.IsSingleIP():
		return "write " + v4.String()
	}
	return "write " + netip.PrefixFrom(v4, p.Bits()-mapped).Masked().String()
}
