package database_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

func open(tb testing.TB, dir string) *database.DB {
	tb.Helper()
	db, err := database.Open(tb.Context(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	return db
}

func openOn(tb testing.TB, e databasetest.Engine) *database.DB {
	tb.Helper()
	db, _ := e.Open(tb, tb.TempDir())
	return db
}

func setMark(name string, n int64) func(*database.Tx) error {
	return func(tx *database.Tx) error {
		return tx.SetMark(tx.Context(), query.SetMarkParams{Name: name, N: n})
	}
}

// marked returns a mark's number, 0 if there is none.
func marked(tb testing.TB, db *database.DB, name string) int64 {
	tb.Helper()
	n, err := db.Read().GetMark(context.Background(), name)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		tb.Fatal(err)
	}
	return n
}

func TestWriteIsThereAfterReopening(t *testing.T) {
	t.Parallel()
	// A folder whose name would mean something to a URL or to SQLite.
	dir := filepath.Join(t.TempDir(), "a b%41?mode=memory#ü&x='1")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir)
	if err := db.Write(t.Context(), setMark("a", 7)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := marked(t, open(t, dir), "a"); n != 7 {
		t.Errorf("mark is %d after reopening", n)
	}
	if _, err := os.Stat(filepath.Join(dir, database.FileName)); err != nil {
		t.Error(err)
	}
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir)
	if err := db.Write(t.Context(), setMark("a", 1)); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files, %v; want the database and its journal", len(files), err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s has mode %04o", f.Name(), mode)
		}
	}
}

func TestMissingFolder(t *testing.T) {
	t.Parallel()
	_, err := database.Open(t.Context(), filepath.Join(t.TempDir(), "absent"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "data folder") {
		t.Errorf("error is %v", err)
	}
}

func TestReaderCannotWrite(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := openOn(t, e)
		if err := db.Read().SetMark(t.Context(), query.SetMarkParams{Name: "a", N: 1}); err == nil {
			t.Error("a write through the reading side went through")
		}
	})
}

func TestFailingWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := openOn(t, e)
		wrong := errors.New("wrong")
		err := db.Write(t.Context(), func(tx *database.Tx) error {
			if err := setMark("a", 1)(tx); err != nil {
				return err
			}
			return wrong
		})
		if !errors.Is(err, wrong) || err.Error() != "wrong" {
			t.Errorf("error is %v, want the function's own", err)
		}
		if n := marked(t, db, "a"); n != 0 {
			t.Errorf("mark is %d", n)
		}
	})
}

// TestOneFailureTakesNobodyElseDown runs good, failing and panicking writes at
// the same time, so that they share transactions.
func TestOneFailureTakesNobodyElseDown(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := openOn(t, e)
		const each = 40
		wrong := errors.New("wrong")
		var group sync.WaitGroup
		hold := make(chan struct{})
		group.Go(func() { // everybody else queues up behind this one
			if err := db.Write(context.Background(), func(*database.Tx) error { <-hold; return nil }); err != nil {
				t.Error(err)
			}
		})
		for i := range each {
			group.Go(func() {
				if err := db.Write(context.Background(), setMark(fmt.Sprint("good", i), 1)); err != nil {
					t.Errorf("good %d: %v", i, err)
				}
			})
			group.Go(func() {
				err := db.Write(context.Background(), func(tx *database.Tx) error {
					return errors.Join(setMark(fmt.Sprint("bad", i), 1)(tx), wrong)
				})
				if !errors.Is(err, wrong) {
					t.Errorf("bad %d: %v", i, err)
				}
			})
			group.Go(func() {
				err := db.Write(context.Background(), func(tx *database.Tx) error {
					_ = setMark(fmt.Sprint("panic", i), 1)(tx)
					panic("boo")
				})
				if err == nil || !strings.Contains(err.Error(), "boo") {
					t.Errorf("panic %d: %v", i, err)
				}
			})
		}
		close(hold)
		group.Wait()
		for i := range each {
			if marked(t, db, fmt.Sprint("good", i)) != 1 {
				t.Errorf("good %d is lost", i)
			}
			if marked(t, db, fmt.Sprint("bad", i)) != 0 || marked(t, db, fmt.Sprint("panic", i)) != 0 {
				t.Errorf("what failed in %d is visible", i)
			}
		}
	})
}

// TestTheFirstOfATransactionFails: who would have come into its transaction is not in it.
func TestTheFirstOfATransactionFails(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := openOn(t, e)
		wrong := errors.New("wrong")
		other := make(chan error, 1)
		err := db.Write(t.Context(), func(tx *database.Tx) error {
			go func() { other <- db.Write(context.Background(), setMark("other", 1)) }()
			return errors.Join(setMark("first", 1)(tx), wrong)
		})
		if !errors.Is(err, wrong) {
			t.Errorf("the first: %v", err)
		}
		if err := <-other; err != nil {
			t.Errorf("the other: %v", err)
		}
		for name, want := range map[string]error{"first": database.ErrNotFound, "other": nil} {
			if _, err := db.Read().GetMark(t.Context(), name); !errors.Is(err, want) {
				t.Errorf("the mark of the %s: %v, want %v", name, err, want)
			}
		}
	})
}

