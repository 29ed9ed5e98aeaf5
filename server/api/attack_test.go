package api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports/intake/producer"
	"github.com/sealdrop/sealdrop/server/api"
)

func TestBodyThatIsCutOffPublishesNothing(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.begun = make(chan struct{}, 2)
	for _, text := range []string{
		h.head("a", "Content-Length: 10") + "12345",
		h.head("b", "Transfer-Encoding: chunked") + "5\r\n12345\r\n",
	} {
		c := h.dial()
		_, err := io.WriteString(c, text)
		must(t, err)
		<-h.begun
		must(t, c.Close())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, h.front.Shutdown(ctx)) // no handler runs after it
	if h.count() > 0 {
		t.Errorf("published: %v", h.reports)
	}
}

func TestBodyThatStallsIsGivenUp(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *api.Config) { c.StallTimeout = 300 * time.Millisecond })
	if status := h.raw(h.dial(), h.head("a", "Content-Length: 10")+"12345"); status != 408 || h.count() > 0 {
		t.Errorf("status %d", status)
	}
}

// TestSlowBodyIsNotAStalledOne: it takes longer than a stall may, as a whole. Each
// pause is a small part of what is borne, since the machine may pause as well.
func TestSlowBodyIsNotAStalledOne(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *api.Config) { c.StallTimeout = 3 * time.Second })
	c := h.dial()
	_, err := io.WriteString(c, h.head("b", "Content-Length: 36"))
	must(t, err)
	for range 35 {
		time.Sleep(100 * time.Millisecond)
		_, err := io.WriteString(c, "x")
		must(t, err)
	}
	if status := h.raw(c, "x"); status != 201 || h.count() != 1 {
		t.Errorf("status %d", status)
	}
}

func TestSlowlorisInTheHeaders(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *api.Config) { c.HeaderTimeout = 2 * time.Second })
	began := time.Now()
	c := h.dial()
	_, err := io.WriteString(c, "PUT / HTTP/1.1\r\n")
	must(t, err)
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, c)
		close(closed)
	}()
	for dripping := true; dripping; {
		select {
		case <-closed:
			dripping = false
		case <-time.After(50 * time.Millisecond):
			_, _ = io.WriteString(c, "X: y\r\n") // it may be closed by now
		}
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it was borne for %s", took)
	}
}

func TestStrangersBodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *api.Config) { c.HeaderTimeout = 2 * time.Second })
	c := h.dial()
	began := time.Now()
	_, err := io.WriteString(c, "PUT /v1/clients/acme/reports/a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
	must(t, err)
	_, _ = io.Copy(io.Discard, c)
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it was borne for %s", took)
	}
}

// What two readers could divide into requests in two ways is one request, or none.
func TestRequestSmuggling(t *testing.T) {
	t.Parallel()
	h := start(t)
	smuggled := h.head("smuggled", "Content-Length: 1") + "x"
	for name, text := range map[string]string{
		"two lengths":                    h.head("a", "Content-Length: 1", "Content-Length: 5") + "x" + smuggled,
		"length-list":                    h.head("a", "Content-Length: 1, 5") + "x" + smuggled,
		"signed length":                  h.head("a", "Content-Length: +1") + "x" + smuggled,
		"unknown transfer coding":        h.head("a", "Transfer-Encoding: xchunked") + "0\r\n\r\n" + smuggled,
		"two transfer codings":           h.head("a", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\n" + smuggled,
		"space before the colon":         h.head("a", "Content-Length : 1") + "x" + smuggled,
		"chunk-size-of-65-bits":          h.head("a", "Transfer-Encoding: chunked") + "10000000000000000\r\n" + smuggled,
		"chunk without its line's end":   h.head("a", "Transfer-Encoding: chunked") + "1\r\nxy0\r\n\r\n" + smuggled,
		"header of a megabyte":           h.head("a", "X: "+strings.Repeat("y", 1<<20), "Content-Length: 1") + "x",
		"line-break-in-the-request-line": "PUT /v1/clients/acme/reports/a\rb HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := h.dial()
			go func() { _, _ = io.WriteString(c, text) }() // it may be refused in the middle
			got, _ := io.ReadAll(c)
			if n := bytes.Count(got, []byte("HTTP/1.1 2")); n > 0 {
				t.Errorf("%d requests succeeded: %.300s", n, got)
			}
		})
	}
	t.Cleanup(func() {
		if h.count() > 0 {
			t.Errorf("published: %v", h.reports)
		}
	})
}

// Chunks that are none are the producer's fault: to call it the gateway's would let
// whoever has a token fill the log with errors.
func TestMalformedChunksAreNotTheGatewaysFault(t *testing.T) {
	t.Parallel()
	h := start(t)
	for name, chunks := range map[string]string{
		"size": "x\r\n", "extension": "1;\nx\r\ny\r\n0\r\n\r\n", "no end of line": "1\r\nxy0\r\n\r\n", "too large": "10000000000000000\r\n",
	} {
		if status := h.raw(h.dial(), h.head("a", "Transfer-Encoding: chunked")+chunks); status != 400 || h.count() > 0 {
			t.Errorf("%s: status %d, published: %v", name, status, h.reports)
		}
	}
}

