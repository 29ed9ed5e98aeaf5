package pgp

import (
	"errors"
	"fmt"
	"time"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Reason says why a certificate can't be sealed to. The list is closed.
type Reason string

// The reasons, as they stand in logs and in audit records.
const (
	ReasonExpired     Reason = "expired"       // its owner can extend it
	ReasonRevoked     Reason = "revoked"       // for good
	ReasonSignOnly    Reason = "sign-only"     // it has no subkey for encryption
	ReasonWeak        Reason = "weak"          // it could be broken
	ReasonNotYetValid Reason = "not-yet-valid" // it was made in the future, or a clock is wrong
	ReasonUnsupported Reason = "unsupported"   // its version or algorithm can't be used
	ReasonDamaged     Reason = "damaged"       // its signatures don't hold
)

const minRSABits = 2048

// dateFormat is how times stand in messages, always in UTC.
const dateFormat = "2006-01-02 15:04 UTC"

// UnusableError says why a certificate can't be sealed to, and what to do about it.
type UnusableError struct {
	Fingerprint string // empty if the key could not be read so far
	Reason      Reason
	problem     string
	next        string
}

func (e *UnusableError) Error() string {
	if e.Fingerprint == "" {
		return e.problem
	}
	return fmt.Sprintf("key %s: %s", e.Fingerprint, e.problem)
}

// Hint says what to ask of the client.
func (e *UnusableError) Hint() string { return e.next }

const hintNewPair = "ask the client to make a new pair, for example with `gpg --full-generate-key` and the choices " +
	"RSA, 3072 bits, and to send its public half: `gpg --armor --export ADDRESS`"

func unsupported(problem string) *UnusableError {
	return &UnusableError{Reason: ReasonUnsupported, problem: problem, next: hintNewPair}
}

// libraryConfig is the policy of which the library knows. The zero time stands for
// no regard to time where a call takes a date; configured, it is not asked for.
func libraryConfig(now time.Time) *packet.Config {
	return &packet.Config{
		DefaultCipher:                       packet.CipherAES256,
		MinRSABits:                          minRSABits,
		InsecureAllowAllKeyFlagsWhenMissing: true, // as gpg has it; such keys exist
		Time:                                func() time.Time { return now },
	}
}

// weakKey goes by the key material alone.
func weakKey(key *packet.PublicKey) bool {
	switch key.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSAEncryptOnly, packet.PubKeyAlgoRSASignOnly:
		bits, err := key.BitLength()
		return err != nil || bits < minRSABits
	case packet.PubKeyAlgoDSA, packet.PubKeyAlgoElGamal:
		return true
	case packet.PubKeyAlgoECDH, packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA:
		curve, err := key.Curve()
		return err != nil || curve == packet.CurveSecP256k1
	default:
		return false
	}
}

// Usable returns nil if reports can be sealed to c at that time, and an
// [*UnusableError] if not.
func (c Certificate) Usable(now time.Time) error {
	_, err := c.encryptionKey(now)
	return err
}

// encryptionKey chooses the key to seal to: the newest of those that are valid.
func (c Certificate) encryptionKey(now time.Time) (*packet.PublicKey, error) {
	if c.IsZero() {
		return nil, ErrNoRecipients
	}
	if c.c.fault != nil {
		return nil, c.c.fault
	}
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	var key openpgp.Key
	err := guard(func() (err error) {
		key, err = c.c.entity.EncryptionKeyWithError(now, libraryConfig(now))
		return err
	})
	if err == nil {
		return key.PublicKey, nil
	}
	var diagnosis *UnusableError
	if err := guard(func() error { diagnosis = c.c.diagnose(now); return nil }); err != nil {
		diagnosis = c.c.unusable(ReasonDamaged, "the key can't be vetted", hintExport)
	}
	return nil, diagnosis
}

func (c *certificate) unusable(reason Reason, problem, next string) *UnusableError {
	return &UnusableError{
		Fingerprint: fmt.Sprintf("%X", c.entity.PrimaryKey.Fingerprint),
		Reason:      reason, problem: problem, next: next,
	}
}

// lastingFault finds what makes a certificate unusable at any time, before any of
// its signatures is verified: weak ones prove nothing, and may take long.
func (c *certificate) lastingFault() *UnusableError {
	if !weakKey(c.entity.PrimaryKey) {
		return nil
	}
	return c.unusable(ReasonWeak, "its primary key is too weak: "+algorithmName(c.entity.PrimaryKey), hintNewPair)
}

// diagnose finds our own words for why the library has no encryption key at that
// time. Its caller holds the lock.
func (c *certificate) diagnose(now time.Time) *UnusableError {
	config := libraryConfig(now)
	primary := c.entity.PrimaryKey
	if primary.CreationTime.After(now) {
		return c.notYetValid("it was made", primary.CreationTime)
	}
	if c.entity.Revoked(now) {
		return c.unusable(ReasonRevoked, "its owner has revoked it", "ask the client for its new public key")
	}
	sig, err := c.entity.VerifyPrimaryKey(now, config)
	switch {
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return c.primaryExpired(sig, now)
	case err != nil:
		return c.diagnoseSelfSignature(now)
	}
	return c.diagnoseSubkeys(now)
}

func (c *certificate) notYetValid(what string, at time.Time) *UnusableError {
	return c.unusable(ReasonNotYetValid,
		fmt.Sprintf("%s in the future, on %s", what, at.UTC().Format(dateFormat)),
		"compare this machine's clock with the client's; one of them is wrong")
}

