package sftpd

import (
	"crypto/fips140"
	"runtime"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// rules are what limits the choice of algorithms besides their safety.
type rules struct {
	hardwareAES bool
	// fips: the program runs in FIPS 140-3 mode, and approved algorithms remain. What is
	// not approved is not offered even where x/crypto would do it.
	fips bool
	// enforced: Go itself refuses what is not approved (GODEBUG=fips140=only). X25519
	// is then not to be had as a part of another exchange either, nor GCM with SSH's own
	// way to count its nonces.
	enforced bool
}

// rulesHere are those of this machine and this process.
func rulesHere() rules {
	return rules{hardwareAES: hardwareAES(), fips: fips140.Enabled(), enforced: fips140.Enforced()}
}

// keyExchanges in the order of preference that decides where the client has
// none. x/crypto adds the older name of curve25519-sha256 by itself.
//
// In FIPS mode the curves of NIST take the place of Curve25519; ML-KEM with X25519
// stays, whose secret is as strong as ML-KEM's part, which is approved.
func (r rules) keyExchanges() []string {
	nist := []string{ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521}
	switch {
	case r.enforced:
		return nist
	case r.fips:
		return append([]string{ssh.KeyExchangeMLKEM768X25519}, nist...)
	}
	return []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519}
}

// macsFor chooses what authenticates AES in counter mode; GCM does so by itself.
// A client that knows neither GCM nor encrypt-then-MAC (libssh2 before 1.11, and
// so curl in Debian 12) is offered SHA-2 over the plaintext, as it was in SSH from
// the beginning; nobody else is. The handshake's hash covers what each side said,
// so nobody on the way can make a client look like one of those.
func (r rules) macsFor(client *kexInit) []string {
	etm := []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM}
	if client == nil || intersects(client.MACsToServer, etm) && intersects(client.MACsToClient, etm) || knowsGCM(client) && !r.enforced {
		return etm
	}
	return append(etm, ssh.HMACSHA256, ssh.HMACSHA512)
}

// publicKeyAlgorithms are those a client may prove itself with. Missing on
// purpose: ssh-rsa, which signs with SHA-1, and ssh-dss.
func publicKeyAlgorithms() []string {
	return []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	}
}

func gcmCiphers() []string { return []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM} }

// ciphersFor chooses what to offer a client. In SSH the client's order of
// preference wins, so the only way to give it the cipher that costs both sides
// least is to offer no other. client is nil if its first packet is not known.
func (r rules) ciphersFor(client *kexInit) []string {
	gcm := gcmCiphers()
	ctr := []string{ssh.CipherAES128CTR, ssh.CipherAES256CTR}
	switch {
	case r.enforced:
		return ctr
	case !r.hardwareAES && !r.fips:
		return slices.Concat([]string{ssh.CipherChaCha20Poly1305}, gcm, ctr)
	}
	if client != nil && knowsGCM(client) {
		return gcm
	}
	return slices.Concat(gcm, ctr)
}

func knowsGCM(client *kexInit) bool {
	return intersects(client.CiphersToServer, gcmCiphers()) && intersects(client.CiphersToClient, gcmCiphers())
}

func intersects(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// hardwareAES reports whether the processor computes AES-GCM by itself.
func hardwareAES() bool {
	switch runtime.GOARCH {
	case "amd64":
		return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ
	case "arm64":
		return cpu.ARM64.HasAES && cpu.ARM64.HasPMULL
	case "s390x":
		return cpu.S390X.HasAES && cpu.S390X.HasGHASH
	}
	return false
}

// hostKeys orders the host keys so that a client without a preference takes the
// one that signs in a hundredth of the time, and keeps RSA from signing with
// SHA-1.
func hostKeys(keys []ssh.Signer) ([]ssh.Signer, error) {
	var out []ssh.Signer
	for _, key := range keys {
		if key.PublicKey().Type() != ssh.KeyAlgoRSA {
			out = append(out, key)
			continue
		}
		signer, ok := key.(ssh.AlgorithmSigner)
		if !ok {
			return nil, errSHA1Only
		}
		sha2, err := ssh.NewSignerWithAlgorithms(signer, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
		if err != nil {
			return nil, err
		}
		out = append(out, sha2)
	}
	rank := func(k ssh.Signer) int {
		if k.PublicKey().Type() == ssh.KeyAlgoED25519 {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b ssh.Signer) int { return rank(a) - rank(b) })
	return out, nil
}
