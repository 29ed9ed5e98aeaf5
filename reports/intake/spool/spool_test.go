package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/spool"
	"github.com/sealdrop/sealdrop/reports/publish"
)

func TestFileBecomesAReportAndGoes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write("acme/before.csv", "was there before the gateway")
	f.run()
	f.write("borealis/Activity 1.csv", "a")
	f.write("acme/after.csv", "")
	f.awaitGone("acme/before.csv", "borealis/Activity 1.csv", "acme/after.csv")
	list := f.reports()
	if len(list) != 3 {
		t.Errorf("there are %d reports", len(list))
	}
	actor := fmt.Sprintf("spool:%s uid:%d", f.folder, os.Getuid())
	for _, d := range f.deliveries() {
		if d.Actor != actor {
			t.Errorf("the actor is %q, want %q", d.Actor, actor)
		}
	}
	for _, folder := range []string{"acme", ".taken/acme"} {
		if left, err := os.ReadDir(f.path(folder)); err != nil || len(left) != 0 {
			t.Errorf("%s holds %v, %v", folder, left, err)
		}
	}
}

// TestNamesThatArePassedOver: what is still being written, by its name, is left
// alone, and taken once it is renamed, without waiting for it to settle.
func TestNamesThatArePassedOver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Settle = time.Hour
	f.run()
	f.write("acme/marked.csv", "")
	f.write("acme/marked.csv.done", "")
	f.awaitGone("acme/marked.csv") // it watches by now
	names := []string{"a.csv.part", "b.tmp", "c.filepart", ".d.csv", "e.done", "f.partial", "G.CSV.PART"}
	for _, name := range names {
		f.write("acme/"+name, name)
	}
	f.write("acme/unsettled.csv", "was just written")
	outside := filepath.Join(filepath.Dir(f.folder), "z.csv")
	if err := errors.Join(
		os.Rename(f.path("acme/a.csv.part"), f.path("acme/a.csv")), os.WriteFile(outside, []byte("z"), 0o600),
		os.Rename(f.path("acme/f.partial"), f.path("acme/f.csv.partial")), os.Rename(f.path("acme/G.CSV.PART"), f.path("acme/g.csv.Part")),
		os.Rename(outside, f.path("acme/z.csv")),
	); err != nil {
		t.Fatal(err)
	}
	names[5], names[6] = "f.csv.partial", "g.csv.Part"
	f.awaitGone("acme/a.csv", "acme/z.csv")
	if got := f.names(); len(got) != 3 {
		t.Errorf("%v were taken", got)
	}
	for _, name := range append(names[1:], "unsettled.csv") {
		if !f.there("acme/" + name) {
			t.Errorf("%s is gone", name)
		}
	}
}

func TestMarker(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Settle = time.Hour
	// A marker that is older than its file is of a file before it.
	f.write("acme/stale.csv.done", "")
	time.Sleep(20 * time.Millisecond)
	f.write("acme/stale.csv", "half")
	f.run()
	f.write("acme/ready.csv", "whole")
	f.write("acme/ready.csv.done", "")
	f.awaitGone("acme/ready.csv", "acme/ready.csv.done")
	if got := f.names(); !slices.Equal(got, []string{"acme/ready.csv"}) {
		t.Errorf("%v were taken", got)
	}
}

