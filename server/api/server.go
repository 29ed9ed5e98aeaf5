package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/producer"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// maxHeader bounds a request's line and headers, in bytes. net/http takes 4 KiB
// more.
const maxHeader = 16 << 10

// Publisher makes reports durable and visible; *[publish.Publisher] is one. It
// publishes nothing if the reader ends with an error.
type Publisher interface {
	Publish(ctx context.Context, d publish.Delivery, r io.Reader) (publish.Outcome, error)
}

// Producers tells who may hand in reports; *[producer.Register] is one.
type Producers interface {
	ByToken(ctx context.Context, token string) (producer.Producer, error)
	ByCertificate(ctx context.Context, name string) (producer.Producer, error)
	Answered(ctx context.Context, producer, key string) (bool, error)
	Claim(ctx context.Context, u producer.Use) (producer.Answer, error)
	Record(tx *database.Tx, u producer.Use, a producer.Answer) (producer.Answer, error)
	Answer(ctx context.Context, u producer.Use, a producer.Answer) (producer.Answer, error)
}

// Config is what a [Server] needs.
type Config struct {
	Publisher Publisher
	Producers Producers
	// Client returns nil for a client that there is, or an error that wraps
	// [reports.ErrUnknownClient].
	Client func(context.Context, reports.ClientID) error
	// Report returns a report by its id, or an error that is fs.ErrNotExist.
	Report func(ctx context.Context, id string) (reports.Report, error)
	// Secret keys the hashes of what idempotency keys were used for.
	Secret []byte

	// Certificate is the server's, asked for at each handshake. It may be nil if
	// ServeConn is not used.
	Certificate func() (*tls.Certificate, error)
	// ClientCAs returns the authorities of producers' certificates as they are now;
	// nil: there are none, and certificates are not asked for.
	ClientCAs func() *x509.CertPool
	Guard     Guard

	Uploads            int   // at one time
	UploadsPerProducer int   // of them
	MaxReport          int64 // bytes
	HeaderTimeout      time.Duration
	IdleTimeout        time.Duration // between requests
	StallTimeout       time.Duration // without a byte in a body
	// MinRate is how many bytes a second a body must come with, taken over each
	// RateWindow that the gateway waits for it. 0: any.
	MinRate    int64
	RateWindow time.Duration

	Now func() time.Time
	Log *slog.Logger
}

// Server speaks HTTP/1.1. It is safe for concurrent use.
type Server struct {
	Config
	http    *http.Server
	uploads chan struct{}
	queue   *queue
	flights flights
	tls     *tls.Config
	drain   func()
}

// New returns a server. Its Shutdown must be called.
func New(c Config) *Server {
	s := &Server{
		Config: c, uploads: make(chan struct{}, c.Uploads), queue: newQueue(),
		flights: flights{keys: map[[2]string]struct{}{}, of: map[string]int{}, most: c.UploadsPerProducer},
	}
	s.tls = &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.Certificate() },
	}
	if c.ClientCAs != nil {
		// Whether it is good is seen at each request, and told to who shows it. The
		// authorities go into the question, so that a program with several certificates
		// knows which is meant.
		s.tls.ClientAuth, s.tls.ClientCAs = tls.RequestClientCert, c.ClientCAs()
		s.tls.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := s.tls.Clone()
			now.GetConfigForClient, now.ClientCAs = nil, c.ClientCAs()
			return now, nil
		}
	}
	s.http = &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: c.HeaderTimeout, IdleTimeout: c.IdleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug), ConnContext: withConn,
		TLSNextProto:                 map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2
		DisableGeneralOptionsHandler: true,                                                     // "OPTIONS *" is answered as any other request
	}
	s.drain = sync.OnceFunc(func() { go func() { _ = s.http.Shutdown(context.Background()) }() })
	go func() { _ = s.http.Serve(s.queue) }() // until the queue is closed, by Shutdown
	return s
}

// Conn is a connection that somebody else accepted and bounds; *server.Conn is one.
type Conn interface {
	net.Conn
	// Authenticated is told when the peer has proved who it is.
	Authenticated()
	Closed() <-chan struct{}
	Draining() <-chan struct{}
}

// ServeConn serves a connection with TLS, and returns when it is closed.
func (s *Server) ServeConn(ctx context.Context, c Conn) {
	if !s.queue.put(ctx, tls.Server(c, s.tls)) {
		return
	}
	select {
	case <-c.Closed():
		return
	case <-c.Draining():
		s.drain()
	}
	<-c.Closed()
}

// Serve accepts connections of a unix socket, without TLS, until Shutdown. A
// listener of another kind is refused: over a network nothing is taken in the
// clear.
func (s *Server) Serve(l net.Listener) error {
	if _, ok := l.(*net.UnixListener); !ok {
		return errors.New("the API is served without TLS on a unix socket only")
	}
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown closes the listeners and the connections without a request, and lets
// the others finish until ctx ends; it then closes them.
func (s *Server) Shutdown(ctx context.Context) error {
	s.queue.close()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// queue is a listener of connections that were accepted elsewhere.
type queue struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func newQueue() *queue {
	q := &queue{conns: make(chan net.Conn), done: make(chan struct{})}
	q.close = sync.OnceFunc(func() { close(q.done) })
	return q
}

// put hands a connection over. It returns false if nobody takes it any more.
func (q *queue) put(ctx context.Context, c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.done:
	case <-ctx.Done():
	}
	return false
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error { q.close(); return nil }

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }
