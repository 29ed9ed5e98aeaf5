package database_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// TestBulkIsManySingles: what is written for many rows at once is what the plain queries
// write one by one, for every number of rows up to more than two statements' worth.
func TestBulkIsManySingles(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		for _, n := range []int{0, 1, 2, 3, 15, 16, 17, 31, 32, 39} {
			var rows []query.Audit
			var blobs []string
			for i := range n {
				rows = append(rows, query.Audit{
					Seq: int64(i + 1), At: int64(10 * i), Event: fmt.Sprint("e", i), Actor: "a", ClientID: fmt.Sprint("c", i%3),
					Subject: "it's; --", Detail: fmt.Sprintf(`{"n":"%d"}`, i), Hash: fmt.Sprint("h", i),
				})
				blobs = append(blobs, fmt.Sprintf("b%03d", i))
			}
			single := contents(t, e, func(tx *database.Tx) (err error) {
				for i, r := range rows {
					if err == nil {
						err = tx.InsertAudit(tx.Context(), query.InsertAuditParams(r))
					}
					for _, since := range []int64{7, 8, 6} { // the later one counts
						if err == nil {
							err = tx.InsertGarbage(tx.Context(), query.InsertGarbageParams{Blob: blobs[i], Since: since})
						}
					}
				}
				for _, blob := range blobs[n/2:] {
					if err == nil {
						err = tx.DeleteGarbage(tx.Context(), blob)
					}
				}
				return err
			})
			bulk := contents(t, e, func(tx *database.Tx) error {
				for _, write := range []func() error{
					func() error { return tx.InsertAudits(rows) },
					func() error { return tx.InsertGarbages(blobs, 7) },
					func() error { return tx.InsertGarbages(blobs, 8) },
					func() error { return tx.InsertGarbages(blobs, 6) },
					func() error { return tx.DeleteGarbages(blobs[n/2:], 8) },
					func() error { return tx.DeleteGarbages(blobs, 7) }, // they are younger
				} {
					if err := write(); err != nil {
						return err
					}
				}
				return nil
			})
			if !slices.Equal(single, bulk) || len(bulk) != n+n/2 {
				t.Errorf("%d rows: one by one\n%v\nat once\n%v", n, single, bulk)
			}
		}
	})
}

// contents returns what a new catalog's audit and garbage hold after a write.
func contents(t *testing.T, e databasetest.Engine, write func(*database.Tx) error) (found []string) {
	t.Helper()
	db, _ := e.Open(t, t.TempDir())
	if err := db.Write(context.Background(), write); err != nil {
		t.Fatal(err)
	}
	rows, err := db.Read().ListAudit(context.Background(), query.ListAuditParams{N: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		found = append(found, fmt.Sprint(r))
	}
	garbage, err := db.Read().ListGarbage(context.Background(), query.ListGarbageParams{Before: 100, N: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range garbage {
		found = append(found, fmt.Sprint(g))
	}
	slices.Sort(found)
	return found
}

// TestBulkUsageIsManySingles: what clients have is added to, from nothing and from something on.
func TestBulkUsageIsManySingles(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, _ := e.Open(t, t.TempDir())
		const n = 21
		var rows []query.AddUsageParams
		err := db.Write(t.Context(), func(tx *database.Tx) error {
			for i := range n {
				rows = append(rows, query.AddUsageParams{ClientID: fmt.Sprint("c", i), Files: int64(i), Bytes: int64(-100 * i)})
				if err := tx.InsertClient(tx.Context(), query.InsertClientParams{ID: rows[i].ClientID}); err != nil {
					return err
				}
			}
			for range 3 {
				if err := tx.AddUsages(rows); err != nil {
					return err
				}
			}
			return tx.AddUsages(nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			got, err := db.Read().GetUsage(t.Context(), r.ClientID)
			if err != nil || got.Files != 3*r.Files || got.Bytes != 3*r.Bytes {
				t.Errorf("client %s has %+v, %v; want three times %+v", r.ClientID, got, err, r)
			}
		}
	})
}
