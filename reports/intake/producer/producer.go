// Package producer keeps which programs may hand in reports over HTTP, and for
// which clients. Start with [Register.Add]; [Register.ByToken] and
// [Register.ByCertificate] say who somebody is.
//
// A producer proves itself with a token or with a TLS certificate, never with
// either. Of a token only the SHA-256 is kept: it has 260 random bits, so nobody
// can guess what the hash is of, and none can be read out. What was revoked or has
// expired is answered like what there never was.
//
// [Register.Claim] holds an idempotency key to the content that it was first used
// for, and [Register.Record] to the answer that was given.
package producer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// ErrUnknown says that nobody good has that token, certificate or name. The error
// that is it may be a [*Refusal].
var ErrUnknown = errors.New("unknown producer")

// TokenPrefix is what every token begins with, so that scanners for leaked secrets
// can tell one.
const TokenPrefix = "sealdrop_"

// MaxName is the longest name of a producer in bytes.
const MaxName = 128

// touchEvery is how exact the time of the last use is.
const touchEvery = time.Minute

// State is whether a producer may hand in anything.
type State string

// The states, a closed list.
const (
	Active  State = "active"
	Expired State = "expired"
	Revoked State = "revoked"
)

// Producer is a program that hands in reports.
type Producer struct {
	Name string
	// Certificate: it proves itself with a TLS certificate of its name; otherwise
	// with a token.
	Certificate bool
	// All: it may deliver to every client; otherwise to those of Clients.
	All     bool
	Clients []reports.ClientID

	Added    time.Time
	Expires  time.Time // zero: never
	Revoked  time.Time // zero: it is not
	LastUsed time.Time // zero: not yet; exact to a minute
}

// May reports whether p may deliver to a client.
func (p Producer) May(client reports.ClientID) bool {
	return p.All || slices.Contains(p.Clients, client)
}

// State returns the producer's state at a time.
func (p Producer) State(now time.Time) State {
	switch {
	case !p.Revoked.IsZero():
		return Revoked
	case !p.Expires.IsZero() && !now.Before(p.Expires):
		return Expired
	}
	return Active
}

// NameError says that a text is no producer's name.
type NameError struct{ Name string }

func (e *NameError) Error() string { return fmt.Sprintf("%q is not a name for a producer", e.Name) }

// Hint says what an operator can do.
func (e *NameError) Hint() string {
	return fmt.Sprintf("use up to %d letters, digits and any of . - _ : / @; for a certificate, its common name or its URI", MaxName)
}

// CheckName returns a *[NameError] for what can't be a producer's name.
func CheckName(name string) error {
	odd := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(".-_:/@", r)
	}
	if name == "" || len(name) > MaxName || strings.ContainsFunc(name, odd) {
		return &NameError{name}
	}
	return nil
}

// ExistsError says that there is an active producer of a name.
type ExistsError struct{ Name string }

func (e *ExistsError) Error() string { return fmt.Sprintf("there is a producer %s already", e.Name) }

// Hint says what an operator can do.
func (e *ExistsError) Hint() string {
	return "give another name, or `sealdrop token revoke " + e.Name + "` first"
}

// Register keeps the producers. It is safe for concurrent use.
type Register struct {
	db  *database.DB
	now func() time.Time
}

// New returns the register of a catalog.
func New(db *database.DB, now func() time.Time) *Register { return &Register{db, now} }

