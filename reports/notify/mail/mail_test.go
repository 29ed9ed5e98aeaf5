package mail_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/sealdrop/sealdrop/reports/notify/mail"
)

// asError returns the error as what every error is.
func asError(t *testing.T, err error) *mail.Error {
	t.Helper()
	var e *mail.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *mail.Error", err)
	}
	return e
}

func TestSend(t *testing.T) {
	t.Parallel()
	s := (&server{mechanisms: []string{"PLAIN"}, password: "secret"}).start(t)
	handed, err := sender(t, s.config()).Send(t.Context(), hello())
	if err != nil {
		t.Fatal(err)
	}
	if handed.Server != "smtp.example.com:587" || !strings.HasPrefix(handed.Reply, "250 2.0.0 ") {
		t.Errorf("%+v", handed)
	}
	got := s.took()
	if len(got) != 1 || got[0].from != "reports@example.com" || !slices.Equal(got[0].to, []string{"ops@acme.example"}) || !got[0].tls {
		t.Fatalf("%+v", got)
	}
	m, err := netmail.ReadMessage(bytes.NewReader(got[0].data))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"From":           `"Example Reports" <reports@example.com>`,
		"To":             "<ops@acme.example>",
		"Message-Id":     "<msg_abc123@example.com>",
		"Date":           "Tue, 02 Mar 2027 08:05:00 +0000",
		"Auto-Submitted": "auto-generated",
		"User-Agent":     "",
		"X-Mailer":       "",
		"Content-Type":   "text/plain; charset=UTF-8",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != hello().Subject {
		t.Errorf("subject %q, %v", subject, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || strings.TrimRight(strings.ReplaceAll(string(body), "\r\n", "\n"), "\n") != strings.TrimRight(hello().Body, "\n") {
		t.Errorf("body %q, %v", body, err)
	}
	for line := range strings.Lines(string(got[0].data)) {
		if len(line) > 78+2 || strings.ContainsFunc(line, func(r rune) bool { return r > 126 }) {
			t.Errorf("a line is long or not ASCII: %q", line)
		}
	}
}

func TestSecurity(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		mode      mail.Security
		s         *server
		tls, fail bool
	}{
		{mail.Required, &server{}, true, false},
		{"", &server{}, true, false},
		{mail.Required, &server{noTLS: true}, false, true},
		{mail.Optional, &server{}, true, false},
		{mail.Optional, &server{noTLS: true}, false, false},
		{mail.Optional, &server{name: "mallory.example"}, false, true},
		{mail.Off, &server{}, false, false},
		{mail.Implicit, &server{implicit: true}, true, false},
		{mail.Implicit, &server{implicit: true, name: "mallory.example"}, false, true},
		{mail.Required, &server{name: "mallory.example"}, false, true},
	} {
		s := test.s.start(t)
		c := s.config()
		c.TLS = test.mode
		_, err := sender(t, c).Send(t.Context(), hello())
		got := s.took()
		if test.fail {
			if e := asError(t, err); e.Permanent() || e.Hint() == "" || len(got) > 0 {
				t.Errorf("%s with %s: %v, hint %q, took %d", test.mode, test.s.name, err, e.Hint(), len(got))
			}
			continue
		}
		if err != nil || len(got) != 1 || got[0].tls != test.tls {
			t.Errorf("%s: %v, %d mails", test.mode, err, len(got))
		}
	}
}

// TestStrippedStartTLSGetsNothing: somebody on the way cuts STARTTLS out of the
// server's answer and offers the forms of login that show the password.
func TestStrippedStartTLSGetsNothing(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"250-AUTH PLAIN LOGIN\r\n250 SIZE 1000000", "250 STARTTLSX"} {
		address, heard := script(t, func(_ net.Conn, say func(string), hear func() string) {
			say("220 smtp.example.com ESMTP")
			for {
				switch line := hear(); {
				case strings.HasPrefix(line, "EHLO"):
					say("250-smtp.example.com\r\n" + answer)
				default:
					say("250 go on")
				}
			}
		})
		c := to(address, nil)
		c.Username, c.Password = "gateway", func() (string, error) { return "secret", nil }
		_, err := sender(t, c).Send(t.Context(), hello())
		e := asError(t, err)
		if e.Permanent() || !strings.Contains(err.Error(), "offers no STARTTLS") || !strings.Contains(e.Hint(), "implicit") {
			t.Errorf("%v; hint: %s", err, e.Hint())
		}
		if got := heard(); got != "EHLO example.com\r\n" {
			t.Errorf("the server was told %q", got)
		}
	}
}

