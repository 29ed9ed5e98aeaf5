package mail_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/sealdrop/sealdrop/reports/notify/mail"
)

// serverName is what the certificates are for; nothing is ever looked up.
const serverName = "smtp.example.com"

// authority makes a certificate for a name, and the pool that believes it.
func authority(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// received is a mail that a server has taken.
type received struct {
	from string
	to   []string
	data []byte
	tls  bool
}

// server is an SMTP server that does as it is told.
type server struct {
	mechanisms []string
	password   string
	refuse     map[string]error // by stage: mail, rcpt, data
	size       int64
	implicit   bool
	noTLS      bool
	name       string // of the certificate

	address string
	roots   *x509.CertPool

	mu          sync.Mutex
	connections int
	logins      []string
	mails       []received
	conns       []net.Conn
}

// start starts s and returns it.
func (s *server) start(t *testing.T) *server {
	t.Helper()
	if s.name == "" {
		s.name = serverName
	}
	certificate, roots := authority(t, s.name)
	s.roots = roots
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	listener = &counting{listener, s}
	if s.implicit {
		listener = tls.NewListener(listener, config)
	}
	back := smtp.NewServer(s)
	back.Domain, back.AllowInsecureAuth, back.MaxMessageBytes = serverName, true, s.size
	back.ErrorLog = log.New(io.Discard, "", 0)
	if !s.noTLS && !s.implicit {
		back.TLSConfig = config
	}
	go func() { _ = back.Serve(listener) }()
	t.Cleanup(func() { _ = back.Close() })
	return s
}

type counting struct {
	net.Listener
	s *server
}

func (l *counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.s.mu.Lock()
		l.s.connections++
		l.s.conns = append(l.s.conns, conn)
		l.s.mu.Unlock()
	}
	return conn, err
}

// hangUp ends all connections.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
}

func (s *server) refusal(stage string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refuse[stage]
}

// relent ends all refusals.
func (s *server) relent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = nil
}

func (s *server) connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

func (s *server) tried() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

func (s *server) took() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mails
}

func (s *server) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, encrypted := c.TLSConnectionState()
	return &transaction{s: s, tls: encrypted}, nil
}

type transaction struct {
	s   *server
	tls bool
	m   received
}

func (x *transaction) AuthMechanisms() []string { return x.s.mechanisms }

func (x *transaction) Auth(mechanism string) (sasl.Server, error) {
	x.s.mu.Lock()
	x.s.logins = append(x.s.logins, mechanism)
	x.s.mu.Unlock()
	check := func(user, password string) error {
		if user != "gateway" || password != x.s.password {
			// A server that says too much.
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "not " + password + " nor " + base64.StdEncoding.EncodeToString([]byte(password))}
		}
		return nil
	}
	switch mechanism {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case "LOGIN":
		return &loginServer{check: check}, nil
	case "SCRAM-SHA-256":
		return &scramServer{password: x.s.password}, nil
	}
	return nil, errors.New("unknown mechanism")
}

func (x *transaction) Reset()        { x.m = received{} }
func (x *transaction) Logout() error { return nil }

func (x *transaction) Mail(from string, _ *smtp.MailOptions) error {
	x.m = received{from: from, tls: x.tls}
	return x.s.refusal("mail")
}

func (x *transaction) Rcpt(to string, _ *smtp.RcptOptions) error {
	x.m.to = append(x.m.to, to)
	return x.s.refusal("rcpt")
}

func (x *transaction) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := x.s.refusal("data"); err != nil {
		return err
	}
	x.m.data = data
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.mails = append(x.s.mails, x.m)
	return nil
}

type loginServer struct {
	check func(user, password string) error
	user  string
	step  int
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch {
	case l.step == 1:
		return []byte("Username:"), false, nil
	case l.step == 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

// scramServer is RFC 7677's side of the server, without channel binding.
type scramServer struct {
	password string
	step     int
	bare     string
	first    string
}

func (s *scramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	const salt, iterations = "salt of the test", 4096
	switch s.step++; s.step {
	case 1:
		if response == nil {
			s.step = 0
			return []byte{}, false, nil
		}
		_, s.bare, _ = strings.Cut(string(response), ",,")
		_, nonce, _ := strings.Cut(s.bare, "r=")
		s.first = fmt.Sprintf("r=%sserver,s=%s,i=%d", nonce, base64.StdEncoding.EncodeToString([]byte(salt)), iterations)
		return []byte(s.first), false, nil
	case 2:
		without, proof, _ := strings.Cut(string(response), ",p=")
		salted, err := pbkdf2.Key(sha256.New, s.password, []byte(salt), iterations, sha256.Size)
		if err != nil {
			return nil, true, err
		}
		mac := func(key []byte, text string) []byte {
			h := hmac.New(sha256.New, key)
			h.Write([]byte(text))
			return h.Sum(nil)
		}
		all := s.bare + "," + s.first + "," + without
		clientKey := mac(salted, "Client Key")
		stored := sha256.Sum256(clientKey)
		signature := mac(stored[:], all)
		for i := range signature {
			signature[i] ^= clientKey[i]
		}
		if base64.StdEncoding.EncodeToString(signature) != proof {
			return nil, true, &smtp.SMTPError{Code: 535, Message: "no"}
		}
		return []byte("v=" + base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), all))), false, nil
	}
	return nil, true, nil
}

// script starts a server that does what do does with each connection, until the client
// hangs up. What clients say
// is kept for the function it returns.
func script(t *testing.T, do func(conn net.Conn, say func(string), hear func() string)) (address string, heard func() string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var mu sync.Mutex
	var all bytes.Buffer
	var connections sync.WaitGroup
	serve := func(conn net.Conn) {
		defer conn.Close()
		var pending []byte
		do(conn, func(s string) { _, _ = io.WriteString(conn, s+"\r\n") }, func() string {
			for {
				if i := bytes.IndexByte(pending, '\n'); i >= 0 {
					line := string(pending[:i])
					pending = pending[i+1:]
					return strings.TrimRight(line, "\r")
				}
				buf := make([]byte, 4096)
				n, err := conn.Read(buf)
				mu.Lock()
				all.Write(buf[:n])
				mu.Unlock()
				pending = append(pending, buf[:n]...)
				if err != nil {
					runtime.Goexit() // the client has hung up
				}
			}
		})
	}
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { serve(conn) })
		}
	})
	return listener.Addr().String(), func() string {
		_ = listener.Close()
		connections.Wait()
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

// to returns a Config for a server at an address.
func to(address string, roots *x509.CertPool) mail.Config {
	return mail.Config{
		Host: serverName, Roots: roots, From: "Example Reports <reports@example.com>", Timeout: 10 * time.Second,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
}

// config is a Config for s.
func (s *server) config() mail.Config {
	c := to(s.address, s.roots)
	if s.implicit {
		c.TLS = mail.Implicit
	}
	if len(s.mechanisms) > 0 {
		c.Username, c.Password = "gateway", func() (string, error) { return s.password, nil }
	}
	return c
}

// sender returns a Sender, closed at the test's end.
func sender(t *testing.T, c mail.Config) *mail.Sender {
	t.Helper()
	s, err := mail.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// hello is some mail.
func hello() mail.Mail {
	return mail.Mail{
		ID: "msg_abc123", To: []string{"ops@acme.example"}, Subject: "1 Bericht für Müller & Söhne 利用可能", Body: "Guten Tag,\n\n.\n.Grüße\n",
		Date: time.Date(2027, time.March, 2, 8, 5, 0, 0, time.UTC),
	}
}
