package api_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/api"
)

const once = "Idempotency-Key: once"

// same holds a repeated answer to the first one.
func (h *harness) same(first, again answer) {
	h.t.Helper()
	if again.status != first.status || again.ID != first.ID || again.State != first.State || again.Known != first.Known ||
		again.header.Get("Location") != first.header.Get("Location") || again.header.Get("Idempotency-Replayed") != "true" {
		h.t.Errorf("%d %s %+v, at first %d %s %+v", again.status, again.kind(), again.Report, first.status, first.kind(), first.Report)
	}
}

func TestRepeatHasTheSameAnswer(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.held = true
	first := h.put(here+"a", "x", once)
	if first.status != 202 || first.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%+v", first)
	}
	h.held, h.fail = false, reports.ErrNoSpace // released since, and the disk has filled up
	h.same(first, h.put(here+"a", "x", once))
	if a := h.put(here+"a", "y", once); a.status != 422 {
		t.Errorf("%d %s", a.status, a.kind())
	}
}

// What a crash between publication and answer leaves is a report and a producer that
// tries again.
func TestRepeatAfterALostAnswer(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.lost = database.ErrUnknownOutcome
	if a := h.put(here+"a", "x", once); a.status != 500 {
		t.Errorf("%d %s", a.status, a.kind())
	}
	h.lost = nil
	a := h.put(here+"a", "x", once)
	if a.status != 201 || a.Known || a.ID != "id-a" || a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%+v", a)
	}
}

// A failure is no answer: the same may be tried again.
func TestRefusalIsNotRepeated(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.fail = errors.New("failed")
	h.put(here+"a", "x", once)
	h.fail = nil
	if a := h.put(here+"a", "x", once); a.status != 201 {
		t.Errorf("%d %s", a.status, a.kind())
	}
}

func TestSameKeyAtOneTime(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.begun = make(chan struct{}, 8)
	c := h.dial()
	_, err := io.WriteString(c, h.head("a", once, "Content-Length: 2")+"x")
	must(t, err)
	<-h.begun
	if a := h.put(here+"a", "xy", once); a.status != 409 || a.kind() != "idempotency-key-in-use" || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.kind())
	}
	// Another producer's key is its own.
	if a := h.put(here+"b", "z", once, "Authorization: Bearer "+h.all); a.status != 201 {
		t.Errorf("%d %s", a.status, a.kind())
	}
	if status := h.raw(c, "y"); status != 201 {
		t.Errorf("status %d", status)
	}
	if a := h.put(here+"a", "xy", once); a.status != 201 {
		t.Errorf("%d %s", a.status, a.kind())
	}
}

func TestOneProducerLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *api.Config) { c.UploadsPerProducer = 2 })
	h.begun = make(chan struct{}, 8)
	for _, name := range []string{"a", "b"} {
		_, err := io.WriteString(h.dial(), h.head(name, "Content-Length: 2")+"x")
		must(t, err)
		<-h.begun
	}
	if a := h.put(here+"c", "x"); a.status != 503 || a.kind() != "too-many-uploads" {
		t.Errorf("%d %s", a.status, a.kind())
	}
	if a := h.put(here+"c", "x", "Authorization: Bearer "+h.all); a.status != 201 {
		t.Errorf("another producer: %d %s", a.status, a.kind())
	}
}

// trail sends a body in chunks with a trailer.
func (h *harness) trail(name, content, digest string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), "PUT", "https://"+h.address+here+name, io.NopCloser(strings.NewReader(content)))
	must(h.t, err)
	r.ContentLength = -1
	r.Header.Set("Authorization", "Bearer "+h.acme)
	r.Trailer = http.Header{"Content-Digest": nil}
	if digest != "" {
		r.Trailer.Set("Content-Digest", strings.TrimPrefix(digest, "Content-Digest: "))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.roots}, DisableKeepAlives: true}
	got, err := transport.RoundTrip(r)
	must(h.t, err)
	return h.read(got)
}

func TestDigestBehindTheBody(t *testing.T) {
	t.Parallel()
	h := start(t)
	for name, test := range map[string]struct {
		digest string
		status int
		kind   string
	}{
		"good":          {sum256("x"), 201, ""},
		"of-another":    {sum256("y"), 400, "digest-mismatch"},
		"not-there":     {"", 400, "invalid-digest"},
		"other-than-we": {sum512("x"), 400, "invalid-digest"},
		"nonsense":      {"sha-256=x", 400, "invalid-digest"},
	} {
		if a := h.trail(name, "x", test.digest); a.status != test.status || a.kind() != test.kind {
			t.Errorf("%s: %d %s", name, a.status, a.kind())
		}
	}
	// What was not announced can't be compared, and is not passed over.
	text := h.head("unannounced", "Transfer-Encoding: chunked") + "1\r\nx\r\n0\r\n" + sum256("y") + "\r\n\r\n"
	if status := h.raw(h.dial(), text); status != 400 {
		t.Errorf("unannounced: %d", status)
	}
	if h.count() != 1 {
		t.Errorf("published: %v", h.reports)
	}
}

func FuzzTrailer(f *testing.F) {
	want := strings.TrimPrefix(sum256("x"), "Content-Digest: ")
	for _, seed := range []string{want, "", "sha-256=:AAAA:", sum512("x"), "x\r\nAuthorization: Bearer y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if api.CheckTrailer(value, "x") && !strings.Contains(value, want) {
			t.Errorf("%q is taken for the digest of x", value)
		}
	})
}
