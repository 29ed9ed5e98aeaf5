package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	maxConnections = 64
	maxHeader      = 16 << 10 // bytes; net/http takes 4 KiB more
	headerTimeout  = 5 * time.Second
	idleTimeout    = time.Minute
	// writeTimeout is how long an answer may take. The longest is a profile.
	writeTimeout = 90 * time.Second
	// checkTimeout is how long a [Check] may take.
	checkTimeout = 3 * time.Second
)

// Config is what a [Server] needs.
type Config struct {
	Metrics *Metrics
	// Checks tell whether the gateway can do its work; each must hold for it to be
	// ready.
	Checks []Check
	// Pprof serves /debug/pprof.
	Pprof bool
	Log   *slog.Logger
}

// Check is one thing without which the gateway can't work.
type Check struct {
	Name string
	// Ask returns why it does not hold, or nil. The text goes to who asks.
	Ask func(context.Context) error
}

// Server serves the admin listener. It is safe for concurrent use.
type Server struct {
	cfg   Config
	http  *http.Server
	slots chan struct{}
}

// New returns a server.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, slots: make(chan struct{}, maxConnections)}
	mux := http.NewServeMux()
	for pattern, handler := range s.routes() {
		mux.Handle(pattern, handler)
	}
	s.http = &http.Server{
		Handler: guard(mux), MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		DisableGeneralOptionsHandler: true,
	}
	return s
}

// routes are all that is served.
func (s *Server) routes() map[string]http.Handler {
	routes := map[string]http.Handler{
		"GET /healthz": http.HandlerFunc(alive),
		"GET /readyz":  http.HandlerFunc(s.ready),
		"GET /metrics": promhttp.HandlerFor(s.cfg.Metrics.registry, promhttp.HandlerOpts{
			ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn),
			MaxRequestsInFlight: 4, Timeout: writeTimeout / 2, EnableOpenMetrics: true,
		}),
	}
	if s.cfg.Pprof {
		routes["GET /debug/pprof/"] = http.HandlerFunc(pprof.Index) // and those that are only a name
		routes["GET /debug/pprof/profile"] = http.HandlerFunc(pprof.Profile)
		routes["GET /debug/pprof/trace"] = http.HandlerFunc(pprof.Trace)
	}
	return routes
}

// Serve answers on a unix socket or an address of the loopback, until Shutdown,
// after which it returns nil.
func (s *Server) Serve(l net.Listener) error {
	if !local(l.Addr()) {
		return errors.Join(fmt.Errorf("the admin listener asks nobody who they are, and %s can be reached from other machines", l.Addr()), l.Close())
	}
	if err := s.http.Serve(&bounded{Listener: l, slots: s.slots}); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown closes the listeners, and lets answers under way finish until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

func local(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().IsLoopback()
	}
	return false
}

// guard refuses requests that a web page made a browser send, and says of all
// answers that they are for nobody else.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if _, unix := at.(*net.UnixAddr); !unix && !ownName(r.Host) {
			http.Error(w, "this is served to the machine itself, as localhost or by its loopback address", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownName reports whether a Host header names the loopback: by an address, or by
// the one name that no DNS server is asked for.
func ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready  bool    `json:"ready"`
	Checks []state `json:"checks"`
}

type state struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"` // why not
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	answer := readiness{Ready: true, Checks: make([]state, len(s.cfg.Checks))}
	var all sync.WaitGroup
	for i, c := range s.cfg.Checks {
		all.Go(func() {
			answer.Checks[i] = state{Name: c.Name, OK: true}
			if err := ask(r.Context(), c); err != nil {
				answer.Checks[i] = state{Name: c.Name, Reason: err.Error()}
			}
		})
	}
	all.Wait()
	for _, c := range answer.Checks {
		answer.Ready = answer.Ready && c.OK
	}
	w.Header().Set("Content-Type", "application/json")
	if !answer.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer) // who asked may have gone
}

// ask waits for a check no longer than it may take. One that hangs, as on a network
// file system that is gone, is left behind.
func ask(ctx context.Context, c Check) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- c.Ask(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer within %s", checkTimeout)
	}
}

// bounded is a listener that has only so many connections open.
type bounded struct {
	net.Listener
	slots chan struct{}
}

// Accept implements [net.Listener].
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case b.slots <- struct{}{}:
			return &slotted{Conn: c, release: sync.OnceFunc(func() { <-b.slots })}, nil
		default:
			_ = c.Close() // one too many
		}
	}
}

type slotted struct {
	net.Conn
	release func()
}

// Close implements [net.Conn].
func (c *slotted) Close() error {
	defer c.release()
	return c.Conn.Close()
}
