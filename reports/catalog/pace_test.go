package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// TestWhatCanWaitIsDoneInChunks: a transaction of a purge ends with the rows, when it is large, and when it has
// taken long; a failure takes back all of its chunks.
func TestWhatCanWaitIsDoneInChunks(t *testing.T) {
	t.Parallel()
	failure := errors.New("failure")
	full := slices.Repeat([]int{chunk}, mostRows/chunk)
	for _, c := range []struct {
		name string
		rows int
		took time.Duration // each chunk
		fail int           // the chunk that fails
		want []int         // the chunks
		last bool
	}{
		{"nothing", 0, 0, 0, []int{0}, true},
		{"a few", chunk - 1, 0, 0, []int{chunk - 1}, true},
		{"a chunk", chunk, 0, 0, []int{chunk, 0}, true},
		{"some chunks", 3*chunk + 5, 0, 0, []int{chunk, chunk, chunk, 5}, true},
		{"too many", 2 * mostRows, 0, 0, append(full, mostRows%chunk), false},
		{"slow ones", 2 * mostRows, batchTime/2 + 1, 0, []int{chunk, chunk}, false},
		{"too slow ones", 2 * mostRows, time.Hour, 0, []int{chunk}, false},
		{"a failure", 2 * mostRows, 0, 2, []int{chunk, chunk}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db, _ := databasetest.SQLite.Open(t, t.TempDir())
			now := time.Now()
			catalog := New(db, func() time.Time { return now })
			left, did := c.rows, []int(nil)
			n, last, err := catalog.writeLater(t.Context(), func(tx *database.Tx, room int) (int, error) {
				rows := min(room, left)
				left, did, now = left-rows, append(did, rows), now.Add(c.took)
				if err := tx.SetMark(tx.Context(), query.SetMarkParams{Name: "chunk", N: int64(len(did))}); err != nil {
					return 0, err
				}
				if len(did) == c.fail {
					return 0, failure
				}
				return rows, nil
			})
			mark, markErr := mark(t.Context(), db.Read(), "chunk")
			if markErr != nil {
				t.Fatal(markErr)
			}
			if !slices.Equal(did, c.want) || last != c.last {
				t.Errorf("the chunks were %v, the last one: %v; want %v, %v", did, last, c.want, c.last)
			}
			if c.fail > 0 {
				if n != 0 || mark != 0 || !errors.Is(err, failure) {
					t.Errorf("%d rows, %d chunks are left, %v", n, mark, err)
				}
			} else if n != c.rows-left || int(mark) != len(did) || err != nil {
				t.Errorf("%d rows of %d, %d chunks are left, %v", n, c.rows-left, mark, err)
			}
		})
	}
}

// TestPurgeEndsItsTransactionForOthers: as soon as a chunk is done, whoever has come meanwhile has its turn, from
// here or from another program.
func TestPurgeEndsItsTransactionForOthers(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, home := e.Open(t, t.TempDir())
		other, err := home.Place.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		catalog := New(db, func() time.Time { return time.Unix(1, 0) })
		for i, from := range []*database.DB{db, other} {
			wrote := make(chan error, 1)
			n, last, err := catalog.writeLater(t.Context(), func(tx *database.Tx, room int) (int, error) {
				go func() {
					wrote <- from.Write(context.Background(), func(tx *database.Tx) error {
						return tx.SetMark(tx.Context(), query.SetMarkParams{Name: fmt.Sprint("other", i), N: 1})
					})
				}()
				for !tx.Awaited() {
					time.Sleep(time.Millisecond)
				}
				return room, nil
			})
			if n != chunk || last || err != nil {
				t.Errorf("waiter %d: %d rows, the last ones: %v, %v; want %d", i, n, last, err, chunk)
			}
			if err := <-wrote; err != nil {
				t.Error(err)
			}
		}
	})
}
