package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/systemd"
	"github.com/sealdrop/sealdrop/keys/sshkey"
	"github.com/sealdrop/sealdrop/server"
)

// stopMargin is how long closing what is open may take once the transfers are over.
const stopMargin = 30 * time.Second

// fromSystemd takes over what systemd hands to a service. It comes before anything
// is opened.
func fromSystemd() (map[string][]net.Listener, *systemd.Notifier, error) {
	sockets, err := systemd.Sockets(os.Getenv)
	if err != nil {
		return nil, nil, &advisedError{err: err, advice: "sealdrop's sockets are streams (ListenStream=); compare the unit with the one that came with the package"}
	}
	manager, err := systemd.Open(os.Getenv)
	return sockets, manager, err
}

// withSockets puts the addresses of systemd's sockets into the configuration, in
// place of those that it names: a protocol with a socket is served.
func withSockets(cfg *config.Config, sockets map[string][]net.Listener) {
	for name, listen := range map[string]*[]string{"sftp": &cfg.SFTP.Listen, "ftp": &cfg.FTP.Listen, "ftps": &cfg.FTP.TLS.ImplicitListen} {
		if len(sockets[name]) > 0 {
			*listen = addresses(sockets[name])
		}
	}
	if len(sockets["https"]) > 0 {
		var own []string
		for _, path := range cfg.API.Sockets() {
			own = append(own, "unix:"+path)
		}
		cfg.API.Listen = append(own, addresses(sockets["https"])...)
	}
}

func addresses(listeners []net.Listener) (list []string) {
	for _, l := range listeners {
		list = append(list, l.Addr().String())
	}
	return list
}

// socketsOr returns systemd's sockets for a protocol, or opens those that the
// configuration names. What it has returned it does not return again.
func (g *gateway) socketsOr(protocol, key string, addresses []string) ([]net.Listener, error) {
	if handed := g.sockets[protocol]; len(handed) > 0 {
		delete(g.sockets, protocol)
		return handed, nil
	}
	return listen(key, addresses)
}

// leaveSockets closes what systemd has handed over and nobody serves, and says so:
// who connects there waits for an answer that does not come.
func (g *gateway) leaveSockets() {
	for _, name := range slices.Sorted(maps.Keys(g.sockets)) {
		g.log.Warn("systemd hands over a socket that nothing is served on; disable its unit", "event", "start.socket-unused",
			"name", name, "addresses", addresses(g.sockets[name]), "known", "sftp, ftp, ftps, https")
		closeAll(g.sockets[name])
	}
	g.sockets = nil
}

// told logs that systemd could not be told: the gateway goes on.
func (g *gateway) told(err error) {
	if err != nil {
		g.log.Warn("systemd was not told how the gateway does", "event", "systemd.not-told", "error", err)
	}
}

// reportHealth looks after the gateway and tells systemd that it is alive, which
// ends and starts anew one that is not. Only what a new start can mend counts: work
// that does not come back. A full disk or a database that is away is an answer.
func (g *gateway) reportHealth(ctx context.Context, protocols []protocol) {
	every := g.manager.Watchdog() / 2
	tick := time.NewTicker(every)
	defer tick.Stop()
	found := make(chan string, 1)
	asked := false
	for {
		if !asked {
			asked = true
			go func() { found <- g.health(ctx, protocols) }()
		}
		select {
		case <-ctx.Done():
			return
		case status := <-found:
			asked = false
			g.told(g.manager.Alive(status))
		case <-time.After(every):
			g.log.Error("the gateway does not answer itself; systemd will start it anew", "event", "systemd.hung", "after", every)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// health goes through what a request needs, and says how it went.
func (g *gateway) health(ctx context.Context, protocols []protocol) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second*5)
	defer cancel()
	open := 0
	for _, p := range protocols {
		if s, ok := p.server.(interface{ Stats() server.Stats }); ok {
			open += s.Stats().Open
		}
	}
	status := fmt.Sprintf("serving; %d sessions, %d connections", g.gate.Sessions(), open)
	if g.stopping.Load() {
		status = fmt.Sprintf("stopping; transfers of %d sessions go on", g.gate.Sessions())
	}
	if _, err := g.db.Read().GetMark(ctx, database.AccessMark); err != nil && !errors.Is(err, database.ErrNotFound) {
		status += "; the catalog does not answer: " + err.Error()
	}
	return status
}

// loadHostKeys loads the host keys that are named.
func loadHostKeys(cfg *config.Config) (serving, next []ssh.Signer, err error) {
	if len(cfg.SFTP.HostKeys) > 0 {
		if serving, err = sshkey.LoadHostKeys(cfg.SFTP.HostKeys...); err != nil {
			return nil, nil, err
		}
	}
	if len(cfg.SFTP.NextHostKeys) > 0 {
		next, err = sshkey.LoadHostKeys(cfg.SFTP.NextHostKeys...)
	}
	return serving, next, err
}

// tellHostKeys logs the host keys, and counts those in use by algorithm.
func (g *gateway) tellHostKeys(serving, next []ssh.Signer) {
	counts := map[string]int{}
	for _, k := range serving {
		counts[k.PublicKey().Type()]++
		g.log.Info("host key", "event", "start.host-key", "fingerprint", hostKeyLine(k.PublicKey()))
	}
	for _, k := range next {
		g.log.Info("host key announced, not used yet", "event", "start.next-host-key", "fingerprint", hostKeyLine(k.PublicKey()))
	}
	g.hostKeys.Store(&counts)
}

// reload takes what can be taken from a configuration without a new start. If it
// fails, nothing was changed.
func (g *gateway) reload(ctx context.Context, cfg *config.Config) error {
	serving, next, err := loadHostKeys(cfg)
	if err != nil {
		return err
	}
	if g.config.Serves(config.Intake) {
		if err := g.applyDeclared(ctx, cfg); err != nil {
			return err
		}
	}
	if err := g.setHostKeys(serving, next); err != nil {
		return err
	}
	g.tellHostKeys(serving, next)
	return nil
}
