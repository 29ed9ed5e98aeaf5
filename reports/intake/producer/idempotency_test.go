package producer_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports/intake/producer"
)

func (h *harness) claim(name, key, content string) (producer.Answer, error) {
	return h.Claim(h.t.Context(), producer.Use{Producer: name, Key: key, Content: content})
}

func TestClaim(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		h := open(t, e)
		for _, u := range [][3]string{{"one", "key", "content"}, {"one", "key", "content"}, {"two", "key", "other"}} {
			if a, err := h.claim(u[0], u[1], u[2]); err != nil || a.Given() {
				t.Errorf("%v: %v, %v", u, a, err)
			}
		}
		if _, err := h.claim("one", "key", "other"); !errors.Is(err, producer.ErrKeyReused) {
			t.Error(err)
		}
		h.now = h.now.Add(producer.KeepKeys + time.Second)
		if _, err := h.claim("one", "key", "other"); err != nil {
			t.Error(err)
		}
	})
}

func TestOneOfManyClaimsWins(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		h := open(t, e)
		var all sync.WaitGroup
		won := make(chan string, 20)
		for i := range 20 {
			all.Go(func() {
				content := string(rune('a' + i))
				switch _, err := h.claim("one", "key", content); {
				case err == nil:
					won <- content
				case !errors.Is(err, producer.ErrKeyReused):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Errorf("%d claims won", len(won))
		}
	})
}

// The answer is the transaction's: undone with it, and the first one stays.
func TestAnswerIsTheFirst(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		h := open(t, e)
		use := producer.Use{Producer: "one", Key: "key", Content: "content"}
		_, err := h.Claim(t.Context(), use)
		must(t, err)
		record := func(status int, failure error) (given producer.Answer, err error) {
			err = h.db.Write(t.Context(), func(tx *database.Tx) error {
				if given, err = h.Record(tx, use, producer.Answer{Status: status, Body: "{}"}); err != nil {
					return err
				}
				return failure
			})
			return given, err
		}
		failure := errors.New("undone")
		if _, err := record(201, failure); !errors.Is(err, failure) {
			t.Error(err)
		}
		if there, err := h.Answered(t.Context(), "one", "key"); there || err != nil {
			t.Errorf("%v, %v", there, err)
		}
		for _, status := range []int{201, 200} {
			if a, err := record(status, nil); err != nil || a.Status != 201 {
				t.Errorf("%v, %v", a, err)
			}
		}
		if a, err := h.Claim(t.Context(), use); err != nil || a != (producer.Answer{Status: 201, Body: "{}"}) {
			t.Errorf("%v, %v", a, err)
		}
		if there, err := h.Answered(t.Context(), "one", "key"); !there || err != nil {
			t.Errorf("%v, %v", there, err)
		}
		h.now = h.now.Add(producer.KeepKeys + time.Second)
		if there, err := h.Answered(t.Context(), "one", "key"); there || err != nil {
			t.Errorf("%v, %v", there, err)
		}
	})
}
