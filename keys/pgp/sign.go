package pgp

import (
	"crypto"
	_ "crypto/sha256" // for crypto.SHA256
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// signer frames the literal data with a one-pass signature packet before it and the
// signature after it, RFC 9580, section 5.4. Its owner hashes the content.
type signer struct {
	io.Writer // where the packets go
	key       *packet.PrivateKey
	sig       *packet.Signature
	hash      hash.Hash
	now       time.Time
}

func newSigner(key *PrivateKey, now time.Time) (*signer, error) {
	if key.k == nil {
		return nil, errors.New("there is no key to sign with")
	}
	secret, err := key.k.signingKey(now)
	if err != nil {
		return nil, err
	}
	sig := &packet.Signature{
		Version:           secret.Version,
		SigType:           packet.SigTypeBinary,
		PubKeyAlgo:        secret.PubKeyAlgo,
		Hash:              crypto.SHA256,
		CreationTime:      now,
		IssuerKeyId:       &secret.KeyId,
		IssuerKeyVersion:  uint8(secret.Version),
		IssuerFingerprint: secret.Fingerprint,
	}
	digest, err := sig.PrepareSign(libraryConfig(now))
	if err != nil {
		return nil, fmt.Errorf("preparing the signature: %w", err)
	}
	return &signer{key: secret, sig: sig, hash: digest, now: now}, nil
}

func (s *signer) begin(dst io.Writer) error {
	s.Writer = dst
	announcement := &packet.OnePassSignature{
		Version:        3,
		SigType:        s.sig.SigType,
		Hash:           s.sig.Hash,
		PubKeyAlgo:     s.sig.PubKeyAlgo,
		KeyId:          s.key.KeyId,
		IsLast:         true,
		Salt:           s.sig.Salt(),
		KeyFingerprint: s.key.Fingerprint,
	}
	if s.sig.Version == 6 {
		announcement.Version = 6
	}
	return announcement.Serialize(dst)
}

// Close makes the signature and writes it.
func (s *signer) Close() error {
	if err := s.sig.Sign(s.hash, s.key, libraryConfig(s.now)); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	return s.sig.Serialize(s.Writer)
}
