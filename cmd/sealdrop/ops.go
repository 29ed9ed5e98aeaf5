package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
	"github.com/sealdrop/sealdrop/retention"
	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/access"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/ops"
)

// admin is the admin listener of a running gateway. nil is one that is switched
// off: all its methods may be called and do nothing.
type admin struct {
	g         *gateway
	metrics   *ops.Metrics
	server    *ops.Server
	listeners []net.Listener
	draining  atomic.Bool
	tasks     sync.WaitGroup
}

// openAdmin opens the admin listener, if the configuration wants one, and has
// whatever is counted counted from now on. Who connects is answered from
// [admin.serve] on.
func (g *gateway) openAdmin() (*admin, error) {
	cfg := g.config.Ops
	if !cfg.Enabled() {
		return nil, nil
	}
	sockets, err := listenSockets("ops.listen", cfg.Sockets())
	if err != nil {
		return nil, err
	}
	addresses, err := listen("ops.listen", cfg.Addresses())
	if err != nil {
		closeAll(sockets)
		return nil, err
	}
	a := &admin{g: g, metrics: ops.NewMetrics(version, now), listeners: append(sockets, addresses...)}
	a.server = ops.New(ops.Config{
		Metrics: a.metrics, Pprof: cfg.Pprof, Log: g.log,
		Checks: []ops.Check{{Name: "serving", Ask: a.checkServing}, {Name: "catalog", Ask: a.checkCatalog}, {Name: "data", Ask: a.checkData}},
	})
	a.count()
	return a, nil
}

// serve answers, now that all protocols are listening.
func (a *admin) serve(protocols []protocol) {
	if a == nil {
		return
	}
	a.look()
	a.metrics.Now(func(f *ops.Figures) {
		for _, p := range protocols {
			if s, ok := p.server.(interface{ Stats() server.Stats }); ok && len(p.listeners) > 0 {
				f.Listeners = append(f.Listeners, listenerFigures(p.name, s.Stats()))
			}
		}
	})
	for _, l := range a.listeners {
		a.g.log.Info("listening", "event", "listener.open", "protocol", "ops", "address", l.Addr().String())
		a.tasks.Go(func() {
			if err := a.server.Serve(l); err != nil {
				a.g.log.Error("the admin listener failed; the gateway goes on without", "event", "ops.failed", "error", err)
			}
		})
	}
}

// drain tells that nobody is let in any more.
func (a *admin) drain() {
	if a != nil {
		a.draining.Store(true)
	}
}

// close ends the admin listener.
func (a *admin) close() error {
	if a == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := a.server.Shutdown(ctx)
	closeAll(a.listeners) // those that were never served
	a.tasks.Wait()
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // who was still being answered is cut off
	}
	return err
}

// count has what happens counted.
func (a *admin) count() {
	g, m := a.g, a.metrics
	var reasons []string
	for _, r := range access.Reasons() {
		reasons = append(reasons, string(r))
	}
	m.Begin([]string{access.SFTP, access.FTP}, reasons, []string{"spool", "sftp", "api"})
	g.gate.Observe = func(protocol string, r access.Reason, took time.Duration) { m.Login(protocol, string(r), took) }
	g.observeTransfer = func(t folder.Transfer) {
		direction := ops.Out
		if t.Upload {
			direction = ops.In
		}
		m.Transfer(t.Protocol, direction, t.Bytes, t.Well)
	}
	g.db.Observe(func(c database.Committed) { m.Commit(commitOutcome(c.Err), c.Writes, c.Took) })
	if g.publisher == nil {
		return // an edge
	}
	g.publisher.Observe = func(o publish.Observed) {
		outcome, bytes := deliveryOutcome(o)
		m.Delivery(road(o.Actor), outcome, bytes, o.Sealing)
	}
	g.sweeper.Observe = func(r retention.Result, err error) { m.Sweep(r.Purged, err == nil) }
}

// deliveryOutcome puts what became of a delivery into a word, and says how many
// bytes were taken in by it.
func deliveryOutcome(o publish.Observed) (outcome string, bytes int64) {
	switch {
	case o.Err != nil:
		return "failed", 0
	case o.Outcome.Known:
		return "known", 0
	case o.Outcome.Report.State == reports.Held:
		return "held", o.Outcome.Report.PlainSize
	}
	return "published", o.Outcome.Report.PlainSize
}

// road says which way a report came, by who handed it in.
func road(actor string) string {
	who, _, _ := strings.Cut(actor, ":")
	switch who {
	case "spool", "api":
		return who
	case "producer":
		return "sftp"
	}
	return "command"
}

func commitOutcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, database.ErrBusy):
		return "busy"
	case errors.Is(err, database.ErrFull):
		return "full"
	}
	return "failed"
}

func listenerFigures(protocol string, s server.Stats) ops.Listener {
	l := ops.Listener{Protocol: protocol, Open: s.Open, Unauthenticated: s.Unauthenticated, Accepted: s.Accepted, Refused: map[string]uint64{}}
	for _, cause := range server.Causes() {
		l.Refused[string(cause)] = s.Refused[cause]
	}
	return l
}

// uncollectedWithin is how long before its purge a report that nobody fetched is
// worth a look.
const uncollectedWithin = 14 * 24 * time.Hour

