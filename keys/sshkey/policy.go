package sshkey

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Limits of RSA keys, in bits. Below the least, a key can be broken; above the
// largest, checking one signature costs an attacker less than it costs us.
const (
	MinRSABits = 2048
	MaxRSABits = 8192
)

const (
	algorithmDSA    = "ssh-dss"
	certSuffix      = "-cert-v01@openssh.com"
	x509Certificate = "X.509"
	certAuthority   = "cert-authority"
)

// Check holds a key to the policy of strength: [Parse] does so for each key that
// it reads, and the server should for each key presented at login. The error is a
// [*WeakKeyError] or an [*UnsupportedKeyError].
func Check(pub ssh.PublicKey) error {
	if pub == nil {
		return errors.New("checking SSH key: there is none")
	}
	if _, ok := pub.(*ssh.Certificate); ok {
		return &UnsupportedKeyError{Algorithm: pub.Type()}
	}
	if err := checkAlgorithm(pub.Type()); err != nil {
		return err
	}
	if pub.Type() != ssh.KeyAlgoRSA {
		return nil
	}
	crypto, ok := pub.(ssh.CryptoPublicKey)
	if !ok {
		return &UnsupportedKeyError{Algorithm: pub.Type()}
	}
	key, ok := crypto.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return &UnsupportedKeyError{Algorithm: pub.Type()}
	}
	return checkRSA(key.N, big.NewInt(int64(key.E)))
}

// checkAlgorithm goes by the name of a key's type.
func checkAlgorithm(name string) error {
	if fields(name) > 0 {
		return nil
	}
	if name == algorithmDSA {
		return &WeakKeyError{Algorithm: name, Reason: "DSA keys are too weak, and OpenSSH itself no longer takes them"}
	}
	return &UnsupportedKeyError{Algorithm: name}
}

// fields returns how many strings make up the wire form of a key of that type,
// its name included (RFC 4253, section 6.6; RFC 5656, section 3.1; RFC 8709,
// section 4; OpenSSH's PROTOCOL.u2f), and 0 for a type that isn't accepted.
func fields(name string) int {
	switch name {
	case ssh.KeyAlgoED25519:
		return 2
	case ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519:
		return 3
	case ssh.KeyAlgoSKECDSA256:
		return 4
	}
	return 0
}

// checkRSA comes before package ssh parses a key from a file, whose own refusals
// don't tell a weak key from a damaged one. Exponents of up to 24 bits are what
// package ssh can use; 3, 17, 35 and 37 occur in old clients' keys, and 65537.
func checkRSA(n, e *big.Int) error {
	weak := &WeakKeyError{Algorithm: ssh.KeyAlgoRSA, Bits: n.BitLen()}
	switch {
	case n.Sign() <= 0 || n.Bit(0) == 0:
		weak.Reason = "this RSA key is unsafe or damaged: its modulus is not an odd number"
	case n.BitLen() < MinRSABits:
		weak.Reason = fmt.Sprintf("an RSA key of %d bits is too weak: at least %d", n.BitLen(), MinRSABits)
	case n.BitLen() > MaxRSABits:
		weak.Reason = fmt.Sprintf("an RSA key of %d bits is larger than is of use: at most %d", n.BitLen(), MaxRSABits)
	case e.Cmp(big.NewInt(3)) < 0 || e.Bit(0) == 0 || e.BitLen() > 24:
		weak.Reason = "this RSA key is unsafe: its exponent is none that a key generator chooses"
	default:
		return nil
	}
	return weak
}

// vet parses the wire form of a key and applies the policy. Its errors know no
// line yet.
func vet(wire []byte) (ssh.PublicKey, error) {
	need, err := wireLength(wire)
	switch {
	case err != nil:
		return nil, err
	case len(wire) < need:
		return nil, &SyntaxError{Problem: fmt.Sprintf("the key is cut off: it has %d bytes of at least %d", len(wire), need)}
	case len(wire) > need:
		return nil, trailing()
	}
	if name, _ := wireName(wire); name == ssh.KeyAlgoRSA {
		var key struct {
			Name string
			E, N *big.Int
		}
		if err := ssh.Unmarshal(wire, &key); err != nil {
			return nil, damaged()
		}
		if err := checkRSA(key.N, key.E); err != nil {
			return nil, err
		}
	}
	pub, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, damaged()
	}
	return pub, Check(pub)
}

// damaged is what there is to say where package ssh refuses a key: its own texts
// are for programmers.
func damaged() error {
	return &SyntaxError{Problem: "the key is damaged: its parts don't fit together"}
}

func trailing() error {
	return &SyntaxError{Problem: "the key is damaged: something follows at its end"}
}

// bits returns a key's size as "ssh-keygen -l" counts it.
func bits(pub ssh.PublicKey) int {
	if crypto, ok := pub.(ssh.CryptoPublicKey); ok {
		switch key := crypto.CryptoPublicKey().(type) {
		case *rsa.PublicKey:
			return key.N.BitLen()
		case *ecdsa.PublicKey:
			return key.Curve.Params().BitSize
		}
	}
	return 256 // Ed25519, with or without a security key
}

// isAlgorithm reports whether a word is the name of a type of key, known or not.
func isAlgorithm(word string) bool {
	if len(word) > 64 || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789-.@") != "" {
		return false
	}
	for _, family := range []string{"ssh-", "ecdsa-sha2-", "sk-", "rsa-sha2-", "x509v3-", "webauthn-"} {
		if strings.HasPrefix(word, family) {
			return true
		}
	}
	return false
}
