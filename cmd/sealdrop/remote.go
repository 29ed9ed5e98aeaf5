package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/certificate"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/api"
)

// remoteFlags say which gateway's API reports are delivered to.
type remoteFlags struct {
	to, tokenFile, cert, key, ca string
}

const (
	// remoteTries is how often a delivery is tried that the network has cut off.
	remoteTries = 5
	// underWayTries is how often a delivery is tried that the gateway says it has under
	// way: a connection that was lost is noticed there after api.limits.stall_timeout.
	underWayTries = 90
	// remotePause is how long the first pause between tries is; each is twice the one
	// before.
	remotePause = time.Second
	// remoteJobs is how many reports of a batch are worked on at a time, unless it is
	// said: half of what a gateway takes of one producer by default
	// (api.limits.uploads_per_producer). Beyond that it refuses.
	remoteJobs = 8
	// maxAnswer bounds an answer in bytes.
	maxAnswer = 1 << 20
)

// remoteGateway is a gateway's HTTP API.
type remoteGateway struct {
	base  string // without a slash at the end
	token string
	http  *http.Client
	warn  func(format string, args ...any)
}

// openRemote prepares the way to a gateway. Nothing is sent yet.
func (a *app) openRemote(f remoteFlags) (*remoteGateway, error) {
	g := &remoteGateway{warn: func(format string, args ...any) { fmt.Fprintf(a.err, "warning: "+format+"\n", args...) }}
	transport := &http.Transport{
		ExpectContinueTimeout: 2 * time.Second, TLSHandshakeTimeout: 20 * time.Second, IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 64,
	}
	if path, local := strings.CutPrefix(f.to, "unix://"); local {
		g.base = "http://gateway"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	} else {
		var err error
		if transport.TLSClientConfig, err = f.tlsConfig(); err != nil {
			return nil, err
		}
		g.base = strings.TrimRight(f.to, "/")
	}
	if f.tokenFile != "" {
		text, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("reading the token: %w", err)
		}
		if g.token = strings.TrimSpace(string(text)); g.token == "" || strings.ContainsAny(g.token, " \t\r\n") {
			return nil, &advisedError{fmt.Errorf("there is no token in %s", f.tokenFile), "the file must hold the one line that `sealdrop token add` has printed"}
		}
	}
	g.http = &http.Client{
		Transport: transport,
		// A token goes to nobody but the gateway that was named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return g, nil
}

func (f remoteFlags) tlsConfig() (c *tls.Config, err error) {
	c = &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		if c.RootCAs, err = certificate.ReadAuthorities(f.ca); err != nil {
			return nil, err
		}
	}
	if f.cert == "" {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// check finds what is wrong with the flags. given tells which were given.
func (f remoteFlags) check(given func(string) bool) error {
	if !given("to") {
		for _, name := range []string{"token-file", "cert", "key", "ca"} {
			if given(name) {
				return fmt.Errorf("--%s goes with --to", name)
			}
		}
		return nil
	}
	u, err := url.Parse(f.to)
	secure := err == nil && u.Scheme == "https" && u.Host != "" && strings.Trim(u.Path, "/") == "" && u.User == nil && u.RawQuery == ""
	local := err == nil && u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/")
	switch {
	case !secure && !local:
		return fmt.Errorf("--to is %q; it can be https://HOST:PORT or unix:///PATH", f.to)
	case given("again"):
		return errors.New("--again does not go with --to")
	case given("cert") != given("key"):
		return errors.New("--cert and --key go together")
	case local && (given("cert") || given("ca")):
		return errors.New("there is no TLS on a unix socket: leave out --cert, --key and --ca")
	case secure && f.tokenFile == "" && f.cert == "":
		return errors.New("--token-file is missing, or --cert and --key")
	}
	return nil
}

// client asks whether reports can be delivered to a client.
func (g *remoteGateway) client(ctx context.Context, id reports.ClientID) error {
	err := g.try(ctx, remoteTries, func() error { return g.ask(ctx, "/v1/clients/"+url.PathEscape(id.String())) })
	if is404(err) {
		return fmt.Errorf("%w %s: %w", reports.ErrUnknownClient, id, err)
	}
	return err
}

func (g *remoteGateway) knows(ctx context.Context, client reports.ClientID, id string) (bool, error) {
	path := "/v1/clients/" + url.PathEscape(client.String()) + "/reports/" + url.PathEscape(id)
	err := g.try(ctx, remoteTries, func() error { return g.ask(ctx, path) })
	if is404(err) {
		return false, nil
	}
	return err == nil, err
}

func is404(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}

func (g *remoteGateway) ask(ctx context.Context, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.base+path, nil)
	if err != nil {
		return err
	}
	_, err = g.send(r)
	return err
}

// deliver hands a report in. Where the network fails it tries again, with the same
// idempotency key.
func (g *remoteGateway) deliver(ctx context.Context, h handIn) (v deliveryView, err error) {
	tries, key := remoteTries, rand.Text()
	if h.once {
		tries = 1
	}
	err = g.try(ctx, tries, func() error {
		v, err = g.put(ctx, h, key)
		return err
	})
	return v, err
}

