package spool

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// Names in the spool folder that it has for itself.
const (
	rejectedFolder = "rejected"
	doneFolder     = "done"
	takenFolder    = ".taken"
	// nobodyFolder is where in rejected there is what lay beside the clients'
	// folders.
	nobodyFolder = "_"
	// nobody stands for the client of it.
	nobody = ""
)

// reserved reports whether a name in the spool folder is no client's folder, and
// not to be touched.
func reserved(name string) bool {
	return name == rejectedFolder || name == doneFolder || name == "lost+found" || passedOver(name)
}

const (
	// maxFileWait is the longest time between two tries with one file.
	maxFileWait = 10 * time.Minute
	// maxLaneWait is the same for one client's folder.
	maxLaneWait = time.Minute
	// maxPause is the same for all of the intake.
	maxPause = 30 * time.Second
)

// Publisher publishes reports; *[publish.Publisher] is one. When Publish returns
// nil the report is durable, and the same delivery made again changes nothing.
type Publisher interface {
	Publish(context.Context, publish.Delivery, io.Reader) (publish.Outcome, error)
}

// Config is what a [Spool] needs.
type Config struct {
	// Folder is the spool folder's path. It need not be there yet.
	Folder string
	// Owner stands for the catalog: gateways of one owner can share a folder, and of
	// two owners one waits for the other. "": nobody is kept out.
	Owner string
	// Keep has files moved to Folder/done/CLIENT instead of being removed.
	Keep bool
	// Settle is how long a file must not have changed.
	Settle time.Duration
	// Rescan is the time between two scans of the whole folder.
	Rescan time.Duration
	// Workers is how many clients' files are taken in at the same time.
	Workers int
	// Free tells how many bytes are free where reports are stored; below MinFree
	// of them intake pauses.
	Free    func() (uint64, error)
	MinFree uint64

	Publisher Publisher
	DB        *database.DB // for the audit
	Now       func() time.Time
	Log       *slog.Logger
}

// Spool takes reports in from one spool folder.
type Spool struct {
	Config
	notes   notes
	renamed names // files that were renamed in and not written since
	held    claim
}

// New returns the intake of a spool folder. There must be only one of a folder.
func New(c Config) *Spool {
	c.Log = c.Log.With("folder", c.Folder)
	return &Spool{Config: c}
}

// Run takes in what comes until ctx ends. A report that is being taken in then
// stays in its place.
func (s *Spool) Run(ctx context.Context) {
	hints := make(chan hint)
	watch, err := newWatch(s.Folder)
	if err != nil {
		s.Log.Warn("the kernel does not tell of new files; they are found by rescans", "event", "spool.no-watch", "error", err)
	}
	defer s.held.close()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	if watch != nil {
		defer watch.Close() // which ends run
		tasks.Go(func() { watch.run(ctx, hints) })
	}
	d := dispatcher{
		Spool: s, watch: watch, lanes: make(map[string]*lane), results: make(chan result),
	}
	d.run(ctx, hints)
}

// dispatcher decides which client's folder is looked at when. All of it belongs to
// the goroutine that runs it.
type dispatcher struct {
	*Spool
	watch   *watch // nil where there is none
	lanes   map[string]*lane
	results chan result
	running int
	blind   bool // it was logged that some folder can't be watched

	// trouble is why intake pauses, nil if it does not.
	trouble error
	probe   string    // the lane that was in trouble last, and is to show its end
	since   time.Time // when it began
	until   time.Time // when to try again
	tries   int
}

// lane is the state of one client's folder; nobody's is of the spool folder itself.
type lane struct {
	due       time.Time // when to look at it; zero for not before something happens
	notBefore time.Time // it failed, and is left alone until then
	tries     int       // failures in a row
	told      string    // the failure that was logged
	running   bool
}

// want has a lane looked at, at the given time at the latest.
func (l *lane) want(t time.Time) { l.due = earliest(l.due, t) }

// at returns when the lane is to be looked at, zero for never.
func (l *lane) at() time.Time {
	if l.running || l.due.IsZero() {
		return time.Time{}
	}
	if l.due.Before(l.notBefore) {
		return l.notBefore
	}
	return l.due
}

func (d *dispatcher) run(ctx context.Context, hints <-chan hint) {
	rescan := time.NewTicker(d.Rescan)
	defer rescan.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	d.rescan()
	for ctx.Err() == nil {
		d.start(ctx)
		timer.Reset(d.wait())
		select {
		case <-ctx.Done():
		case h := <-hints:
			d.take(h)
		case r := <-d.results:
			d.finish(r)
		case <-rescan.C:
			d.rescan()
		case <-timer.C:
		}
	}
	for d.running > 0 {
		<-d.results
		d.running--
	}
}

