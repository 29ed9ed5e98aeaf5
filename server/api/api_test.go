package api_test

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/api"
)

const here = "/v1/clients/acme/reports/"

func sum256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "Content-Digest: sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func sum512(s string) string {
	sum := sha512.Sum512([]byte(s))
	return "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func TestPut(t *testing.T) {
	t.Parallel()
	h := start(t)
	a := h.put(here+"a.csv", "content", sum256("content"))
	if a.status != 201 || a.ID != "id-a.csv" || a.header.Get("Location") != here+"id-a.csv" {
		t.Errorf("%+v", a)
	}
	if got, _ := h.get("acme/a.csv"); got != "content" || h.actors["acme/a.csv"] != "api:nightly" {
		t.Errorf("%q by %s is published", got, h.actors["acme/a.csv"])
	}
	if a := h.put(here+"a.csv", "content"); a.status != 200 || !a.Known {
		t.Errorf("again: %+v", a)
	}
	if a := h.put(here+"empty.csv", ""); a.status != 201 {
		t.Errorf("an empty one: %+v", a)
	}
	if a := h.put(here+"%C3%A9%20x.csv", "in UTF-8"); a.status != 201 {
		t.Errorf("a name in UTF-8: %+v", a)
	}
	if _, found := h.get("acme/é x.csv"); !found {
		t.Error("the name is another")
	}
	// In chunks, of a length that is not known before.
	if a := h.ask("PUT", here+"chunks.csv", io.MultiReader(strings.NewReader("in "), strings.NewReader("chunks"))); a.status != 201 {
		t.Errorf("in chunks: %+v", a)
	}
}

func TestHeldIsAccepted(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.held = true
	if a := h.put(here+"a.csv", "content"); a.status != 202 || a.State != reports.Held {
		t.Errorf("%+v", a)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := start(t)
	for name, test := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		kind               string
	}{
		"no proof":                      {"PUT", here + "a", "x", []string{"Authorization: "}, 401, "unauthenticated"},
		"wrong token":                   {"PUT", here + "a", "x", []string{"Authorization: Bearer sealdrop_x"}, 401, "unauthenticated"},
		"another scheme":                {"PUT", here + "a", "x", []string{"Authorization: Basic " + h.acme}, 401, "unauthenticated"},
		"hash-of-the-token-is-no-token": {"PUT", here + "a", "x", []string{fmt.Sprintf("Authorization: Bearer %x", sha256.Sum256([]byte(h.acme)))}, 401, "unauthenticated"},
		"two proofs":                    {"PUT", here + "a", "x", []string{"Authorization: Bearer " + h.acme, "authorization: Bearer " + h.all}, 401, "unauthenticated"},
		"client of others":              {"PUT", "/v1/clients/globex/reports/a", "x", nil, 404, "unknown-client"},
		"no client":                     {"PUT", "/v1/clients/nobody/reports/a", "x", nil, 404, "unknown-client"},
		"no client for anybody":         {"PUT", "/v1/clients/nobody/reports/a", "x", []string{"Authorization: Bearer " + h.all}, 404, "unknown-client"},
		"bad client":                    {"PUT", "/v1/clients/ACME/reports/a", "x", nil, 404, "unknown-client"},
		"name-with-an-encoded-slash":    {"PUT", here + "..%2Fglobex%2Fa", "x", nil, 400, "invalid-name"},
		"name-of-dots":                  {"PUT", here + "%2e%2e", "x", nil, 400, "invalid-name"},
		"name with a line break":        {"PUT", here + "a%0Ab", "x", nil, 400, "invalid-name"},
		"wrong digest":                  {"PUT", here + "a", "x", []string{sum256("y")}, 400, "digest-mismatch"},
		"one of two digests wrong":      {"PUT", here + "a", "x", []string{sum256("x") + ", " + sum512("y")}, 400, "digest-mismatch"},
		"no digest in the field":        {"PUT", here + "a", "x", []string{"Content-Digest: sha-256"}, 400, "invalid-digest"},
		"digest of another kind":        {"PUT", here + "a", "x", []string{"Content-Digest: md5=:AAAA:"}, 400, "invalid-digest"},
		"bad key":                       {"PUT", here + "a", "x", []string{"Idempotency-Key: a b"}, 400, "invalid-idempotency-key"},
		"two keys":                      {"PUT", here + "a", "x", []string{"Idempotency-Key: a", "Idempotency-Key: b"}, 400, "invalid-idempotency-key"},
		"encoded":                       {"PUT", here + "a", "x", []string{"Content-Encoding: gzip"}, 415, "encoded-body"},
		"a part":                        {"PUT", here + "a", "x", []string{"Content-Range: bytes 0-0/2"}, 400, "invalid-parameter"},
		"unknown parameter":             {"PUT", here + "a?overwrite=true", "x", nil, 400, "invalid-parameter"},
		"bad time":                      {"PUT", here + "a?modified=yesterday", "x", nil, 400, "invalid-parameter"},
		"parameter twice":               {"PUT", here + "a?replace=true&replace=false", "x", nil, 400, "invalid-parameter"},
		"too large":                     {"PUT", here + "a", strings.Repeat("x", 1<<20+1), []string{"Expect: 100-continue"}, 413, "too-large"},
		"another method":                {"DELETE", here + "a", "", nil, 405, "method-not-allowed"},
		"another path":                  {"GET", "/v2", "", nil, 404, "not-found"},
		"unknown report":                {"GET", here + "id-of-nobody", "", nil, 404, "unknown-report"},
		"report-of-another-client":      {"GET", "/v1/clients/globex/reports/id-of-acme", "", []string{"Authorization: Bearer " + h.all}, 404, "unknown-report"},
		"report without proof":          {"GET", here + "id-of-acme", "", []string{"Authorization: "}, 401, "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := h.ask(test.method, test.path, strings.NewReader(test.body), test.headers...)
			if a.status != test.status || a.kind() != test.kind {
				t.Errorf("%d %s %q", a.status, a.kind(), a.problem.Detail)
			}
		})
	}
	t.Cleanup(func() {
		if h.count() > 0 {
			t.Errorf("published: %v", h.reports)
		}
	})
}

func TestReportWithoutALengthIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	h := start(t)
	for _, head := range []string{h.head("a"), h.head("a", "X: y", " Content-Length: 1")} { // a folded line is part of X
		if status := h.raw(h.dial(), head); status != 411 || h.count() > 0 {
			t.Errorf("status %d", status)
		}
	}
	if status := h.raw(h.dial(), h.head("a", "Content-Length: 0")); status != 201 {
		t.Errorf("status %d", status)
	}
}

func TestTooLargeInChunksPublishesNothing(t *testing.T) {
	t.Parallel()
	h := start(t)
	a := h.ask("PUT", here+"a", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), strings.NewReader("y")))
	if a.status != 413 || h.count() > 0 {
		t.Errorf("%d %s", a.status, a.kind())
	}
}

func TestErrorsOfPublishing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		kind   string
	}{
		{reports.ErrNoSpace, 507, "no-space"},
		{&reports.QuotaError{}, 507, "over-quota"},
		{reports.ErrOnHold, 409, "on-legal-hold"},
		{database.ErrUnknownOutcome, 500, "unknown-outcome"},
		{errors.New("/var/lib/sealdrop: secret matter"), 500, "internal-error"},
	} {
		h := start(t)
		h.fail = test.err
		a := h.put(here+"a", "x")
		if a.status != test.status || a.kind() != test.kind {
			t.Errorf("%v: %d %s", test.err, a.status, a.kind())
		}
		if strings.Contains(fmt.Sprint(a.problem), "secret") {
			t.Errorf("%+v", a.problem)
		}
	}
}

