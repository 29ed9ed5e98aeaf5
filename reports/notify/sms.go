package notify

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"text/template"
	"time"
	"unicode"

	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// SMS sends text messages through a provider's HTTP API.
type SMS struct {
	url     string
	headers http.Header
	// secrets are the headers' values, and each word of them.
	secrets []string
	body    *template.Template
	client  *http.Client
}

// SMSError says that text messages are set up in a way that can't work.
type SMSError struct {
	Key     string // of the configuration
	Problem string
	Advice  string
}

func (e *SMSError) Error() string { return e.Key + " " + e.Problem }

// Hint says what to write instead.
func (e *SMSError) Hint() string { return e.Advice }

// NewSMS returns a sender that posts body to url. In body, which is JSON, {{.To}}
// stands for the number and {{.Text}} for the text, both to be put between quotes.
// headers has a line "Name: value" for each header; it may hold a token and is
// never shown.
func NewSMS(to, headers, body string, roots *x509.CertPool) (*SMS, error) {
	if _, err := contact.Parse(string(contact.Webhook) + ":" + to); err != nil {
		return nil, &SMSError{"notify.sms.url", "is no https URL", "write it as in https://api.sms.example/v1/messages"}
	}
	s := &SMS{url: to, headers: http.Header{"Content-Type": {"application/json"}}, client: newClient(roots)}
	for n, line := range strings.Split(headers, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !isHeaderName(name) || strings.ContainsFunc(value, unicode.IsControl) {
			return nil, &SMSError{"notify.sms.headers_file", fmt.Sprintf("has no header in line %d", n+1), `write each as in "Authorization: Bearer …"`}
		}
		s.headers.Set(textproto.CanonicalMIMEHeaderKey(name), value)
		s.secrets = append(append(s.secrets, value), strings.Fields(value)...)
	}
	var err error
	if s.body, err = template.New("notify.sms.body").Option("missingkey=error").Parse(body); err != nil {
		return nil, &SMSError{"notify.sms.body", "can't be read: " + err.Error(), smsForm}
	}
	sample, err := s.request("+4915112345678", "a \"quoted\" \\ text\nof two lines, ä 漢")
	if err != nil {
		return nil, &SMSError{"notify.sms.body", "can't be filled in: " + err.Error(), smsForm}
	}
	if !json.Valid(sample) {
		return nil, &SMSError{"notify.sms.body", "gives no JSON once it is filled in", smsForm}
	}
	if !bytes.Contains(sample, []byte("4915112345678")) || !bytes.Contains(sample, []byte("two lines")) {
		return nil, &SMSError{"notify.sms.body", "leaves out {{.To}} or {{.Text}}", smsForm}
	}
	return s, nil
}

// isHeaderName reports whether s is a token (RFC 9110, section 5.6.2).
func isHeaderName(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	odd := func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(others, r)
	}
	return s != "" && !strings.ContainsFunc(s, odd)
}

const smsForm = `write it as in {"to": "{{.To}}", "text": "{{.Text}}"}`

// request fills in the body.
func (s *SMS) request(to, text string) ([]byte, error) {
	var b bytes.Buffer
	to, err := inQuotes(to)
	if err != nil {
		return nil, err
	}
	if text, err = inQuotes(text); err != nil {
		return nil, err
	}
	err = s.body.Execute(&b, struct{ To, Text string }{to, text})
	return b.Bytes(), err
}

// inQuotes escapes what is to stand between the quotes of a JSON string.
func inQuotes(s string) (string, error) {
	out, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(out), `"`), `"`), nil
}

func (s *SMS) send(ctx context.Context, id, to, text string, now time.Time) (string, error) {
	if text == "" {
		return "", &Failure{Err: errors.New("the message has no short form"), Permanent: true}
	}
	body, err := s.request(to, text)
	if err != nil {
		return "", fmt.Errorf("filling in notify.sms.body: %w", err)
	}
	headers := s.headers.Clone()
	headers.Set("Idempotency-Key", id)
	return post(ctx, s.client, s.url, headers, body, now, s.secrets...)
}
