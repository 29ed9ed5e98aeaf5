package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
)

// ErrNoRecipient says that the client has no certificate that can be sealed for now.
var ErrNoRecipient = errors.New("no usable PGP key")

// errPending says that somebody else has to approve a key first.
var errPending = errors.New("waits for another operator")

// WaitsForApproval says whether a key that could be sealed to only has to be approved.
// err is what [Register.Recipients] has returned.
func WaitsForApproval(err error) bool { return errors.Is(err, errPending) }

// Recipients returns the certificates that a report for the client is to be
// sealed to now: all that are in use. While an old one overlaps with its successor
// that is both, so that the client opens a report with whichever it has at hand; once
// the overlap is over it is the new one alone. If there is none, the error wraps [ErrNoRecipient] and says
// why each registered certificate is no good.
func (r *Register) Recipients(ctx context.Context, client reports.ClientID) ([]pgp.Certificate, error) {
	list, err := r.Keys(ctx, client)
	if err != nil {
		return nil, err
	}
	return r.recipients(client, list)
}

func (r *Register) recipients(client reports.ClientID, list []Key) ([]pgp.Certificate, error) {
	now := r.now()
	var certs []pgp.Certificate
	var reasons []error
	for _, k := range list {
		if k.Kind != PGP {
			continue
		}
		if !k.Usable(now) {
			reasons = append(reasons, unusable(k, now))
			continue
		}
		cert, err := r.certs.parse(k)
		if err == nil {
			err = cert.Usable(now)
		}
		if err != nil {
			reasons = append(reasons, fmt.Errorf("%s: %w", k.Fingerprint, err))
			continue
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		if len(reasons) == 0 {
			return nil, fmt.Errorf("client %s has %w: none was imported", client, ErrNoRecipient)
		}
		return nil, fmt.Errorf("client %s has %w: %w", client, ErrNoRecipient, oneLine(reasons))
	}
	return certs, nil
}

// oneLine wraps several errors, in words that stay on one line.
func oneLine(errs []error) error {
	all := errs[0]
	for _, err := range errs[1:] {
		all = fmt.Errorf("%w; %w", all, err)
	}
	return all
}

// unusable says why a key is no good.
func unusable(k Key, now time.Time) error {
	text := fmt.Sprintf("%s is %s", k.Fingerprint, k.State(now))
	switch k.State(now) {
	case Pending:
		return fmt.Errorf("%s was imported by %s and %w: sealdrop key approve %s", k.Fingerprint, k.Importer.Actor, errPending, k.ID)
	case Revoked:
		if k.RevokedReason != "" {
			text += ", " + k.RevokedReason
		}
	}
	return errors.New(text)
}

// certificates keeps parsed certificates, since parsing one costs as much as
// sealing a small report. Its entries are keyed by the whole text, so a changed
// certificate is another entry.
type certificates struct {
	mu     sync.Mutex
	parsed map[string]pgp.Certificate
}

// maxCertificates bounds the memory that parsed certificates take.
const maxCertificates = 4096

func newCertificates() *certificates {
	return &certificates{parsed: map[string]pgp.Certificate{}}
}

func (c *certificates) parse(k Key) (pgp.Certificate, error) {
	c.mu.Lock()
	cert, ok := c.parsed[k.Material]
	c.mu.Unlock()
	if ok {
		return cert, nil
	}
	list, err := pgp.Parse([]byte(k.Material))
	if err != nil {
		return pgp.Certificate{}, err
	}
	if len(list) != 1 {
		return pgp.Certificate{}, fmt.Errorf("the catalog holds %d certificates where one belongs", len(list))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.parsed) >= maxCertificates {
		clear(c.parsed) // rare, and simpler than keeping an order
	}
	c.parsed[k.Material] = list[0]
	return list[0], nil
}