// TestInjectedAnswerBeforeTLS: what somebody on the way appends to the answer to
// STARTTLS, in the clear, is not taken for the server's answer inside of TLS.
func TestInjectedAnswerBeforeTLS(t *testing.T) {
	t.Parallel()
	address, heard := script(t, func(_ net.Conn, say func(string), hear func() string) {
		say("220 smtp.example.com ESMTP")
		hear()
		say("250-smtp.example.com\r\n250 STARTTLS")
		hear()
		say("220 go ahead\r\n250-smtp.example.com\r\n250 AUTH PLAIN\r\n235 welcome")
		hear()
	})
	c := to(address, nil)
	c.Username, c.Password = "gateway", func() (string, error) { return "secret", nil }
	c.Timeout = 200 * time.Millisecond
	if _, err := sender(t, c).Send(t.Context(), hello()); err == nil {
		t.Error("the injected answers were believed")
	}
	if got := heard(); strings.Contains(got, "AUTH") || strings.Contains(got, "MAIL") {
		t.Errorf("the server was told %q", got)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		mechanisms string
		mode       mail.Security
		want       string // "": nothing is tried
	}{
		{"PLAIN LOGIN SCRAM-SHA-256", mail.Required, "SCRAM-SHA-256"},
		{"LOGIN PLAIN", mail.Required, "PLAIN"},
		{"LOGIN", mail.Required, "LOGIN"},
		{"CRAM-MD5 NTLM XOAUTH2", mail.Required, ""},
		{"PLAIN LOGIN", mail.Off, ""}, // even on this machine
		{"PLAIN SCRAM-SHA-256", mail.Off, "SCRAM-SHA-256"},
	} {
		t.Run(test.mechanisms+" "+string(test.mode), func(t *testing.T) {
			t.Parallel()
			s := (&server{mechanisms: strings.Fields(test.mechanisms), password: "open sesame"}).start(t)
			c := s.config()
			c.TLS = test.mode
			_, err := sender(t, c).Send(t.Context(), hello())
			if test.want == "" {
				if e := asError(t, err); e.Permanent() || !strings.Contains(err.Error(), "no login that is safe") || e.Hint() == "" || len(s.tried()) > 0 {
					t.Errorf("%v, %q", err, s.tried())
				}
				return
			}
			if err != nil || !slices.Equal(s.tried(), []string{test.want}) || len(s.took()) != 1 {
				t.Errorf("%v, %q", err, s.tried())
			}
		})
	}
}