// TestFileThatIsStillOpen: silence of the writer is no proof that it is done.
func TestFileThatIsStillOpen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	file, err := os.Create(f.path("acme/slow.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	io.WriteString(file, "first half, ")
	f.run()
	f.write("acme/quick.csv", "overtakes it")
	f.awaitGone("acme/quick.csv")
	time.Sleep(5 * f.config.Settle)
	if !f.there("acme/slow.csv") || len(f.names()) != 1 {
		t.Fatal("a file was taken while it was being written")
	}
	io.WriteString(file, "second half")
	file.Close()
	f.awaitGone("acme/slow.csv")
	if d := f.deliveries()[1]; d.Size != int64(len("first half, second half")) {
		t.Errorf("%d bytes were taken", d.Size)
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Keep = true
	f.run()
	for i := range 3 {
		f.write("acme/a.csv", fmt.Sprint("version ", i))
		f.awaitGone("acme/a.csv")
	}
	for i, name := range []string{"a.csv", "a.csv~2", "a.csv~3"} {
		data, err := os.ReadFile(f.path("done/acme/" + name))
		if string(data) != fmt.Sprint("version ", i) {
			t.Errorf("%s holds %q, %v", name, data, err)
		}
	}
}

// TestOrderOfArrival: by time, then by name, whatever order the file system lists
// them in, and however many times more there are than are kept in memory.
func TestOrderOfArrival(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	n := 2500 // more than two scans' worth
	if testing.Short() {
		n = 1200
	}
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("acme/%05d.csv", i))
	}
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		at := start.Add(time.Duration(i/10) * time.Second) // ten of each time
		f.write(want[i], fmt.Sprint(i))
		if err := os.Chtimes(f.path(want[i]), at, at); err != nil {
			t.Fatal(err)
		}
	}
	f.config.Publisher = counting{f}
	time.Sleep(f.config.Settle)
	f.run()
	f.eventually("all are taken", func() bool { return len(f.names()) >= n })
	if got := f.names(); !slices.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		t.Errorf("number %d is %s, want %s", i, got[i], want[i])
	}
}

// TestOneClientDoesNotHoldUpAnother: a backlog of one is no other's.
func TestOneClientDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.config.Workers = 2
	blocked := make(chan struct{})
	f.before = func(d publish.Delivery, r io.Reader) (io.Reader, error) {
		if d.Client.String() == "acme" {
			<-blocked
		}
		return r, nil
	}
	f.run()
	f.write("acme/a.csv", "a")
	f.write("borealis/b.csv", "b")
	f.awaitGone("borealis/b.csv")
	close(blocked)
	f.awaitGone("acme/a.csv")
}

// TestPassingFailure: what fails for a reason of the gateway's stays, in order,
// with one line when that begins and one when it ends.
func TestPassingFailure(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"no space": fmt.Errorf("storing a blob: %w", reports.ErrNoSpace),
		"full":     fmt.Errorf("%w: x", database.ErrFull),
		"locked":   &database.Error{Message: "the catalog is locked by another program", Err: errors.New("busy"), Advice: "find it"},
		"unknown":  database.ErrUnknownOutcome,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			var tries atomic.Int32
			f.before = func(d publish.Delivery, r io.Reader) (io.Reader, error) {
				if tries.Add(1) <= 2 {
					return nil, failure
				}
				return r, nil
			}
			f.write("acme/1.csv", "1")
			time.Sleep(10 * time.Millisecond)
			f.write("acme/2.csv", "2")
			f.run()
			f.awaitGone("acme/1.csv", "acme/2.csv")
			if got := f.names(); !slices.Equal(got, []string{"acme/1.csv", "acme/2.csv"}) {
				t.Errorf("taken: %v", got)
			}
			f.eventually("it says that it goes on", func() bool { return f.count("intake goes on") == 1 })
			if f.count("intake pauses") != 1 || f.there("rejected") {
				t.Errorf("the log says:\n%s", f.log.String())
			}
		})
	}
}

// TestLowSpacePauses: below the free space to be kept nothing is taken in.
func TestLowSpacePauses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var free atomic.Uint64
	f.config.Free, f.config.MinFree = func() (uint64, error) { return free.Load(), nil }, 1000
	f.write("acme/a.csv", "a")
	f.run()
	f.eventually("it pauses", func() bool { return f.count("intake pauses") == 1 })
	time.Sleep(1500 * time.Millisecond)
	if !f.there("acme/a.csv") || len(f.names()) > 0 || f.count("intake pauses") != 1 {
		t.Errorf("it did not pause; the log says:\n%s", f.log.String())
	}
	free.Store(1000)
	f.awaitGone("acme/a.csv")
	f.eventually("it says that it goes on", func() bool { return f.count("intake goes on") == 1 })
}

