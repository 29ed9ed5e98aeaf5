package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/id"
	"github.com/sealdrop/sealdrop/internal/outbox"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// expandBatch bounds how many events one transaction takes: all writers wait for
// it.
const expandBatch = 50

// Expand makes messages of what waits in the outbox, and returns how many events
// there were.
func (d *Dispatcher) Expand(ctx context.Context) (events int, err error) {
	for {
		empty, err := outbox.Empty(ctx, d.DB.Read())
		if err != nil || empty {
			return events, err
		}
		n := 0
		err = d.DB.Write(ctx, func(tx *database.Tx) error {
			rows, err := outbox.Take(tx, expandBatch)
			if err != nil {
				return err
			}
			n = len(rows)
			for _, row := range rows {
				if err := d.expand(tx, row); err != nil {
					return fmt.Errorf("making messages of %s: %w", row.Kind, err)
				}
			}
			return nil
		})
		if err != nil {
			return events, err
		}
		if events += n; n == 0 {
			return events, nil
		}
	}
}

// expand writes one event's messages.
func (d *Dispatcher) expand(tx *database.Tx, row outbox.Row) error {
	if row.Kind == outbox.ReportHeld || row.Kind == outbox.AccessRefused {
		if err := d.tellOperators(tx, itemOf(row.Event, false)); err != nil {
			return err
		}
	}
	client, err := tx.GetClient(tx.Context(), row.Client)
	if errors.Is(err, database.ErrNotFound) {
		return nil // it was removed meanwhile
	}
	if err != nil {
		return err
	}
	prefs, err := contact.ParsePreferences(client.Notify)
	if err != nil {
		// One client's settings must not hold up the others' messages.
		d.Log.Error("a client can't be told", "event", "notify.failed", "client", row.Client, "outbox", row.Kind, "error", err)
		return nil
	}
	i := itemOf(row.Event, prefs.ShowNames)
	for _, to := range prefs.Contacts {
		if !to.Wants(row.Kind) {
			continue
		}
		if row.Kind == outbox.ReportReady && to.Channel() == contact.Email && prefs.Delivery != "" && d.Channels.Courier != nil {
			// The report itself is sent: a mail for each, and no digest of them.
			c := content{Client: row.Client, Items: []item{i}}
			if err := d.insert(tx, to, kindParcel, c, d.Now()); err != nil {
				return err
			}
			continue
		}
		if err := d.put(tx, to, row.Kind, row.Client, i, d.due(prefs, row)); err != nil {
			return err
		}
	}
	return nil
}

// due is when an event is told of: what is read at leisure with the digest, the
// rest after a moment, in which what comes at the same time is gathered.
func (d *Dispatcher) due(p contact.Preferences, row outbox.Row) time.Time {
	soon := d.Now().Add(d.Gather)
	if row.Kind != outbox.ReportReady && row.Kind != outbox.ReportUncollected {
		return soon
	}
	if at := p.Digest.Next(row.At, d.zone(p)); at.After(soon) {
		return at
	}
	return soon
}

func (d *Dispatcher) zone(p contact.Preferences) *time.Location {
	if p.Timezone.IsZero() {
		return d.Zone.Location()
	}
	return p.Timezone.Location()
}

// tellOperators adds an item to the next message to each operator.
func (d *Dispatcher) tellOperators(tx *database.Tx, i item) error {
	for _, to := range d.Operators {
		due := d.OperatorDigest.Next(d.Now(), d.Zone.Location())
		if err := d.put(tx, to, kindOperators, "", i, due); err != nil {
			return err
		}
	}
	return nil
}

// put adds an item to a message to a contact that has not been begun and is due no
// later, or else to a new one.
func (d *Dispatcher) put(tx *database.Tx, to contact.Contact, kind contact.Kind, client string, i item, due time.Time) error {
	open, err := tx.FindOpenMessage(tx.Context(), query.FindOpenMessageParams{
		Channel: string(to.Channel()), Target: to.Target(), ClientID: client, Kind: string(kind),
		Now: database.Micros(d.Now()), Due: database.Micros(due),
	})
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return err
	}
	c := content{Client: client}
	if err == nil {
		if c, err = parseContent(open.Content); err != nil {
			return err
		}
	}
	c.add(i)
	if open.ID == "" {
		return d.insert(tx, to, kind, c, due)
	}
	text, err := c.text()
	if err != nil {
		return err
	}
	return tx.SetMessageContent(tx.Context(), query.SetMessageContentParams{ID: open.ID, Content: text})
}

// insert begins a message to a contact.
func (d *Dispatcher) insert(tx *database.Tx, to contact.Contact, kind contact.Kind, c content, due time.Time) error {
	text, err := c.text()
	if err != nil {
		return err
	}
	return tx.InsertMessage(tx.Context(), query.InsertMessageParams{
		ID: "msg_" + id.New(), ClientID: c.Client, Channel: string(to.Channel()), Target: to.Target(), Kind: string(kind),
		Content: text, CreatedAt: database.Micros(d.Now()), NextAt: database.Micros(due),
	})
}