// start sets the workers to the lanes whose time has come, those that have waited
// longest first.
func (d *dispatcher) start(ctx context.Context) {
	now := d.Now()
	if now.Before(d.until) {
		return
	}
	for d.running < d.Workers {
		client, ready := d.first()
		if ready.IsZero() || ready.After(now) {
			return
		}
		l := d.lanes[client]
		l.running, l.due = true, time.Time{}
		d.running++
		go func() {
			r := d.turn(ctx, client)
			r.client, r.began = client, now
			d.results <- r
		}()
	}
}

// first returns the lane to be looked at next, and when.
func (d *dispatcher) first() (client string, at time.Time) {
	for name, l := range d.lanes {
		if t := l.at(); !t.IsZero() && (at.IsZero() || t.Before(at)) {
			client, at = name, t
		}
	}
	return client, at
}

// wait is how long nothing needs to be done unless something happens.
func (d *dispatcher) wait() time.Duration {
	_, next := d.first()
	if next.IsZero() || d.running >= d.Workers {
		return time.Hour
	}
	if next.Before(d.until) {
		next = d.until
	}
	return max(next.Sub(d.Now()), 0)
}

func (d *dispatcher) lane(client string) *lane {
	l := d.lanes[client]
	if l == nil {
		l = &lane{}
		d.lanes[client] = l
	}
	return l
}

// rescan has all folders looked at. It forgets the lanes of folders that are gone.
func (d *dispatcher) rescan() {
	now := d.Now()
	there := map[string]bool{nobody: true}
	root, err := openFolder(d.Folder)
	if err == nil {
		err = root.names(func(name string) {
			if reserved(name) {
				return
			}
			if e, err := root.stat(name); err == nil && e.isFolder() {
				there[name] = true
			}
		})
		err = closing(root, err)
	}
	if err != nil {
		d.pause(missing(d.Folder, err), nobody, now)
	}
	for client := range there {
		d.lane(client).want(now)
		if err := d.watch.add(client); err != nil && !d.blind {
			d.blind = true // once is enough: it is likely to be true of many
			d.Log.Warn("the kernel does not tell of new files in a folder; they are found by rescans", "event", "spool.no-watch", "client", client, "error", err)
		}
	}
	for client, l := range d.lanes {
		if !there[client] && !l.running {
			delete(d.lanes, client)
		}
	}
	if d.lanes[d.probe] == nil {
		d.probe = nobody
	}
}

// take heeds what the kernel has told.
func (d *dispatcher) take(h hint) {
	now := d.Now()
	if key := h.client + "/" + h.name; h.renamed && !h.newFolder && !passedOver(h.name) {
		d.renamed.add(key)
	} else {
		d.renamed.drop(key) // it was made anew, or written to
	}
	switch {
	case h.lost:
		d.rescan()
	case h.client == nobody && h.newFolder:
		if !reserved(h.name) {
			_ = d.watch.add(h.name) // a rescan tries again, and tells
			d.lane(h.name).want(now)
		}
	case h.renamed, passedOver(h.name):
		d.lane(h.client).want(now) // it may be a marker
	default:
		d.lane(h.client).want(now.Add(d.Settle))
	}
}

// finish heeds what came of a turn.
func (d *dispatcher) finish(r result) {
	now := d.Now()
	d.running--
	l := d.lane(r.client)
	l.running = false
	switch {
	case r.trouble != nil:
		l.want(now)
		d.pause(r.trouble, r.client, now)
		return
	case r.err != nil:
		l.tries++
		l.notBefore = now.Add(backOff(l.tries, maxLaneWait))
		l.want(now)
		if text := r.err.Error(); text != l.told {
			l.told = text
			d.Log.Error("a client's files can't be taken in; they wait", "event", "spool.client-waits", "client", r.client, "error", r.err, "hint", hintOf(r.err))
		}
	default:
		l.tries, l.told, l.notBefore = 0, "", time.Time{}
		if r.more {
			l.want(now)
		}
		if !r.next.IsZero() {
			l.want(r.next)
		}
	}
	if d.trouble != nil && r.client == d.probe && !r.began.Before(d.until) {
		d.Log.Info("intake goes on", "event", "spool.resumed", "after", now.Sub(d.since).Round(time.Second))
		d.trouble, d.tries, d.until = nil, 0, time.Time{}
		d.rescan()
	}
}

// pause stops all intake for a while. The log says so once.
func (d *dispatcher) pause(err error, client string, now time.Time) {
	if now.Before(d.until) {
		return // two workers found out the same
	}
	if d.trouble == nil {
		d.since = now
	}
	if d.trouble == nil || cause(d.trouble) != cause(err) {
		d.Log.Warn("intake pauses; files wait in their places", "event", "spool.paused", "error", err, "hint", hintOf(err))
	}
	d.trouble, d.probe = err, client
	d.tries++
	d.until = now.Add(backOff(d.tries, maxPause))
}
