package mail

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Security says how a connection is protected.
type Security string

// The ways.
const (
	Required Security = "required" // STARTTLS, or nothing is sent
	Optional Security = "optional" // STARTTLS if the server offers it
	Off      Security = "off"      // no TLS: for a relay on this very machine
	Implicit Security = "implicit" // TLS from the first byte (RFC 8314)
)

// Config is what a [Sender] needs.
type Config struct {
	// Host is the server's name, which its certificate must have.
	Host string
	// Port is 465 for [Implicit] and 587 otherwise if it is 0.
	Port int
	// TLS is [Required] if it is "".
	TLS Security
	// Roots is whom certificates are believed; nil: whom the system believes.
	Roots *x509.CertPool

	// Username is empty for a server that asks for no login.
	Username string
	// Password is read for each connection.
	Password func() (string, error)

	// From is the sender, "Reports <reports@example.com>" or the address alone.
	From string
	// Hello is what the gateway calls itself; the domain of From if it is "".
	Hello string
	// Timeout bounds each silence of the server; 1 minute if it is 0.
	Timeout time.Duration
	// Dial opens connections; nil: the network's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Sender hands mails to one server. Any number of goroutines may use it.
type Sender struct {
	config Config
	from   mail.Address
	domain string
	server string

	mu     sync.Mutex
	idle   *session
	expiry *time.Timer
	closed bool
}

const (
	// keep is how long a connection is kept for the next mail.
	keep = 10 * time.Second
	// perConnection bounds how many mails go over one connection: servers have a limit.
	perConnection = 100
)

// New returns a Sender. It opens no connection yet.
func New(c Config) (*Sender, error) {
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("reading the sender %q: %w", c.From, err)
	}
	if _, err := address(from.Address); err != nil {
		return nil, fmt.Errorf("reading the sender %q: %w", c.From, err)
	}
	if control(from.Name) {
		return nil, errors.New("reading the sender: its name has a control character")
	}
	if c.Host == "" || control(c.Host) {
		return nil, errors.New("no mail server is named")
	}
	c.TLS = cmp.Or(c.TLS, Required)
	switch c.TLS {
	case Required, Optional, Off:
		c.Port = cmp.Or(c.Port, 587)
	case Implicit:
		c.Port = cmp.Or(c.Port, 465)
	default:
		return nil, fmt.Errorf("%q is no way to protect a connection: required, optional, off and implicit are", c.TLS)
	}
	if c.Username != "" && c.Password == nil {
		return nil, errors.New("there is a user name for the mail server, but no password")
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	c.Timeout = cmp.Or(c.Timeout, time.Minute)
	_, domain, _ := strings.Cut(from.Address, "@")
	c.Hello = cmp.Or(c.Hello, domain)
	return &Sender{config: c, from: *from, domain: domain, server: net.JoinHostPort(c.Host, strconv.Itoa(c.Port))}, nil
}

// Server returns the server's host:port.
func (s *Sender) Server() string { return s.server }

// Send hands a mail over. It returns no error only if the server has taken the mail
// for every recipient. ctx bounds all of it.
func (s *Sender) Send(ctx context.Context, m Mail) (Handed, error) {
	letter, err := s.write(m)
	if err != nil {
		return Handed{}, err
	}
	sess, err := s.session(ctx)
	if err != nil {
		return Handed{}, err
	}
	reply, err := sess.transact(ctx, letter)
	if err != nil {
		if sess.broken {
			sess.cut()
		} else {
			s.giveBack(sess)
		}
		return Handed{}, err
	}
	s.giveBack(sess)
	return Handed{Server: s.server, Reply: reply}, nil
}

// Close ends the connection that is kept, if there is one.
func (s *Sender) Close() error {
	s.mu.Lock()
	idle := s.takeIdle()
	s.closed = true
	s.mu.Unlock()
	if idle != nil {
		idle.quit()
	}
	return nil
}

// session returns a connection that is ready for a mail: the one that was kept, if it
// still stands, or a new one.
func (s *Sender) session(ctx context.Context) (*session, error) {
	s.mu.Lock()
	idle := s.takeIdle()
	s.mu.Unlock()
	if idle != nil {
		if idle.ready(ctx) {
			return idle, nil
		}
		idle.cut()
	}
	return s.connect(ctx)
}

// giveBack keeps a connection for the next mail, or ends it.
func (s *Sender) giveBack(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.idle != nil || sess.mails >= perConnection {
		go sess.quit() // the server may take its time to say good-bye
		return
	}
	s.idle = sess
	s.expiry = time.AfterFunc(keep, func() {
		s.mu.Lock()
		expired := s.idle == sess
		if expired {
			s.takeIdle()
		}
		s.mu.Unlock()
		if expired {
			sess.quit()
		}
	})
}

// takeIdle takes the connection that is kept; s.mu is held.
func (s *Sender) takeIdle() *session {
	idle := s.idle
	if idle != nil {
		s.idle = nil
		s.expiry.Stop()
	}
	return idle
}
