package pgp

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Certificate is a recipient's public key with its subkeys, user ids and
// signatures: what GnuPG calls a public key. Its values come from [Parse]; the zero
// value is only good for comparison. Copies share what they hold, and any number of
// goroutines may use them.
type Certificate struct{ c *certificate }

type certificate struct {
	raw       []byte // as it came, without what is local to a key ring
	userIDs   []string
	algorithm string
	keyIDs    []string // of the encryption keys
	expires   time.Time
	fault     *UnusableError // what no passing of time mends, or nil

	// mu guards entity: the library keeps the outcome of a signature check in the
	// signature, whenever a new point in time makes it look at another one.
	mu     sync.Mutex
	entity *openpgp.Entity // without weak subkeys
	weak   []string        // the algorithms of those
	hidden bool            // there are subkeys that the library can't read
}

// newCertificate reads and vets the packets of one key.
func newCertificate(group []rawPacket) (Certificate, error) {
	entity, raw, err := readEntity(group)
	if err != nil {
		return Certificate{}, err
	}
	c := &certificate{raw: raw, entity: entity}
	subkeys := 0
	for _, p := range group {
		if p.tag == tagPublicSubkey {
			subkeys++
		}
	}
	c.hidden = subkeys > len(entity.Subkeys)
	err = guard(func() error {
		c.fault = c.lastingFault()
		c.dropWeakSubkeys()
		c.describe(group)
		return nil
	})
	if err != nil {
		return Certificate{}, malformed(err)
	}
	return Certificate{c}, nil
}

// IsZero tells whether c is the zero value, which stands for no certificate.
func (c Certificate) IsZero() bool { return c.c == nil }

// Fingerprint returns what gpg shows: upper-case hexadecimal, 40 digits for
// version 4 keys and 64 for version 6.
func (c Certificate) Fingerprint() string {
	return fmt.Sprintf("%X", c.c.entity.PrimaryKey.Fingerprint)
}

// Version returns the version of the key format, 4 or 6.
func (c Certificate) Version() int { return c.c.entity.PrimaryKey.Version }

// EncryptionKeyIDs returns the ids of all keys of c that a file may have been sealed
// to, also expired and revoked ones: 16 upper-case hexadecimal digits, as gpg and
// [Recipients] show them.
func (c Certificate) EncryptionKeyIDs() []string { return slices.Clone(c.c.keyIDs) }

// UserIDs returns the names that the key's owner has certified, in the order of the
// certificate, fit for a terminal: control characters and what is not UTF-8 are
// replaced. They say who the owner claims to be, no more.
func (c Certificate) UserIDs() []string { return slices.Clone(c.c.userIDs) }

// Algorithm names the primary key's algorithm and, if it is another one, the
// encryption key's, as gpg does: "rsa3072", "ed25519/cv25519".
func (c Certificate) Algorithm() string { return c.c.algorithm }

// Created returns when the primary key was made, as it says itself.
func (c Certificate) Created() time.Time { return c.c.entity.PrimaryKey.CreationTime.UTC() }

// Expires returns when the certificate can no longer be sealed to: when its primary
// key or the last of its encryption keys expires. The zero time means never, or that
// the certificate is too weak for its signatures to be looked at.
func (c Certificate) Expires() time.Time { return c.c.expires }

// Armored returns the certificate as text for storage. [Parse] reads it back.
func (c Certificate) Armored() string { return encodeArmor(labelPublicKey, c.c.raw) }

// String returns the fingerprint.
func (c Certificate) String() string {
	if c.IsZero() {
		return "no certificate"
	}
	return c.Fingerprint()
}

// describe reads what the accessors show. It comes before anything that looks at a
// signature for a point in time, because the library keeps verdicts, and runs before
// the certificate is shared.
func (c *certificate) describe(group []rawPacket) {
	c.userIDs = c.readUserIDs(group)
	c.algorithm = algorithmName(c.entity.PrimaryKey)
	encryption := slices.Clone(c.weak)
	for _, key := range c.encryptionKeys() {
		c.keyIDs = append(c.keyIDs, keyID(key.KeyId))
		encryption = append(encryption, algorithmName(key))
	}
	if n := len(encryption); n > 0 && encryption[n-1] != c.algorithm {
		c.algorithm += "/" + encryption[n-1]
	}
	if c.fault == nil {
		c.expires = c.readExpiry()
	}
}

// encryptionKeys returns the keys that are made for encryption: subkeys that say so
// in their latest signature, or the primary key where there are none.
func (c *certificate) encryptionKeys() []*packet.PublicKey {
	var keys []*packet.PublicKey
	for i := range c.entity.Subkeys {
		if subkey := &c.entity.Subkeys[i]; encrypts(subkey, c.fault == nil) {
			keys = append(keys, subkey.PublicKey)
		}
	}
	if len(keys) > 0 || c.fault != nil || !c.entity.PrimaryKey.PubKeyAlgo.CanEncrypt() {
		return keys
	}
	sig, err := c.entity.PrimarySelfSignature(time.Time{}, libraryConfig(time.Time{}))
	if err == nil && mayEncrypt(sig) {
		keys = append(keys, c.entity.PrimaryKey)
	}
	return keys
}

