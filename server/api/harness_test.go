package api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/certificate"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/producer"
	"github.com/sealdrop/sealdrop/reports/publish"
	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/api"
)

// shelf is a publisher that keeps what was published, under client and name.
type shelf struct {
	db      *database.DB
	mu      sync.Mutex
	reports map[string]string
	actors  map[string]string
	begun   chan struct{}
	fail    error
	// lost fails a delivery after it was published, as a crash does.
	lost error
	held bool
}

func (s *shelf) Publish(ctx context.Context, d publish.Delivery, r io.Reader) (publish.Outcome, error) {
	if s.begun != nil {
		s.begun <- struct{}{}
	}
	content, err := io.ReadAll(r)
	if err == nil {
		err = errors.Join(ctx.Err(), s.fail)
	}
	if err == nil && d.Size >= 0 && int64(len(content)) != d.Size {
		err = errors.New("another size")
	}
	if err != nil {
		return publish.Outcome{}, fmt.Errorf("reading the report: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := d.Client.String() + "/" + d.Name.String()
	earlier, there := s.reports[at]
	s.reports[at], s.actors[at] = string(content), d.Actor
	o := publish.Outcome{Known: there && earlier == string(content)}
	o.Report = reports.Report{ID: "id-" + d.Name.String(), Client: d.Client, Name: d.Name, Kind: reports.KindReport, State: reports.Published}
	if s.held {
		o.Report.State, o.HeldBecause = reports.Held, keys.ErrNoRecipient
	}
	if d.Record != nil {
		if err := s.db.Write(ctx, func(tx *database.Tx) error { return d.Record(tx, o) }); err != nil {
			return publish.Outcome{}, err
		}
	}
	return o, s.lost
}

func (s *shelf) get(at string) (content string, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, found = s.reports[at]
	return content, found
}

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.reports)
}

// harness is an API with the clients acme and globex, a producer for acme only and
// one for all.
type harness struct {
	*shelf
	t         *testing.T
	producers *producer.Register
	guard     guard
	server    *api.Server
	front     *server.Server
	address   string
	roots     *x509.CertPool
	acme, all string // tokens
}

// guard is one that keeps nobody away, until banned is set.
type guard struct {
	mu       sync.Mutex
	banned   bool
	refusals []producer.Refusal
	allowed  int
}

func (g *guard) LockedOut(context.Context, netip.Addr) (time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.banned {
		return time.Now().Add(time.Minute), nil
	}
	return time.Time{}, nil
}

func (g *guard) Refused(_ context.Context, _ netip.Addr, r *producer.Refusal) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refusals = append(g.refusals, *r)
	return nil
}

func (g *guard) Allowed(netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.allowed++
}

func (g *guard) reasons() (list []producer.Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.refusals {
		list = append(list, r.Reason)
	}
	return list
}

func clientID(t *testing.T, s string) reports.ClientID {
	t.Helper()
	id, err := reports.ParseClientID(s)
	must(t, err)
	return id
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, change ...func(*api.Config)) *harness {
	t.Helper()
	db, err := database.Open(t.Context(), t.TempDir())
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	register := keys.NewRegister(db, time.Now)
	for _, id := range []string{"acme", "globex"} {
		must(t, register.AddClient(t.Context(), "test", keys.Client{ID: clientID(t, id), Name: id}))
	}
	h := &harness{t: t, shelf: &shelf{db: db, reports: map[string]string{}, actors: map[string]string{}}, producers: producer.New(db, time.Now)}
	h.acme, err = h.producers.Add(t.Context(), "test", producer.Producer{Name: "nightly", Clients: []reports.ClientID{clientID(t, "acme")}})
	must(t, err)
	h.all, err = h.producers.Add(t.Context(), "test", producer.Producer{Name: "everywhere", All: true})
	must(t, err)
	cert, key, err := certificate.SelfSigned(filepath.Join(t.TempDir(), "tls"), []string{"127.0.0.1"}, time.Now())
	must(t, err)
	log := slog.New(slog.DiscardHandler)
	file, err := certificate.Open(cert, key, time.Now, log)
	must(t, err)
	pem, err := os.ReadFile(cert)
	must(t, err)
	h.roots = x509.NewCertPool()
	h.roots.AppendCertsFromPEM(pem)
	c := api.Config{
		Publisher: h.shelf, Producers: h.producers, Secret: []byte("secret"), Certificate: file.Get,
		Client: func(ctx context.Context, id reports.ClientID) error { _, err := register.Client(ctx, id); return err },
		Report: func(_ context.Context, id string) (reports.Report, error) {
			if id != "id-of-acme" {
				return reports.Report{}, fs.ErrNotExist
			}
			return reports.Report{ID: id, Client: clientID(t, "acme"), Kind: reports.KindReport, State: reports.Collected}, nil
		},
		Guard:   &h.guard,
		Uploads: 4, UploadsPerProducer: 4, MaxReport: 1 << 20, RateWindow: time.Minute, HeaderTimeout: time.Minute, IdleTimeout: time.Minute, StallTimeout: time.Minute,
		Now: time.Now, Log: log,
	}
	for _, f := range change {
		f(&c)
	}
	h.server = api.New(c)
	h.listen(c.HeaderTimeout, log)
	return h
}