// TestBrokenRuleIsAConflict also shows that the engine's refusal of one job's
// statement leaves the others of its transaction alone.
func TestBrokenRuleIsAConflict(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := openOn(t, e)
		err := db.Write(t.Context(), func(tx *database.Tx) error {
			return tx.InsertNetwork(tx.Context(), query.InsertNetworkParams{ClientID: "nobody", Prefix: "10.0.0.0/8"})
		})
		if !errors.Is(err, database.ErrConflict) {
			t.Errorf("a network of no client: %v", err)
		}
		if err := db.Write(t.Context(), setMark("a", 1)); err != nil {
			t.Errorf("the next write: %v", err)
		}
	})
}

func TestEndedContextIsNotBegun(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := openOn(t, e)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for range 50 { // the select between the queue and the context is random
			err := db.Write(ctx, func(*database.Tx) error { t.Error("it was run"); return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v", err)
			}
		}
	})
}

func TestContextThatEndsWhileQueued(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := openOn(t, e)
		hold, begun := make(chan struct{}), make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			_ = db.Write(context.Background(), func(*database.Tx) error { close(begun); <-hold; return nil })
		})
		<-begun
		ctx, cancel := context.WithCancel(context.Background())
		group.Go(func() {
			if err := db.Write(ctx, setMark("a", 1)); !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v", err)
			}
		})
		cancel()
		close(hold)
		group.Wait()
		if marked(t, db, "a") != 0 {
			t.Error("a write whose caller had gone was carried out")
		}
	})
}

// TestContextThatEndsDuringAWrite: once begun, a write is carried through, and
// says so.
func TestContextThatEndsDuringAWrite(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db := openOn(t, e)
		ctx, cancel := context.WithCancel(context.Background())
		err := db.Write(ctx, func(tx *database.Tx) error {
			cancel()
			return setMark("a", 1)(tx)
		})
		if err != nil || marked(t, db, "a") != 1 {
			t.Errorf("write: %v; mark %d", err, marked(t, db, "a"))
		}
	})
}

// TestFailedCommit makes COMMIT itself fail. That must be told apart, and must
// not leave the one writing connection inside a transaction for ever.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		home := e.New(t, t.TempDir())
		db := home.Open(t)
		poison(t, home)
		err := db.Write(t.Context(), func(tx *database.Tx) error {
			return errors.Join(setMark("a", 1)(tx), setMark("poison", 1)(tx))
		})
		if !errors.Is(err, database.ErrUnknownOutcome) {
			t.Errorf("error is %v", err)
		}
		if marked(t, db, "a") != 0 {
			t.Error("the failed commit is visible")
		}
		for i := range int64(3) {
			if err := db.Write(t.Context(), setMark("b", i)); err != nil {
				t.Errorf("after a failed commit: %v", err)
			}
		}
	})
}

// poison makes COMMIT fail for a transaction that sets the mark "poison": by a rule
// that is only looked at by COMMIT, and a row that breaks it.
func poison(tb testing.TB, h databasetest.Home) {
	tb.Helper()
	statements := []string{
		"CREATE TABLE late (id TEXT REFERENCES clients (id) DEFERRABLE INITIALLY DEFERRED)",
		"CREATE TRIGGER poison AFTER INSERT ON marks WHEN NEW.name = 'poison' BEGIN INSERT INTO late VALUES ('nobody'); END",
	}
	if h.Engine == databasetest.Postgres {
		statements = []string{
			statements[0],
			"CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO late VALUES ('nobody'); RETURN NULL; END $$",
			"CREATE TRIGGER poison AFTER INSERT ON marks FOR EACH ROW WHEN (NEW.name = 'poison') EXECUTE FUNCTION poison()",
		}
	}
	raw := h.Raw(tb)
	for _, statement := range statements {
		if _, err := raw.Exec(statement); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestFullDisk: a write that finds no room fails as such, whoever shares its
// transaction is not acknowledged by mistake, and afterwards all is as before.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir())
	if err := db.LimitPages(200); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	acknowledged := make([]bool, 64)
	for i := range acknowledged {
		group.Go(func() {
			err := db.Write(context.Background(), setMark(fmt.Sprint(i)+strings.Repeat("x", 40000), 1))
			acknowledged[i] = err == nil
			if err != nil && !errors.Is(err, database.ErrFull) {
				t.Errorf("error is %v", err)
			}
		})
	}
	group.Wait()
	n := 0
	for i, ok := range acknowledged {
		if ok != (marked(t, db, fmt.Sprint(i)+strings.Repeat("x", 40000)) == 1) {
			t.Errorf("write %d: acknowledged is %v, visible is not", i, ok)
		}
		if ok {
			n++
		}
	}
	if n == len(acknowledged) {
		t.Error("the disk did not get full")
	}
	if err := db.Write(t.Context(), setMark("small", 1)); err != nil && !errors.Is(err, database.ErrFull) {
		t.Error(err)
	}
}

func TestCloseWhileWriting(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		home := e.New(t, t.TempDir())
		db := home.Open(t)
		var group sync.WaitGroup
		var mu sync.Mutex
		acknowledged := map[string]bool{}
		begun := make(chan struct{})
		var once sync.Once
		for i := range 8 {
			group.Go(func() {
				for k := 0; ; k++ {
					name := fmt.Sprintf("%d-%d", i, k)
					err := db.Write(context.Background(), setMark(name, 1))
					once.Do(func() { close(begun) })
					if errors.Is(err, database.ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					acknowledged[name] = true
					mu.Unlock()
				}
			})
		}
		<-begun
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		group.Wait()
		if err := db.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
		again := home.Open(t)
		for name := range acknowledged {
			if marked(t, again, name) != 1 {
				t.Errorf("%s was acknowledged and is lost", name)
			}
		}
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		home := e.New(t, t.TempDir())
		if err := home.Open(t).Close(); err != nil {
			t.Fatal(err)
		}
		raw := home.Raw(t)
		if _, err := raw.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)"); err != nil {
			t.Fatal(err)
		}
		raw.Close()
		_, err := home.Place.Open(t.Context())
		var newer *database.NewerSchemaError
		if !errors.As(err, &newer) || newer.Found != 9999 || newer.Hint() == "" {
			t.Errorf("error is %v", err)
		}
	})
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"not a database": func([]byte) []byte { return []byte(strings.Repeat("this is no catalog. ", 500)) },
		"overwritten":    func(b []byte) []byte { copy(b[100:], make([]byte, 8000)); return b },
		"cut off":        func(b []byte) []byte { return b[:len(b)/2+100] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := open(t, dir).Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, database.FileName)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = database.Open(t.Context(), dir)
			var told *database.Error
			if !errors.As(err, &told) || !strings.Contains(told.Hint(), "backup") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// TestLockedByAnotherProgram waits out the ten seconds of either engine.