// encrypts tells whether a subkey is made for encryption, at whatever time: several
// signatures may bind it, they begin and expire, and one that is passed over today must
// not get to be sealed to by waiting. Without verification it goes by the algorithm
// alone.
func encrypts(subkey *openpgp.Subkey, verify bool) bool {
	if !subkey.PublicKey.PubKeyAlgo.CanEncrypt() {
		return false
	}
	if !verify {
		return true
	}
	sig, err := subkey.LatestValidBindingSignature(time.Time{}, libraryConfig(time.Time{}))
	if err != nil || mayEncrypt(sig) {
		return err == nil
	}
	return slices.ContainsFunc(subkey.Bindings, func(b *packet.VerifiableSignature) bool {
		return mayEncrypt(b.Packet) && subkey.Primary.PrimaryKey.VerifyKeySignature(subkey.PublicKey, b.Packet) == nil
	})
}

// mayEncrypt goes by the key flags. A key without any may do everything, as gpg
// has it too.
func mayEncrypt(sig *packet.Signature) bool {
	return !sig.FlagsValid || sig.FlagEncryptCommunications || sig.FlagEncryptStorage
}

// dropWeakSubkeys takes from the library's sight what it must not choose.
func (c *certificate) dropWeakSubkeys() {
	c.entity.Subkeys = slices.DeleteFunc(c.entity.Subkeys, func(subkey openpgp.Subkey) bool {
		if !weakKey(subkey.PublicKey) {
			return false
		}
		if subkey.PublicKey.PubKeyAlgo.CanEncrypt() {
			c.weak = append(c.weak, algorithmName(subkey.PublicKey))
		}
		return true
	})
}

// readUserIDs returns what the key's owner has certified and not revoked. Anyone can
// add a name to someone's certificate; it is shown only with a valid signature,
// unless the key is too weak for signatures to mean anything.
func (c *certificate) readUserIDs(group []rawPacket) []string {
	var names []string
	for _, p := range group {
		if p.tag != tagUserID {
			continue
		}
		if c.fault == nil {
			identity := c.entity.Identities[string(p.body)]
			if identity == nil {
				continue
			}
			if _, err := identity.Verify(time.Time{}, libraryConfig(time.Time{})); err != nil {
				continue
			}
		}
		if name := sanitize(string(p.body)); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// readExpiry returns the earlier of the primary key's expiry and that of the
// encryption subkey that lasts longest.
func (c *certificate) readExpiry() time.Time {
	config := libraryConfig(time.Time{})
	sig, err := c.entity.PrimarySelfSignature(time.Time{}, config)
	if err != nil {
		return time.Time{}
	}
	primary := keyExpiry(c.entity.PrimaryKey, sig)
	var last time.Time
	for i := range c.entity.Subkeys {
		subkey := &c.entity.Subkeys[i]
		if !encrypts(subkey, true) {
			continue
		}
		sig, err := subkey.Verify(time.Time{}, config)
		if err != nil {
			continue // revoked
		}
		expiry := keyExpiry(subkey.PublicKey, sig)
		if expiry.IsZero() {
			return primary
		}
		if expiry.After(last) {
			last = expiry
		}
	}
	if last.IsZero() || !primary.IsZero() && primary.Before(last) {
		return primary
	}
	return last
}

// keyExpiry returns the zero time for a key that does not expire.
func keyExpiry(key *packet.PublicKey, sig *packet.Signature) time.Time {
	if sig.KeyLifetimeSecs == nil || *sig.KeyLifetimeSecs == 0 {
		return time.Time{}
	}
	return key.CreationTime.Add(time.Duration(*sig.KeyLifetimeSecs) * time.Second).UTC()
}

// sanitize makes a stranger's text fit for a terminal and a log line.
func sanitize(text string) string {
	const most = 200 // characters; user ids are names and addresses
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || unicode.In(r, unicode.Zl, unicode.Zp) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
	if runes := []rune(clean); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return clean
}

func keyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// algorithmName names a key's algorithm as gpg does.
func algorithmName(key *packet.PublicKey) string {
	bits, _ := key.BitLength()
	switch key.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSAEncryptOnly, packet.PubKeyAlgoRSASignOnly:
		return fmt.Sprintf("rsa%d", bits)
	case packet.PubKeyAlgoDSA:
		return fmt.Sprintf("dsa%d", bits)
	case packet.PubKeyAlgoElGamal:
		return fmt.Sprintf("elg%d", bits)
	case packet.PubKeyAlgoECDH, packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA:
		return curveName(key)
	case packet.PubKeyAlgoEd25519:
		return "ed25519"
	case packet.PubKeyAlgoX25519:
		return "x25519"
	case packet.PubKeyAlgoEd448:
		return "ed448"
	case packet.PubKeyAlgoX448:
		return "x448"
	default:
		return fmt.Sprintf("algorithm %d", key.PubKeyAlgo)
	}
}

func curveName(key *packet.PublicKey) string {
	signs := key.PubKeyAlgo == packet.PubKeyAlgoEdDSA
	curve, err := key.Curve()
	switch {
	case err != nil:
		return "unknown curve"
	case curve == packet.Curve25519 && signs:
		return "ed25519"
	case curve == packet.Curve25519:
		return "cv25519"
	case curve == packet.Curve448 && signs:
		return "ed448"
	case curve == packet.Curve448:
		return "x448"
	case curve == packet.CurveBrainpoolP256, curve == packet.CurveBrainpoolP384, curve == packet.CurveBrainpoolP512:
		return "brainpool" + strings.TrimPrefix(string(curve), "Brainpool") + "r1"
	case curve == packet.CurveSecP256k1:
		return "secp256k1"
	default:
		return "nist" + strings.ToLower(string(curve))
	}
}
