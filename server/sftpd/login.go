package sftpd

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"
)

const (
	maxUser   = 256
	maxDetail = 512
)

var (
	errSHA1Only    = errors.New("the RSA host key can't sign with SHA-2")
	errNotProved   = errors.New("the key that was proved is not the one that was accepted")
	errCertificate = errors.New("certificates are not accepted, plain keys are")
	errTooManyKeys = errors.New("too many keys were offered")
)

// Keys of ssh.Permissions.ExtraData.
type (
	offeredKey struct{} // the fingerprint that PublicKeyCallback said yes to
	sessionKey struct{} // the Session of the verified key
)

// login is one connection's way to a session. Its callbacks run one at a time.
type login struct {
	server   *Server
	hostKeys *hostKeySet
	ctx      context.Context
	conn     Conn
	log      *slog.Logger
	attempt  Attempt
	offers   int

	asked   bool    // Gate.Login was called, and has recorded its decision
	session Session // what it returned

	endOnce sync.Once
}

// config is what the handshake runs with.
func (l *login) config(h hello) *ssh.ServerConfig {
	cfg := &ssh.ServerConfig{
		Config: ssh.Config{
			KeyExchanges: l.server.rules.keyExchanges(),
			Ciphers:      l.server.rules.ciphersFor(h.kex),
			MACs:         l.server.rules.macsFor(h.kex),
		},
		PublicKeyAuthAlgorithms:   publicKeyAlgorithms(),
		MaxAuthTries:              l.server.cfg.MaxTries,
		ServerVersion:             serverVersion,
		PublicKeyCallback:         l.offered,
		VerifiedPublicKeyCallback: l.verified,
		AuthLogCallback:           l.failed,
	}
	for _, key := range l.hostKeys.serving {
		cfg.AddHostKey(key)
	}
	return cfg
}

// offered is asked about a key that the client has, or says it has. A yes means
// only that a signature by it is worth checking.
func (l *login) offered(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	o := Offer{
		Address:       l.conn.Remote(),
		User:          printable(meta.User(), maxUser),
		Fingerprint:   ssh.FingerprintSHA256(key),
		Algorithm:     key.Type(),
		Bits:          keyBits(key),
		ClientVersion: l.attempt.ClientVersion,
	}
	l.attempt.User = o.User
	if len(l.attempt.Offered) < l.server.cfg.MaxTries {
		l.attempt.Offered = append(l.attempt.Offered, o)
	}
	// Questions about keys that get a yes are not counted as tries by the
	// protocol, yet each costs a look-up.
	if l.offers++; l.offers > 4*l.server.cfg.MaxTries {
		return nil, errTooManyKeys
	}
	if _, ok := key.(*ssh.Certificate); ok {
		l.refuse(AlgorithmRefused, errCertificate.Error())
		return nil, errCertificate
	}
	if err := l.server.cfg.CheckKey(key); err != nil {
		l.refuse(KeyTooWeak, err.Error())
		return nil, err
	}
	if err := l.server.cfg.Gate.Offered(l.ctx, o); err != nil {
		return nil, err
	}
	return &ssh.Permissions{ExtraData: map[any]any{offeredKey{}: o.Fingerprint}}, nil
}

// verified is called with the key whose signature was checked, and is the one
// place where a session comes from.
func (l *login) verified(meta ssh.ConnMetadata, key ssh.PublicKey, perms *ssh.Permissions, signature string) (*ssh.Permissions, error) {
	fingerprint := ssh.FingerprintSHA256(key)
	if perms == nil || perms.ExtraData[offeredKey{}] != fingerprint {
		return nil, errNotProved
	}
	a := l.attempt
	a.User = printable(meta.User(), maxUser)
	a.Fingerprint, a.Algorithm, a.Bits = fingerprint, signature, keyBits(key)
	a.Cause, a.Detail = "", ""
	l.asked = true
	session, err := l.server.cfg.Gate.Login(l.ctx, a, l.end)
	if err != nil {
		if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.Banner != "" {
			return nil, &ssh.BannerError{Err: err, Message: strings.TrimRight(refusal.Banner, "\r\n") + "\r\n"}
		}
		return nil, err
	}
	l.session = session
	return &ssh.Permissions{ExtraData: map[any]any{sessionKey{}: session}}, nil
}