// TestPasswordInNoError: not even if the server repeats it.
func TestPasswordInNoError(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"PLAIN", "LOGIN", "SCRAM-SHA-256"} {
		s := (&server{mechanisms: []string{mechanism}, password: "another"}).start(t)
		c := s.config()
		c.Password = func() (string, error) { return "open sesame", nil }
		_, err := sender(t, c).Send(t.Context(), hello())
		e := asError(t, err)
		if all := fmt.Sprintf("%v %+v %s", err, err, errors.Unwrap(err)); strings.Contains(all, "sesame") || strings.Contains(all, base64.StdEncoding.EncodeToString([]byte("open sesame"))) {
			t.Errorf("%s: %s", mechanism, all)
		}
		if e.Permanent() || e.Code != 535 || !strings.Contains(e.Hint(), "password_file") {
			t.Errorf("%s: %v, code %d, hint %q", mechanism, err, e.Code, e.Hint())
		}
	}
	s := (&server{mechanisms: []string{"PLAIN"}}).start(t)
	c := s.config()
	c.Password = func() (string, error) { return "", errors.New("opening /etc/secret: permission denied") }
	if _, err := sender(t, c).Send(t.Context(), hello()); asError(t, err).Permanent() || !strings.Contains(err.Error(), "permission denied") || s.connected() > 0 {
		t.Errorf("an unreadable password: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		stage     string
		code      int
		permanent bool
		doing     string
	}{
		{"mail", 451, false, "naming the sender reports@example.com to"},
		{"mail", 550, false, "naming the sender reports@example.com to"}, // the set-up's fault, not this mail's
		{"rcpt", 450, false, "naming the recipient ops@acme.example to"},
		{"rcpt", 550, true, "naming the recipient ops@acme.example to"},
		{"data", 452, false, "sending to"},
		{"data", 554, true, "sending to"},
		{"data", 552, true, "sending to"},
	} {
		t.Run(fmt.Sprint(test.stage, test.code), func(t *testing.T) {
			t.Parallel()
			s := (&server{refuse: map[string]error{
				test.stage: &smtp.SMTPError{Code: test.code, EnhancedCode: smtp.EnhancedCode{test.code / 100, 1, 1}, Message: "in my own words"},
			}}).start(t)
			box := sender(t, s.config())
			_, err := box.Send(t.Context(), hello())
			want := fmt.Sprintf("%s smtp.example.com:587: %d %d.1.1 in my own words", test.doing, test.code, test.code/100)
			e := asError(t, err)
			if e.Permanent() != test.permanent || e.Code != test.code || err.Error() != want {
				t.Errorf("%v (permanent %v)", err, e.Permanent())
			}
			if e.TooLarge() != (test.code == 552) {
				t.Errorf("%v: too large %v", err, e.TooLarge())
			}
			s.relent()
			if _, err := box.Send(t.Context(), hello()); err != nil || len(s.took()) != 1 || s.connected() != 1 {
				t.Errorf("after it: %v, %d mails over %d connections", err, len(s.took()), s.connected())
			}
		})
	}
}

func TestReuse(t *testing.T) {
	t.Parallel()
	s := (&server{}).start(t)
	box := sender(t, s.config())
	for range 3 {
		if _, err := box.Send(t.Context(), hello()); err != nil {
			t.Fatal(err)
		}
	}
	if s.connected() != 1 || len(s.took()) != 3 {
		t.Errorf("%d mails over %d connections", len(s.took()), s.connected())
	}
	s.hangUp()
	if _, err := box.Send(t.Context(), hello()); err != nil || s.connected() != 2 {
		t.Errorf("after the server hung up: %v, %d connections", err, s.connected())
	}
	if err := box.Close(); err != nil {
		t.Error(err)
	}
	if _, err := box.Send(t.Context(), hello()); err != nil || s.connected() != 3 {
		t.Errorf("after Close: %v, %d connections", err, s.connected())
	}
}

// TestDroppedAfterData: whether the server took the mail is not known. That is worth
// another try, which has the same Message-ID.
func TestDroppedAfterData(t *testing.T) {
	t.Parallel()
	address, heard := script(t, func(_ net.Conn, say func(string), hear func() string) {
		say("220 smtp.example.com ESMTP")
		for {
			switch line := hear(); {
			case line == ".":
				return
			case strings.HasPrefix(line, "EHLO"):
				say("250 smtp.example.com")
			case line == "DATA":
				say("354 go on")
			case strings.HasPrefix(line, "MAIL"), strings.HasPrefix(line, "RCPT"):
				say("250 fine")
			}
		}
	})
	c := to(address, nil)
	c.TLS = mail.Off
	box := sender(t, c)
	for range 2 {
		_, err := box.Send(t.Context(), hello())
		if e := asError(t, err); e.Permanent() || e.Code != 0 {
			t.Errorf("%v", err)
		}
	}
	if got := heard(); strings.Count(got, "Message-ID: <msg_abc123@example.com>\r\n") != 2 || !strings.Contains(got, "\r\n..\r\n") && !strings.Contains(got, "\r\n..Gr") {
		t.Errorf("%q", got)
	}
}

