package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"

	"github.com/sealdrop/sealdrop/reports"
)

// body is a report on its way in. It ends with [io.EOF] only if it is what the
// producer has announced and approve says so: what seals it publishes nothing
// after another error.
type body struct {
	r       io.Reader
	checks  []check
	content hash.Hash // for the idempotency key
	// extend gives the peer time for the next bytes; done, for as long as sealing
	// them takes.
	extend, done func() error
	approve      func(content []byte) error
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.extend(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	for _, c := range b.checks {
		c.Write(p[:n])
	}
	b.content.Write(p[:n])
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	for _, c := range b.checks {
		if !c.good() {
			return n, problem(otherDigest, "")
		}
	}
	if err := errors.Join(b.done(), b.approve(b.content.Sum(nil))); err != nil {
		return n, err
	}
	return n, io.EOF
}

// newBody prepares the body of a request for being read.
func (s *Server) newBody(ctx context.Context, w http.ResponseWriter, r *http.Request, d delivery) *body {
	control := http.NewResponseController(w)
	b := &body{
		r: http.MaxBytesReader(w, r.Body, s.MaxReport), checks: d.digests.checks(), content: s.contentHash(d.client, d.name),
		// A body may take as long as it likes, but not pause.
		extend: func() error { return control.SetReadDeadline(time.Now().Add(s.StallTimeout)) },
		done:   func() error { return control.SetReadDeadline(time.Time{}) },
	}
	b.approve = func(content []byte) error {
		now, err := s.identify(r) // it may have been revoked
		if err != nil {
			return err
		}
		if now.Name != d.producer || !now.May(d.client) {
			return problem(unauthorized, "")
		}
		if d.key == "" {
			return nil
		}
		return s.Producers.Claim(ctx, d.producer, d.key, fmt.Sprintf("%x", content))
	}
	return b
}

// contentHash begins the keyed hash that an idempotency key is held to: of what is
// delivered, to whom, and under which name.
func (s *Server) contentHash(client reports.ClientID, name reports.Name) hash.Hash {
	h := hmac.New(sha256.New, s.Secret)
	for _, text := range []string{"idempotency", client.String(), name.String()} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		io.WriteString(h, text)
	}
	return h
}
