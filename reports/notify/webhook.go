package notify

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// The most that is read of an answer, in bytes.
const (
	maxBody   = 1 << 10
	maxHeader = 16 << 10
)

// newClient makes the HTTP client of webhooks. It follows no redirects and, since
// a message is rare, keeps no connection.
func newClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Webhook calls clients' webhooks, signed as Standard Webhooks 1.0 says. The
// secret of each is derived from one key of the gateway's own, its client and its
// URL, so that there is none to keep, to back up or to leak from the catalog.
type Webhook struct {
	key    []byte
	client *http.Client
}

// NewWebhook returns a caller that signs with secrets derived from key. roots are
// the authorities that vouch for receivers, nil for the system's.
func NewWebhook(key []byte, roots *x509.CertPool) *Webhook {
	return &Webhook{key: key, client: newClient(roots)}
}

// Secret returns the secret that a client's receiver at a URL checks signatures
// with: "whsec_" and 32 bytes in base64.
func (w *Webhook) Secret(client, url string) (string, error) {
	const size = 32
	secret, err := hkdf.Key(sha256.New, w.key, nil, "sealdrop webhook 1\x00"+client+"\x00"+url, size)
	if err != nil {
		return "", fmt.Errorf("deriving a webhook's secret: %w", err)
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(secret), nil
}

// payload is what is posted.
type payload struct {
	Type      contact.Kind `json:"type"`
	Timestamp time.Time    `json:"timestamp"`
	Data      content      `json:"data"`
}

func (w *Webhook) call(ctx context.Context, o outgoing, now time.Time) (string, error) {
	body, err := json.Marshal(payload{Type: o.kind, Timestamp: o.created.UTC(), Data: o.content})
	if err != nil {
		return "", fmt.Errorf("writing the payload: %w", err)
	}
	secret, err := w.Secret(o.content.Client, o.target)
	if err != nil {
		return "", err
	}
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	signature, err := signer.Sign(o.id, now, body)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	headers := http.Header{
		standardwebhooks.HeaderWebhookID:        {o.id},
		standardwebhooks.HeaderWebhookTimestamp: {strconv.FormatInt(now.Unix(), 10)},
		standardwebhooks.HeaderWebhookSignature: {signature},
		"Content-Type":                          {"application/json"},
	}
	return post(ctx, w.client, o.target, headers, body, now)
}

// post sends one request. Any status of 200 to 299 is a yes, whatever comes after
// it. secrets are what in the request is nobody else's business, beside the URL.
func post(ctx context.Context, client *http.Client, to string, headers http.Header, body []byte, now time.Time, secrets ...string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return "", &Failure{Err: withoutURL(err), Permanent: true}
	}
	for name, values := range headers {
		for _, v := range values {
			req.Header.Add(name, v)
		}
	}
	req.Header.Set("User-Agent", "sealdrop")
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("no answer in time")
		}
		return "", &Failure{Err: withoutURL(err), Target: true}
	}
	defer resp.Body.Close()
	secrets = append(secrets, req.URL.String(), req.URL.RequestURI(), req.URL.Path, req.URL.RawQuery)
	status := unechoed(resp.Status, secrets)
	if resp.StatusCode/100 == 2 {
		return status, nil
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody)) // what came before a failure is as good
	f := &Failure{Err: fmt.Errorf("the receiver answered %s", status)}
	if text := strings.TrimFunc(unechoed(string(said), secrets), unseen); text != "" {
		f.Err = fmt.Errorf("%w: %s", f.Err, text)
	}
	switch resp.StatusCode {
	case http.StatusGone:
		f.Permanent = true
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		f.Target, f.After = true, retryAfter(resp.Header.Get("Retry-After"), now)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		f.Err = fmt.Errorf("the receiver answered %s; redirects are not followed: set its own URL", status)
	}
	return "", f
}

// unseen says whether nobody would see a character at the beginning or end of a text.
func unseen(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }

// unechoed takes secrets out of an answer, which is kept and logged: some receivers
// say what they were sent, "no such page /hooks/TOKEN". What is too short to be a
// secret stays.
func unechoed(answer string, secrets []string) string {
	const least = 8 // bytes
	for _, s := range secrets {
		if len(s) >= least {
			answer = strings.ReplaceAll(answer, s, "…")
		}
	}
	return answer
}

// retryAfter reads the header of that name: seconds, or a date (RFC 9110, section
// 10.2.3).
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32); err == nil {
		return time.Duration(max(n, 0)) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// withoutURL takes off the URL that net/http puts before its errors: it may hold a
// token.
func withoutURL(err error) error {
	if u := new(url.Error); errors.As(err, &u) {
		return u.Err
	}
	return err
}
