package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/keys"
)

// Config is what a [Gate] needs.
type Config struct {
	DB       *database.DB
	Register *keys.Register
	Now      func() time.Time
	Log      *slog.Logger
	// SessionsPerClient is how many sessions one client may have open.
	SessionsPerClient int
	// PlainFTP lets those clients log in over FTP in the clear that are marked for
	// it. Without it nobody may.
	PlainFTP bool
	// Serves is whom this gateway serves; others are refused once they may come from
	// where they do.
	Serves Audience
	// Learn: addresses on nobody's list may come as far as to prove who they are. What
	// they do short of that is counted and not recorded, since anybody can do it.
	Learn bool
	// Failures within Window lock an address, or a client's password, out for Ban.
	Failures int
	Window   time.Duration
	Ban      time.Duration
	// Observe is told of every attempt once it is decided on, also of those that are
	// only counted in the log. took is zero where a client gave up before it had
	// proved anything. nil: nobody is told.
	Observe func(protocol string, r Reason, took time.Duration)
}

// Audience is whom a gateway serves.
type Audience int

// The audiences.
const (
	Everybody Audience = iota
	ClientsOnly
	ProducersOnly
)

// without reports whether a client is none of the audience.
func (a Audience) without(c keys.Client) bool {
	return a == ClientsOnly && c.Producer() || a == ProducersOnly && !c.Producer()
}

// Gate decides who gets in. It is safe for concurrent use.
type Gate struct {
	Config
	register  *keys.Register
	now       func() time.Time
	networks  networks
	refusals  refusals
	strangers strangers
	failures  failures // by address
	guesses   failures // wrong passwords, by client
	elsewhere failures // passwords from where their client may not connect, by address and by client
	checks    checks   // passwords
	offers    offers
	data      dataPorts

	mu       sync.Mutex
	sessions map[*Session]struct{}
	perUser  map[string]int
}

// New returns a gate over what the catalog holds.
func New(c Config) *Gate {
	return &Gate{
		Config: c, register: c.Register, now: c.Now,
		sessions: map[*Session]struct{}{}, perUser: map[string]int{},
		refusals: refusals{seen: map[refusal]*repeats{}}, strangers: strangers{pending: map[stranger]tries{}},
		failures: failures{seen: map[string]*tally{}}, guesses: failures{seen: map[string]*tally{}},
		elsewhere: failures{seen: map[string]*tally{}},
		checks:    newChecks(), offers: offers{seen: map[offer]looked{}}, data: dataPorts{last: map[portKey]portState{}},
	}
}

// Session is a login that was allowed.
type Session struct {
	Client keys.Client
	// KeyID is "" for a login by password.
	KeyID string
	// Fingerprint is that of the key, or [ByPassword].
	Fingerprint string
	Address     netip.Addr

	gate    *Gate
	attempt Attempt
	end     func(reason string)
	once    sync.Once
	ended   bool // by the gate; guarded by its mu
}

// Close tells the gate that the session is over. It may be called again.
func (s *Session) Close() {
	s.once.Do(func() {
		s.gate.mu.Lock()
		defer s.gate.mu.Unlock()
		delete(s.gate.sessions, s)
		id := s.Client.ID.String()
		if s.gate.perUser[id]--; s.gate.perUser[id] <= 0 {
			delete(s.gate.perUser, id)
		}
	})
}

// Review returns the client as it is now, and whether the session may go on as far
// as is known at this moment; [Gate.Run] ends one that may not within two seconds.
func (s *Session) Review(ctx context.Context) (keys.Client, bool, error) {
	d, err := s.gate.judge(ctx, s.attempt, time.Time{})
	return d.client, err == nil && d.Allowed(), err
}

// Offered reports whether a key that nobody has proved yet is worth proving: it
// is registered for the user and usable. It records nothing, and a no says
// nothing about why.
func (g *Gate) Offered(ctx context.Context, user string, k Key) (bool, error) {
	networks := g.networks.current.Load() // as old as it may be: then it is looked up again
	f, err := g.lookUp(ctx, Attempt{Protocol: SFTP, User: user}, []Key{k})
	if err != nil {
		return false, err
	}
	ok := f.client != nil && f.key != nil && f.key.Usable(g.now())
	if ok && networks != nil {
		g.offers.add(offer{user, k.Fingerprint}, looked{f, networks.mark})
	}
	return ok, nil
}