// expiredOn leaves the time out if only a signature has expired, not the key.
func expiredOn(at time.Time) string {
	if at.IsZero() {
		return "has expired"
	}
	return "expired on " + at.Format(dateFormat)
}

func (c *certificate) primaryExpired(sig *packet.Signature, now time.Time) *UnusableError {
	fingerprint := fmt.Sprintf("%X", c.entity.PrimaryKey.Fingerprint)
	extend := fmt.Sprintf("`gpg --quick-set-expire %s 2y`", fingerprint)
	if subkey := c.expiredSubkey(now); subkey != nil {
		extend += fmt.Sprintf(" and `gpg --quick-set-expire %s 2y %X`", fingerprint, subkey.Fingerprint)
	}
	return c.unusable(ReasonExpired, "it "+expiredOn(keyExpiry(c.entity.PrimaryKey, sig)), fmt.Sprintf(
		"ask the client to extend it (%s) and to send the public key again: `gpg --armor --export %s`", extend, fingerprint))
}

// expiredSubkey returns the encryption subkey that expired last, unless there is one
// that has not. It has to be named to gpg, which with '*' extends only those that
// have not expired.
func (c *certificate) expiredSubkey(now time.Time) *packet.PublicKey {
	var found *packet.PublicKey
	var latest time.Time
	for i := range c.entity.Subkeys {
		subkey := &c.entity.Subkeys[i]
		sig, err := subkey.Verify(time.Time{}, libraryConfig(now))
		if err != nil || !subkey.PublicKey.PubKeyAlgo.CanEncrypt() || !mayEncrypt(sig) {
			continue
		}
		expiry := keyExpiry(subkey.PublicKey, sig)
		if expiry.IsZero() || expiry.After(now) {
			return nil
		}
		if found == nil || expiry.After(latest) {
			found, latest = subkey.PublicKey, expiry
		}
	}
	return found
}

// diagnoseSelfSignature is for a primary key without a self-signature that is valid
// now. One that is valid regardless of the time tells why.
func (c *certificate) diagnoseSelfSignature(now time.Time) *UnusableError {
	sig, err := c.entity.PrimarySelfSignature(time.Time{}, libraryConfig(now))
	if err == nil && sig.CreationTime.After(now) {
		return c.notYetValid("it was signed by itself", sig.CreationTime)
	}
	if err == nil {
		return c.primaryExpired(sig, now)
	}
	for _, identity := range c.entity.Identities {
		sig, err := identity.LatestValidSelfCertification(time.Time{}, libraryConfig(now))
		if err == nil && identity.Revoked(sig, now, libraryConfig(now)) {
			return c.unusable(ReasonRevoked, "its owner has revoked its user id", "ask the client for its new public key")
		}
	}
	return c.unusable(ReasonDamaged, "it has no valid signature of its own: it was altered or damaged", hintExport)
}

// diagnoseSubkeys names the fault of the encryption subkey that is the easiest to
// mend.
func (c *certificate) diagnoseSubkeys(now time.Time) *UnusableError {
	config := libraryConfig(now)
	fingerprint := fmt.Sprintf("%X", c.entity.PrimaryKey.Fingerprint)
	var expiry, future time.Time
	expired, revoked, damaged := false, false, false
	for i := range c.entity.Subkeys {
		subkey := &c.entity.Subkeys[i]
		if !subkey.PublicKey.PubKeyAlgo.CanEncrypt() {
			continue
		}
		sig, err := subkey.LatestValidBindingSignature(time.Time{}, config)
		if err != nil {
			damaged = true
			continue
		}
		_, err = subkey.Verify(now, config)
		switch {
		case err == nil || !mayEncrypt(sig):
		case errors.Is(err, pgperrors.ErrKeyRevoked):
			revoked = true
		case subkey.PublicKey.CreationTime.After(now) || sig.CreationTime.After(now):
			future = subkey.PublicKey.CreationTime
		default:
			expired, expiry = true, keyExpiry(subkey.PublicKey, sig)
		}
	}
	renew := fmt.Sprintf("ask the client to add an encryption subkey (`gpg --quick-add-key %s rsa3072 encr 2y`) "+
		"and to send the public key again: `gpg --armor --export %s`", fingerprint, fingerprint)
	switch {
	case expired:
		if subkey := c.expiredSubkey(now); subkey != nil {
			renew = fmt.Sprintf("ask the client to extend it (`gpg --quick-set-expire %s 2y %X`) "+
				"and to send the public key again: `gpg --armor --export %s`", fingerprint, subkey.Fingerprint, fingerprint)
		}
		return c.unusable(ReasonExpired, "its encryption subkey "+expiredOn(expiry), renew)
	case !future.IsZero():
		return c.notYetValid("its encryption subkey was made", future)
	case revoked:
		return c.unusable(ReasonRevoked, "its owner has revoked its encryption subkey", renew)
	case len(c.weak) > 0:
		return c.unusable(ReasonWeak, "its encryption subkey is too weak: "+c.weak[0], renew)
	case c.hidden:
		return c.unusable(ReasonUnsupported, "its encryption subkey uses an algorithm that is not supported", renew)
	case damaged:
		return c.unusable(ReasonDamaged, "its encryption subkey has no valid signature: it was altered or damaged", hintExport)
	default:
		return c.unusable(ReasonSignOnly, "it can only sign: it has no subkey for encryption", renew)
	}
}
