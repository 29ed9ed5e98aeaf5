package sftpd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// The global requests by which a server tells a client which host keys it has, so
// that a change of keys needs nobody at the client's side, and proves that it has
// them (OpenSSH's PROTOCOL file, section 2.5).
const (
	hostKeysRequest = "hostkeys-00@openssh.com"
	proveRequest    = "hostkeys-prove-00@openssh.com"
)

// maxProofs is how many proofs one connection gets: a signature costs more than
// asking for it. A client asks once.
const maxProofs = 16

// hostKeySet is what the gateway proves itself with: now, and one day.
type hostKeySet struct{ serving, next []ssh.Signer }

// SetHostKeys replaces the host keys for the connections that come. next are
// announced only: clients that take notice know them when their time comes. Nothing
// changes if there is an error.
func (s *Server) SetHostKeys(serving, next []ssh.Signer) error {
	if len(serving) == 0 {
		return errors.New("sftp server: there is no host key")
	}
	var set hostKeySet
	var err error
	if set.serving, err = hostKeys(serving); err == nil {
		set.next, err = hostKeys(next)
	}
	if err != nil {
		return fmt.Errorf("sftp server: %w", err)
	}
	s.hostKeys.Store(&set)
	return nil
}

func (k *hostKeySet) all() []ssh.Signer { return slices.Concat(k.serving, k.next) }

// announceHostKeys tells a client of all host keys. Only OpenSSH is told: others
// have no use for it, and some old ones take offence at what they don't know.
func (c *connection) announceHostKeys() {
	if !strings.HasPrefix(string(c.ssh.ClientVersion()), "SSH-2.0-OpenSSH") {
		return
	}
	var payload []byte
	for _, k := range c.hostKeys.all() {
		payload = append(payload, ssh.Marshal(struct{ Key []byte }{k.PublicKey().Marshal()})...)
	}
	// A failure means that the connection is closed, which others notice.
	_, _, _ = c.ssh.SendRequest(hostKeysRequest, false, payload)
}

// answer answers a global request, and returns how many proofs are left then. Most ask
// for forwarding or are keepalives; a refusal is what both want to hear.
func (c *connection) answer(r *ssh.Request, left int) int {
	if !r.WantReply {
		return left
	}
	var proof []byte
	if r.Type == proveRequest {
		proof, left = c.prove(r.Payload, left)
	}
	_ = r.Reply(proof != nil, proof) // it fails if the connection is closed
	return left
}

// prove signs for each of the keys that a client asks for, left at most, and returns
// how many signatures are left then. It returns no proof if one of the keys is not ours.
func (c *connection) prove(payload []byte, left int) ([]byte, int) {
	var proof []byte
	for ; len(payload) > 0; left-- {
		var asked struct {
			Key  []byte
			Rest []byte `ssh:"rest"`
		}
		if left <= 0 || ssh.Unmarshal(payload, &asked) != nil {
			return nil, left
		}
		payload = asked.Rest
		all := c.hostKeys.all()
		i := slices.IndexFunc(all, func(k ssh.Signer) bool { return string(k.PublicKey().Marshal()) == string(asked.Key) })
		if i < 0 {
			return nil, left
		}
		signature, err := c.signProof(all[i])
		if err != nil {
			c.log.Error("a host key can't be proved", "event", "sftp.host-key-unproved", "fingerprint", ssh.FingerprintSHA256(all[i].PublicKey()), "error", err)
			return nil, left
		}
		proof = append(proof, ssh.Marshal(struct{ Signature []byte }{ssh.Marshal(signature)})...)
	}
	return proof, left
}

// signProof signs what ties a host key to this connection. What is signed begins
// with the length of the request's name, so that it can't be taken for anything else
// that a host key signs.
func (c *connection) signProof(key ssh.Signer) (*ssh.Signature, error) {
	statement := ssh.Marshal(struct {
		Request         string
		Session, PubKey []byte
	}{proveRequest, c.ssh.SessionID(), key.PublicKey().Marshal()})
	rsa, ok := key.(ssh.AlgorithmSigner)
	if !ok || key.PublicKey().Type() != ssh.KeyAlgoRSA {
		return key.Sign(rand.Reader, statement)
	}
	// If the connection's own host key is RSA, the client wants its hash again.
	algorithm := ssh.KeyAlgoRSASHA512
	if n, ok := c.ssh.Conn.(ssh.AlgorithmsConnMetadata); ok && n.Algorithms().HostKey == ssh.KeyAlgoRSASHA256 {
		algorithm = ssh.KeyAlgoRSASHA256
	}
	return rsa.SignWithAlgorithm(rand.Reader, statement, algorithm)
}