func TestLockedByAnotherProgram(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for ten seconds")
	}
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		home := e.New(t, t.TempDir())
		db := home.Open(t)
		raw := home.Raw(t)
		lock, unlock := "BEGIN IMMEDIATE", "ROLLBACK"
		if e == databasetest.Postgres {
			raw.SetMaxOpenConns(1) // the lock is the connection's
			lock, unlock = "SELECT pg_advisory_lock(x'7365616c64726f70'::bigint)", "SELECT pg_advisory_unlock_all()"
		}
		if _, err := raw.Exec(lock); err != nil {
			t.Fatal(err)
		}
		err := db.Write(t.Context(), setMark("a", 1))
		var told *database.Error
		if !errors.As(err, &told) || !strings.Contains(err.Error(), "locked by another program") || errors.Is(err, database.ErrUnknownOutcome) {
			t.Errorf("error is %v", err)
		}
		if n := marked(t, db, "a"); n != 0 {
			t.Errorf("mark is %d", n)
		}
		if _, err := raw.Exec(unlock); err != nil {
			t.Fatal(err)
		}
		if err := db.Write(t.Context(), setMark("a", 1)); err != nil {
			t.Errorf("once the lock is gone: %v", err)
		}
	})
}

// TestTwoProcessesTakeTurns writes through two handles, as the command line does
// beside a running gateway.
func TestTwoProcessesTakeTurns(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		home := e.New(t, t.TempDir())
		handles := []*database.DB{home.Open(t), home.Open(t)}
		const each = 50
		var group sync.WaitGroup
		for _, db := range handles {
			group.Go(func() {
				for range each {
					err := db.Write(context.Background(), func(tx *database.Tx) error { return tx.BumpMark(tx.Context(), "n") })
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		for _, db := range handles {
			if n := marked(t, db, "n"); n != 2*each {
				t.Errorf("%d writes are counted, want %d", n, 2*each)
			}
		}
	})
}

func TestFirstStartOfSeveralProcessesAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		home := e.NewEmpty(t, t.TempDir())
		var group sync.WaitGroup
		for range 6 {
			group.Go(func() {
				db, err := home.Place.Open(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				db.Close()
			})
		}
		group.Wait()
	})
}

func TestMicros(t *testing.T) {
	t.Parallel()
	for _, want := range []time.Time{
		{},
		time.UnixMicro(1).UTC(), time.UnixMicro(-1).UTC(),
		time.Date(2026, 11, 21, 12, 0, 0, 123456000, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got := database.Time(database.Micros(want)); !got.Equal(want) || got.IsZero() != want.IsZero() {
			t.Errorf("%v came back as %v", want, got)
		}
	}
	cet := time.FixedZone("CET", 3600)
	if got := database.Time(database.Micros(time.Date(2026, 1, 1, 1, 0, 0, 0, cet))); got.Location() != time.UTC || got.Hour() != 0 {
		t.Errorf("a local time came back as %v", got)
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, e := range []databasetest.Engine{databasetest.SQLite, databasetest.Postgres} {
		for _, writers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/writers=%d", e, writers), func(b *testing.B) {
				db := openOn(b, e)
				b.SetParallelism(writers)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := db.Write(context.Background(), func(tx *database.Tx) error { return tx.BumpMark(tx.Context(), "n") }); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
