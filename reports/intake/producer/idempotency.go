package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// KeepKeys is how long an idempotency key is remembered, with its answer.
const KeepKeys = 30 * 24 * time.Hour

// ErrKeyReused says that an idempotency key was used for another content.
var ErrKeyReused = errors.New("the idempotency key was used for another delivery")

// Use is one use of an idempotency key.
type Use struct {
	Producer, Key string
	// Content is a keyed hash of what is delivered.
	Content string
}

// Answer is what a producer was told of a delivery that succeeded. The zero value
// is that it was told nothing.
type Answer struct {
	Status int    // of HTTP
	Body   string // JSON
}

// Given reports whether there is an answer at all.
func (a Answer) Given() bool { return a.Status != 0 }

// Answered reports whether a key has an answer already.
func (r *Register) Answered(ctx context.Context, producer, key string) (bool, error) {
	row, err := r.db.Read().GetIdempotencyKey(ctx, query.GetIdempotencyKeyParams{Producer: producer, Key: key})
	if errors.Is(err, database.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking up an idempotency key: %w", err)
	}
	return row.Status != 0 && row.At >= database.Micros(r.now().Add(-KeepKeys)), nil
}

// Claim holds a key to a content, and returns the answer that it has. It returns
// [ErrKeyReused] if the key was used for another content within [KeepKeys]. What it
// holds is durable when it returns nil.
func (r *Register) Claim(ctx context.Context, u Use) (a Answer, err error) {
	now := r.now()
	err = r.db.Write(ctx, func(tx *database.Tx) error {
		if err := tx.ForgetIdempotencyKeys(tx.Context(), database.Micros(now.Add(-KeepKeys))); err != nil {
			return fmt.Errorf("forgetting old idempotency keys: %w", err)
		}
		fresh, err := tx.InsertIdempotencyKey(tx.Context(), query.InsertIdempotencyKeyParams{
			Producer: u.Producer, Key: u.Key, Content: u.Content, At: database.Micros(now),
		})
		if err != nil {
			return fmt.Errorf("claiming an idempotency key: %w", err)
		}
		if fresh > 0 {
			return nil
		}
		a, err = answer(tx, u)
		return err
	})
	return a, err
}

// Record gives a claimed key its answer, in the transaction that makes it true, and
// returns the one that it has now: the first, if there was one.
func (r *Register) Record(tx *database.Tx, u Use, a Answer) (Answer, error) {
	err := tx.AnswerIdempotencyKey(tx.Context(), query.AnswerIdempotencyKeyParams{
		Producer: u.Producer, Key: u.Key, Status: int64(a.Status), Answer: a.Body,
	})
	if err != nil {
		return Answer{}, fmt.Errorf("recording an answer: %w", err)
	}
	return answer(tx, u)
}

// Answer is [Register.Record] for what has been true before: in a transaction of its
// own.
func (r *Register) Answer(ctx context.Context, u Use, a Answer) (given Answer, err error) {
	err = r.db.Write(ctx, func(tx *database.Tx) error {
		given, err = r.Record(tx, u, a)
		return err
	})
	return given, err
}

func answer(tx *database.Tx, u Use) (Answer, error) {
	row, err := tx.GetIdempotencyKey(tx.Context(), query.GetIdempotencyKeyParams{Producer: u.Producer, Key: u.Key})
	if err != nil {
		return Answer{}, fmt.Errorf("looking up an idempotency key: %w", err)
	}
	if row.Content != u.Content {
		return Answer{}, ErrKeyReused
	}
	return Answer{Status: int(row.Status), Body: row.Answer}, nil
}