func TestIdempotencyKeyStandsForOneContent(t *testing.T) {
	t.Parallel()
	h := start(t)
	const key = "Idempotency-Key: one"
	for i, test := range []struct {
		path, content, key string
		status             int
	}{
		{here + "a", "x", key, 201},
		{here + "a", "x", key, 201},
		{here + "a", "y", key, 422},
		{here + "b", "x", key, 422},
		{here + "b", "x", "Idempotency-Key: two", 201},
	} {
		if a := h.put(test.path, test.content, test.key); a.status != test.status {
			t.Errorf("%d: %d %s", i, a.status, a.kind())
		}
	}
	// Another producer's keys are its own.
	if a := h.put(here+"c", "z", key, "Authorization: Bearer "+h.all); a.status != 201 {
		t.Errorf("%d %s", a.status, a.kind())
	}
	// The key is bound before anything is published: a failure leaves it so.
	h.fail = database.ErrUnknownOutcome
	h.put(here+"d", "first", "Idempotency-Key: three")
	h.fail = nil
	if a := h.put(here+"d", "second", "Idempotency-Key: three"); a.status != 422 {
		t.Errorf("after a failure: %d %s", a.status, a.kind())
	}
	if a := h.put(here+"d", "first", "Idempotency-Key: three"); a.status != 201 {
		t.Errorf("after a failure, the same: %d %s", a.status, a.kind())
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	h := start(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- h.server.Serve(l) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	for token, want := range map[string]int{"": 201, "wrong": 401} {
		r, err := http.NewRequestWithContext(t.Context(), "PUT", "http://gateway/v1/clients/globex/reports/a", strings.NewReader("x"))
		must(t, err)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		got, err := transport.RoundTrip(r)
		must(t, err)
		if a := h.read(got); a.status != want {
			t.Errorf("%q: %d %s", token, a.status, a.kind())
		}
	}
	if !strings.HasPrefix(h.actors["globex/a"], "api:uid-") {
		t.Errorf("it is recorded as by %q", h.actors["globex/a"])
	}
	must(t, h.server.Shutdown(t.Context()))
	must(t, <-ended)
}

func TestPlainTCPIsRefused(t *testing.T) {
	t.Parallel()
	h := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	if err := h.server.Serve(l); err == nil || !strings.Contains(err.Error(), "unix socket only") {
		t.Errorf("the error is %v", err)
	}
}

func TestShutdownLetsAnUploadFinish(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.begun = make(chan struct{}, 1)
	idle, busy := h.dial(), h.dial()
	_, err := io.WriteString(busy, h.head("a", "Content-Length: 4")+"ab")
	must(t, err)
	<-h.begun
	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		down <- h.front.Shutdown(ctx)
	}()
	time.Sleep(200 * time.Millisecond)
	if status := h.raw(busy, "cd"); status != 201 {
		t.Errorf("status %d", status)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("an idle connection was not closed")
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if got, _ := h.get("acme/a"); got != "abcd" {
		t.Errorf("%q is published", got)
	}
}

// document is what the test needs of an OpenAPI document.
type document struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct{ Description string }
	}
}

// TestOpenAPI holds the document to what is served: each operation is there, each
// other method is refused, and each kind of problem is told of under its status.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	h := start(t)
	var doc document
	must(t, json.Unmarshal(api.Document(), &doc))
	documented := map[string]bool{}
	for path, operations := range doc.Paths {
		concrete := strings.NewReplacer("{client}", "acme", "{id}", "id-of-acme", "{name}", "internal-error").Replace(path)
		for method, operation := range operations {
			method = strings.ToUpper(method)
			documented[method+" "+path] = true
			a := h.ask(method, concrete, http.NoBody)
			if _, found := operation.Responses[fmt.Sprint(a.status)]; !found || a.status >= 400 {
				t.Errorf("%s %s: %d", method, concrete, a.status)
			}
			for status, response := range operation.Responses {
				_, names, _ := strings.Cut(response.Description, ": ")
				for name := range strings.SplitSeq(names, ", ") {
					if want, found := api.Statuses()[name]; names != "" && (!found || fmt.Sprint(want) != status) {
						t.Errorf("%s %s tells of the problem %q under %s, it is %d", method, path, name, status, want)
					}
				}
			}
		}
	}
	for _, route := range h.server.Routes() {
		if !documented[route] {
			t.Errorf("%s is not in the document", route)
		}
		delete(documented, route)
	}
	if len(documented) > 0 {
		t.Errorf("there is no %v", documented)
	}
	text := string(api.Document())
	for name := range api.Statuses() {
		if !strings.Contains(text, name) && name != "method-not-allowed" {
			t.Errorf("the document says nothing of the problem %s", name)
		}
	}
}