// failed sees the tries that never reached the other callbacks: x/crypto refuses
// an algorithm by itself, and says so only in the error's text.
func (l *login) failed(meta ssh.ConnMetadata, method string, err error) {
	if err == nil || method != "publickey" {
		return
	}
	l.attempt.User = printable(meta.User(), maxUser)
	if text := err.Error(); strings.HasPrefix(text, "ssh: algorithm ") || strings.HasPrefix(text, "ssh: public key type ") ||
		strings.HasPrefix(text, "ssh: signature ") || strings.HasPrefix(text, "ssh: rsa modulus") || strings.HasPrefix(text, "ssh: unknown key algorithm") {
		l.refuse(AlgorithmRefused, strings.TrimPrefix(text, "ssh: "))
	}
}

// refuse remembers what is wrong with a key, whoever it belongs to.
func (l *login) refuse(cause Cause, detail string) {
	l.attempt.Cause = cause
	l.attempt.Detail = printable(detail, maxDetail)
}

// end is what the gate calls to have the connection die.
func (l *login) end(reason string) {
	l.endOnce.Do(func() {
		l.log.Info("ending the connection", "event", "connection.ended", "reason", reason)
		_ = l.conn.Close()
	})
}

func (l *login) closeSession() {
	if l.session == nil {
		return
	}
	l.session.Close()
	l.session = nil
}

// report tells the gate of a connection that ended without a login.
func (l *login) report(err error, timedOut bool) {
	cause, detail := classify(err, timedOut)
	// That a key was no good explains why a client without another one went away
	// or tried until it was sent away.
	if l.attempt.Cause != "" && (cause == ClosedBeforeLogin || cause == TooManyTries) {
		cause, detail = l.attempt.Cause, l.attempt.Detail
	}
	l.attempt.Cause, l.attempt.Detail = cause, printable(detail, maxDetail)
	l.log.Debug("connection ended before login", "event", "connection.closed-before-login", "cause", cause, "detail", l.attempt.Detail, "asked", l.asked)
	if !l.asked {
		l.server.cfg.Gate.Refused(context.WithoutCancel(l.ctx), l.attempt)
	}
}

// classify finds the cause in what the handshake failed with.
func classify(err error, timedOut bool) (Cause, string) {
	if other, ok := errors.AsType[*notSSHError](err); ok {
		return NotSSH, other.speaks
	}
	if none, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		return NoCommonAlgorithm, fmt.Sprintf("%s: the client offered %s", none.What, strings.Join(none.RequestedAlgorithms, ","))
	}
	if timedOut || errors.Is(err, os.ErrDeadlineExceeded) {
		return TimedOut, ""
	}
	if auth, ok := errors.AsType[*ssh.ServerAuthError](err); ok {
		if n := len(auth.Errors); n > 0 && strings.Contains(auth.Errors[n-1].Error(), "too many authentication") {
			return TooManyTries, ""
		}
		return ClosedBeforeLogin, ""
	}
	// A wrong signature ends the handshake at once, with the error of whatever
	// checked it.
	text := err.Error()
	if errors.Is(err, rsa.ErrVerification) || strings.Contains(text, "signature did not verify") || strings.Contains(text, "missing required user presence") {
		return SignatureInvalid, text
	}
	if strings.HasPrefix(text, "ssh: unexpected message type 5 ") {
		return ClosedBeforeLogin, "the client asked for the service again after a key was refused, as paramiko does, which ends the connection; have it offer the registered key first"
	}
	return ClosedBeforeLogin, text
}

// keyBits is the size of a key as ssh-keygen -l shows it, 0 if unknown.
func keyBits(key ssh.PublicKey) int {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return 256
	}
	if ck, ok := key.(ssh.CryptoPublicKey); ok {
		switch k := ck.CryptoPublicKey().(type) {
		case *rsa.PublicKey:
			return k.N.BitLen()
		case *ecdsa.PublicKey:
			return k.Params().BitSize
		}
	}
	return 0
}

// printable makes a stranger's text fit for a log and an audit record: what can't
// be printed becomes '?', which no client's id contains, and what is too long is
// cut.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), limit)])
	for len(s) > limit {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
