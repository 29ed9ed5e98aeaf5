package ops

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newServer(pprof bool, checks ...Check) *Server {
	return New(Config{Metrics: NewMetrics("v1", time.Now), Checks: checks, Pprof: pprof, Log: slog.New(slog.DiscardHandler)})
}

// TestRoutes is the list of all that the admin listener answers.
func TestRoutes(t *testing.T) {
	t.Parallel()
	want := []string{"GET /healthz", "GET /metrics", "GET /readyz"}
	if got := slices.Sorted(maps.Keys(newServer(false).routes())); !slices.Equal(got, want) {
		t.Errorf("served are %q, want %q", got, want)
	}
	want = []string{"GET /debug/pprof/", "GET /debug/pprof/profile", "GET /debug/pprof/trace", "GET /healthz", "GET /metrics", "GET /readyz"}
	if got := slices.Sorted(maps.Keys(newServer(true).routes())); !slices.Equal(got, want) {
		t.Errorf("with pprof served are %q, want %q", got, want)
	}
}

// get asks a server as a client that connected over TCP.
func get(s *Server, method, host, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9320})))
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w
}

// TestDNSRebinding: a web page whose name is made to point to 127.0.0.1 is of the
// same origin as what is served there.
func TestDNSRebinding(t *testing.T) {
	t.Parallel()
	s := newServer(true)
	for host, want := range map[string]int{
		"127.0.0.1:9320": 200, "127.0.0.1": 200, "localhost:9320": 200, "LOCALHOST": 200, "[::1]:9320": 200, "[::1]": 200, "127.9.9.9:1": 200,
		"attacker.example": 421, "attacker.example:9320": 421, "localhost.attacker.example": 421, "127.0.0.1.attacker.example:9320": 421,
		"": 421, "192.0.2.7:9320": 421, "localhost.": 421, "0.0.0.0:9320": 421, "[::]:9320": 421, "127.1:9320": 421, "user@localhost": 421,
	} {
		for _, path := range []string{"/metrics", "/readyz", "/healthz", "/debug/pprof/"} {
			if got := get(s, "GET", host, path); got.Code != want {
				t.Errorf("Host %q, %s: %d, want %d", host, path, got.Code, want)
			}
		}
	}
}

func TestOnlyReading(t *testing.T) {
	t.Parallel()
	s := newServer(true)
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT"} {
		for _, path := range []string{"/metrics", "/readyz", "/healthz", "/debug/pprof/", "/debug/pprof/profile"} {
			if got := get(s, method, "localhost", path).Code; got < 400 {
				t.Errorf("%s %s: %d", method, path, got)
			}
		}
	}
	for _, path := range []string{"/", "/metrics/x", "/debug/pprof/cmdline/x", "/debug/vars"} {
		if got := get(s, "GET", "localhost", path).Code; got != 404 {
			t.Errorf("%s: %d", path, got)
		}
	}
	if got := get(newServer(false), "GET", "localhost", "/debug/pprof/heap").Code; got != 404 {
		t.Errorf("profiles are served although they are off: %d", got)
	}
	if got := get(s, "HEAD", "localhost", "/healthz"); got.Code != 200 || got.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("HEAD: %v", got)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	var broken error
	s := newServer(false, Check{"catalog", func(context.Context) error { return broken }}, Check{"data", func(context.Context) error { return nil }})
	for _, test := range []struct {
		broken error
		code   int
		body   string
	}{
		{nil, 200, `{"ready":true,"checks":[{"name":"catalog","ok":true},{"name":"data","ok":true}]}`},
		{errors.New("it is gone"), 503, `{"ready":false,"checks":[{"name":"catalog","ok":false,"reason":"it is gone"},{"name":"data","ok":true}]}`},
	} {
		broken = test.broken
		got := get(s, "GET", "localhost", "/readyz")
		if got.Code != test.code || strings.TrimSpace(got.Body.String()) != test.body || got.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d %s, want %d %s", got.Code, got.Body, test.code, test.body)
		}
		if got := get(s, "GET", "localhost", "/healthz"); got.Code != 200 || got.Body.String() != "ok\n" {
			t.Errorf("healthz: %d %q", got.Code, got.Body)
		}
	}
}

// TestHangingCheck: a stat on a network file system that is gone never returns.
func TestHangingCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		forever := make(chan struct{})
		s := newServer(false, Check{"data", func(context.Context) error { <-forever; return nil }})
		got := get(s, "GET", "localhost", "/readyz")
		var answer readiness
		if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil || got.Code != 503 || !strings.Contains(answer.Checks[0].Reason, "no answer") {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		close(forever)
	})
}

// TestReachableListenerIsRefused: the configuration refuses it, too; this is for
// whoever builds a gateway without it.
func TestReachableListenerIsRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := newServer(false).Serve(everywhere{l}); err == nil || !strings.Contains(err.Error(), "other machines") {
		t.Errorf("it is served: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open still: %v", err)
	}
}

// everywhere is a listener that says it is on every address.
type everywhere struct{ net.Listener }

func (everywhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv6unspecified, Port: 9320} }

// TestManyConnections: what one user of the machine opens is bounded, and what is
// closed makes room again.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ops.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(false)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	var open []net.Conn
	for range maxConnections {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	more, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := more.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("one too many is served: %v", err)
	}
	for _, c := range append(open, more) {
		c.Close()
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}, DisableKeepAlives: true}}
	for {
		answer, err := client.Get("http://whatever.example/healthz") // over a unix socket no web page can come
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == 200 {
				break
			}
			t.Fatal(answer.Status)
		}
		time.Sleep(time.Millisecond) // the server has not noticed yet that they are closed
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after Shutdown: %v", err)
	}
}
