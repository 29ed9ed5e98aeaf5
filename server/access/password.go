package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/password"
	"github.com/sealdrop/sealdrop/reports"
)

// ByPassword stands in the place of a key's fingerprint where a client has proved
// itself with its password.
const ByPassword = "password"

const (
	// goodFor is how long a password that was right is taken for right without
	// another look, for the same client at the same address. Windows Explorer logs in
	// anew for each file.
	goodFor = 2 * time.Minute
	// maxPassed bounds how many are remembered.
	maxPassed = 4096
)

// AskPassword decides, when a client has told its user name over FTP, whether it
// may go on and send its password. It may not if the password would go over the
// network in the clear for nothing: then the answer is no and is recorded.
//
// Whatever the reason of a no, a stranger must be told the same. It is the same for
// clients that there are and for those that there are not, and so is the work that
// it takes. The names "anonymous" and "ftp", with which Windows Explorer begins, may
// always go on, and fail at [Gate.Login].
func (g *Gate) AskPassword(ctx context.Context, a Attempt) (Decision, error) {
	a.Password, a.Failure = nil, ""
	f := facts{user: printable(a.User), address: a.Address.Unmap().String(), ftp: true, tls: a.TLS}
	d := Decision{Reason: Allowed}
	if !a.TLS {
		found, err := g.lookUp(ctx, a, nil)
		if err != nil {
			return g.fault(a, err), err
		}
		if found.client != nil {
			d.client, d.Client = *found.client, found.client.ID.String()
		}
		f.unknown, f.producer = found.client == nil, found.client != nil && found.client.Producer()
		d.Reason = g.plainReason(a, found)
	}
	if d.Allowed() {
		return d, nil
	}
	d.conclude(d.Reason, f)
	g.observe(a, d, 0)
	return d, g.refuse(ctx, a, d)
}

// plainReason judges an attempt in the clear before its password is there.
func (g *Gate) plainReason(a Attempt, f found) Reason {
	switch {
	case f.client == nil && isProbe(a.User):
		return Allowed
	case !g.PlainFTP:
		return TLSRequired
	case f.client == nil || f.client.FTP != keys.FTPPlain:
		return PlainNotAllowed
	case f.client.Disabled: // the password would be seen by others, and get nobody in
		return ClientDisabled
	case !allows(*f.client, a.Address.Unmap()):
		return AddressNotAllowed
	}
	return Allowed
}

// isProbe reports whether a user name is one that Windows Explorer tries before it
// asks its user.
func isProbe(user string) bool {
	return strings.EqualFold(user, "anonymous") || strings.EqualFold(user, "ftp")
}

// probe reports whether an attempt that was decided on is such a try. It fails
// without counting as a failure.
func (d Decision) probe(a Attempt) bool {
	return d.Reason == UnknownClient && a.Protocol == FTP && isProbe(a.User)
}

// lookUpPassword adds what the catalog knows of a client's password to f.
func (g *Gate) lookUpPassword(ctx context.Context, id reports.ClientID, f *found) error {
	p, ok, err := g.register.Password(ctx, id)
	if err != nil {
		return err
	}
	if ok {
		f.password = &p
	}
	f.locked, err = g.bannedUntil(ctx, passwordBan(id))
	return err
}

// judgePassword judges an attempt over FTP of a client that may connect from where
// it does. The time returned belongs to the reason.
func (g *Gate) judgePassword(ctx context.Context, a Attempt, f found, d *Decision) (Reason, time.Time, error) {
	d.Fingerprint = ByPassword
	unproved := a.Password == nil && a.proof == nil
	switch mode := f.client.FTP; {
	case mode == keys.FTPOff:
		return ProtocolNotEnabled, time.Time{}, nil
	case unproved && a.Failure == TLSFailed:
		return TLSFailed, time.Time{}, nil
	case !a.TLS && !g.PlainFTP:
		return TLSRequired, time.Time{}, nil
	case !a.TLS && mode != keys.FTPPlain:
		return PlainNotAllowed, time.Time{}, nil
	case unproved && a.Failure != "":
		return a.Failure, time.Time{}, nil
	case a.proof == nil && !f.locked.IsZero(): // what it locks out is tries, not sessions
		return TooManyAttempts, f.locked, nil
	case f.password == nil:
		return PasswordMissing, time.Time{}, nil
	}
	right, err := g.isRight(ctx, a, *f.password)
	if err != nil {
		return "", time.Time{}, err
	}
	d.hash = &f.password.Hash
	switch {
	case !right:
		return PasswordWrong, time.Time{}, nil
	case f.password.State(g.now()) == keys.Expired:
		return PasswordExpired, f.password.Expires, nil
	}
	return Allowed, time.Time{}, nil
}