// look has what is told by a look looked up.
func (a *admin) look() {
	g, m := a.g, a.metrics
	m.Now(func(f *ops.Figures) {
		sessions, stopping := g.gate.Sessions(), a.draining.Load()
		f.Sessions, f.Draining, f.HostKeys = &sessions, &stopping, *g.hostKeys.Load()
	})
	a.read("catalog", g.catalogFigures)
	a.read("marks", g.markFigures)
	a.read("outbox", g.outboxFigures)
	a.read("disk", func(_ context.Context, f *ops.Figures) error {
		size, free, err := g.blobs.Space()
		f.Disk = &ops.Disk{Size: size, Free: free}
		return err
	})
	a.read("certificates", func(_ context.Context, f *ops.Figures) error {
		for protocol, c := range g.servedCertificates {
			f.Certificates = append(f.Certificates, ops.Certificate{Protocol: protocol, Expires: c.Expires()})
		}
		return nil
	})
	if g.config.Serves(config.Intake) && len(g.spoolFolders()) > 0 {
		a.read("spool", g.spoolFigures)
	}
}

// read has a source's figures looked up, and says in the log why they can't be.
func (a *admin) read(source string, read func(context.Context, *ops.Figures) error) {
	a.metrics.Read(source, func(ctx context.Context, f *ops.Figures) error {
		err := read(ctx, f)
		if err != nil {
			a.g.log.Error("figures for monitoring could not be looked up", "event", "ops.no-figures", "source", source, "error", err)
		}
		return err
	})
}

func (g *gateway) catalogFigures(ctx context.Context, f *ops.Figures) error {
	found, err := g.catalog.Figures(ctx, now().Add(uncollectedWithin))
	if err != nil {
		return err
	}
	for _, s := range found.States {
		f.Reports = append(f.Reports, ops.Reports{Kind: string(s.Kind), State: string(s.State), N: s.N})
	}
	f.StoredBytes, f.Uncollected = &found.Bytes, &found.Uncollected
	bans, err := g.db.Read().CountBans(ctx, database.Micros(now()))
	if err != nil {
		return err
	}
	f.Bans = &bans
	return nil
}

func (g *gateway) markFigures(ctx context.Context, f *ops.Figures) error {
	head, err := g.db.Read().LastAudit(ctx)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return err
	}
	sweep, err := g.catalog.LastSweep(ctx)
	if err != nil {
		return err
	}
	var marks [3]int64
	for i, name := range []string{database.BackupMark, database.VerifiedMark, database.VerifiedAtMark} {
		if marks[i], err = g.db.Read().GetMark(ctx, name); err != nil && !errors.Is(err, database.ErrNotFound) {
			return err
		}
	}
	backup, verified := database.Time(marks[0]), database.Time(marks[2])
	f.AuditHead, f.AuditVerified, f.LastSweep, f.LastBackup, f.LastVerified = &head.Seq, &marks[1], &sweep, &backup, &verified
	return nil
}

// outboxFigures tells of what waits to be made into messages, and of messages.
func (g *gateway) outboxFigures(ctx context.Context, f *ops.Figures) error {
	fresh, err := g.db.Read().OutboxFigures(ctx)
	if err != nil {
		return err
	}
	pending, err := g.db.Read().CountLateMessages(ctx, database.Micros(now()))
	if err != nil {
		return err
	}
	dead, err := g.db.Read().CountMessages(ctx, "dead")
	if err != nil {
		return err
	}
	oldest := fresh.Oldest
	if oldest == 0 || pending.Oldest != 0 && pending.Oldest < oldest {
		oldest = pending.Oldest
	}
	f.Outbox = &ops.Queue{Waiting: fresh.N + pending.N, Failed: dead.N, Oldest: database.Time(oldest)}
	return nil
}

func (g *gateway) spoolFigures(_ context.Context, f *ops.Figures) error {
	items, err := g.spooled()
	if err != nil {
		return err
	}
	f.Spool = &ops.Queue{}
	for _, i := range items {
		if i.Rejected {
			f.Spool.Failed++
			continue
		}
		f.Spool.Waiting++
		if f.Spool.Oldest.IsZero() || i.Modified.Before(f.Spool.Oldest) {
			f.Spool.Oldest = i.Modified
		}
	}
	return nil
}

func (a *admin) checkServing(context.Context) error {
	if a.draining.Load() {
		return errors.New("the gateway is stopping; transfers under way may finish, and nobody is let in")
	}
	return nil
}

// checkCatalog asks the catalog a question, and looks whether its file is still
// where it was: one that was deleted while it is open answers on.
func (a *admin) checkCatalog(ctx context.Context) error {
	if file := a.g.place.File(); file != "" {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("the catalog's file: %w", err)
		}
	}
	_, err := a.g.db.Read().GetMark(ctx, database.AccessMark)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return fmt.Errorf("asking the catalog: %w", err)
	}
	return nil
}

// checkData writes a byte to the data folder's disk, into a file without a name
// where the file system knows such.
func (a *admin) checkData(context.Context) error {
	dir := a.g.config.Data
	f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		if f, err = os.CreateTemp(dir, ".readyz-*"); err == nil {
			err = os.Remove(f.Name())
		}
	}
	if err == nil {
		_, err = f.Write([]byte{0})
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("the data folder %s can't be written: %w", filepath.Clean(dir), err)
	}
	return nil
}
