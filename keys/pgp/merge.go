package pgp

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// component is a primary key, a user id or a subkey with the signatures that follow
// it.
type component struct {
	head rawPacket
	sigs []rawPacket
}

func (c component) has(sig rawPacket) bool {
	return slices.ContainsFunc(c.sigs, func(p rawPacket) bool { return bytes.Equal(p.body, sig.body) })
}

// components takes c apart. The first is the primary key.
func (c Certificate) components() ([]component, error) {
	packets, err := splitPackets(c.c.raw)
	if err != nil {
		return nil, malformed(err)
	}
	var parts []component
	for _, p := range packets {
		if p.tag != tagSignature {
			parts = append(parts, component{head: p})
			continue
		}
		last := len(parts) - 1
		parts[last].sigs = append(parts[last].sigs, p)
	}
	return parts, nil
}

// assemble is the inverse. It vets the result like any certificate from outside.
func assemble(parts []component) (Certificate, error) {
	var raw []byte
	for _, part := range parts {
		raw = append(raw, part.head.raw...)
		for _, sig := range part.sigs {
			raw = append(raw, sig.raw...)
		}
	}
	packets, err := splitPackets(raw)
	if err != nil {
		return Certificate{}, malformed(err)
	}
	groups, err := groupKeys(packets)
	if err != nil {
		return Certificate{}, err
	}
	return newCertificate(groups[0])
}

// Scope says what [Certificate.Merge] takes over.
type Scope int

// The scopes.
const (
	// Everything takes new subkeys and user ids, too.
	Everything Scope = iota
	// KnownKeys takes new signatures on what is there already: longer and shorter
	// expiries, and revocations.
	KnownKeys
)

// Merge returns c brought up to date by a later copy of the same certificate, as gpg
// does it: the union of both. Nothing that c has is lost, so that a copy that was
// stripped, or made earlier, takes nothing away; of the other's components only
// those are taken that c's own key has signed. Which of the signatures count is then
// decided as always: the newest, and any revocation. A revocation by another key that
// the owner has named for that is a [*RevocationError].
func (c Certificate) Merge(other Certificate, scope Scope) (Certificate, error) {
	if c.Fingerprint() != other.Fingerprint() {
		return Certificate{}, fmt.Errorf("key %s can't be brought up to date by key %s", c.Fingerprint(), other.Fingerprint())
	}
	parts, err := c.components()
	if err != nil {
		return Certificate{}, err
	}
	theirs, err := other.components()
	if err != nil {
		return Certificate{}, err
	}
	changed := false
	for _, their := range theirs {
		at := slices.IndexFunc(parts, func(mine component) bool {
			return mine.head.tag == their.head.tag && bytes.Equal(mine.head.body, their.head.body)
		})
		fresh := component{head: their.head}
		for _, sig := range their.sigs {
			if (at < 0 || !parts[at].has(sig)) && c.certifies(their.head, sig) {
				fresh.sigs = append(fresh.sigs, sig)
			}
		}
		switch {
		case len(fresh.sigs) == 0:
		case at >= 0:
			parts[at].sigs, changed = append(parts[at].sigs, fresh.sigs...), true
		case scope == Everything && slices.ContainsFunc(fresh.sigs, binds):
			parts, changed = insert(parts, fresh), true
		}
	}
	merged := c
	if changed {
		if merged, err = assemble(parts); err != nil {
			return Certificate{}, err
		}
	}
	return merged, merged.foreignRevocation(theirs[0])
}

// insert puts a component where it belongs: user ids stand before subkeys.
func insert(parts []component, part component) []component {
	if part.head.tag == tagUserID {
		if at := slices.IndexFunc(parts, func(c component) bool { return c.head.tag == tagPublicSubkey }); at >= 0 {
			return slices.Insert(parts, at, part)
		}
	}
	return append(parts, part)
}

// binds reports whether a signature makes a user id or a subkey part of a
// certificate, rather than revoking it.
func binds(p rawPacket) bool {
	if len(p.body) < 2 {
		return false
	}
	t := packet.SignatureType(p.body[1])
	return t == packet.SigTypeSubkeyBinding || selfCertifies(t)
}

func selfCertifies(t packet.SignatureType) bool {
	return t >= packet.SigTypeGenericCert && t <= packet.SigTypePositiveCert
}

// certifies reports whether a signature on a component was made by c's own key.
func (c Certificate) certifies(head, p rawPacket) bool {
	sig, err := readSignature(p)
	return err == nil && sig.CheckKeyIdOrFingerprint(c.c.entity.PrimaryKey) && c.owns(head, sig)
}

