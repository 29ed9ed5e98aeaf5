// Package outbox keeps what somebody is to be told of until it is made into
// messages.
//
// [Add] writes an event in the caller's own transaction, so that what happened
// and the word of it exist both or neither. It writes nothing for a client that
// has chosen nothing to be told of, at the cost of one look-up by primary key.
// [AddOnce] is for what is found again each time one looks for it, such as a key
// that is about to expire: the same key never makes a second event.
//
// Package reports/notify empties the outbox. Events hold names of reports; what
// of them gets into a message is decided there.
package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/id"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// Kind is what an event is about.
type Kind = contact.Kind

// The kinds.
const (
	ReportReady       = contact.ReportReady
	ReportHeld        = contact.ReportHeld
	ReportUncollected = contact.ReportUncollected
	KeyExpiring       = contact.KeyExpiring
	AccessChanged     = contact.AccessChanged
	AccessRefused     = contact.AccessRefused
)

// The keys of [Event.Detail]. Which of them are there depends on the kind.
const (
	Name        = "name"        // of a report
	Bytes       = "bytes"       // of a report, sealed
	Count       = "count"       // how many reports or refusals; one if it is left out
	Until       = "until"       // RFC 3339: when the report is purged, or the credential expires
	Days        = "days"        // from the event to Until; 0 or less: it is over
	Credential  = "credential"  // ssh, pgp or password
	Fingerprint = "fingerprint" // of a key
	Label       = "label"       // of a key
	Change      = "change"      // as in package message: key-imported, …
	Network     = "network"     // that was allowed or denied
	Reason      = "reason"      // why a report is held, or a login was refused
)

// Event is something that somebody is to be told of.
type Event struct {
	Kind   Kind
	Client string
	// Subject is the id of the report or key that it concerns, or "".
	Subject string
	Detail  map[string]string
}

// Row is an [Event] as it waits.
type Row struct {
	ID string
	At time.Time
	Event
}

// concernsOperators reports whether the operators are told as well, so that the
// event counts even if the client has no contact.
func concernsOperators(k Kind) bool {
	return k == ReportHeld || k == AccessRefused
}

// Add puts an event into the outbox, within tx.
func Add(tx *database.Tx, now time.Time, e Event) error {
	if !concernsOperators(e.Kind) {
		_, err := tx.HasNotify(tx.Context(), e.Client)
		if errors.Is(err, database.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking up whom to tell of %s: %w", e.Kind, err)
		}
	}
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return fmt.Errorf("noting %s: %w", e.Kind, err)
	}
	err = tx.InsertOutbox(tx.Context(), query.InsertOutboxParams{
		ID: id.New(), At: database.Micros(now), Kind: string(e.Kind), ClientID: e.Client, Subject: e.Subject, Detail: string(detail),
	})
	if err != nil {
		return fmt.Errorf("noting %s: %w", e.Kind, err)
	}
	return nil
}

// AddOnce is Add, unless something was added under key before. added tells which.
func AddOnce(tx *database.Tx, now time.Time, key string, e Event) (added bool, err error) {
	n, err := tx.InsertTold(tx.Context(), query.InsertToldParams{Key: key, At: database.Micros(now)})
	if err != nil {
		return false, fmt.Errorf("noting %s: %w", e.Kind, err)
	}
	if n == 0 {
		return false, nil
	}
	return true, Add(tx, now, e)
}

// Take removes and returns up to limit events, the oldest first, within tx.
func Take(tx *database.Tx, limit int64) ([]Row, error) {
	rows, err := tx.ListOutbox(tx.Context(), limit)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	list := make([]Row, 0, len(rows))
	for _, row := range rows {
		r := Row{ID: row.ID, At: database.Time(row.At), Event: Event{Kind: Kind(row.Kind), Client: row.ClientID, Subject: row.Subject}}
		if err := json.Unmarshal([]byte(row.Detail), &r.Detail); err != nil {
			return nil, fmt.Errorf("reading the outbox: event %s: %w", row.ID, err)
		}
		if err := tx.DeleteOutbox(tx.Context(), row.ID); err != nil {
			return nil, fmt.Errorf("emptying the outbox: %w", err)
		}
		list = append(list, r)
	}
	return list, nil
}

// Empty reports whether nothing waits.
func Empty(ctx context.Context, q *query.Queries) (bool, error) {
	rows, err := q.ListOutbox(ctx, 1)
	if err != nil {
		return false, fmt.Errorf("reading the outbox: %w", err)
	}
	return len(rows) == 0, nil
}