// Add adds a producer, of which Name, Certificate, All, Clients and Expires are
// read. It returns the token, which can't be had again; "" for a producer with a
// certificate.
func (r *Register) Add(ctx context.Context, actor string, p Producer) (token string, err error) {
	if err := CheckName(p.Name); err != nil {
		return "", err
	}
	if !p.All && len(p.Clients) == 0 {
		return "", errors.New("a producer needs a client that it may deliver to")
	}
	row := query.PutProducerParams{
		Name: p.Name, Clients: clientsText(p), AddedAt: database.Micros(r.now()), ExpiresAt: database.Micros(p.Expires),
	}
	proof := "certificate"
	if !p.Certificate {
		token = TokenPrefix + strings.ToLower(rand.Text()+rand.Text())
		row.Secret, proof = hashOf(token), "token"
	}
	err = r.db.Write(ctx, func(tx *database.Tx) error {
		for _, c := range p.Clients {
			if _, err := tx.GetClient(tx.Context(), c.String()); errors.Is(err, database.ErrNotFound) {
				return &reports.UnknownClientError{Client: c}
			} else if err != nil {
				return err
			}
		}
		earlier, err := find(tx.Context(), tx.Queries, p.Name)
		if err == nil && earlier.State(r.now()) == Active {
			return &ExistsError{p.Name}
		}
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
		if err := tx.PutProducer(tx.Context(), row); err != nil {
			return fmt.Errorf("adding producer %s: %w", p.Name, err)
		}
		return audit.Append(tx, r.now(), audit.Entry{
			Event: "producer.added", Actor: actor, Subject: p.Name, Detail: map[string]string{"clients": row.Clients, "proof": proof},
		})
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// Revoke takes a producer's right to deliver away, for good and at once.
func (r *Register) Revoke(ctx context.Context, actor, name string) (p Producer, err error) {
	err = r.db.Write(ctx, func(tx *database.Tx) error {
		if p, err = find(tx.Context(), tx.Queries, name); err != nil {
			return err
		}
		if !p.Revoked.IsZero() {
			return nil
		}
		p.Revoked = database.Time(database.Micros(r.now())) // as it will be read
		err := tx.RevokeProducer(tx.Context(), query.RevokeProducerParams{Name: name, RevokedAt: database.Micros(p.Revoked)})
		if err != nil {
			return fmt.Errorf("revoking producer %s: %w", name, err)
		}
		return audit.Append(tx, r.now(), audit.Entry{Event: "producer.revoked", Actor: actor, Subject: name})
	})
	return p, err
}

// All calls yield for each producer in the order of names, until it returns false.
func (r *Register) All(ctx context.Context, yield func(Producer) bool) error {
	const page = 500
	for after := ""; ; {
		rows, err := r.db.Read().ListProducers(ctx, query.ListProducersParams{After: after, N: page})
		if err != nil {
			return fmt.Errorf("reading the producers: %w", err)
		}
		for _, row := range rows {
			p, err := fromRow(row)
			if err != nil {
				return err
			}
			if !yield(p) {
				return nil
			}
			after = row.Name
		}
		if len(rows) < page {
			return nil
		}
	}
}

// ByToken returns the active producer that has a token, or [ErrUnknown].
func (r *Register) ByToken(ctx context.Context, token string) (Producer, error) {
	hash := hashOf(token)
	row, err := r.db.Read().GetProducerBySecret(ctx, hash)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return Producer{}, fmt.Errorf("looking up a token: %w", err)
	}
	// The engine finds hashes of tokens, not tokens, and how long it takes says
	// nothing of these. Compared again so that it does not hang on the engine's idea
	// of equality.
	if err != nil || subtle.ConstantTimeCompare([]byte(row.Secret), []byte(hash)) != 1 {
		return Producer{}, &Refusal{Reason: TokenUnknown}
	}
	return r.active(ctx, row)
}

// ByCertificate returns the active producer of a name that a verified certificate
// gives, or [ErrUnknown].
func (r *Register) ByCertificate(ctx context.Context, name string) (Producer, error) {
	row, err := r.db.Read().GetProducer(ctx, name)
	if errors.Is(err, database.ErrNotFound) || err == nil && row.Secret != "" {
		return Producer{}, &Refusal{Reason: CertificateUnknown, Name: name}
	}
	if err != nil {
		return Producer{}, fmt.Errorf("looking up producer %s: %w", name, err)
	}
	return r.active(ctx, row)
}

func (r *Register) active(ctx context.Context, row query.Producer) (Producer, error) {
	p, err := fromRow(row)
	if err != nil {
		return Producer{}, err
	}
	now := r.now()
	if state := p.State(now); state != Active {
		return Producer{}, refusal(p, state)
	}
	if now.Sub(p.LastUsed) >= touchEvery {
		err = r.db.Write(ctx, func(tx *database.Tx) error {
			return tx.TouchProducer(tx.Context(), query.TouchProducerParams{Name: p.Name, LastUsedAt: database.Micros(now)})
		})
	}
	return p, err
}

func find(ctx context.Context, q *query.Queries, name string) (Producer, error) {
	row, err := q.GetProducer(ctx, name)
	if errors.Is(err, database.ErrNotFound) {
		return Producer{}, fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	if err != nil {
		return Producer{}, fmt.Errorf("looking up producer %s: %w", name, err)
	}
	return fromRow(row)
}

// everyClient stands in the catalog for all clients.
const everyClient = "*"

func clientsText(p Producer) string {
	if p.All {
		return everyClient
	}
	ids := make([]string, 0, len(p.Clients))
	for _, c := range p.Clients {
		ids = append(ids, c.String())
	}
	slices.Sort(ids)
	return strings.Join(slices.Compact(ids), ",")
}

func fromRow(row query.Producer) (Producer, error) {
	p := Producer{
		Name: row.Name, Certificate: row.Secret == "", All: row.Clients == everyClient, Added: database.Time(row.AddedAt),
		Expires: database.Time(row.ExpiresAt), Revoked: database.Time(row.RevokedAt), LastUsed: database.Time(row.LastUsedAt),
	}
	if p.All {
		return p, nil
	}
	for text := range strings.SplitSeq(row.Clients, ",") {
		id, err := reports.ParseClientID(text)
		if err != nil {
			return Producer{}, fmt.Errorf("reading producer %s: %w", row.Name, err)
		}
		p.Clients = append(p.Clients, id)
	}
	return p, nil
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