func (h *harness) listen(timeout time.Duration, log *slog.Logger) {
	var err error
	h.front, err = server.New(server.Config{
		Name: "https", Log: log, Admit: func(netip.Addr) bool { return true },
		Limits: server.Limits{
			Connections: 100, ConnectionsPerAddress: 100, Unauthenticated: 50, LoginTimeout: timeout, IdleTimeout: time.Minute,
		},
		Handler: func(ctx context.Context, c *server.Conn) { h.server.ServeConn(ctx, c) },
	})
	must(h.t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(h.t, err)
	h.address = l.Addr().String()
	go func() { _ = h.front.Serve(l) }()
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = h.front.Shutdown(ctx)
		_ = h.server.Shutdown(ctx)
	})
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	api.Report
	problem api.Problem
}

func (a answer) kind() string { return strings.TrimPrefix(a.problem.Type, "/v1/problems/") }

// ask sends a request with the token for acme, or the headers given as "Name: value".
func (h *harness) ask(method, path string, body io.Reader, headers ...string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "https://"+h.address+path, body)
	must(h.t, err)
	r.Header.Set("Authorization", "Bearer "+h.acme)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Authorization" {
			r.Header.Del(name)
		}
		if value != "" {
			r.Header.Add(name, value)
		}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.roots}, DisableKeepAlives: true, ExpectContinueTimeout: time.Second}
	got, err := transport.RoundTrip(r)
	must(h.t, err)
	return h.read(got)
}

func (h *harness) read(got *http.Response) (a answer) {
	h.t.Helper()
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	must(h.t, err)
	a.status, a.header = got.StatusCode, got.Header
	if got.Header.Get("Content-Type") == "application/problem+json" {
		must(h.t, json.Unmarshal(text, &a.problem))
		if a.problem.Status != a.status || a.problem.Remedy == "" || a.problem.Title == "" {
			h.t.Errorf("the problem is %s", text)
		}
		return a
	}
	var v map[string]any
	if json.Unmarshal(text, &v) == nil {
		a.ID, _ = v["id"].(string)
		a.Known, _ = v["known"].(bool)
		state, _ := v["state"].(string)
		a.State = reports.State(state)
	}
	return a
}

func (h *harness) put(path, content string, headers ...string) answer {
	h.t.Helper()
	return h.ask("PUT", path, strings.NewReader(content), headers...)
}

// dial opens a connection for what no well-behaved client sends.
func (h *harness) dial() *tls.Conn {
	h.t.Helper()
	c, err := tls.Dial("tcp", h.address, &tls.Config{RootCAs: h.roots})
	must(h.t, err)
	h.t.Cleanup(func() { _ = c.Close() })
	must(h.t, c.SetDeadline(time.Now().Add(2*time.Minute)))
	return c
}

// raw sends bytes and returns the status of the first answer, 0 if the connection
// is closed instead.
func (h *harness) raw(c net.Conn, text string) int {
	h.t.Helper()
	_, err := io.WriteString(c, text)
	must(h.t, err)
	got, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, got.Body)
	return got.StatusCode
}

// head is the beginning of a request by the producer for acme.
func (h *harness) head(name string, lines ...string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "PUT /v1/clients/acme/reports/%s HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\n", name, h.acme)
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n"
}
