package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/reports/intake/producer"
)

// connKey is where a request's context has its connection.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// identify says who makes a request. The error is [producer.ErrUnknown] if nobody
// was proved to.
func (s *Server) identify(r *http.Request) (producer.Producer, error) {
	p, err := s.proved(r)
	if errors.Is(err, producer.ErrUnknown) {
		s.refused.tell(s, r)
	}
	if err != nil {
		return p, err
	}
	if secure, ok := r.Context().Value(connKey{}).(*tls.Conn); ok {
		if c, ok := secure.NetConn().(Conn); ok {
			c.Authenticated()
		}
	}
	return p, nil
}

// proved looks at what the producer shows, a token before anything else: a wrong
// one is not made good by where it comes from.
func (s *Server) proved(r *http.Request) (producer.Producer, error) {
	if lines := r.Header.Values("Authorization"); len(lines) > 0 {
		scheme, token, _ := strings.Cut(lines[0], " ")
		if len(lines) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return producer.Producer{}, producer.ErrUnknown
		}
		return s.Producers.ByToken(r.Context(), strings.TrimSpace(token))
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		leaf := r.TLS.VerifiedChains[0][0]
		names := []string{leaf.Subject.CommonName}
		for _, uri := range leaf.URIs {
			names = append(names, uri.String())
		}
		for _, name := range names {
			p, err := s.Producers.ByCertificate(r.Context(), name)
			if !errors.Is(err, producer.ErrUnknown) {
				return p, err
			}
		}
	}
	if local, ok := r.Context().Value(connKey{}).(*net.UnixConn); ok {
		return localProducer(local)
	}
	return producer.Producer{}, producer.ErrUnknown
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

// tellEvery is how often, at most, the log tells of refusals.
const tellEvery = time.Minute

// refusals keeps those who can't prove who they are from filling the log.
type refusals struct {
	mu     sync.Mutex
	told   time.Time
	untold int
}

func (f *refusals) tell(s *Server, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Sub(f.told) < tellEvery {
		f.untold++
		return
	}
	s.Log.Warn("a producer could not prove who it is", "address", r.RemoteAddr, "path", r.URL.Path, "untold_before", f.untold)
	f.told, f.untold = now, 0
}
