package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// Config is what a [Dispatcher] needs.
type Config struct {
	DB  *database.DB
	Now func() time.Time
	Log *slog.Logger
	// Channels hand messages over.
	Channels Channels

	// Operators are told of what is held, refused and could not be delivered, all of
	// it at once when OperatorDigest says.
	Operators      []contact.Contact
	OperatorDigest contact.Schedule
	// Zone is that of operators, and of clients with none of their own.
	Zone contact.Zone

	// Gather is how long an event waits for others that can be told with it.
	Gather time.Duration
	Retry  Retry
	// PerMinute is how many messages one target is sent.
	PerMinute int
	// Timeout is for one attempt, from the look-up of a name to the last byte.
	Timeout time.Duration

	// Expiry is how long before its end a key or password is told of, and Reminders
	// how long before its purge a report that nobody has fetched. Longest first.
	Expiry, Reminders []time.Duration
	// Refusals of one client for one cause are told of from this number on.
	Refusals int
	Watched  Watched
}

// Retry says when a message that could not be handed over is tried again: after a
// random part of a time that begins with First and doubles up to Cap. It is given up
// GiveUp after it was due.
type Retry struct {
	First, Cap, GiveUp time.Duration
	// Random returns a number in [0, 1).
	Random func() float64
}

// after returns how long to wait after the n-th failure, which is at least a
// second.
func (r Retry) after(n int64) time.Duration {
	most := r.Cap
	if n < 32 && r.First<<(n-1) < r.Cap && r.First<<(n-1) > 0 {
		most = r.First << (n - 1)
	}
	return max(time.Second, time.Duration(r.Random()*float64(most)))
}

const (
	// beat is how often the dispatcher looks for something to do.
	beat = time.Second
	// atOnce bounds how many targets are served at a time.
	atOnce = 8
	// perTurn bounds how many messages one target is sent before the others have
	// their turn.
	perTurn = 20
	// parcelTime is how much longer an attempt to send a report itself may take.
	parcelTime = 10 * time.Minute
	// spare is by how much a claim outlasts the longest attempt.
	spare = 30 * time.Second
	// lastWords is how long an attempt may go on when the gateway stops.
	lastWords = 3 * time.Second
	// keepSent and keepDead are how long messages are kept to be looked at, keepTold
	// how long it is known what was told.
	keepSent = 30 * 24 * time.Hour
	keepDead = 90 * 24 * time.Hour
	keepTold = 3 * 365 * 24 * time.Hour
)

// Dispatcher makes messages of events and hands them over. It is safe for
// concurrent use.
type Dispatcher struct {
	Config

	slots  chan struct{}
	mu     sync.Mutex
	busy   map[target]bool
	limits map[target]*rate.Limiter
}

type target struct {
	channel contact.Channel
	address string
}

// New returns a dispatcher of what the catalog holds.
func New(c Config) *Dispatcher {
	return &Dispatcher{Config: c, slots: make(chan struct{}, atOnce), busy: map[target]bool{}, limits: map[target]*rate.Limiter{}}
}

