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
	"github.com/sealdrop/sealdrop/reports/intake/producer"
)

// body is a report on its way in. It ends with [io.EOF] only if it is what the
// producer has announced and approve says so: what seals it publishes nothing
// after another error.
type body struct {
	r       io.Reader
	size    int64 // -1 if it was not announced
	checks  []check
	trailer trailer
	pace    pace
	content hash.Hash // for the idempotency key
	// extend gives the peer time for the next bytes; done, for as long as sealing
	// them takes.
	extend, done func() error
	approve      func(content []byte) error

	// use and answer are those of the idempotency key, once the body has ended.
	use    producer.Use
	answer producer.Answer
}

// errBroken says that the fault is the body's, or its connection's, and not the
// gateway's.
var errBroken = errors.New("the body can't be read")

func (b *body) Read(p []byte) (int, error) {
	if err := b.extend(); err != nil {
		return 0, err
	}
	began := b.pace.now()
	n, err := b.r.Read(p)
	for _, c := range b.checks {
		c.Write(p[:n])
	}
	b.trailer.Write(p[:n])
	b.content.Write(p[:n])
	if err == nil {
		return n, b.pace.add(n, b.pace.now().Sub(began))
	}
	if !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("%w: %w", errBroken, err)
	}
	for _, c := range b.checks {
		if !c.good() {
			return n, problem(otherDigest, "")
		}
	}
	if p := b.trailer.check(); p != nil {
		return n, p
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
		r: http.MaxBytesReader(w, r.Body, s.MaxReport), size: r.ContentLength,
		checks: d.digests.checks(), trailer: newTrailer(r), content: s.contentHash(d.client, d.name),
		pace: pace{now: time.Now, least: s.MinRate, window: s.RateWindow},
		// A body may take its time, but not pause.
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
		b.use = producer.Use{Producer: d.producer, Key: d.key, Content: fmt.Sprintf("%x", content)}
		b.answer, err = s.Producers.Claim(ctx, b.use)
		return err
	}
	return b
}

// pace holds a peer to a speed. Only the time counts that was spent waiting for it,
// not what sealing took in between.
type pace struct {
	now    func() time.Time
	least  int64 // bytes a second; 0: any
	window time.Duration

	waited time.Duration
	came   int64
}

func (p *pace) add(n int, waited time.Duration) error {
	p.came, p.waited = p.came+int64(n), p.waited+waited
	if p.waited < p.window {
		return nil
	}
	if float64(p.came) < float64(p.least)*p.waited.Seconds() {
		return problem(tooSlow, fmt.Sprintf("%d bytes came in %s", p.came, p.waited.Round(time.Second)))
	}
	p.came, p.waited = 0, 0
	return nil
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
