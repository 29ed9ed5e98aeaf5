package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/folder"
)

const (
	// releaseCheck is how often the gateway looks whether access was changed, to
	// release what was held for want of a key.
	releaseCheck = time.Second
	// releaseEvery is how often it does so anyway: a certificate may have begun to
	// be valid.
	releaseEvery = 10 * time.Minute
)

func (a *app) serveCommand() *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use: "serve", Short: "run the gateway",
		Long: `Runs the gateway until it gets SIGINT or SIGTERM; it then lets transfers under way go
on for up to shutdown.drain. SIGHUP reads the configuration again and applies the
declared clients and the SSH host keys, without ending a session; a configuration
with a fault changes nothing. Other settings take effect at the next start. TLS
certificates are read again by themselves when their files change.

Under systemd it takes over the sockets named sftp, ftp, ftps and https, which stay
open between two runs of it, and tells how it does.

On two hosts, the one that clients reach runs --roles edge, which serves what is
sealed and has neither the gateway's own keys nor a way in for reports; the one inside
runs --roles intake. They share the catalog on PostgreSQL and the folder data/blobs.

Port 32 needs the privilege to bind low ports: run it as root, or give the program
CAP_NET_BIND_SERVICE.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			sockets, manager, err := fromSystemd()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, manager.Close()) }()
			environ, err := withRoles(cmd, roles)
			if err != nil {
				return err
			}
			cfg, err := a.loadConfigWith(environ)
			if err != nil {
				return err
			}
			g, err := openServing(cmd.Context(), cfg, a.logger(cfg))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, g.Close()) }()
			g.environ = environ
			lock, err := lockData(g.config.Data)
			if err != nil {
				return err
			}
			defer lock.Close()
			g.manager, g.handed, g.sockets = manager, maps.Clone(sockets), sockets
			withSockets(g.config, sockets)
			return a.serve(cmd.Context(), g)
		},
	}
	rolesFlag(cmd, &roles)
	return cmd
}

// lockName is the file in the data folder that a gateway holds locked while it runs.
const lockName = "serve.lock"

// lockData keeps a second gateway off the data folder.
func lockData(data string) (io.Closer, error) {
	path := filepath.Join(data, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data folder: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(&advisedError{
			err:    fmt.Errorf("another `sealdrop serve` runs on %s", data),
			advice: "find it with `fuser " + path + "`",
		}, f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking the data folder: %w", err), f.Close())
	}
	return f, nil
}

func (a *app) serve(ctx context.Context, g *gateway) (err error) {
	for _, w := range g.config.Warnings {
		g.log.Warn("configuration", "event", "start.configuration", "place", w.Place(), "key", w.Key, "warning", w.Message)
	}
	intake := g.config.Serves(config.Intake)
	if intake {
		if err := g.register.Enforce(ctx); err != nil {
			return err
		}
		if err := g.applyDeclared(ctx, g.config); err != nil {
			return err
		}
	}
	recorder := folder.NewRecorder(g.catalog, g.log)
	defer recorder.Close()
	digester := folder.NewDigester(g.catalog, g.blobs, g.log)
	defer digester.Close()
	watched, err := g.openAdmin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, watched.close()) }()
	work, err := g.intakeWork(intake)
	if err != nil {
		return err
	}
	protocols, err := g.listen(recorder, digester)
	if err != nil {
		return err
	}
	g.leaveSockets()

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer stop()
	tasks.Go(func() { g.gate.Run(background) })
	tasks.Go(func() { runTrims(background) })
	for _, run := range work {
		tasks.Go(func() { run(background) })
	}
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP) // before anybody can know that the gateway runs
	defer signal.Stop(hups)
	tasks.Go(func() { a.runReloads(background, g, hups) })

	running := 0
	for _, p := range protocols {
		running += len(p.listeners)
	}
	failed := make(chan error, running)
	for _, p := range protocols {
		for _, l := range p.listeners {
			g.log.Info("listening", "event", "listener.open", "protocol", p.name, "address", l.Addr().String())
			tasks.Go(func() { failed <- p.server.Serve(l) })
		}
	}
	watched.serve(protocols)
	g.told(g.manager.Ready(g.health(background, protocols)))
	if g.manager.Watchdog() > 0 {
		tasks.Go(func() { g.reportHealth(background, protocols) })
	}
	select {
	case <-ctx.Done():
		g.log.Info("stopping", "event", "gateway.stopping", "sessions", g.gate.Sessions())
	case err = <-failed:
	}
	if errors.Is(err, server.ErrClosed) {
		err = nil
	}
	watched.drain()
	g.stopping.Store(true)
	drain := g.config.Shutdown.Drain.Std()
	g.told(g.manager.Stopping(fmt.Sprintf("stopping; transfers under way may go on for %v", drain), drain+stopMargin))
	err = errors.Join(err, shutDown(ctx, protocols, drain))
	g.log.Info("stopped", "event", "gateway.stopped")
	return err
}

// intakeWork is what an intake does of its own accord; nothing for an edge.
func (g *gateway) intakeWork(intake bool) ([]func(context.Context), error) {
	if !intake {
		return nil, nil
	}
	dispatcher, err := g.dispatcher()
	if err != nil {
		return nil, err
	}
	return []func(context.Context){g.sweeper.Run, g.runReleases, g.runSpools, dispatcher.Run}, nil
}

func (g *gateway) applyDeclared(ctx context.Context, cfg *config.Config) error {
	if err := checkClientLanguages(cfg.Notify, cfg.Clients); err != nil {
		return err
	}
	plan, err := g.register.Apply(ctx, "gateway", declarations(cfg.Clients), keys.ApplyOptions{Own: true})
	if err != nil {
		return fmt.Errorf("applying the declared clients: %w", err)
	}
	var locked []string
	for _, p := range plan {
		if p.Action == "disable" {
			locked = append(locked, p.Client.String())
		}
	}
	if len(locked) > 0 {
		g.log.Warn("clients are locked out, because the configuration no longer declares them", "event", "client.undeclared", "number", len(locked), "clients", someOf(locked))
	}
	for _, p := range plan {
		if p.Action != "none" && p.Action != "disable" {
			g.log.Info("declared client applied", "event", "client.declared", "client", p.Client, "action", p.Action, "detail", pairs(p.Detail))
		}
	}
	return nil
}

// runReloads applies the declared clients again at each SIGHUP.
func (a *app) runReloads(ctx context.Context, g *gateway, hups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hups:
		}
		g.told(g.manager.Reloading())
		cfg, err := config.Load(g.config.File, g.environ)
		if err == nil {
			withSockets(cfg, g.handed)
			err = g.reload(ctx, cfg)
		}
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				g.log.Error("reload refused; nothing was changed", "event", "reload.refused", "error", line)
			}
			g.told(g.manager.Ready("serving; the last reload was refused: see the log"))
			continue
		}
		g.told(g.manager.Ready("serving; reloaded"))
		g.log.Info("reloaded", "event", "reload.done", "clients", len(cfg.Clients))
		for _, section := range changedSections(g.config, cfg) {
			g.log.Warn("changed settings take effect at the next start", "event", "reload.restart-needed", "section", section)
		}
	}
}

// changedSections names the parts of the configuration that differ and that a
// reload does not apply: all but the clients, whatever parts there are.
func changedSections(running, loaded *config.Config) []string {
	var changed []string
	now := *loaded
	now.SFTP.HostKeys, now.SFTP.NextHostKeys = running.SFTP.HostKeys, running.SFTP.NextHostKeys // they were taken
	a, b := reflect.ValueOf(*running), reflect.ValueOf(now)
	for i := range a.NumField() {
		switch f := a.Type().Field(i); {
		case !f.IsExported(), f.Name == "File", f.Name == "Clients", f.Name == "ClientsFrom", f.Name == "Warnings":
		case !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
			changed = append(changed, strings.ToLower(f.Name))
		}
	}
	return changed
}

// runReleases releases held reports when access was changed, by whatever
// process, and every now and then.
func (g *gateway) runReleases(ctx context.Context) {
	tick := time.NewTicker(releaseCheck)
	defer tick.Stop()
	var seen int64 = -1
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		mark, err := g.db.Read().GetMark(ctx, database.AccessMark)
		if err != nil && !errors.Is(err, database.ErrNotFound) {
			continue // the gate's own watch logs it
		}
		if mark == seen && now().Sub(last) < releaseEvery {
			continue
		}
		seen, last = mark, now()
		n, err := g.publisher.ReleaseAll(ctx, "gateway")
		if err != nil && ctx.Err() == nil {
			g.log.Error("held reports could not be released", "event", "release.failed", "error", err)
		}
		if n > 0 {
			g.log.Info("held reports released", "event", "release.done", "reports", n)
		}
	}
}