// Run dispatches until ctx ends. It returns when no attempt is under way.
func (d *Dispatcher) Run(ctx context.Context) {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	tick := time.NewTicker(beat)
	defer tick.Stop()
	var watched time.Time
	for {
		if d.Now().Sub(watched) >= watchEvery || d.Now().Before(watched) {
			watched = d.Now()
			d.complain(ctx, "looking for what to tell", errors.Join(d.Watch(ctx), d.forget(ctx)))
		}
		_, err := d.Expand(ctx)
		d.complain(ctx, "making messages", err)
		d.complain(ctx, "sending messages", d.start(ctx, &attempts))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Dispatcher) complain(ctx context.Context, doing string, err error) {
	if err != nil && ctx.Err() == nil {
		d.Log.Error("notifications: "+doing+" failed", "event", "notify.failed", "error", err)
	}
}

// Dispatch sends what is due now, to each target one turn of it, and returns when
// that is done.
func (d *Dispatcher) Dispatch(ctx context.Context) error {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	return d.start(ctx, &attempts)
}

// start begins a turn for each target that something is due for and that has none.
func (d *Dispatcher) start(ctx context.Context, attempts *sync.WaitGroup) error {
	const most = 1000
	due, err := d.DB.Read().ListDueTargets(ctx, query.ListDueTargetsParams{Now: database.Micros(d.Now()), N: most})
	if err != nil {
		return fmt.Errorf("reading what is due: %w", err)
	}
	for _, row := range due {
		t := target{contact.Channel(row.Channel), row.Target}
		if !d.take(t) {
			continue
		}
		select {
		case d.slots <- struct{}{}:
		default: // those that have one come first; a later beat serves the rest
			d.giveBack(t)
			return nil
		}
		attempts.Go(func() {
			defer func() { <-d.slots; d.giveBack(t) }()
			d.complain(ctx, "sending to "+string(t.channel), d.turn(ctx, t))
		})
	}
	return nil
}

func (d *Dispatcher) take(t target) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[t] {
		return false
	}
	d.busy[t] = true
	return true
}

func (d *Dispatcher) giveBack(t target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.busy, t)
}

// mayCall reports whether the rate allows one more message to t.
func (d *Dispatcher) mayCall(t target) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.limits[t]
	if l == nil {
		const most = 10000 // far more targets than are served in a minute
		if len(d.limits) >= most {
			clear(d.limits)
		}
		l = rate.NewLimiter(rate.Limit(float64(d.PerMinute)/60), d.PerMinute)
		d.limits[t] = l
	}
	return l.AllowN(d.Now(), 1)
}

// turn sends a target what is due, until something fails.
func (d *Dispatcher) turn(ctx context.Context, t target) error {
	rows, err := d.DB.Read().ListDueMessages(ctx, query.ListDueMessagesParams{
		Channel: string(t.channel), Target: t.address, Now: database.Micros(d.Now()), N: perTurn,
	})
	if err != nil {
		return fmt.Errorf("reading what is due: %w", err)
	}
	for _, row := range rows {
		if ctx.Err() != nil || !d.mayCall(t) {
			return nil
		}
		sent, err := d.attempt(ctx, row)
		if err != nil || !sent {
			return err
		}
	}
	return nil
}

// attempt claims one message, tries to hand it over and writes down the outcome.
func (d *Dispatcher) attempt(ctx context.Context, row query.Message) (sent bool, err error) {
	now, limit := d.Now(), d.Timeout
	if row.Kind == string(kindParcel) {
		limit += parcelTime
	}
	claimed := int64(0)
	err = d.DB.Write(ctx, func(tx *database.Tx) (err error) {
		claimed, err = tx.ClaimMessage(tx.Context(), query.ClaimMessageParams{
			ID: row.ID, Claims: row.Claims, Now: database.Micros(now), Until: database.Micros(now.Add(limit + spare)),
		})
		return err
	})
	if err != nil {
		return false, fmt.Errorf("claiming message %s: %w", row.ID, err)
	}
	if claimed == 0 { // by another gateway
		return true, nil
	}
	row.Claims++
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, cancel) })()
	answer, failure := d.send(within, row)
	return failure == nil, d.settle(context.WithoutCancel(ctx), row, answer, failure)
}

