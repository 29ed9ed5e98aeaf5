package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// session is one connection to the server, logged in. One goroutine uses it at a time.
type session struct {
	server  string
	secrets []string
	client  *smtp.Client
	conn    net.Conn
	mails   int  // that were tried on it
	broken  bool // nothing more can be said on it
}

// connect opens a connection, protects it and logs in.
func (s *Sender) connect(ctx context.Context) (*session, error) {
	sess := &session{server: s.server}
	password := ""
	if s.config.Username != "" {
		var err error
		if password, err = s.config.Password(); err != nil {
			return nil, sess.failure("reading the password for", err)
		}
		sess.secrets = secrets(s.config.Username, password)
	}
	release := func() bool { return true }
	dial := func(within context.Context, network, address string) (net.Conn, error) {
		conn, err := s.config.Dial(within, network, address)
		if err != nil {
			return nil, err
		}
		sess.conn = &patient{Conn: conn, silence: s.config.Timeout}
		release = context.AfterFunc(ctx, sess.cut)
		if s.config.TLS != Implicit {
			return sess.conn, nil
		}
		secure := tls.Client(sess.conn, s.tls())
		return secure, secure.HandshakeContext(within)
	}
	client, err := gomail.NewClient(s.config.Host, append(s.options(password), gomail.WithDialContextFunc(dial))...)
	if err != nil {
		return nil, sess.failure("connecting to", err)
	}
	sess.client, err = client.DialToSMTPClientWithContext(ctx)
	if release(); err == nil && ctx.Err() == nil {
		return sess, nil
	}
	if sess.conn != nil { // the library leaves it open
		sess.cut()
	}
	if ctx.Err() != nil {
		return nil, sess.failure("connecting to", context.Cause(ctx))
	}
	return nil, s.explain(sess.failure("connecting to", err), err)
}

func (s *Sender) tls() *tls.Config {
	return &tls.Config{ServerName: s.config.Host, RootCAs: s.config.Roots, MinVersion: tls.VersionTLS12}
}

// options are what the library is told of the configuration.
func (s *Sender) options(password string) []gomail.Option {
	policy := gomail.NoTLS
	switch s.config.TLS {
	case Required:
		policy = gomail.TLSMandatory
	case Optional:
		policy = gomail.TLSOpportunistic
	}
	options := []gomail.Option{
		gomail.WithPort(s.config.Port), gomail.WithTimeout(s.config.Timeout), gomail.WithHELO(s.config.Hello),
		gomail.WithTLSConfig(s.tls()), gomail.WithTLSPolicy(policy), gomail.WithoutSMTPUTF8(),
	}
	if s.config.Username != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&login{user: s.config.Username, password: password}))
	}
	return options
}

// explain adds what an operator can do about a connection that failed.
func (s *Sender) explain(e *Error, err error) *Error {
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		e.hint = fmt.Sprintf("the server's certificate must be for %s and be issued by somebody who is trusted; notify.smtp.ca names a file of certificates to trust", s.config.Host)
	case errors.Is(err, errNoSafeLogin):
		e.hint = "set notify.smtp.starttls to required, or use a server that offers SCRAM-SHA-256"
	case strings.Contains(err.Error(), "does not support STARTTLS"):
		e.Reply = "the server offers no STARTTLS, so nothing was sent"
		e.hint = "if it speaks TLS from the first byte, as on port 465, set notify.smtp.starttls to implicit; if it never offers TLS, somebody may be cutting it out"
	case e.Code == 535 || e.Code == 534:
		e.Doing = "logging in to"
		e.hint = "check notify.smtp.user and the file notify.smtp.password_file"
	}
	return e
}

// cut ends the connection without a word, from any goroutine.
func (s *session) cut() { _ = s.conn.Close() }

// quit says good-bye and ends the connection.
func (s *session) quit() {
	_ = s.client.Quit()
	s.cut()
}

// ready reports whether the connection still stands.
func (s *session) ready(ctx context.Context) bool {
	defer context.AfterFunc(ctx, s.cut)()
	return s.client.Reset() == nil
}

