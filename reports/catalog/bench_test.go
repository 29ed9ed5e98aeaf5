package catalog_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

func BenchmarkPublish(b *testing.B) {
	for _, producers := range []int{1, 8} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			f := newFixture(b)
			var n atomic.Int64
			b.SetParallelism(max(1, producers/2)) // times GOMAXPROCS, which is 2 where this was measured
			if producers == 1 {
				for b.Loop() {
					i := n.Add(1)
					f.publish(b, f.publication(b, fmt.Sprint(i), fmt.Sprint(i)))
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					f.publish(b, f.publication(b, fmt.Sprint(i), fmt.Sprint(i)))
				}
			})
		})
	}
}

// BenchmarkPublishTakenName publishes a name of which there are many versions.
func BenchmarkPublishTakenName(b *testing.B) {
	f := newFixture(b)
	p := f.publication(b, "a.csv", "s")
	p.Again = true
	for range 500 {
		p.Blob = f.newBlob()
		f.publish(b, p)
	}
	for b.Loop() {
		p.Blob = f.newBlob()
		f.publish(b, p)
	}
}

func BenchmarkList(b *testing.B) {
	f := newFixture(b)
	f.fill(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		list, err := f.Children(context.Background(), f.acme, reports.Name{}, "Activity-00050000", 1000)
		if err != nil || len(list) != 1000 {
			b.Fatal(len(list), err)
		}
	}
}

// BenchmarkPurge purges reports of many clients that came one after the other and lie in packs, and reports what each takes of the
// processor, in the program and for it in the kernel.
func BenchmarkPurge(b *testing.B) {
	const clients, each = 100, 500
	f := newFixture(b)
	f.Catalog = catalog.New(f.db, time.Now)
	for b.Loop() {
		b.StopTimer()
		f.deal(b, clients, each)
		started := processor(b)
		b.StartTimer()
		for left := clients * each; left > 0; {
			n, err := f.PurgeDue(context.Background(), "gateway", time.Now())
			if n == 0 || err != nil {
				b.Fatal(left, err)
			}
			left -= n
		}
		b.ReportMetric(float64((processor(b)-started).Microseconds())/clients/each, "CPU-µs/report")
	}
}

// deal fills the catalog with reports that are due.
func (f *fixture) deal(tb testing.TB, clients, each int) {
	tb.Helper()
	for _, statement := range []string{
		"DELETE FROM garbage",
		fmt.Sprintf("WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d) INSERT OR IGNORE INTO clients (id, name, retention, disabled, ftp, "+
			"quota_bytes, quota_files, delivers_to, declared, created_at) SELECT printf('client-%%06d', i), '', 0, 0, '', 0, 0, '', '', 0 FROM n", clients),
		fmt.Sprintf("WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d) INSERT INTO entries (id, client_id, parent_id, name, kind, state, size, "+
			"sha256, plain_size, blob, sealed_to, received_at, published_at, modified_at, expires_at, collected_at, removed_at, legal_hold, hold_reason, replaces, coverage) "+
			"SELECT printf('%%026d', i), printf('client-%%06d', i %% %d), '', printf('statement-%%08d.csv.pgp', i), 'report', 'published', 20480, lower(hex(randomblob(32))), 20480, "+
			"printf('%%02d%%024d', i / 512 %% 100, i / 512) || '0' || printf('%%04x%%06x', i %% 512 * 6, 20480), '', i, i, i, 1 + i, 0, 0, 0, '', 0, '' FROM n", clients*each, clients),
	} {
		if _, err := f.home.Raw(tb).Exec(statement); err != nil {
			tb.Fatal(err)
		}
	}
}

// processor is how much of the processor the program has used.
func processor(tb testing.TB) time.Duration {
	tb.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