// Length and chunks together: RFC 9112 (6.3) lets a server take the chunks, if it
// closes the connection behind them.
func TestLengthBesideChunksEndsTheConnection(t *testing.T) {
	t.Parallel()
	h := start(t)
	c := h.dial()
	_, err := io.WriteString(c, h.head("a", "Content-Length: 1", "Transfer-Encoding: chunked")+"0\r\n\r\n"+h.head("smuggled", "Content-Length: 1")+"x")
	must(t, err)
	_, _ = io.ReadAll(c)
	if _, found := h.get("acme/smuggled"); found {
		t.Error("the second request was served")
	}
}

func TestTokenRevokedDuringTheUpload(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.begun = make(chan struct{}, 1)
	c := h.dial()
	_, err := io.WriteString(c, h.head("a", "Content-Length: 2")+"x")
	must(t, err)
	<-h.begun
	_, err = h.producers.Revoke(t.Context(), "test", "nightly")
	must(t, err)
	if status := h.raw(c, "y"); status != 401 || h.count() > 0 {
		t.Errorf("status %d, published: %v", status, h.reports)
	}
}

func TestUploadsAreBounded(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.begun = make(chan struct{}, 8)
	for i := range 4 {
		_, err := io.WriteString(h.dial(), h.head(fmt.Sprint(i), "Content-Length: 2")+"x")
		must(t, err)
		<-h.begun
	}
	a := h.put(here+"a", "x")
	if a.status != 503 || a.kind() != "too-many-uploads" || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.kind())
	}
}

func TestTrickleHoldsNoPlace(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *api.Config) { c.MinRate, c.RateWindow = 1000, 300*time.Millisecond })
	c := h.dial()
	_, err := io.WriteString(c, h.head("a", "Content-Length: 100000"))
	must(t, err)
	ended := make(chan int, 1)
	go func() { ended <- h.raw(c, "x") }()
	for {
		select {
		case status := <-ended:
			if status != 408 || h.count() > 0 {
				t.Errorf("status %d", status)
			}
			return
		case <-time.After(20 * time.Millisecond):
			_, _ = io.WriteString(c, "x") // it may be closed by now
		}
	}
}

func TestRevokedTokenOfAKeptConnection(t *testing.T) {
	t.Parallel()
	h := start(t)
	c := h.dial()
	r := bufio.NewReader(c)
	for i, want := range []int{201, 401} {
		_, err := io.WriteString(c, h.head(fmt.Sprint(i), "Content-Length: 1")+"x")
		must(t, err)
		got, err := http.ReadResponse(r, nil)
		must(t, err)
		_, _ = io.Copy(io.Discard, got.Body)
		if got.StatusCode != want {
			t.Errorf("request %d: status %d", i, got.StatusCode)
		}
		_, err = h.producers.Revoke(t.Context(), "test", "nightly")
		must(t, err)
	}
	if reasons := h.guard.reasons(); len(reasons) != 1 || reasons[0] != producer.TokenRevoked {
		t.Errorf("recorded: %v", reasons)
	}
}

// Whoever tries tokens out is shut out before the token is looked at, so that being
// right once does not show.
func TestLockedOutAddressCannotTryOn(t *testing.T) {
	t.Parallel()
	h := start(t)
	for range 3 {
		if a := h.put(here+"a", "x", "Authorization: Bearer sealdrop_guess"); a.status != 401 {
			t.Errorf("%d %s", a.status, a.kind())
		}
	}
	h.guard.mu.Lock()
	h.guard.banned = true
	h.guard.mu.Unlock()
	if a := h.put(here+"a", "x"); a.status != 429 || a.kind() != "too-many-attempts" || a.header.Get("Retry-After") == "" || h.count() > 0 {
		t.Errorf("%d %s", a.status, a.kind())
	}
	if reasons := h.guard.reasons(); len(reasons) != 3 || reasons[2] != producer.TokenUnknown {
		t.Errorf("recorded: %v", reasons)
	}
}

func FuzzContentDigest(f *testing.F) {
	sum := sha256.Sum256(nil)
	good := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	for _, seed := range []string{
		good, good + ", " + good, "md5=:AAAA:, " + good, sum512(""), "sha-256=:AAAA:", "sha-256", "=", ",", good + ",", "SHA-256=::",
		"sha-256=:" + base64.URLEncoding.EncodeToString(sum[:]) + ":", "sha-256=" + strings.Repeat(":", 100),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, b, ok := api.ParseDigest([]string{text})
		if ok && a == nil && b == nil || !ok && (a != nil || b != nil) {
			t.Fatalf("%x %x %v", a, b, ok)
		}
		if a != nil && (len(a) != 32 || !strings.Contains(text, "sha-256=:"+base64.StdEncoding.EncodeToString(a)+":")) {
			t.Errorf("%x", a)
		}
		if b != nil && (len(b) != 64 || !strings.Contains(text, "sha-512=:"+base64.StdEncoding.EncodeToString(b)+":")) {
			t.Errorf("%x", b)
		}
	})
}
