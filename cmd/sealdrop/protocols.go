package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/internal/certificate"
	"github.com/sealdrop/sealdrop/keys/sshkey"
	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/access"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/ftpd"
	"github.com/sealdrop/sealdrop/server/sftpd"
)

// listenerServer serves listeners until it is shut down; *[server.Server] is one.
type listenerServer interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
}

// protocol is a server with the listeners that it is to serve.
type protocol struct {
	name      string
	server    listenerServer
	listeners []net.Listener
	close     func() // what else it has open; nil: nothing
}

// listen opens all that the configuration wants listened on, or nothing.
func (g *gateway) listen(recorder *folder.Recorder, digester *folder.Digester) (protocols []protocol, err error) {
	defer func() {
		if err != nil {
			for _, p := range protocols {
				p.abandon()
			}
			protocols = nil
		}
	}()
	store := &folder.Store{Catalog: g.catalog, Blobs: g.blobs, Recorder: recorder, Digester: digester, Now: now, Log: g.log, Observe: g.observeTransfer}
	add := func(p protocol, err error) error {
		if err == nil {
			protocols = append(protocols, p)
		}
		return err
	}
	if err := add(g.listenSFTP(store)); err != nil {
		return protocols, err
	}
	if g.config.API.Enabled() && g.config.Serves(config.Intake) {
		list, err := g.listenAPI()
		if err != nil {
			return protocols, err
		}
		protocols = append(protocols, list...)
	}
	if !g.config.FTP.Enabled() || !g.config.Serves(config.Edge) {
		return protocols, nil
	}
	explicit, implicit, err := g.listenFTP(store)
	if err != nil {
		return protocols, err
	}
	return append(protocols, explicit, implicit), nil
}

// abandon closes what was opened and never served.
func (p protocol) abandon() {
	closeAll(p.listeners)
	if p.close != nil {
		p.close()
	}
}