// Login decides on an attempt with a proved key or, over FTP, with a password, and
// records the answer. With a yes it returns a session, which the caller must close;
// end is called, at any time, when the session must be ended. An error means that
// no decision could be had or recorded, which is a no.
func (g *Gate) Login(ctx context.Context, a Attempt, end func(reason string)) (*Session, Decision, error) {
	started := time.Now()
	s, d, err := g.login(ctx, a, end)
	g.observe(a, d, time.Since(started))
	return s, d, err
}

func (g *Gate) observe(a Attempt, d Decision, took time.Duration) {
	if g.Observe != nil && d.Reason != "" && !d.probe(a) {
		g.Observe(a.Protocol, d.Reason, took)
	}
}

func (g *Gate) login(ctx context.Context, a Attempt, end func(reason string)) (*Session, Decision, error) {
	switch {
	case a.Protocol == FTP && (a.Password == nil || a.Proved != nil):
		return nil, Decision{}, errors.New("a login over FTP needs a password, and nothing else")
	case a.Protocol != FTP && (a.Proved == nil || a.Password != nil):
		return nil, Decision{}, errors.New("a login needs a proved key, and nothing else")
	}
	if a.Proved != nil {
		if l, ok := g.offers.take(offer{a.User, a.Proved.Fingerprint}); ok {
			known := a
			known.known = &l.found
			if s, d, err := g.enter(ctx, known, l.mark, end); !errors.Is(err, errOutdated) {
				return s, d, err
			}
		}
	}
	mark, err := g.accessMark(ctx)
	if err != nil {
		return nil, g.fault(a, err), err
	}
	return g.enter(ctx, a, mark, end)
}

// errOutdated says that what was known beforehand is not enough to decide by.
var errOutdated = errors.New("access was changed since the key was offered")

// enter is [Gate.login] for an attempt that nothing is known of but what is not older
// than an access mark. With what was known beforehand it lets in, or fails with errOutdated.
func (g *Gate) enter(ctx context.Context, a Attempt, mark int64, end func(reason string)) (*Session, Decision, error) {
	d, err := g.Explain(ctx, a)
	if a.known != nil && (err != nil || !d.Allowed()) {
		return nil, Decision{}, errOutdated
	}
	if err != nil {
		return nil, g.fault(a, err), err
	}
	if !d.Allowed() {
		return nil, d, g.refuse(ctx, a, d)
	}
	if a.Protocol == FTP {
		g.remember(a, d)
		a.Password, a.proof = nil, d.hash // from here on, the session is judged by the hash
	}
	s := &Session{
		Client: d.client, KeyID: d.KeyID, Fingerprint: d.Fingerprint, Address: a.Address.Unmap(),
		gate: g, attempt: a, end: end,
	}
	s.attempt.Supposed, s.attempt.known = true, nil // from here on, it is only judged anew
	if !g.enlist(s) {
		d.conclude(TooManySessions, facts{user: d.Client, producer: d.client.Producer()})
		return nil, d, g.refuse(ctx, a, d)
	}
	// A revocation that came while the decision was made may have passed over the
	// session, which was not on the list yet: decide again.
	if now, err := g.accessMark(ctx); err != nil || now != mark {
		if a.known != nil {
			s.Close()
			return nil, Decision{}, errOutdated
		}
		again, err := g.Explain(ctx, a)
		if err != nil || !again.Allowed() {
			s.Close()
			if err != nil {
				return nil, g.fault(a, err), err
			}
			return nil, again, g.refuse(ctx, a, again)
		}
	}
	if err := g.recordLogin(ctx, a, d); err != nil {
		s.Close()
		return nil, g.fault(a, err), err
	}
	g.failures.forget(bucket(a.Address))
	if a.Protocol == FTP {
		g.guesses.forget(d.Client)
	}
	g.Log.Info("login", "event", "login.allowed", "client", d.Client, "address", s.Address, "protocol", a.Protocol, "key", d.Fingerprint, "software", printable(a.Software))
	return s, d, nil
}

// fault is the decision where none could be had or recorded. It must be seen in
// the log, since the audit may be what fails.
func (g *Gate) fault(a Attempt, err error) Decision {
	g.Log.Error("login refused by a fault of the gateway's own", "event", "login.fault", "address", a.Address.Unmap(), "user", printable(a.User), "error", err)
	var d Decision
	d.conclude(GatewayFault, facts{user: printable(a.User), ftp: a.Protocol == FTP})
	return d
}

