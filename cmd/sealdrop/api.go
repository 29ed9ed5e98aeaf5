package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/sealdrop/sealdrop/internal/certificate"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/producer"
	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/access"
	"github.com/sealdrop/sealdrop/server/api"
)

// listenAPI opens the API's listeners: with TLS on addresses, without on unix
// sockets.
func (g *gateway) listenAPI() (list []protocol, err error) {
	cfg := g.config.API
	config := api.Config{
		Publisher: g.publisher, Producers: producer.New(g.db, now), Report: g.catalog.Report,
		Client: func(ctx context.Context, id reports.ClientID) error {
			_, err := g.register.Client(ctx, id)
			return err
		},
		Secret: g.own.Delivery, Guard: producerGuard{g.gate},
		Uploads: cfg.Limits.Uploads, UploadsPerProducer: cfg.Limits.UploadsPerProducer, MaxReport: int64(cfg.Limits.ReportSize),
		MinRate: int64(cfg.Limits.MinRate), RateWindow: rateWindow,
		HeaderTimeout: cfg.Limits.HeaderTimeout.Std(), IdleTimeout: cfg.Limits.IdleTimeout.Std(), StallTimeout: cfg.Limits.StallTimeout.Std(),
		Now: now, Log: g.log,
	}
	if config.MaxReport < 0 {
		config.MaxReport = math.MaxInt64
	}
	if len(cfg.Addresses()) > 0 {
		secret, err := g.certificate("https", cfg.TLS.Certificate, cfg.TLS.Key)
		if err != nil {
			return nil, err
		}
		config.Certificate = secret.Get
		if cfg.TLS.ClientCA != "" {
			authorities, err := certificate.OpenAuthorities(cfg.TLS.ClientCA, now, g.log)
			if err != nil {
				return nil, err
			}
			config.ClientCAs = authorities.Get
		}
	}
	// Opened before anything is started: what fails leaves nothing behind.
	sockets, err := listenSockets("api.listen", cfg.Sockets())
	if err != nil {
		return nil, err
	}
	addresses, err := g.socketsOr("https", "api.listen", cfg.Addresses())
	if err != nil {
		closeAll(sockets)
		return nil, err
	}
	speaker := api.New(config)
	front, err := g.apiFront(speaker)
	if err != nil {
		closeAll(append(sockets, addresses...))
		return nil, err
	}
	return []protocol{
		{name: "https", server: front, listeners: addresses},
		{name: "http", server: speaker, listeners: sockets},
	}, nil
}

// rateWindow is how long the gateway waits for a report's bytes before it judges how
// fast they come.
const rateWindow = 30 * time.Second

// producerGuard is the gate as the API asks it.
type producerGuard struct{ gate *access.Gate }

func (p producerGuard) LockedOut(ctx context.Context, addr netip.Addr) (time.Time, error) {
	return p.gate.LockedOut(ctx, addr)
}

func (p producerGuard) Refused(ctx context.Context, addr netip.Addr, r *producer.Refusal) error {
	return p.gate.RefusedProducer(ctx, access.ProducerRefusal{
		Address: addr, Reason: string(r.Reason), Producer: r.Name, Guessing: r.Reason.Guessing(),
	})
}

func (p producerGuard) Allowed(addr netip.Addr) { p.gate.AllowedProducer(addr) }

// apiFront bounds who connects over the network, and hands the connections on.
func (g *gateway) apiFront(speaker *api.Server) (*server.Server, error) {
	cfg := g.config.API
	return server.New(server.Config{
		Name: "https", Log: g.log,
		Admit: func(a netip.Addr) bool {
			for _, p := range cfg.Allow {
				if p.Contains(a) {
					return true
				}
			}
			return false
		},
		Limits: server.Limits{
			Connections: cfg.Limits.Connections, ConnectionsPerAddress: cfg.Limits.ConnectionsPerAddress,
			Unauthenticated: (cfg.Limits.Connections + 1) / 2, LoginTimeout: 2 * cfg.Limits.HeaderTimeout.Std(),
			// HTTP has time-outs of its own. This one bounds how long sealing may take
			// behind the last byte.
			IdleTimeout: max(cfg.Limits.IdleTimeout.Std(), cfg.Limits.StallTimeout.Std()) + 10*time.Minute,
		},
		Handler: func(ctx context.Context, c *server.Conn) { speaker.ServeConn(ctx, c) },
	})
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close() // nobody has been served
	}
}

// socketMode lets the members of the socket's group connect.
const socketMode = 0o660

// listenSockets opens all unix sockets or none. One that a gateway has left behind
// when it was killed is taken over; one that is in use is not.
func listenSockets(key string, paths []string) (list []net.Listener, err error) {
	for _, path := range paths {
		l, err := listenSocket(path)
		if err != nil {
			closeAll(list)
			return nil, &socketError{key, path, err}
		}
		list = append(list, l)
	}
	return list, nil
}

func listenSocket(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			return nil, errors.Join(syscall.EADDRINUSE, c.Close())
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// socketError says which unix socket could not be listened on.
type socketError struct {
	key  string // of the configuration
	path string
	err  error
}

func (e *socketError) Error() string {
	err := e.err
	if op := new(net.OpError); errors.As(err, &op) {
		err = op.Err // without the path, which would be there twice
	}
	return fmt.Sprintf("listening on unix:%s: %v", e.path, err)
}

func (e *socketError) Unwrap() error { return e.err }

// Hint says what an operator can do.
func (e *socketError) Hint() string {
	if errors.Is(e.err, syscall.EADDRINUSE) {
		return "another program has the socket, or a file of that name is there: look with `ls -l " + e.path + "` and `ss -lxp`, or change " + e.key
	}
	return "the folder must be there, and the gateway's user must be able to write to it; or change " + e.key
}
