package pgp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Revocation is a revocation certificate by itself, as `gpg --gen-revoke` makes it:
// the signature by which a key's owner ends it (RFC 9580, section 5.2.1.11). Whose
// it is only a check against a certificate can tell: [Certificate.Revoke].
type Revocation struct {
	raw []byte // the packet
	sig *packet.Signature
}

// Issuer names the key that it says it is from: a fingerprint or a key id in
// upper-case hexadecimal, or "an unnamed key".
func (r Revocation) Issuer() string {
	switch {
	case len(r.sig.IssuerFingerprint) > 0:
		return fmt.Sprintf("%X", r.sig.IssuerFingerprint)
	case r.sig.IssuerKeyId != nil:
		return keyID(*r.sig.IssuerKeyId)
	}
	return "an unnamed key"
}

// RevocationError says that a revocation certificate does not end a certificate.
type RevocationError struct {
	Fingerprint string // the certificate's
	Issuer      string // whose the revocation says that it is
	// Designated: the issuer is a key that the owner has named to revoke on its
	// behalf. That can't be checked without that key, and is not taken.
	Designated bool
}

func (e *RevocationError) Error() string {
	if e.Designated {
		return fmt.Sprintf("the revocation of key %s was made by another key, %s, which its owner has named to revoke it; that is not taken by itself", e.Fingerprint, e.Issuer)
	}
	return fmt.Sprintf("the revocation certificate, by key %s, was not made by key %s", e.Issuer, e.Fingerprint)
}

// Hint says what to do next.
func (e *RevocationError) Hint() string {
	if e.Designated {
		return fmt.Sprintf("ask the client whether it is meant; if so, `sealdrop key revoke %s --reason \"by its designated revoker\"` ends the key", e.Fingerprint)
	}
	return fmt.Sprintf("ask the client which key it is for; `sealdrop key revoke %s` ends the key without one", e.Fingerprint)
}

// Revoked tells how a certificate was revoked by its owner.
type Revoked struct {
	At time.Time // by the owner's clock
	// Hard: also what was sealed or signed before must be distrusted, since the key
	// may be in other hands. Soft reasons are that it was replaced or retired.
	Hard bool
	// Why is the reason in words, with the owner's own text if there is one.
	Why string
}

// String returns the reason with its strength.
func (r Revoked) String() string {
	if r.Hard {
		return r.Why + " (hard)"
	}
	return r.Why + " (soft)"
}

// Revoked reports whether the owner has revoked c, and how. Of several revocations
// the hardest counts.
func (c Certificate) Revoked() (Revoked, bool) {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	var found Revoked
	revoked := false
	for _, r := range c.c.entity.Revocations {
		if guard(func() error { return c.c.entity.PrimaryKey.VerifyRevocationSignature(r.Packet) }) != nil {
			continue
		}
		if one := describeRevocation(r.Packet); !revoked || one.Hard && !found.Hard {
			found, revoked = one, true
		}
	}
	return found, revoked
}

func describeRevocation(sig *packet.Signature) Revoked {
	r := Revoked{At: sig.CreationTime.UTC(), Hard: true, Why: "no reason given"}
	if sig.RevocationReason != nil {
		switch *sig.RevocationReason {
		case packet.KeySuperseded:
			r.Hard, r.Why = false, "the key is superseded"
		case packet.KeyRetired:
			r.Hard, r.Why = false, "the key is retired"
		case packet.KeyCompromised:
			r.Why = "the key was compromised"
		}
	}
	if text := sanitize(sig.RevocationReasonText); text != "" {
		r.Why += ": " + text
	}
	return r
}

// Revoke returns c with a revocation added, or a [*RevocationError] if c's own key
// did not make it.
func (c Certificate) Revoke(r Revocation) (Certificate, error) {
	if !c.owns(rawPacket{tag: tagPublicKey}, r.sig) {
		e := &RevocationError{Fingerprint: c.Fingerprint(), Issuer: r.Issuer()}
		e.Designated = c.designates(e.Issuer)
		return Certificate{}, e
	}
	parts, err := c.components()
	if err != nil {
		return Certificate{}, err
	}
	p := rawPacket{tag: tagSignature, raw: r.raw, body: r.raw[headerLength(r.raw):]}
	if !parts[0].has(p) {
		parts[0].sigs = append(parts[0].sigs, p)
	}
	return assemble(parts)
}

// headerLength returns how long the header of a packet is that was read before.
func headerLength(raw []byte) int {
	h, err := readHeader(bytes.NewReader(raw))
	if err != nil {
		return len(raw)
	}
	return len(h.raw)
}

// DesignatedRevocation returns a [*RevocationError] if c carries a revocation by a key
// that its owner has named to revoke it. Other programs may take such a one, if they
// have that key; here it is neither taken nor passed over in silence.
func (c Certificate) DesignatedRevocation() error {
	parts, err := c.components()
	if err != nil {
		return err
	}
	return c.foreignRevocation(parts[0])
}