// TestSilence: a server that says nothing more holds nobody up.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"", "EHLO", "MAIL", "RCPT", "DATA", "."} {
		t.Run("after "+after, func(t *testing.T) {
			t.Parallel()
			address, _ := script(t, func(_ net.Conn, say func(string), hear func() string) {
				if after != "" {
					say("220 smtp.example.com ESMTP")
				}
				for {
					line := hear()
					switch {
					case after == "." && line != after && strings.HasPrefix(line, after):
					case after != "" && strings.HasPrefix(line, after):
						hear()
						return
					case line == "DATA":
						say("354 go on")
					case strings.HasPrefix(line, "EHLO"), strings.HasPrefix(line, "MAIL"), strings.HasPrefix(line, "RCPT"):
						say("250 fine")
					}
				}
			})
			c := to(address, nil)
			c.TLS, c.Timeout = mail.Off, 100*time.Millisecond
			_, err := sender(t, c).Send(t.Context(), hello())
			if e := asError(t, err); e.Permanent() || !strings.Contains(err.Error(), "timeout") {
				t.Errorf("%v", err)
			}
			c.Timeout = time.Hour
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(100*time.Millisecond, func() { cancel(errors.New("the gateway stops")) })
			_, err = sender(t, c).Send(ctx, hello())
			if e := asError(t, err); e.Permanent() || !strings.Contains(err.Error(), "the gateway stops") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestHeaderInjection: nothing that somebody else chose begins a header or a command.
func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	s := (&server{}).start(t)
	box := sender(t, s.config())
	with := func(change func(*mail.Mail)) mail.Mail {
		m := hello()
		change(&m)
		return m
	}
	for _, m := range []mail.Mail{
		with(func(m *mail.Mail) { m.Subject = "hello\r\nBcc: everybody@example.com" }),
		with(func(m *mail.Mail) { m.Subject = "hello\nBcc: everybody@example.com" }),
		with(func(m *mail.Mail) { m.Subject = "hello\u2028world" }),
		with(func(m *mail.Mail) { m.To = []string{"ops@acme.example>\r\nRCPT TO:<x@example.com"} }),
		with(func(m *mail.Mail) { m.To = []string{"ops@acme.example> NOTIFY=NEVER"} }),
		with(func(m *mail.Mail) { m.To = []string{"Ops <ops@acme.example>"} }),
		with(func(m *mail.Mail) { m.To = []string{"a@b.example, c@d.example"} }),
		with(func(m *mail.Mail) { m.To = []string{`"a b"@acme.example`} }),
		with(func(m *mail.Mail) { m.To = []string{"ä@acme.example"} }),
		with(func(m *mail.Mail) { m.To = nil }),
		with(func(m *mail.Mail) { m.ID = "a>\r\nBcc: x@example.com" }),
		with(func(m *mail.Mail) { m.ID = "" }),
		with(func(m *mail.Mail) { m.Attachment = &mail.Attachment{Name: "a\r\nb", Content: strings.NewReader("")} }),
		with(func(m *mail.Mail) { m.Attachment = &mail.Attachment{Content: strings.NewReader("")} }),
	} {
		if _, err := box.Send(t.Context(), m); !asError(t, err).Permanent() {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if s.connected() > 0 {
		t.Errorf("%d connections", s.connected())
	}
	for _, change := range []func(*mail.Config){
		func(c *mail.Config) { c.From = "a@b.example\r\nBcc: c@d.example" },
		func(c *mail.Config) { c.From = "nobody" },
		func(c *mail.Config) { c.Host = "" },
		func(c *mail.Config) { c.TLS = "perhaps" },
		func(c *mail.Config) { c.Username = "gateway" },
	} {
		c := s.config()
		change(&c)
		if _, err := mail.New(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

// some returns n bytes that look like nothing, the same each time.
func some(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	return data
}

func TestAttachment(t *testing.T) {
	t.Parallel()
	s := (&server{}).start(t)
	box := sender(t, s.config())
	const name = "Übersicht 年次 \"1\".csv.pgp"
	data := some(300_001)
	m := hello()
	m.Attachment = &mail.Attachment{Name: name, Content: bytes.NewReader(data), Size: int64(len(data))}
	if _, err := box.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got, err := netmail.ReadMessage(bytes.NewReader(s.took()[0].data))
	if err != nil {
		t.Fatal(err)
	}
	checkParts(t, got.Header.Get("Content-Type"), got.Body, hello().Body, name, data)

	for _, size := range []int64{300_000, 300_002} {
		m.Attachment = &mail.Attachment{Name: name, Content: bytes.NewReader(data), Size: size}
		if _, err := box.Send(t.Context(), m); asError(t, err).Permanent() || len(s.took()) != 1 {
			t.Errorf("an attachment that has not %d bytes: %v; the server took %d", size, err, len(s.took()))
		}
	}
	m.Attachment = &mail.Attachment{Name: name, Content: io.MultiReader(bytes.NewReader(data[:1000]), failing{}), Size: int64(len(data))}
	if _, err := box.Send(t.Context(), m); !strings.Contains(fmt.Sprint(err), "disk on fire") || len(s.took()) != 1 {
		t.Errorf("%v; the server took %d", err, len(s.took()))
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

// checkParts reads a text and an attachment.
func checkParts(t *testing.T, contentType string, r io.Reader, body, name string, data []byte) {
	t.Helper()
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "multipart/mixed" {
		t.Fatalf("%s, %v", contentType, err)
	}
	parts := multipart.NewReader(r, params["boundary"])
	text, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(text)
	if err != nil || strings.TrimSpace(strings.ReplaceAll(string(got), "\r\n", "\n")) != strings.TrimSpace(body) {
		t.Errorf("text %q, %v", got, err)
	}
	file, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if file.FileName() != name || file.Header.Get("Content-Transfer-Encoding") != "base64" {
		t.Errorf("%q, %v", file.FileName(), file.Header)
	}
	got, err = io.ReadAll(base64.NewDecoder(base64.StdEncoding, file))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes arrived of %d, %v", len(got), len(data), err)
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("after the parts: %v", err)
	}
}

func TestLargerThanTheServerTakes(t *testing.T) {
	t.Parallel()
	s := (&server{size: 1000}).start(t)
	m := hello()
	m.Attachment = &mail.Attachment{Name: "a", Content: failing{}, Size: 1000}
	_, err := sender(t, s.config()).Send(t.Context(), m)
	if e := asError(t, err); !e.TooLarge() || !e.Permanent() {
		t.Errorf("%v", err)
	}
}

func TestEncrypted(t *testing.T) {
	t.Parallel()
	s := (&server{}).start(t)
	m := hello()
	m.Encrypted = []byte("-----BEGIN PGP MESSAGE-----\n\nwcBM\n-----END PGP MESSAGE-----\n")
	m.Body = "not this"
	if _, err := sender(t, s.config()).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got, err := netmail.ReadMessage(bytes.NewReader(s.took()[0].data))
	if err != nil {
		t.Fatal(err)
	}
	mediaType, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/encrypted" || params["protocol"] != "application/pgp-encrypted" {
		t.Fatalf("%s, %v", got.Header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(got.Body, params["boundary"])
	for _, want := range []struct{ contentType, body string }{
		{"application/pgp-encrypted", "Version: 1"},
		{"application/octet-stream; name=encrypted.asc", strings.ReplaceAll(string(m.Encrypted), "\n", "\r\n")},
	} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil || part.Header.Get("Content-Type") != want.contentType || strings.TrimSpace(string(body)) != strings.TrimSpace(want.body) {
			t.Errorf("%v: %q, %v", part.Header, body, err)
		}
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("after the parts: %v", err)
	}
}

func TestWriteEntity(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 57, 1000} {
		data := some(n)
		var b bytes.Buffer
		if err := mail.WriteEntity(&b, hello().Body, mail.Attachment{Name: "Größe.csv.pgp", Content: bytes.NewReader(data), Size: int64(n)}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if len(line) > 78 && !strings.HasPrefix(line, "Content-") {
				t.Errorf("a line of %d: %q", len(line), line)
			}
		}
		head, body, _ := strings.Cut(b.String(), "\r\n\r\n")
		checkParts(t, strings.TrimPrefix(head, "Content-Type: "), strings.NewReader(body), hello().Body, "Größe.csv.pgp", data)
	}
}
