package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/keys/password"
	"github.com/sealdrop/sealdrop/reports"
)

// Password is what is known of a client's password for FTP.
type Password struct {
	Client   reports.ClientID
	Set      time.Time
	Expires  time.Time // zero: never
	LastUsed time.Time // zero: not since it was set
	Hash     password.Hash
}

// State returns Active or Expired.
func (p Password) State(now time.Time) State {
	if !p.Expires.IsZero() && !now.Before(p.Expires) {
		return Expired
	}
	return Active
}

func passwordFromRow(row query.Password) (Password, error) {
	client, err := reports.ParseClientID(row.ClientID)
	if err != nil {
		return Password{}, fmt.Errorf("reading the catalog: %w", err)
	}
	h, err := password.Parse(row.Hash)
	if err != nil {
		return Password{}, fmt.Errorf("reading the password of client %s: %w", client, err)
	}
	return Password{
		Client: client, Set: database.Time(row.SetAt), Expires: database.Time(row.ExpiresAt), LastUsed: database.Time(row.LastUsedAt), Hash: h,
	}, nil
}

// NoPasswordError says that a client has no password.
type NoPasswordError struct{ Client reports.ClientID }

func (e *NoPasswordError) Error() string { return fmt.Sprintf("client %s has no password", e.Client) }

// Hint says what an operator can do.
func (e *NoPasswordError) Hint() string {
	return fmt.Sprintf("`sealdrop password set --client %s` sets one", e.Client)
}

// PastError says that a password would have expired before it was set.
type PastError struct{ At time.Time }

func (e *PastError) Error() string {
	return "the password would have expired already, on " + e.At.UTC().Format("2006-01-02 15:04 MST")
}

// Hint says what an operator can do.
func (e *PastError) Hint() string { return "give a time to come, such as 90d or a date" }

// SetPassword gives a client a password, instead of the one it has, if any. It is
// good until expires, or for good if that is the zero time. A password that
// [password.Check] refuses changes nothing.
func (r *Register) SetPassword(ctx context.Context, actor string, client reports.ClientID, text string, expires time.Time) error {
	if err := password.Check(text, client.String()); err != nil {
		return err
	}
	if !expires.IsZero() && !r.now().Before(expires) {
		return &PastError{At: expires}
	}
	hash := password.New(text).Encode() // not in the transaction: it takes a while
	detail := map[string]string{}
	if !expires.IsZero() {
		detail["expires"] = expires.UTC().Format(time.RFC3339)
	}
	return r.db.Write(ctx, func(tx *database.Tx) error {
		if _, err := readClient(tx.Context(), tx.Queries, client); err != nil {
			return err
		}
		err := tx.PutPassword(tx.Context(), query.PutPasswordParams{
			ClientID: client.String(), Hash: hash, SetAt: database.Micros(r.now()), ExpiresAt: database.Micros(expires),
		})
		if err != nil {
			return fmt.Errorf("setting the password of client %s: %w", client, err)
		}
		return r.changed(tx, audit.Entry{Event: "password.set", Actor: actor, Client: client.String(), Detail: detail})
	})
}

// ExpirePassword lets a client's password end at a time, which may be now. One that
// ends sooner is left as it is.
func (r *Register) ExpirePassword(ctx context.Context, actor string, client reports.ClientID, at time.Time) (Password, error) {
	var p Password
	err := r.db.Write(ctx, func(tx *database.Tx) (err error) {
		p, err = mustHavePassword(tx, client)
		if err != nil || p.State(at) == Expired {
			return err
		}
		p.Expires = database.Time(database.Micros(at)) // as it will be read
		err = tx.ExpirePassword(tx.Context(), query.ExpirePasswordParams{ClientID: client.String(), ExpiresAt: database.Micros(at)})
		if err != nil {
			return fmt.Errorf("expiring the password of client %s: %w", client, err)
		}
		return r.changed(tx, audit.Entry{
			Event: "password.expired", Actor: actor, Client: client.String(), Detail: map[string]string{"at": at.UTC().Format(time.RFC3339)},
		})
	})
	return p, err
}

// RemovePassword takes a client's password away.
func (r *Register) RemovePassword(ctx context.Context, actor string, client reports.ClientID) error {
	return r.db.Write(ctx, func(tx *database.Tx) error {
		if _, err := readClient(tx.Context(), tx.Queries, client); err != nil {
			return err
		}
		n, err := tx.DeletePassword(tx.Context(), client.String())
		if err != nil {
			return fmt.Errorf("removing the password of client %s: %w", client, err)
		}
		if n == 0 {
			return &NoPasswordError{Client: client}
		}
		return r.changed(tx, audit.Entry{Event: "password.removed", Actor: actor, Client: client.String()})
	})
}

func mustHavePassword(tx *database.Tx, client reports.ClientID) (Password, error) {
	if _, err := readClient(tx.Context(), tx.Queries, client); err != nil {
		return Password{}, err
	}
	p, found, err := readPassword(tx.Context(), tx.Queries, client)
	if err == nil && !found {
		err = &NoPasswordError{Client: client}
	}
	return p, err
}

// Password returns what is known of a client's password. found is false if it has
// none.
func (r *Register) Password(ctx context.Context, client reports.ClientID) (p Password, found bool, err error) {
	return readPassword(ctx, r.db.Read(), client)
}

func readPassword(ctx context.Context, q *query.Queries, client reports.ClientID) (p Password, found bool, err error) {
	row, err := q.GetPassword(ctx, client.String())
	if errors.Is(err, database.ErrNotFound) {
		return Password{}, false, nil
	}
	if err != nil {
		return Password{}, false, fmt.Errorf("reading the password of client %s: %w", client, err)
	}
	p, err = passwordFromRow(row)
	return p, err == nil, err
}

// Passwords calls yield for each client's password in the order of the clients'
// ids, until it returns false.
func (r *Register) Passwords(ctx context.Context, yield func(Password) bool) error {
	const page = 500
	after := ""
	for {
		rows, err := r.db.Read().ListPasswords(ctx, query.ListPasswordsParams{After: after, N: page})
		if err != nil {
			return fmt.Errorf("reading the passwords: %w", err)
		}
		for _, row := range rows {
			p, err := passwordFromRow(row)
			if err != nil {
				return err
			}
			if !yield(p) {
				return nil
			}
			after = row.ClientID
		}
		if len(rows) < page {
			return nil
		}
	}
}