// try calls do until it succeeds, or fails for a reason that stays.
func (g *remoteGateway) try(ctx context.Context, tries int, do func() error) error {
	pause := remotePause
	for n := 1; ; n++ {
		err := do()
		if underWay(err) && n < underWayTries && tries > 1 {
			// The first try was cut off here, and is not over there yet.
			pause, tries = remotePause, tries+1
		} else if err == nil || n >= tries || ctx.Err() != nil || !passing(err) {
			return err
		}
		g.warn("%v; trying again in %s", err, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause *= 2
	}
}

// underWay reports whether the gateway still has an earlier try in hand.
func underWay(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && strings.HasSuffix(p.Type, "/idempotency-key-in-use")
}

// passing reports whether an error may be gone the next time: the network's, and
// those of a gateway that is busy, stops, or does not know what it did.
func passing(err error) bool {
	var p *api.Problem
	if errors.As(err, &p) {
		return p.Status == http.StatusServiceUnavailable || p.Status == http.StatusRequestTimeout || strings.HasSuffix(p.Type, "/unknown-outcome")
	}
	var secure *tls.CertificateVerificationError
	var way *wayError
	return errors.As(err, &way) && !errors.As(err, &secure)
}

// source notes why a report could not be read: the network is not to be blamed for
// it. At its end it calls ended.
type source struct {
	io.Reader
	ended func()
	err   error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		s.ended()
	case err != nil:
		s.err = err
	}
	return n, err
}

// digestField is a SHA-256 as Content-Digest has it (RFC 9530).
func digestField(sum []byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

func (g *remoteGateway) put(ctx context.Context, h handIn, key string) (v deliveryView, err error) {
	content, err := h.open()
	if err != nil {
		return v, err
	}
	defer content.Close()
	digest := sha256.New()
	from := &source{Reader: io.TeeReader(content, digest)}
	query := url.Values{"modified": {h.Modified.UTC().Format(time.RFC3339)}}
	if h.Replace {
		query.Set("replace", "true")
	}
	path := "/v1/clients/" + url.PathEscape(h.Client.String()) + "/reports/" + url.PathEscape(h.Name.String()) + "?" + query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, g.base+path, io.NopCloser(from))
	if err != nil {
		return v, err
	}
	// The length is not announced: what is wrong with a file may be seen only at its
	// end, and a body in chunks that breaks off there is not whole.
	r.ContentLength = -1
	r.Header.Set("Expect", "100-continue") // a refusal comes before the report is sent
	r.Header.Set("Idempotency-Key", key)
	// What was read is compared with what arrives, and what a manifest says with both.
	r.Trailer = http.Header{"Content-Digest": nil}
	from.ended = func() { r.Trailer.Set("Content-Digest", digestField(digest.Sum(nil))) }
	if sum, err := hex.DecodeString(h.sha256); err == nil && len(sum) > 0 {
		r.Header.Set("Content-Digest", digestField(sum))
	}
	answer, err := g.send(r)
	if from.err != nil {
		return v, from.err
	}
	if err != nil {
		return v, err
	}
	return readAnswer(answer)
}

// readAnswer reads what a gateway says of a report.
func readAnswer(answer []byte) (v deliveryView, err error) {
	var got struct {
		deliveryView
		Name string `json:"name"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return v, fmt.Errorf("reading the gateway's answer: %w", err)
	}
	v = got.deliveryView
	if got.Name != "" { // a report that was purged since has none
		v.Name, err = reports.ParseName(got.Name)
	}
	return v, err
}

// wayError says that a gateway could not be reached, or was lost.
type wayError struct{ err error }

func (e *wayError) Error() string { return "talking to the gateway: " + e.err.Error() }
func (e *wayError) Unwrap() error { return e.err }

// Hint says what an operator can do.
func (e *wayError) Hint() string {
	var secure *tls.CertificateVerificationError
	if errors.As(e.err, &secure) {
		return "name the authority of the gateway's certificate with --ca; a self-signed one, which is data/tls/certificate.pem at the gateway, is its own"
	}
	return "see that the gateway runs and that api.listen in its configuration is where --to points; what was delivered is not delivered twice if you run the command again"
}

// send sends a request and returns the answer. The error is an *[api.Problem] if
// the gateway refuses, and a *[wayError] if it can't be understood or reached.
func (g *remoteGateway) send(r *http.Request) ([]byte, error) {
	if g.token != "" {
		r.Header.Set("Authorization", "Bearer "+g.token)
	}
	answer, err := g.http.Do(r)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err // without the method and the address
		}
		return nil, &wayError{err}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, &wayError{err}
	}
	if answer.StatusCode/100 == 2 {
		return text, nil
	}
	p := &api.Problem{}
	if json.Unmarshal(text, p) != nil || p.Title == "" {
		return nil, &wayError{fmt.Errorf("it answers %s, and not as an API of Sealdrop's does", answer.Status)}
	}
	p.Status = answer.StatusCode
	return nil, p
}
