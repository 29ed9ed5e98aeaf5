package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// A visitor logs in, opens a session, and asks for the root folder. It shares the machine
// with the server that it measures, so it does little beside: what it spends makes a quick
// server look slower than it is, and a slow one hardly.

// visitorKex is what a visitor exchanges keys by, with every server alike: what both know,
// and what a client of Debian 12 would do with Sealdrop.
const visitorKex = ssh.KeyExchangeCurve25519

// visit logs in, asks for the root folder's attributes, and leaves.
func (s *sftpServer) visit() error {
	conn, err := s.enter(s.key.signer)
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := openSFTP(conn)
	if err != nil {
		return err
	}
	stat := []byte{0, 0, 0, 10, 17, 0, 0, 0, 1, 0, 0, 0, 1, '/'}
	typ, err := ask(ch, stat)
	const attributes = 105
	if err == nil && typ != attributes {
		err = fmt.Errorf("STAT is answered by a packet of type %d", typ)
	}
	return err
}

// enter opens a visitor's connection.
func (s *sftpServer) enter(key ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", s.Address, &ssh.ClientConfig{
		Config: ssh.Config{
			KeyExchanges: []string{visitorKex},
			Ciphers:      []string{ssh.CipherAES128GCM},
		},
		User: s.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback:   ssh.InsecureIgnoreHostKey(), // on loopback, a key made just now
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
}

// openSFTP opens an sFTP session.
func openSFTP(conn *ssh.Client) (ssh.Channel, error) {
	ch, requests, err := conn.OpenChannel("session", nil)
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests)
	ok, err := ch.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"}))
	if err == nil && !ok {
		err = errors.New("there is no sFTP")
	}
	if err != nil {
		return nil, err
	}
	const version = 2
	typ, err := ask(ch, []byte{0, 0, 0, 5, 1, 0, 0, 0, 3})
	if err == nil && typ != version {
		err = fmt.Errorf("INIT is answered by a packet of type %d", typ)
	}
	return ch, err
}

// ask sends a packet of sFTP and returns the type of the answer.
func ask(ch ssh.Channel, packet []byte) (byte, error) {
	if _, err := ch.Write(packet); err != nil {
		return 0, err
	}
	var head [5]byte
	if _, err := io.ReadFull(ch, head[:]); err != nil {
		return 0, err
	}
	size := int64(head[0])<<24 | int64(head[1])<<16 | int64(head[2])<<8 | int64(head[3])
	_, err := io.CopyN(io.Discard, ch, size-1)
	return head[4], err
}

// quickKey is an RSA-2048 key of eight primes. To a server it is like any other; to sign
// with it takes a tenth of the time, since each prime is that much shorter. That makes it
// no key to protect anything with.
type quickKey struct {
	public    rsa.PublicKey
	primes    []*big.Int
	exponents []*big.Int // of each prime
	crt       []*big.Int // what a residue of each prime is multiplied by
}

const (
	quickPrimes = 8
	quickBits   = 2048
)

func newQuickKey() (*quickKey, error) {
	k := &quickKey{public: rsa.PublicKey{N: big.NewInt(1), E: 65537}}
	e, one := big.NewInt(int64(k.public.E)), big.NewInt(1)
	const bits = quickBits / quickPrimes
	for len(k.primes) < quickPrimes {
		// From the sixteenth below the power of two: eight of them have all the bits.
		p, err := rand.Int(rand.Reader, new(big.Int).Lsh(one, bits-4))
		if err != nil {
			return nil, err
		}
		p.Sub(new(big.Int).Lsh(one, bits), p.SetBit(p, 0, 1))
		d := new(big.Int).ModInverse(e, new(big.Int).Sub(p, one))
		if d == nil || !p.ProbablyPrime(20) {
			continue
		}
		k.primes, k.exponents = append(k.primes, p), append(k.exponents, d)
		k.public.N.Mul(k.public.N, p)
	}
	for _, p := range k.primes {
		others := new(big.Int).Div(k.public.N, p)
		k.crt = append(k.crt, others.Mul(others, new(big.Int).ModInverse(others, p)))
	}
	return k, nil
}

// Public implements [crypto.Signer].
func (k *quickKey) Public() crypto.PublicKey { return &k.public }

// Sign implements [crypto.Signer] by PKCS #1 v1.5 (RFC 8017, section 8.2).
func (k *quickKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	prefixes := map[crypto.Hash]string{
		crypto.SHA256: "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
		crypto.SHA512: "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
	}
	prefix, ok := prefixes[opts.HashFunc()]
	if !ok {
		return nil, fmt.Errorf("the key can't sign with %v", opts.HashFunc())
	}
	padded := make([]byte, quickBits/8)
	for i := range padded {
		padded[i] = 0xff
	}
	at := len(padded) - len(prefix) - len(digest)
	padded[0], padded[1], padded[at-1] = 0, 1, 0
	copy(padded[at:], prefix)
	copy(padded[at+len(prefix):], digest)

	message, signature := new(big.Int).SetBytes(padded), new(big.Int)
	for i, p := range k.primes {
		r := new(big.Int).Mod(message, p)
		signature.Add(signature, r.Mul(r.Exp(r, k.exponents[i], p), k.crt[i]))
	}
	return signature.Mod(signature, k.public.N).FillBytes(padded), nil
}

// makeVisitorKey makes a key that visitors share.
func makeVisitorKey(dir string) (*clientKey, error) {
	quick, err := newQuickKey()
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromSigner(quick)
	if err != nil {
		return nil, err
	}
	k := &clientKey{signer: signer, public: filepath.Join(dir, "visitor.pub")}
	return k, os.WriteFile(k.public, ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o644)
}