// isRight reports whether the attempt's password is p. An attempt that has become a
// session is right as long as p is still the one that it was right for.
func (g *Gate) isRight(ctx context.Context, a Attempt, p keys.Password) (bool, error) {
	switch {
	case a.proof != nil:
		return *a.proof == p.Hash, nil
	case a.Password == nil: // somebody asks what would happen
		return true, nil
	case g.checks.passed(g.checks.mark(p.Client, a, p.Hash), g.now()):
		return true, nil
	}
	return g.checks.compare(ctx, p.Hash, *a.Password)
}

// compareWithDecoy takes the time that a comparison takes.
func (g *Gate) compareWithDecoy(ctx context.Context, guess string) error {
	_, err := g.checks.compare(ctx, g.checks.decoy, guess)
	return err
}

// remember notes that an attempt's password was right. Only an attempt that got in
// may be remembered: were others, the time that their next try takes would tell
// whoever may not log in at all that a guess was right.
func (g *Gate) remember(a Attempt, d Decision) {
	g.checks.pass(g.checks.mark(d.client.ID, a, *d.hash), g.now())
}

// checks compares passwords with hashes, a few at a time, and remembers which were
// right.
type checks struct {
	matches func(password.Hash, string) bool
	decoy   password.Hash
	slots   chan struct{}
	key     []byte // of the marks; it never leaves the process

	mu   sync.Mutex
	seen map[[sha256.Size]byte]time.Time // when the password was looked at
}

func newChecks() checks {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: the program would end
	// Half of the cores: whoever guesses passwords must leave the others something.
	atATime := max(runtime.GOMAXPROCS(0)/2, 1)
	return checks{
		matches: password.Hash.Matches, decoy: password.Decoy(), key: key,
		slots: make(chan struct{}, atATime), seen: map[[sha256.Size]byte]time.Time{},
	}
}

// compare waits for its turn: a comparison takes 19 MiB and all of a core.
func (c *checks) compare(ctx context.Context, h password.Hash, guess string) (bool, error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return false, fmt.Errorf("checking a password: %w", ctx.Err())
	}
	defer func() { <-c.slots }()
	return c.matches(h, guess), nil
}

// mark stands for a client, an address, a hash and a password in what is
// remembered. It tells nothing of them to who does not have the key, and a password
// that was changed has another.
func (c *checks) mark(id reports.ClientID, a Attempt, h password.Hash) (mark [sha256.Size]byte) {
	mac := hmac.New(sha256.New, c.key)
	for _, part := range []string{id.String(), a.Address.Unmap().String(), h.Encode(), *a.Password} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	mac.Sum(mark[:0])
	return mark
}

func (c *checks) passed(mark [sha256.Size]byte, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.seen[mark]
	return ok && fresh(at, now)
}

// fresh reports whether what was seen at a time still counts. A clock that was set
// back must not make it count for longer.
func fresh(at, now time.Time) bool { return !now.Before(at) && now.Sub(at) < goodFor }

func (c *checks) pass(mark [sha256.Size]byte, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.seen[mark]; ok && fresh(at, now) {
		return // it counts from when the password was looked at
	}
	if len(c.seen) >= maxPassed {
		for mark, at := range c.seen {
			if !fresh(at, now) {
				delete(c.seen, mark)
			}
		}
		if len(c.seen) >= maxPassed {
			clear(c.seen) // rare, and simpler than keeping an order
		}
	}
	c.seen[mark] = now
}