// transact hands one letter over and returns the server's answer.
func (s *session) transact(ctx context.Context, l letter) (reply string, err error) {
	s.mails++
	defer context.AfterFunc(ctx, s.cut)()
	reply, failed := s.speak(l)
	if failed == nil {
		return reply, nil
	}
	if ctx.Err() != nil {
		s.broken = true
		return "", &Error{Server: s.server, Doing: failed.Doing, Reply: s.printable(context.Cause(ctx).Error()), err: context.Cause(ctx)}
	}
	if failed.Code == 421 || failed.Code == 0 && !failed.permanent || s.client.Reset() != nil {
		s.broken = true
	}
	return "", failed
}

// speak is the transaction of RFC 5321, section 3.3.
func (s *session) speak(l letter) (reply string, failed *Error) {
	if limit := s.limit(); limit > 0 && l.size > limit {
		return "", &Error{
			Server: s.server, Doing: "sending to", Code: 552, permanent: true,
			Reply: fmt.Sprintf("5.3.4 a mail of %d bytes is larger than the %d that it takes", l.size, limit),
		}
	}
	if err := s.client.Mail("<" + l.from + ">"); err != nil {
		// That the sender is refused, or a login asked for, is a fault of the set-up
		// and concerns all mails: it is never permanent.
		return "", s.failure("naming the sender "+l.from+" to", err)
	}
	for _, to := range l.to {
		if err := s.client.Rcpt("<" + to + ">"); err != nil {
			return "", s.failure("naming the recipient "+to+" to", err).final()
		}
	}
	w, err := s.client.Data()
	if err != nil {
		return "", s.failure("sending to", err).final()
	}
	if err := l.writeTo(w); err != nil {
		// Closing w would end the mail in good order, and half of it would be taken.
		s.broken = true
		return "", s.failure("sending to", err)
	}
	if err := w.Close(); err != nil {
		return "", s.failure("sending to", err).final()
	}
	if d, ok := w.(*smtp.DataCloser); ok {
		reply = d.ServerResponse()
	}
	return strings.TrimSpace("250 " + s.printable(reply)), nil
}

// final marks a refusal for good (5yz) as permanent.
func (e *Error) final() *Error {
	e.permanent = e.Code >= 500 && e.Code < 600
	return e
}

// limit is the largest mail that the server takes, 0 if it names none (RFC 1870).
func (s *session) limit() int64 {
	_, parameter := s.client.Extension("SIZE")
	limit, err := strconv.ParseInt(parameter, 10, 64)
	if err != nil {
		return 0
	}
	return limit
}

// patient is a connection that bounds each silence instead of the whole: the library
// would set one deadline for a mail of any size.
type patient struct {
	net.Conn
	silence time.Duration
}

func (c *patient) Read(p []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *patient) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// SetDeadline does nothing: the deadlines are the connection's own.
func (c *patient) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (c *patient) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (c *patient) SetWriteDeadline(time.Time) error { return nil }

// errNoSafeLogin says that a password would have to be shown.
var errNoSafeLogin = errors.New("the server offers no login that is safe here")

// login logs in by the best that the server offers, once it is known what that is.
type login struct {
	user, password string
	by             smtp.Auth
}

// Start chooses. Without TLS a server's word for anything is nobody's word: PLAIN and
// LOGIN, which show the password, are then not used whatever it says.
func (l *login) Start(server *smtp.ServerInfo) (mechanism string, first []byte, err error) {
	offers := func(name string) bool {
		return slices.ContainsFunc(server.Auth, func(s string) bool { return strings.EqualFold(s, name) })
	}
	switch {
	case offers("SCRAM-SHA-256"):
		l.by = smtp.ScramSHA256Auth(l.user, l.password)
	case offers("SCRAM-SHA-1"):
		l.by = smtp.ScramSHA1Auth(l.user, l.password)
	case server.TLS && offers("PLAIN"):
		l.by = smtp.PlainAuth("", l.user, l.password, server.Name, false)
	case server.TLS && offers("LOGIN"):
		l.by = smtp.LoginAuth(l.user, l.password, server.Name, false)
	case len(server.Auth) == 0:
		return "", nil, fmt.Errorf("%w: it offers none at all", errNoSafeLogin)
	default:
		return "", nil, fmt.Errorf("%w: it offers %s", errNoSafeLogin, strings.Join(server.Auth, ", "))
	}
	return l.by.Start(server)
}

// Next answers the server.
func (l *login) Next(challenge []byte, more bool) ([]byte, error) { return l.by.Next(challenge, more) }
