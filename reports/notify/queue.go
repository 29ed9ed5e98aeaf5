package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// State is what has become of a message.
type State string

// The states.
const (
	Pending State = "pending"
	Sent    State = "sent"
	Dead    State = "dead" // given up
)

// States lists all states.
func States() []State { return []State{Pending, Sent, Dead} }

// Message is one message to one contact.
type Message struct {
	ID       string          `json:"id"`
	Client   string          `json:"client,omitempty"` // "" if it is for the operators
	Channel  string          `json:"channel"`
	Target   string          `json:"target"`
	Kind     string          `json:"kind"`
	State    State           `json:"state"`
	Created  time.Time       `json:"created"`
	Next     time.Time       `json:"next,omitzero"` // of a pending one: when it is tried
	Tries    int64           `json:"tries"`         // that failed
	Error    string          `json:"error,omitempty"`
	Answer   string          `json:"answer,omitempty"` // of the other side
	Settled  time.Time       `json:"settled,omitzero"` // when it was sent or given up
	Contents json.RawMessage `json:"content"`
}

func messageFromRow(row query.Message) Message {
	m := Message{
		ID: row.ID, Client: row.ClientID, Channel: row.Channel, Target: row.Target, Kind: row.Kind, State: State(row.State),
		Created: database.Time(row.CreatedAt), Tries: row.Tries, Error: row.LastError, Answer: row.Answer,
		Settled: database.Time(row.SettledAt), Contents: json.RawMessage(row.Content),
	}
	if m.State == Pending {
		m.Next = database.Time(row.NextAt)
	}
	return m
}

// Filter selects what [List] returns.
type Filter struct {
	State  State  // "": all
	Client string // "": all
	// Before continues a listing after its last message; nil begins one.
	Before *Message
	Limit  int64
}

// List returns messages, the newest first.
func List(ctx context.Context, q *query.Queries, f Filter) ([]Message, error) {
	p := query.ListMessagesParams{State: string(f.State), ClientID: f.Client, CreatedBefore: math.MaxInt64, N: f.Limit}
	if f.Before != nil {
		p.CreatedBefore, p.IDBefore = database.Micros(f.Before.Created), f.Before.ID
	}
	rows, err := q.ListMessages(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("listing messages: %w", err)
	}
	list := make([]Message, 0, len(rows))
	for _, row := range rows {
		list = append(list, messageFromRow(row))
	}
	return list, nil
}

// QueueState is how the messages are doing.
type QueueState struct {
	// Pending counts what is to be sent, be it with tomorrow's digest. Late counts
	// those of them that are due or have failed; the first of them was made at
	// Oldest.
	Pending int64     `json:"pending"`
	Late    int64     `json:"late"`
	Oldest  time.Time `json:"oldest,omitzero"`
	// Dead counts what was given up, the first of it made at OldestDead.
	Dead       int64     `json:"dead"`
	OldestDead time.Time `json:"oldest_dead,omitzero"`
}

// Queue tells how the messages are doing, for status and monitoring.
func Queue(ctx context.Context, q *query.Queries, now time.Time) (QueueState, error) {
	pending, err1 := q.CountMessages(ctx, string(Pending))
	late, err2 := q.CountLateMessages(ctx, database.Micros(now))
	dead, err3 := q.CountMessages(ctx, string(Dead))
	if err := errors.Join(err1, err2, err3); err != nil {
		return QueueState{}, fmt.Errorf("counting messages: %w", err)
	}
	return QueueState{
		Pending: pending.N, Late: late.N, Oldest: database.Time(late.Oldest), Dead: dead.N, OldestDead: database.Time(dead.Oldest),
	}, nil
}

// ErrUnknownMessage says that there is no message of that id.
var ErrUnknownMessage = errors.New("no message has that id")

// SettledError says that a message needs no retry.
type SettledError struct{ ID string }

func (e *SettledError) Error() string { return fmt.Sprintf("message %s was sent already", e.ID) }

// Hint says what an operator can do.
func (e *SettledError) Hint() string {
	return "`sealdrop notify test --client ID` sends one that is new"
}

// RetryMessage has one message sent now: one that was given up, or one that waits.
func RetryMessage(ctx context.Context, db *database.DB, now time.Time, id string) error {
	return db.Write(ctx, func(tx *database.Tx) error {
		row, err := tx.GetMessage(tx.Context(), id)
		if errors.Is(err, database.ErrNotFound) {
			return fmt.Errorf("%w: %s", ErrUnknownMessage, id)
		}
		if err != nil {
			return err
		}
		switch State(row.State) {
		case Sent:
			return &SettledError{ID: id}
		case Dead:
			_, err = tx.RetryMessage(tx.Context(), query.RetryMessageParams{ID: id, Now: database.Micros(now)})
		default: // one that is being sent at this moment is left alone
			_, err = tx.HurryMessage(tx.Context(), query.HurryMessageParams{ID: id, Now: database.Micros(now)})
		}
		return err
	})
}

// RetryDead has all messages sent again that were given up, and returns how many.
func RetryDead(ctx context.Context, db *database.DB, now time.Time) (n int64, err error) {
	err = db.Write(ctx, func(tx *database.Tx) (err error) {
		n, err = tx.RetryDeadMessages(tx.Context(), database.Micros(now))
		return err
	})
	return n, err
}
