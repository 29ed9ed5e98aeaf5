package pgp

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sealdrop/sealdrop/internal/keytext"
)

// PrivateKey is a key of the gateway's own: the hold key, or the one that signs. It
// prints and logs as its fingerprint; only [PrivateKey.Armored] gives the secret.
type PrivateKey struct{ k *privateKey }

type privateKey struct {
	cert Certificate

	mu     sync.Mutex // guards entity, as in certificate
	entity *openpgp.Entity
}

// GeneratePrivateKey makes a key of version 4 that GnuPG 2.2 can use too: Ed25519 to
// sign, Curve25519 to encrypt, without expiry or passphrase. The name becomes its
// user id.
func GeneratePrivateKey(name string, now time.Time) (PrivateKey, error) {
	if name == "" || sanitize(name) != name {
		return PrivateKey{}, errors.New("generating pgp key: the name is empty, too long or has control characters")
	}
	config := libraryConfig(now)
	config.Algorithm = packet.PubKeyAlgoEdDSA
	config.Curve = packet.Curve25519
	entity, err := openpgp.NewEntity(name, "", "", config)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("generating pgp key: %w", err)
	}
	return newPrivateKey(entity)
}

// ReadPrivateKey reads a key that [PrivateKey.Armored] or gpg's
// --export-secret-keys wrote. It must be one key, without a passphrase, with its
// encryption subkey.
func ReadPrivateKey(data []byte) (PrivateKey, error) {
	key, err := readPrivateKey(data, nil)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("reading the gateway's pgp key: %w", err)
	}
	return key, nil
}

// ErrWrongPassphrase says that a private key does not open with the passphrase.
var ErrWrongPassphrase = errors.New("the passphrase is wrong")

// ReadLockedPrivateKey reads a key as [ReadPrivateKey] does, one that may have a
// passphrase. Only if it has one is passphrase called, once; what that returns is
// wiped afterwards. A wrong one gives [ErrWrongPassphrase].
func ReadLockedPrivateKey(data []byte, passphrase func() ([]byte, error)) (PrivateKey, error) {
	key, err := readPrivateKey(data, passphrase)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("reading the private key: %w", err)
	}
	return key, nil
}

func readPrivateKey(data []byte, passphrase func() ([]byte, error)) (PrivateKey, error) {
	body := data
	if !looksBinary(data) {
		blocks, err := decodeArmor(keytext.Normalize(data))
		if err != nil {
			return PrivateKey{}, err
		}
		if len(blocks) != 1 || blocks[0].label != labelPrivateKey {
			return PrivateKey{}, errors.New("the file does not hold one private key block")
		}
		body = blocks[0].body
	}
	var entities openpgp.EntityList
	err := guard(func() (err error) {
		entities, err = openpgp.ReadKeyRing(bytes.NewReader(body))
		return err
	})
	if err != nil {
		return PrivateKey{}, err
	}
	if len(entities) != 1 {
		return PrivateKey{}, fmt.Errorf("the file holds %d keys instead of one", len(entities))
	}
	if passphrase != nil && locked(entities[0]) {
		if err := unlock(entities[0], passphrase); err != nil {
			return PrivateKey{}, err
		}
	}
	return newPrivateKey(entities[0])
}

// locked reports whether a passphrase protects any of the secrets.
func locked(entity *openpgp.Entity) bool {
	secret := func(key *packet.PrivateKey) bool { return key != nil && !key.Dummy() && key.Encrypted }
	return secret(entity.PrivateKey) || slices.ContainsFunc(entity.Subkeys, func(s openpgp.Subkey) bool { return secret(s.PrivateKey) })
}

func unlock(entity *openpgp.Entity, passphrase func() ([]byte, error)) error {
	secret, err := passphrase()
	if err != nil {
		return err
	}
	defer clear(secret)
	if err := guard(func() error { return entity.DecryptPrivateKeys(secret) }); err != nil {
		return ErrWrongPassphrase // the library's words differ with the way of protection
	}
	return nil
}

func newPrivateKey(entity *openpgp.Entity) (PrivateKey, error) {
	if entity.PrivateKey == nil {
		return PrivateKey{}, errors.New("it is a public key")
	}
	var public bytes.Buffer
	err := guard(func() error { return entity.Serialize(&public) })
	if err != nil {
		return PrivateKey{}, err
	}
	certs, err := Parse(public.Bytes())
	if err != nil {
		return PrivateKey{}, err
	}
	k := &privateKey{cert: certs[0], entity: entity}
	if len(k.decryptionKeys()) == 0 {
		return PrivateKey{}, errors.New("it has no encryption subkey that is free of a passphrase")
	}
	return PrivateKey{k}, nil
}

// Certificate returns the public half.
func (k PrivateKey) Certificate() Certificate { return k.k.cert }

// Armored returns the secret key as text for storage, without a passphrase: whoever
// reads the file opens what is sealed to it.
func (k PrivateKey) Armored() string {
	k.k.mu.Lock()
	defer k.k.mu.Unlock()
	var secret bytes.Buffer
	// Writing to memory does not fail, and no signature is made.
	_ = k.k.entity.SerializePrivateWithoutSigning(&secret, nil)
	return encodeArmor(labelPrivateKey, secret.Bytes())
}

// String returns the fingerprint, so that no format verb shows the secret.
func (k PrivateKey) String() string {
	if k.k == nil {
		return "no private key"
	}
	return "private key " + k.k.cert.Fingerprint()
}

// GoString is [PrivateKey.String].
func (k PrivateKey) GoString() string { return k.String() }

// LogValue is [PrivateKey.String].
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// decryptionKeys returns the secret keys that can open something, also expired ones:
// what was sealed to them must stay readable.
func (k *privateKey) decryptionKeys() []*packet.PrivateKey {
	var keys []*packet.PrivateKey
	all := []*packet.PrivateKey{k.entity.PrivateKey}
	for _, subkey := range k.entity.Subkeys {
		all = append(all, subkey.PrivateKey)
	}
	for _, key := range all {
		if key != nil && key.PubKeyAlgo.CanEncrypt() && !key.Encrypted && !key.Dummy() {
			keys = append(keys, key)
		}
	}
	return keys
}

// signingKey returns the secret key to sign with at that time.
func (k *privateKey) signingKey(now time.Time) (*packet.PrivateKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var key openpgp.Key
	var ok bool
	err := guard(func() error {
		key, ok = k.entity.SigningKey(now, libraryConfig(now))
		return nil
	})
	if err != nil || !ok || key.PrivateKey == nil || key.PrivateKey.Encrypted || key.PrivateKey.Dummy() {
		return nil, fmt.Errorf("the gateway's key %s can't sign", k.cert.Fingerprint())
	}
	return key.PrivateKey, nil
}