// shutDown ends all protocols at once and lets transfers under way go on for a
// while.
func shutDown(ctx context.Context, protocols []protocol, drain time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	errs := make([]error, len(protocols))
	var all sync.WaitGroup
	for i, p := range protocols {
		all.Go(func() {
			if err := p.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				errs[i] = err
			}
			if p.close != nil {
				p.close()
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// strangers is what addresses may do that are on nobody's list. Few are enough: a
// client that comes from a new address tries again.
func (g *gateway) strangers() server.Strangers {
	if !g.config.Access.Learn {
		return server.Strangers{}
	}
	return server.Strangers{Connections: 8, PerMinute: 30, Pause: 5 * time.Second}
}

// turnedAway tells the gate of connections that were closed at accept.
func (g *gateway) turnedAway(protocol string) func(netip.Addr, server.Cause) {
	return func(addr netip.Addr, cause server.Cause) {
		reason, setting := access.TooManyConnections, ""
		switch cause {
		case server.AddressNotAdmitted:
			reason = access.AddressNotAllowed
		case server.TooManyConnections:
			setting = protocol + ".limits.connections"
		case server.TooManyFromAddress:
			setting = protocol + ".limits.connections_per_address"
		case server.TooManyUnauthenticated:
			setting = protocol + ".limits.unauthenticated"
		default:
			return
		}
		g.gate.TurnedAway(protocol, addr, reason, setting)
	}
}

func (g *gateway) admit(addr netip.Addr) bool { return g.gate.Admit(context.Background(), addr) }

// keptFor is how long what a client uploads is kept.
func (g *gateway) keptFor(retention time.Duration) time.Duration {
	if retention == 0 {
		return g.config.Retention.After.Std()
	}
	return retention
}

func (g *gateway) listenSFTP(store *folder.Store) (p protocol, err error) {
	hostKeys, next, err := loadHostKeys(g.config)
	if err != nil {
		return p, err
	}
	g.tellHostKeys(hostKeys, next)
	limits := g.config.SFTP.Limits
	speaker, err := sftpd.New(sftpd.Config{
		HostKeys: hostKeys, NextHostKeys: next, CheckKey: sshkey.Check, Log: g.log,
		Gate:     &sftpGate{gate: g.gate, store: store, drops: &drops{g}, keptFor: g.keptFor},
		MaxTries: limits.Tries, MaxHandles: limits.HandlesPerSession,
		IdleTimeout: limits.IdleTimeout.Std(),
	})
	if err != nil {
		return p, err
	}
	g.setHostKeys = speaker.SetHostKeys
	s, err := server.New(server.Config{
		Name: "sftp", Log: g.log,
		Limits: server.Limits{
			Connections: limits.Connections, ConnectionsPerAddress: limits.ConnectionsPerAddress,
			Unauthenticated: limits.Unauthenticated, LoginTimeout: limits.LoginTimeout.Std(), IdleTimeout: limits.IdleTimeout.Std(),
		},
		Admit: g.admit, Refused: g.turnedAway(access.SFTP), Strangers: g.strangers(),
		Handler: func(ctx context.Context, c *server.Conn) { speaker.ServeConn(ctx, c) },
	})
	if err != nil {
		return p, err
	}
	listeners, err := g.socketsOr("sftp", "sftp.listen", g.config.SFTP.Listen)
	return protocol{name: "sftp", server: s, listeners: listeners}, err
}

// listenFTP opens FTP's listeners: those where a client may ask for TLS, those
// where it must begin with it, and the passive ports of both.
func (g *gateway) listenFTP(store *folder.Store) (explicit, implicit protocol, err error) {
	cfg := g.config.FTP
	var get func() (*tls.Certificate, error) // nil: there is no TLS
	if cfg.TLS.Mode != "off" {
		secret, err := g.certificate("ftp", cfg.TLS.Certificate, cfg.TLS.Key)
		if err != nil {
			return explicit, implicit, err
		}
		get = secret.Get
	}
	explicit.name, implicit.name = "ftp", "ftps"
	defer func() {
		if err != nil {
			explicit.abandon()
			implicit.abandon()
		}
	}()
	if explicit.listeners, err = g.socketsOr("ftp", "ftp.listen", cfg.Listen); err != nil {
		return explicit, implicit, err
	}
	if implicit.listeners, err = g.socketsOr("ftps", "ftp.tls.implicit_listen", cfg.TLS.ImplicitListen); err != nil {
		return explicit, implicit, err
	}
	passive, err := g.listenPassive()
	if err != nil {
		return explicit, implicit, err
	}
	speaker, err := ftpd.New(ftpd.Config{
		Gate: &ftpGate{gate: g.gate, store: store, keptFor: g.keptFor, admit: g.admit, plain: cfg.TLS.Mode != "required"},
		Log:  g.log, Passive: passive, Announce: announcer(cfg.PublicAddress),
		Certificate: get, RequireSessionReuse: cfg.TLS.RequireSessionReuse,
		MaxTries: cfg.Limits.Tries, IdleTimeout: cfg.Limits.IdleTimeout.Std(), StallTimeout: cfg.Limits.StallTimeout.Std(),
	})
	if err != nil {
		return explicit, implicit, err
	}
	explicit.close = sync.OnceFunc(speaker.Close)
	for _, p := range []*protocol{&explicit, &implicit} {
		p.server, err = server.New(server.Config{
			Name: p.name, Log: g.log, Admit: g.admit, Refused: g.turnedAway(access.FTP), Strangers: g.strangers(),
			Limits: server.Limits{
				Connections: cfg.Limits.Connections, ConnectionsPerAddress: cfg.Limits.ConnectionsPerAddress,
				Unauthenticated: cfg.Limits.Unauthenticated, LoginTimeout: cfg.Limits.LoginTimeout.Std(),
				// The protocol ends an idle session itself, with a word to the client.
				IdleTimeout: cfg.Limits.IdleTimeout.Std() + time.Minute,
			},
			Handler: func(ctx context.Context, c *server.Conn) { speaker.ServeConn(ctx, c, p == &implicit) },
		})
		if err != nil {
			return explicit, implicit, err
		}
	}
	return explicit, implicit, nil
}

// announcer returns what PASV announces: what is set for the listener, or for all
// of them, or the address that the client has connected to.
func announcer(public []config.PublicAddress) func(netip.AddrPort) netip.Addr {
	return func(local netip.AddrPort) netip.Addr {
		announced := local.Addr()
		for _, p := range public {
			switch p.Listen {
			case local.String(), fmt.Sprintf(":%d", local.Port()):
				return p.Address
			case "":
				announced = p.Address
			}
		}
		return announced
	}
}

// anyPorts is how many passive ports there are if the system picks them.
const anyPorts = 64

// listenPassive opens the passive ports, on the addresses that FTP listens on. A
// port that another program has is done without.
func (g *gateway) listenPassive() (list []net.Listener, err error) {
	hosts := map[string]bool{}
	for _, address := range slices.Concat(g.config.FTP.Listen, g.config.FTP.TLS.ImplicitListen) {
		host, _, _ := net.SplitHostPort(address) // the configuration has checked it
		hosts[host] = true
	}
	if hosts[""] {
		hosts = map[string]bool{"": true}
	}
	ports := g.config.FTP.PassivePorts
	first, last := int(ports.First), int(ports.Last)
	if first == 0 {
		first, last = 1, anyPorts
	}
	var taken []int
	var failure error
	for host := range hosts {
		for port := first; port <= last; port++ {
			listened := port
			if ports.First == 0 {
				listened = 0
			}
			l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(listened)))
			if err != nil {
				taken, failure = append(taken, port), err
				continue
			}
			list = append(list, l)
		}
	}
	if len(list) == 0 {
		return nil, &listenError{key: "ftp.passive_ports", address: ports.String(), err: failure}
	}
	if len(taken) > 0 {
		g.log.Warn("some passive ports can't be listened on; the others do", "event", "listener.ports-taken", "ports", taken, "error", failure)
	}
	return list, nil
}

// expiringSoon is when a certificate's end is worth a warning.
const expiringSoon = 14 * 24 * time.Hour

// certificate opens the certificate that is named for a protocol, or the gateway's
// own if none is.
func (g *gateway) certificate(protocol, cert, key string) (*certificate.File, error) {
	if cert == "" {
		var err error
		if cert, key, err = certificate.SelfSigned(tlsDir(g.config.Data), g.ownNames(), now()); err != nil {
			return nil, err
		}
	}
	f, err := certificate.Open(cert, key, now, g.log)
	if err != nil {
		return nil, err
	}
	g.servedCertificates[protocol] = f
	g.log.Info("TLS certificate", "event", "start.certificate", "protocol", protocol, "file", cert, "fingerprint", f.Fingerprint(), "expires", f.Expires())
	if f.Expires().Sub(now()) < expiringSoon {
		g.log.Warn("the TLS certificate is about to expire, or has", "event", "certificate.expiring", "file", cert, "expires", f.Expires())
	}
	return f, nil
}

// ownNames are what clients may call the gateway, as far as it knows.
func (g *gateway) ownNames() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	for _, address := range slices.Concat(g.config.FTP.Listen, g.config.FTP.TLS.ImplicitListen) {
		if host, _, _ := net.SplitHostPort(address); host != "" { // the configuration has checked it
			names = append(names, host)
		}
	}
	for _, p := range g.config.FTP.PublicAddress {
		names = append(names, p.Address.String())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func tlsDir(data string) string { return filepath.Join(data, "tls") }

// listenError says which address could not be listened on.
type listenError struct {
	key     string // of the configuration
	address string
	err     error
}

func (e *listenError) Error() string {
	err := e.err
	if op := new(net.OpError); errors.As(err, &op) {
		err = op.Err // without the address, which would be there twice
	}
	return fmt.Sprintf("listening on %s: %v", e.address, err)
}

func (e *listenError) Unwrap() error { return e.err }

func (e *listenError) Hint() string {
	switch {
	case errors.Is(e.err, syscall.EADDRINUSE):
		return fmt.Sprintf("another program has the port: find it with `ss -ltnp`, or change %s (%s)", e.key, e.address)
	case errors.Is(e.err, syscall.EACCES):
		return "ports below 1024 need a privilege: run as root, or `setcap cap_net_bind_service=+ep` on the program, or choose a higher port in " + e.key
	}
	return "check " + e.key + " in the configuration"
}

// listen opens all addresses or none.
func listen(key string, addresses []string) (list []net.Listener, err error) {
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			closeAll(list)
			return nil, &listenError{key: key, address: address, err: err}
		}
		list = append(list, l)
	}
	return list, nil
}

// hostKeyLine shows a host key as ssh-keygen -l does.
func hostKeyLine(k ssh.PublicKey) string { return ssh.FingerprintSHA256(k) + " " + k.Type() }