// foreignRevocation looks at the primary key of any copy of c.
func (c Certificate) foreignRevocation(primary component) error {
	for _, p := range primary.sigs {
		if !isRevocation(p) {
			continue
		}
		sig, err := readSignature(p)
		if err != nil {
			continue
		}
		if issuer := (Revocation{sig: sig}).Issuer(); c.designates(issuer) {
			return &RevocationError{Fingerprint: c.Fingerprint(), Issuer: issuer, Designated: true}
		}
	}
	return nil
}

// designates reports whether the owner has named a key to revoke c: subpacket 12, RFC
// 9580, section 5.2.3.23, in the hashed area of a signature of its own.
func (c Certificate) designates(issuer string) bool {
	const revocationKey = 12
	parts, err := c.components()
	if err != nil {
		return false
	}
	for _, part := range parts {
		for _, p := range part.sigs {
			for _, sub := range hashedSubpackets(p.body) {
				// A class, an algorithm, and the fingerprint. The first octet's top bit
				// says that it is critical.
				if len(sub) < 23 || sub[0]&0x7f != revocationKey {
					continue
				}
				if strings.HasSuffix(fmt.Sprintf("%X", sub[3:]), issuer) && c.certifies(part.head, p) {
					return true
				}
			}
		}
	}
	return false
}

// hashedSubpackets takes the hashed area of a signature packet's body apart, RFC
// 9580, section 5.2.3.7. What is malformed ends it.
func hashedSubpackets(body []byte) [][]byte {
	const before = 4 // version, type, two algorithms
	width := 2
	if len(body) > 0 && body[0] == 6 {
		width = 4
	}
	if len(body) < before+width || body[0] != 4 && body[0] != 6 {
		return nil
	}
	length := 0
	for _, octet := range body[before : before+width] {
		length = length<<8 | int(octet)
	}
	area := body[before+width:]
	area = area[:min(max(length, 0), len(area))]
	var list [][]byte
	for len(area) > 0 {
		n, rest := subpacketLength(area)
		if n < 1 || n > len(rest) {
			return list
		}
		list, area = append(list, rest[:n]), rest[n:]
	}
	return list
}

// subpacketLength reads a length as subpackets have it, which knows no partial ones.
func subpacketLength(b []byte) (int, []byte) {
	switch {
	case b[0] < 192:
		return int(b[0]), b[1:]
	case b[0] < 255 && len(b) >= 2:
		return (int(b[0])-192)<<8 + int(b[1]) + 192, b[2:]
	case b[0] == 255 && len(b) >= 5:
		return int(b[1])<<24 | int(b[2])<<16 | int(b[3])<<8 | int(b[4]), b[5:]
	}
	return 0, nil
}

// readRevocation reads a signature packet as a key revocation.
func readRevocation(p rawPacket) (Revocation, error) {
	sig, err := readSignature(p)
	if err != nil {
		return Revocation{}, &ParseError{
			Problem: "the revocation certificate is damaged, or uses an algorithm that is not supported",
			next:    "ask the client to export its revoked key instead: `gpg --import revocation.asc`, then `gpg --armor --export ADDRESS`", cause: err,
		}
	}
	return Revocation{raw: bytes.Clone(p.raw), sig: sig}, nil
}

func readSignature(p rawPacket) (*packet.Signature, error) {
	var sig *packet.Signature
	err := guard(func() error {
		read, err := packet.Read(bytes.NewReader(p.raw))
		if err != nil {
			return err
		}
		var ok bool
		if sig, ok = read.(*packet.Signature); !ok {
			return errors.New("not a signature")
		}
		return nil
	})
	return sig, err
}

// isRevocation reports whether a packet is a key revocation signature, by its type
// alone.
func isRevocation(p rawPacket) bool {
	return p.tag == tagSignature && len(p.body) > 1 && p.body[0] >= 4 && packet.SignatureType(p.body[1]) == packet.SigTypeKeyRevocation
}

// revokes reports whether a block holds key revocations and nothing else.
func revokes(body []byte) bool {
	packets, err := splitPackets(body)
	for _, p := range packets {
		if !isRevocation(p) {
			return false
		}
	}
	return err == nil && len(packets) > 0
}

// takeRevocations divides the packets of one block into revocation certificates that
// stand by themselves and everything else. A primary key with nothing but its
// revocation counts as one: some programs send it like that.
func takeRevocations(packets []rawPacket) (revocations, rest []rawPacket) {
	for len(packets) > 0 && (isRevocation(packets[0]) || packets[0].tag == tagMarker && len(packets) > 1 && isRevocation(packets[1])) {
		if packets[0].tag != tagMarker {
			revocations = append(revocations, packets[0])
		}
		packets = packets[1:]
	}
	for start := 0; start < len(packets); {
		end := start + 1
		for end < len(packets) && packets[end].tag != tagPublicKey {
			end++
		}
		bare := packets[start].tag == tagPublicKey && end > start+1
		for _, p := range packets[start+1 : end] {
			bare = bare && isRevocation(p)
		}
		if bare {
			revocations = append(revocations, packets[start+1:end]...)
		} else {
			rest = append(rest, packets[start:end]...)
		}
		start = end
	}
	return revocations, rest
}