// send puts a message into words and hands it over.
func (d *Dispatcher) send(ctx context.Context, row query.Message) (answer string, err error) {
	c, err := parseContent(row.Content)
	if err != nil {
		return "", &Failure{Err: err, Permanent: true}
	}
	o := outgoing{
		id: row.ID, kind: contact.Kind(row.Kind), content: c, created: database.Time(row.CreatedAt),
		channel: contact.Channel(row.Channel), target: row.Target, zone: d.Zone.Location(),
	}
	contacts := d.Operators
	if row.ClientID != "" {
		client, err := d.DB.Read().GetClient(ctx, row.ClientID)
		if err != nil {
			return "", fmt.Errorf("reading client %s: %w", row.ClientID, err)
		}
		prefs, err := contact.ParsePreferences(client.Notify)
		if err != nil {
			return "", err
		}
		contacts = prefs.Contacts
		o.prefer(client.Name, prefs, d.zone(prefs))
	}
	// One that was taken off the list gets nothing that was meant for it before.
	there := slices.ContainsFunc(contacts, func(c contact.Contact) bool { return c.Channel() == o.channel && c.Target() == o.target })
	if !there {
		return "", &Failure{Err: errors.New("it is nobody's contact any more"), Permanent: true}
	}
	return d.Channels.send(ctx, o, d.Now())
}

// settle writes down what became of a claimed message.
func (d *Dispatcher) settle(ctx context.Context, row query.Message, answer string, failure error) error {
	now := d.Now()
	p := query.SettleMessageParams{
		ID: row.ID, Claims: row.Claims, State: string(Sent), NextAt: row.NextAt, Tries: row.Tries,
		Answer: printable(answer), SettledAt: database.Micros(now),
	}
	var wait time.Duration
	if failure != nil {
		p.Tries++
		p.LastError = printable(failure.Error())
		f := asFailure(failure)
		end := database.Time(row.Since).Add(d.Retry.GiveUp)
		if p.State = string(Dead); !f.Permanent && now.Before(end) {
			wait = min(max(d.Retry.after(p.Tries), min(f.After, d.Retry.Cap)), end.Sub(now))
			p.State, p.NextAt, p.SettledAt = string(Pending), database.Micros(now.Add(wait)), 0
		}
		defer d.logFailure(row, p, wait)
	}
	err := d.DB.Write(ctx, func(tx *database.Tx) error {
		n, err := tx.SettleMessage(tx.Context(), p)
		if err != nil || n == 0 {
			return err
		}
		if wait > 0 && asFailure(failure).Target {
			err = tx.PostponeMessages(tx.Context(), query.PostponeMessagesParams{
				Channel: row.Channel, Target: row.Target, NextAt: p.NextAt, Now: database.Micros(now),
			})
		}
		if p.State == string(Dead) && row.ClientID != "" {
			err = errors.Join(err, d.tellOperators(tx, item{Kind: kindDead, Count: 1}))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("writing down what became of message %s: %w", row.ID, err)
	}
	return nil
}

func (d *Dispatcher) logFailure(row query.Message, p query.SettleMessageParams, wait time.Duration) {
	if p.State == string(Dead) {
		d.Log.Error("message given up", "event", "message.dead", "message", row.ID, "client", row.ClientID, "channel", row.Channel, "kind", row.Kind,
			"tries", p.Tries, "error", p.LastError, "remedy", "`sealdrop notify retry "+row.ID+"` once the cause is mended")
		return
	}
	d.Log.Warn("message not delivered", "event", "message.retried", "message", row.ID, "client", row.ClientID, "channel", row.Channel, "kind", row.Kind,
		"tries", p.Tries, "again_in", wait.Round(time.Second).String(), "error", p.LastError)
}

// forget lets go of what is old.
func (d *Dispatcher) forget(ctx context.Context) error {
	before := func(keep time.Duration) int64 { return database.Micros(d.Now().Add(-keep)) }
	return d.DB.Write(ctx, func(tx *database.Tx) error {
		return errors.Join(
			tx.ForgetMessages(tx.Context(), query.ForgetMessagesParams{State: string(Sent), Before: before(keepSent)}),
			tx.ForgetMessages(tx.Context(), query.ForgetMessagesParams{State: string(Dead), Before: before(keepDead)}),
			tx.ForgetTold(tx.Context(), before(keepTold)),
		)
	})
}
