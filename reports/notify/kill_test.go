package notify_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports/notify"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// runEnv tells the test binary that it is to dispatch what the catalog in that
// folder holds, and skewEnv by how much its clock is ahead.
const (
	runEnv  = "NOTIFY_TEST_RUN"
	skewEnv = "NOTIFY_TEST_SKEW"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(runEnv); dir != "" {
		if err := runUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runUntilKilled(dir string) error {
	skew, err := time.ParseDuration(os.Getenv(skewEnv))
	if err != nil {
		return err
	}
	db, err := database.Open(context.Background(), dir)
	if err != nil {
		return err
	}
	f := &fixture{clock: &clock{}, post: &post{}, log: nil}
	d := f.dispatcherOver(db, os.Stderr)
	d.Now = func() time.Time { return time.Now().Add(skew) }
	d.Gather = time.Microsecond
	d.Run(context.Background())
	return nil
}

// TestKillWhileSending: no message is lost, and of those that were under way when
// the gateway was killed each is sent at most once more, under the same id.
func TestKillWhileSending(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	const n, kills = 24, 3
	var count atomic.Int64
	hit := make(chan struct{}, 1)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		if i := count.Add(1); i%7 == 0 && i <= 7*kills {
			hit <- struct{}{}
			<-time.After(50 * time.Millisecond) // killed before it has the answer
		}
		w.WriteHeader(http.StatusOK)
	})
	f.clock.micros.Store(time.Now().UnixMicro())
	for i := range n { // a client each, so that nothing is told together
		id := fmt.Sprint("c", i)
		f.client(t, id, contact.Preferences{Contacts: contacts(t, r.contact())})
		f.ready(t, id, "a.csv")
	}
	for i := range kills + 1 {
		cmd := exec.Command(os.Args[0])
		// A claim ends with its time.
		cmd.Env = append(os.Environ(), runEnv+"="+filepath.Dir(f.home.Place.File()), fmt.Sprintf("%s=%dh", skewEnv, i))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if i < kills {
			<-hit
		} else {
			f.settled(t, n)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // "signal: killed"
	}
	times := map[string]int{}
	for _, c := range r.got() {
		times[c.id()]++
	}
	doubled := 0
	for id, k := range times {
		if k > 2 {
			t.Errorf("message %s was sent %d times", id, k)
		}
		doubled += k - 1
	}
	if len(times) != n || doubled > kills {
		t.Errorf("%d messages arrived, %d of them twice; want %d, and %d at most", len(times), doubled, n, kills)
	}
}

// settled waits until n messages were sent.
func (f *fixture) settled(t *testing.T, n int) {
	t.Helper()
	for t.Context().Err() == nil {
		list, err := notify.List(t.Context(), f.db.Read(), notify.Filter{State: notify.Sent, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == n {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
