package catalog_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
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

func BenchmarkPurge(b *testing.B) {
	f := newFixture(b)
	f.clock.advance(-1000 * day)
	b.ReportMetric(1000, "reports/op")
	for b.Loop() {
		b.StopTimer()
		f.fill(b, 1000)
		err := f.db.Write(context.Background(), func(tx *database.Tx) error {
			garbage, err := f.Garbage(context.Background(), f.clock.now().Add(2000*day), 1000)
			for _, blob := range garbage {
				err = tx.DeleteGarbage(tx.Context(), blob)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for left := 1000; left > 0; {
			n, err := f.PurgeDue(context.Background(), "gateway", f.clock.now().Add(2000*day))
			if n == 0 || err != nil {
				b.Fatal(left, err)
			}
			left -= n
		}
	}
}
