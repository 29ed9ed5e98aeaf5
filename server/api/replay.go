package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/producer"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// replayed is a header of answers that were given before.
const replayed = "Idempotency-Replayed"

// flights are what is under way: deliveries by producer, and idempotency keys.
type flights struct {
	mu   sync.Mutex
	keys map[[2]string]struct{}
	of   map[string]int
	most int // of one producer
}

// begin lets a delivery take off, unless its producer has too many in the air or one
// with the same key. end must be called.
func (f *flights) begin(d delivery) (end func(), p *Problem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := [2]string{d.producer, d.key}
	if _, used := f.keys[key]; used && d.key != "" {
		return nil, problem(keyInUse, "")
	}
	if f.of[d.producer] >= f.most {
		return nil, problem(busy, fmt.Sprintf("this producer may have %d at a time", f.most))
	}
	f.of[d.producer]++
	if d.key != "" {
		f.keys[key] = struct{}{}
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.of[d.producer]--; f.of[d.producer] == 0 {
			delete(f.of, d.producer)
		}
		delete(f.keys, key)
	}, nil
}

// outcome is a delivery's end: the answer, and whether it was given before.
type outcome struct {
	producer.Answer
	again bool
}

// take publishes what a request brings, or finds the answer that its key has.
func (s *Server) take(ctx context.Context, d delivery, b *body) (o outcome, err error) {
	if d.key != "" {
		known, err := s.Producers.Answered(ctx, d.producer, d.key)
		if err != nil {
			return o, err
		}
		if known {
			// Read, to see that it is the same, but not sealed: there may be no room any
			// more.
			if _, err := io.Copy(io.Discard, b); err != nil {
				return o, err
			}
		}
		if b.answer.Given() {
			return outcome{b.answer, true}, nil
		}
		if known { // forgotten since, at the end of its time
			return o, problem(keyInUse, "")
		}
	}
	p := publish.Delivery{
		Client: d.client, Name: d.name, Modified: d.modified, Size: b.size, Replace: d.replace, Actor: "api:" + d.producer,
	}
	if d.key != "" {
		p.Record = func(tx *database.Tx, done publish.Outcome) error {
			fresh, err := answerTo(done)
			if err != nil {
				return err
			}
			o.Answer, err = s.Producers.Record(tx, b.use, fresh)
			o.again = o.Answer != fresh // another gateway was faster
			return err
		}
	}
	done, err := s.Publisher.Publish(ctx, p, b)
	if err != nil || o.Given() {
		return o, err
	}
	if o.Answer, err = answerTo(done); err == nil && d.key != "" {
		o.Answer, err = s.Producers.Answer(ctx, b.use, o.Answer)
	}
	return o, err
}

// answerTo is what a producer is told of a report.
func answerTo(o publish.Outcome) (a producer.Answer, err error) {
	v := view(o.Report)
	v.Known, a.Status = o.Known, http.StatusCreated
	switch {
	case o.Known:
		a.Status = http.StatusOK
	case o.Report.State == reports.Held:
		a.Status = http.StatusAccepted
	}
	if o.HeldBecause != nil {
		v.HeldBecause = o.HeldBecause.Error()
	}
	var text bytes.Buffer
	err = writeJSON(&text, v)
	a.Body = text.String()
	return a, err
}

// send answers a delivery.
func (o outcome) send(w http.ResponseWriter, client reports.ClientID) error {
	var v struct{ ID string }
	if err := json.Unmarshal([]byte(o.Body), &v); err != nil || v.ID == "" {
		return errors.Join(errors.New("the recorded answer names no report"), err)
	}
	h := w.Header()
	h.Set("Location", "/v1/clients/"+url.PathEscape(client.String())+"/reports/"+url.PathEscape(v.ID))
	h.Set("Content-Type", "application/json")
	if o.again {
		h.Set(replayed, "true")
	}
	w.WriteHeader(o.Status)
	_, _ = io.WriteString(w, o.Body) // the peer may have gone away
	return nil
}
