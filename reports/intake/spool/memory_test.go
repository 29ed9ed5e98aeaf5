package spool_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports/publish"
)

// TestManyFilesInBoundedMemory: however many files are dropped at once, what is
// kept in memory is the same. SPOOL_FILES=50000 for the whole number; the
// publisher here stores nothing, so that only the spool's own memory counts.
func TestManyFilesInBoundedMemory(t *testing.T) {
	// Not parallel: it measures the memory of the whole process.
	n := 6000
	if s := os.Getenv("SPOOL_FILES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	f := newFixture(t)
	d := &drain{done: make(chan struct{}), want: n}
	f.config.Publisher, f.config.Log = d, slog.New(slog.DiscardHandler)
	start := time.Now().Add(-time.Hour)
	for i := range n {
		f.write(fmt.Sprintf("acme/%06d-a-report-with-a-name-of-some-length.csv", n-i), "x")
		at := start.Add(time.Duration(n-i) * time.Millisecond)
		if err := os.Chtimes(f.path(fmt.Sprintf("acme/%06d-a-report-with-a-name-of-some-length.csv", n-i)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(f.config.Settle)
	base := heapInUse()
	began := time.Now()
	f.run()
	<-d.done
	const bound = 12 << 20
	t.Logf("%d files in %v; %d KiB of heap more than before, at most", n, time.Since(began).Round(time.Millisecond), max(d.peak-base, 0)>>10)
	if d.peak-base > bound {
		t.Errorf("%d bytes of heap more than before, want %d at most", d.peak-base, bound)
	}
	if d.disorder != "" {
		t.Error(d.disorder)
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// drain takes reports and stores nothing.
type drain struct {
	done           chan struct{}
	count, want    int
	peak           int64
	last, disorder string
}

func (d *drain) Publish(_ context.Context, delivery publish.Delivery, r io.Reader) (publish.Outcome, error) {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return publish.Outcome{}, err
	}
	name := delivery.Name.String()
	if name < d.last {
		d.disorder = name + " came after " + d.last
	}
	d.last = name
	d.count++
	if d.count%1000 == 500 {
		d.peak = max(d.peak, heapInUse())
	}
	if d.count == d.want {
		close(d.done)
	}
	return publish.Outcome{}, nil
}