func (g *Gate) enlist(s *Session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	id := s.Client.ID.String()
	if g.perUser[id] >= g.SessionsPerClient {
		return false
	}
	g.perUser[id]++
	g.sessions[s] = struct{}{}
	return true
}

func (g *Gate) recordLogin(ctx context.Context, a Attempt, d Decision) error {
	detail := map[string]string{
		"protocol": a.Protocol, "address": a.Address.Unmap().String(), "key": d.Fingerprint, "software": printable(a.Software),
	}
	if a.Protocol == FTP {
		detail["tls"] = strconv.FormatBool(a.TLS)
	}
	err := g.DB.Write(ctx, func(tx *database.Tx) (err error) {
		now := g.now()
		if a.Protocol == FTP {
			err = tx.TouchPassword(tx.Context(), query.TouchPasswordParams{ClientID: d.Client, LastUsedAt: database.Micros(now)})
		} else {
			err = tx.TouchKey(tx.Context(), query.TouchKeyParams{ID: d.KeyID, LastUsedAt: database.Micros(now)})
		}
		if err != nil {
			return err
		}
		return audit.Append(tx, now, audit.Entry{
			Event: loginAllowed, Actor: d.actor(), Client: d.Client, Subject: d.KeyID, Detail: detail,
		})
	})
	if err != nil {
		return fmt.Errorf("recording the login of client %s: %w", d.Client, err)
	}
	return nil
}

// Refused records an attempt that ended without a proved key or a password, and
// returns why it was refused.
func (g *Gate) Refused(ctx context.Context, a Attempt) (d Decision, err error) {
	defer func() { g.observe(a, d, 0) }()
	d, err = g.Explain(ctx, a)
	if err != nil {
		return g.fault(a, err), err
	}
	if d.Allowed() { // it would have got in, had it gone on
		d.conclude(ClosedBeforeLogin, facts{user: d.Client, address: a.Address.Unmap().String(), ftp: a.Protocol == FTP})
	}
	return d, g.refuse(ctx, a, d)
}

// refuse records a refusal, or counts it if it is a repetition, and adds it to
// the address's failures if it is of a kind that guessing consists of.
func (g *Gate) refuse(ctx context.Context, a Attempt, d Decision) error {
	kind := refusal{bucket: bucket(a.Address), client: d.Client, reason: d.Reason, proved: d.proved, probe: d.probe(a)}
	switch d.Reason {
	case UnknownClient, KeyUnknown, SignatureInvalid, KeyRevoked, PasswordMissing, PasswordWrong:
		if kind.probe {
			break
		}
		if err := g.fail(ctx, a.Address); err != nil {
			return err
		}
		if d.Reason == PasswordWrong {
			if err := g.failPassword(ctx, d.client.ID); err != nil {
				return err
			}
		}
	}
	if kind.stranger = g.Learn && !d.proved && !g.Admit(ctx, a.Address); kind.stranger {
		g.strangers.add(stranger{a.Protocol, bucket(a.Address), d.Reason}, printable(a.User), printable(a.Detail), g.now())
	}
	if !g.refusals.first(kind, g.now()) {
		return nil
	}
	g.Log.Warn("login refused", "event", "login.refused", "reason", d.Reason, "address", a.Address.Unmap(), "protocol", a.Protocol,
		"user", printable(a.User), "offered", fingerprints(a.Offered), "software", printable(a.Software), "what", d.What, "remedy", d.Remedy)
	if kind.stranger {
		return nil
	}
	detail := d.facts.lasting()
	detail["reason"], detail["protocol"] = string(d.Reason), a.Protocol
	detail["user"], detail["address"] = printable(a.User), a.Address.Unmap().String()
	detail["offered"], detail["software"], detail["detail"] = fingerprints(a.Offered), printable(a.Software), printable(a.Detail)
	if d.proved {
		detail["proved"] = d.Fingerprint
	}
	return g.recordRefusal(ctx, d, detail)
}

func (g *Gate) recordRefusal(ctx context.Context, d Decision, detail map[string]string) error {
	for k, v := range detail {
		if v == "" {
			delete(detail, k)
		}
	}
	err := g.DB.Write(ctx, func(tx *database.Tx) error {
		return audit.Append(tx, g.now(), audit.Entry{
			Event: loginRefused, Actor: "gateway", Client: d.Client, Subject: d.KeyID, Detail: detail,
		})
	})
	if err != nil {
		return fmt.Errorf("recording a refusal: %w", err)
	}
	return nil
}