// TestQuotaHoldsUpOneClientOnly, and keeps its order.
func TestQuotaHoldsUpOneClientOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var room atomic.Bool
	f.before = func(d publish.Delivery, r io.Reader) (io.Reader, error) {
		if d.Name.String() == "large.csv" && !room.Load() {
			return nil, &reports.QuotaError{Client: d.Client}
		}
		return r, nil
	}
	f.write("acme/large.csv", "1")
	time.Sleep(10 * time.Millisecond)
	f.write("acme/small.csv", "2")
	f.run()
	f.eventually("it is told", func() bool { return f.count("can't be taken in; they wait") == 1 })
	f.write("borealis/b.csv", "3")
	f.awaitGone("borealis/b.csv")
	room.Store(true)
	f.awaitGone("acme/small.csv")
	if got := f.names(); !slices.Equal(got, []string{"borealis/b.csv", "acme/large.csv", "acme/small.csv"}) {
		t.Errorf("taken: %v", got)
	}
}

// TestSpoolFolderThatComesLater, such as a file system that is mounted later.
func TestSpoolFolderThatComesLater(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	aside := f.folder + ".aside"
	if err := os.Rename(f.folder, aside); err != nil {
		t.Fatal(err)
	}
	f.run()
	f.eventually("it is told", func() bool { return f.count("intake pauses") == 1 })
	if err := os.Rename(aside, f.folder); err != nil {
		t.Fatal(err)
	}
	f.write("acme/a.csv", "a")
	f.write("newcomer/b.csv", "b")
	f.awaitGone("acme/a.csv")
	f.rejected("newcomer", "b.csv")
}

// TestStopLeavesWhatIsUnderWay: a file of which nothing is published stays.
func TestStopLeavesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	begun := make(chan struct{})
	pr, pw := io.Pipe()
	t.Cleanup(func() { pr.Close() })
	f.before = func(publish.Delivery, io.Reader) (io.Reader, error) {
		close(begun)
		return pr, nil
	}
	stop := f.run()
	f.write("acme/a.csv", "a")
	<-begun
	go func() {
		time.Sleep(50 * time.Millisecond)
		pw.Write([]byte("a"))
		pw.Close()
	}()
	stop()
	if !f.there("acme/a.csv") && len(f.reports()) == 0 {
		t.Error("the file is gone, and there is no report")
	}
}

// TestCrashBeforeRemoval: what was published and not removed yet is published
// again to no effect, and goes; the same for what lies in .taken already.
func TestCrashBeforeRemoval(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stop := f.run()
	f.write("acme/a.csv", "a")
	f.write("acme/b.csv", "b")
	f.awaitGone("acme/a.csv", "acme/b.csv")
	stop()
	f.write("acme/a.csv", "a")
	f.write(".taken/acme/b.csv", "b")
	f.write(".taken/acme/c.csv", "renamed over at the worst moment, and never published")
	f.run()
	f.awaitGone("acme/a.csv", ".taken/acme/b.csv", ".taken/acme/c.csv")
	if n := len(f.reports()); n != 3 {
		t.Errorf("there are %d reports, want 3", n)
	}
	if f.count("delivered before") != 2 {
		t.Error("the log does not say so")
	}
}

// counting lets all but every tenth file pass without storing it: the order is
// the same, and the test takes a tenth of the time.
type counting struct{ *fixture }

func (c counting) Publish(ctx context.Context, d publish.Delivery, r io.Reader) (publish.Outcome, error) {
	if strings.HasSuffix(d.Name.String(), "0.csv") {
		return c.fixture.Publish(ctx, d, r)
	}
	_, err := io.Copy(io.Discard, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = append(c.taken, d)
	return publish.Outcome{}, err
}

func TestRetryPutsBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write("carina/a.csv", "for a client that is added later")
	f.run()
	item := f.rejected("carina", "a.csv")
	if err := os.Remove(f.path("carina")); err != nil {
		t.Fatal(err)
	}
	if err := spool.Retry(t.Context(), f.db, time.Now(), "operator:x", item); err != nil {
		t.Fatal(err)
	}
	again := f.rejected("carina", "a.csv")
	if !again.At.After(item.At) && !again.At.Equal(item.At) {
		t.Errorf("rejected at %v, and before at %v", again.At, item.At)
	}
	f.eventually("both are in the audit", func() bool { return f.audited("spool.rejected") == 2 && f.audited("spool.retried") == 1 })
	f.write("carina/.keep", "")
	other := item
	other.Name = "missing.csv"
	if err := spool.Retry(t.Context(), f.db, time.Now(), "operator:x", other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a file that is not there: %v", err)
	}
}
