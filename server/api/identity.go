package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/reports/intake/producer"
)

// Guard keeps those away who try proofs out, and records them.
type Guard interface {
	// LockedOut returns until when an address is locked out, the zero time if it is
	// not.
	LockedOut(ctx context.Context, addr netip.Addr) (time.Time, error)
	// Refused records that somebody was not taken for a producer. The address is the
	// zero value for who came through a unix socket.
	Refused(ctx context.Context, addr netip.Addr, r *producer.Refusal) error
	// Allowed tells that a producer proved itself.
	Allowed(addr netip.Addr)
}

// connKey is where a request's context has its connection.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// identify says who makes a request. The error is a *[producer.Refusal] if nobody
// was proved to, and a *[Problem] for an address that is locked out: what it would
// show is not looked at.
func (s *Server) identify(r *http.Request) (producer.Producer, error) {
	from := address(r)
	if from.IsValid() {
		until, err := s.Guard.LockedOut(r.Context(), from)
		if err != nil {
			return producer.Producer{}, err
		}
		if !until.IsZero() {
			p := problem(lockedOut, "until "+until.UTC().Format(time.RFC3339))
			p.wait = until.Sub(s.Now())
			return producer.Producer{}, p
		}
	}
	p, err := s.proved(r)
	var refusal *producer.Refusal
	if errors.As(err, &refusal) {
		return p, errors.Join(err, s.Guard.Refused(r.Context(), from, refusal))
	}
	if err != nil {
		return p, err
	}
	if from.IsValid() {
		s.Guard.Allowed(from)
	}
	if secure, ok := r.Context().Value(connKey{}).(*tls.Conn); ok {
		if c, ok := secure.NetConn().(Conn); ok {
			c.Authenticated()
		}
	}
	return p, nil
}

// address returns where a request comes from, the zero value for a unix socket.
func address(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

// proved looks at what the producer shows, a token before anything else: a wrong
// one is not made good by where it comes from.
func (s *Server) proved(r *http.Request) (producer.Producer, error) {
	if lines := r.Header.Values("Authorization"); len(lines) > 0 {
		scheme, token, _ := strings.Cut(lines[0], " ")
		if len(lines) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return producer.Producer{}, &producer.Refusal{Reason: producer.ProofMalformed}
		}
		return s.Producers.ByToken(r.Context(), strings.TrimSpace(token))
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return s.certified(r)
	}
	if local, ok := r.Context().Value(connKey{}).(*net.UnixConn); ok {
		return localProducer(local)
	}
	return producer.Producer{}, &producer.Refusal{Reason: producer.ProofMissing}
}

// certified looks at the certificate whose key the handshake has proved. It is
// verified at each request: neither an authority that was taken away nor a
// certificate that has run out lives on in a connection, or in a session that is
// resumed.
func (s *Server) certified(r *http.Request) (p producer.Producer, err error) {
	leaf, others := r.TLS.PeerCertificates[0], x509.NewCertPool()
	for _, c := range r.TLS.PeerCertificates[1:] {
		others.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: s.ClientCAs(), Intermediates: others, CurrentTime: s.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		s.Log.Debug("a producer's certificate was refused", "event", "producer.certificate-refused", "error", err)
		return p, &producer.Refusal{Reason: producer.CertificateRefused, Name: leaf.Subject.CommonName}
	}
	names := []string{leaf.Subject.CommonName}
	for _, uri := range leaf.URIs {
		names = append(names, uri.String())
	}
	for _, name := range names {
		var refusal *producer.Refusal
		p, err = s.Producers.ByCertificate(r.Context(), name)
		if !errors.As(err, &refusal) || refusal.Reason != producer.CertificateUnknown {
			return p, err
		}
	}
	return p, &producer.Refusal{Reason: producer.CertificateUnknown, Name: leaf.Subject.CommonName}
}

// localProducer is who has connected to the unix socket, which only those can that
// its mode and group let. The kernel says who that is.
func localProducer(c *net.UnixConn) (p producer.Producer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return p, fmt.Errorf("asking who has connected: %w", err)
	}
	var peer *unix.Ucred
	var failure error
	err = raw.Control(func(fd uintptr) { peer, failure = unix.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, failure); err != nil {
		return p, fmt.Errorf("asking who has connected: %w", err)
	}
	return producer.Producer{Name: fmt.Sprintf("uid-%d", peer.Uid), All: true}, nil
}
