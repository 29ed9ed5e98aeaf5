package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/outbox"
)

// Watched finds the credentials of a client.
type Watched func(ctx context.Context, client string) ([]Ending, error)

// Ending is a credential in use, and when that ends.
type Ending struct {
	ID          string
	Kind        string // ssh, pgp or password
	Fingerprint string
	Label       string
	At          time.Time // zero: never
}

const (
	// watchEvery is how often is looked for what only time does.
	watchEvery = time.Hour
	// remindEvery keeps reminders of what nobody has fetched to one a day.
	remindEvery = 20 * time.Hour
	// refusedWithin is the time within which refusals are counted, and for which
	// nothing more is said of them.
	refusedWithin = 24 * time.Hour
	// stale is how long after its end a credential is still told of: one that ended
	// long ago is no news to anybody.
	stale = 7 * 24 * time.Hour
)

// Watch puts into the outbox what only time does: credentials that will end, reports
// that nobody fetches, refusals that go on. What it has told of before it does not
// tell again, whoever told it and however often Watch is called.
func (d *Dispatcher) Watch(ctx context.Context) error {
	return errors.Join(d.watchCredentials(ctx), d.watchUncollected(ctx), d.watchRefusals(ctx))
}

// watchCredentials looks at the clients that want to be told of anything.
func (d *Dispatcher) watchCredentials(ctx context.Context) error {
	const page = 500
	for after := ""; ; {
		clients, err := d.DB.Read().ListNotified(ctx, query.ListNotifiedParams{After: after, N: page})
		if err != nil {
			return fmt.Errorf("reading whom to tell: %w", err)
		}
		for _, c := range clients {
			after = c.ID
			list, err := d.Watched(ctx, c.ID)
			if err != nil {
				return fmt.Errorf("reading the keys of client %s: %w", c.ID, err)
			}
			for _, e := range list {
				if err := d.tellEnding(ctx, c.ID, e); err != nil {
					return err
				}
			}
		}
		if len(clients) < page {
			return nil
		}
	}
}

// tellEnding tells of a credential once in each of the spans before its end, and
// once after it.
func (d *Dispatcher) tellEnding(ctx context.Context, client string, e Ending) error {
	left := e.At.Sub(d.Now())
	if e.At.IsZero() || left <= -stale {
		return nil
	}
	span := time.Duration(-1)
	for _, s := range append(d.Expiry[:len(d.Expiry):len(d.Expiry)], 0) { // longest first
		if left <= s {
			span = s
		}
	}
	if span < 0 {
		return nil
	}
	key := fmt.Sprintf("key.expiring:%s:%d:%s", e.ID, e.At.Unix(), span)
	if _, err := d.DB.Read().GetTold(ctx, key); err == nil {
		return nil // without a transaction: this is what is found nearly always
	}
	return d.DB.Write(ctx, func(tx *database.Tx) error {
		_, err := outbox.AddOnce(tx, d.Now(), key, outbox.Event{
			Kind: outbox.KeyExpiring, Client: client, Subject: e.ID,
			Detail: map[string]string{
				outbox.Credential: e.Kind, outbox.Fingerprint: e.Fingerprint, outbox.Label: e.Label,
				outbox.Until: e.At.UTC().Format(time.RFC3339),
			},
		})
		return err
	})
}

// The marks of package notify in the catalog.
const (
	remindedMark = "notify.reminded"  // when reminders were last made
	reminderMark = "notify.reminder." // and a span: up to which purge they were
	refusedMark  = "notify.refused."  // and client and cause: when it was told of
)

// watchUncollected tells each client, for each span before the purge, how many of
// its reports have come into it.
func (d *Dispatcher) watchUncollected(ctx context.Context) error {
	now := d.Now()
	return d.DB.Write(ctx, func(tx *database.Tx) error {
		last, err := mark(tx, remindedMark)
		if err != nil {
			return err
		}
		if since := now.Sub(last); since >= 0 && since < remindEvery {
			return nil
		}
		for i, span := range d.Reminders {
			name := reminderMark + span.String()
			done, err := mark(tx, name)
			if err != nil {
				return err
			}
			after := done
			// What is near enough for the next span is that one's to tell.
			nearest := now
			if i+1 < len(d.Reminders) {
				nearest = now.Add(d.Reminders[i+1])
			}
			if after.Before(nearest) {
				after = nearest
			}
			if err := d.remind(tx, after, now.Add(span)); err != nil {
				return err
			}
			if err := tx.SetMark(tx.Context(), query.SetMarkParams{Name: name, N: database.Micros(now.Add(span))}); err != nil {
				return err
			}
		}
		return tx.SetMark(tx.Context(), query.SetMarkParams{Name: remindedMark, N: database.Micros(now)})
	})
}