func (c Certificate) owns(head rawPacket, sig *packet.Signature) bool {
	primary := c.c.entity.PrimaryKey
	return guard(func() error {
		switch {
		case head.tag == tagPublicKey && sig.SigType == packet.SigTypeKeyRevocation:
			return primary.VerifyRevocationSignature(sig)
		case head.tag == tagPublicKey && sig.SigType == packet.SigTypeDirectSignature:
			return primary.VerifyDirectKeySignature(sig)
		case head.tag == tagUserID && (selfCertifies(sig.SigType) || sig.SigType == packet.SigTypeCertificationRevocation):
			return primary.VerifyUserIdSignature(string(head.body), primary, sig)
		case head.tag == tagPublicSubkey && (sig.SigType == packet.SigTypeSubkeyBinding || sig.SigType == packet.SigTypeSubkeyRevocation):
			read, err := packet.Read(bytes.NewReader(head.raw))
			if err != nil {
				return err
			}
			subkey, ok := read.(*packet.PublicKey)
			switch {
			case !ok:
				return errNotPacket
			case sig.SigType == packet.SigTypeSubkeyBinding:
				return primary.VerifyKeySignature(subkey, sig)
			}
			return primary.VerifySubkeyRevocationSignature(sig, subkey)
		}
		return errNotPacket
	}) == nil
}

// Update tells how two copies of one certificate differ.
type Update struct {
	// NewKeys: reports may be sealed to a key that the earlier copy did not have, or
	// not for encryption.
	NewKeys bool
	// Changes says what changed, for people, the weightiest first. It is empty if
	// nothing of what counts did.
	Changes []string
}

// Since tells what has changed in c since an earlier copy.
func (c Certificate) Since(before Certificate) Update {
	var u Update
	note := func(format string, args ...any) { u.Changes = append(u.Changes, fmt.Sprintf(format, args...)) }
	if r, ok := c.Revoked(); ok {
		if _, was := before.Revoked(); !was {
			note("revoked by its owner: %s", r)
		}
	}
	if was, is := before.Expires(), c.Expires(); !was.Equal(is) {
		how := ""
		if is.IsZero() == was.IsZero() && is.Before(was) || was.IsZero() {
			how = " (shortened by its owner)"
		}
		note("expires %s → %s%s", expiryText(was), expiryText(is), how)
	}
	earlier := before.encryptionSubkeys()
	for _, k := range c.encryptionSubkeys() {
		at := slices.IndexFunc(earlier, func(e subkeyState) bool { return e.id == k.id })
		switch {
		case at < 0:
			u.NewKeys = u.NewKeys || !k.revoked
			note("new encryption subkey %s (%s)", k.id, k.algorithm)
		case k.revoked && !earlier[at].revoked:
			note("encryption subkey %s is revoked by its owner: %s", k.id, k.why)
		}
	}
	for _, name := range c.UserIDs() {
		if !slices.Contains(before.UserIDs(), name) {
			note("new user id %q", name)
		}
	}
	for _, name := range before.UserIDs() {
		if !slices.Contains(c.UserIDs(), name) {
			note("user id %q is revoked", name)
		}
	}
	if len(u.Changes) == 0 && !bytes.Equal(before.c.raw, c.c.raw) {
		note("new signatures of its own")
	}
	return u
}

func expiryText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.DateOnly)
}

type subkeyState struct {
	id, algorithm string
	revoked       bool
	why           Revoked
}

// encryptionSubkeys returns the keys that reports may be sealed to, with those that
// were revoked or have expired.
func (c Certificate) encryptionSubkeys() []subkeyState {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	var list []subkeyState
	_ = guard(func() error {
		for _, key := range c.c.encryptionKeys() {
			k := subkeyState{id: keyID(key.KeyId), algorithm: algorithmName(key)}
			for i := range c.c.entity.Subkeys {
				if s := &c.c.entity.Subkeys[i]; s.PublicKey == key {
					k.why, k.revoked = c.c.subkeyRevoked(s)
				}
			}
			list = append(list, k)
		}
		return nil
	})
	return list
}

func (c *certificate) subkeyRevoked(s *openpgp.Subkey) (Revoked, bool) {
	for _, r := range s.Revocations {
		if c.entity.PrimaryKey.VerifySubkeyRevocationSignature(r.Packet, s.PublicKey) == nil {
			return describeRevocation(r.Packet), true
		}
	}
	return Revoked{}, false
}