// remind tells of what is purged after one time and up to another.
func (d *Dispatcher) remind(tx *database.Tx, after, before time.Time) error {
	rows, err := tx.ListUncollected(tx.Context(), query.ListUncollectedParams{After: database.Micros(after), Before: database.Micros(before)})
	if err != nil {
		return fmt.Errorf("looking for what nobody has fetched: %w", err)
	}
	for _, row := range rows {
		err := outbox.Add(tx, d.Now(), outbox.Event{
			Kind: outbox.ReportUncollected, Client: row.ClientID,
			Detail: map[string]string{
				outbox.Count: strconv.FormatInt(row.Reports, 10), outbox.Bytes: strconv.FormatInt(row.Bytes, 10),
				outbox.Until: database.Time(row.Earliest).Format(time.RFC3339),
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// watchRefusals counts each client's refusals by cause.
func (d *Dispatcher) watchRefusals(ctx context.Context) error {
	const page = 500
	for after := ""; ; {
		clients, err := d.DB.Read().ListClients(ctx, query.ListClientsParams{After: after, N: page})
		if err != nil {
			return fmt.Errorf("reading the clients: %w", err)
		}
		for _, c := range clients {
			after = c.ID
			if err := d.watchRefusalsOf(ctx, c.ID); err != nil {
				return fmt.Errorf("counting the refusals of client %s: %w", c.ID, err)
			}
		}
		if len(clients) < page {
			return nil
		}
	}
}

func (d *Dispatcher) watchRefusalsOf(ctx context.Context, client string) error {
	// A record may stand for any number of refusals, so that this many reach far
	// back: each kind has one within ten minutes.
	const most = 2000
	since := d.Now().Add(-refusedWithin)
	rows, err := d.DB.Read().ListRefusals(ctx, query.ListRefusalsParams{ClientID: client, Before: math.MaxInt64, N: most})
	if err != nil || len(rows) == 0 || database.Time(rows[0].At).Before(since) {
		return err
	}
	return d.DB.Write(ctx, func(tx *database.Tx) error {
		told, counts := map[string]time.Time{}, map[string]int{}
		for _, row := range rows {
			at := database.Time(row.At)
			if at.Before(since) {
				break
			}
			reason, times := refusalOf(row.Detail)
			if _, known := told[reason]; !known {
				if told[reason], err = mark(tx, refusedMark+client+"."+reason); err != nil {
					return err
				}
			}
			if at.After(told[reason]) {
				counts[reason] += times
			}
		}
		for reason, n := range counts {
			if n < d.Refusals || told[reason].After(since) {
				continue
			}
			if err := d.tellRefused(tx, client, reason, n); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *Dispatcher) tellRefused(tx *database.Tx, client, reason string, n int) error {
	err := outbox.Add(tx, d.Now(), outbox.Event{
		Kind: outbox.AccessRefused, Client: client, Detail: map[string]string{outbox.Reason: reason, outbox.Count: strconv.Itoa(n)},
	})
	if err != nil {
		return err
	}
	return tx.SetMark(tx.Context(), query.SetMarkParams{Name: refusedMark + client + "." + reason, N: database.Micros(d.Now())})
}

// refusalOf reads what server/access recorded of a refusal: its cause, and how many
// the record stands for.
func refusalOf(detail string) (reason string, times int) {
	var fields map[string]string
	if json.Unmarshal([]byte(detail), &fields) != nil {
		return "", 0
	}
	times, err := strconv.Atoi(fields["times"])
	if err != nil {
		times = 1
	}
	return fields["reason"], times
}

func mark(tx *database.Tx, name string) (time.Time, error) {
	n, err := tx.GetMark(tx.Context(), name)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return time.Time{}, fmt.Errorf("reading mark %s: %w", name, err)
	}
	return database.Time(n), nil
}
