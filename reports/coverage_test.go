package reports_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/reports"
)

// naive is a set of bytes, one by one.
type naive [200]bool

func (n *naive) add(from, to int64) {
	for i := max(from, 0); i < to; i++ {
		n[i] = true
	}
}

func (n *naive) count(from, to int64) (count int64) {
	for i := from; i < to; i++ {
		if n[i] {
			count++
		}
	}
	return count
}

func TestCoverageIsASet(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var c, other reports.Coverage
		var n, m naive
		for range 1 + r.IntN(25) {
			from := r.Int64N(150)
			to := from + r.Int64N(40)
			if r.IntN(3) == 0 {
				other.Add(from, to)
				m.add(from, to)
				continue
			}
			c.Add(from, to)
			n.add(from, to)
			compareSets(t, &c, &n)
		}
		c.Merge(other)
		for i := range n {
			n[i] = n[i] || m[i]
		}
		compareSets(t, &c, &n)
		compareSets(t, &other, &m)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func compareSets(t *testing.T, c *reports.Coverage, n *naive) {
	t.Helper()
	if c.Bytes() != n.count(0, 200) {
		t.Errorf("%s: %d bytes, want %d", c, c.Bytes(), n.count(0, 200))
	}
	for size := int64(0); size <= 200; size += 7 {
		if got, want := c.Whole(size), n.count(0, size) == size; got != want {
			t.Errorf("%s: whole(%d) = %v", c, size, got)
		}
	}
	for from := int64(0); from < 190; from += 11 {
		for length := int64(0); length < 10; length += 3 {
			if got, want := c.Overlaps(from, from+length), n.count(from, from+length) > 0; got != want {
				t.Errorf("%s: overlaps(%d, %d) = %v", c, from, from+length, got)
			}
		}
	}
	back, err := reports.ParseCoverage(c.String())
	if err != nil || back.String() != c.String() {
		t.Errorf("%s reads back as %s: %v", c, &back, err)
	}
}

func TestCoverageIgnoresNonsense(t *testing.T) {
	t.Parallel()
	var c reports.Coverage
	c.Add(5, 5)
	c.Add(9, 3)
	c.Add(-10, 4)
	if c.Bytes() != 0 || c.Whole(1) || !c.Whole(0) {
		t.Errorf("%s covers something", &c)
	}
}

// TestCoverageOfScatteredReadsIsBounded: a client that reads every other byte
// must neither fill the memory nor the catalog, nor be credited with more.
func TestCoverageOfScatteredReadsIsBounded(t *testing.T) {
	t.Parallel()
	const reads = 40000
	var c reports.Coverage
	for i := range int64(reads) {
		c.Add(2*i, 2*i+1)
	}
	if c.Bytes() > 1<<15 {
		t.Errorf("it holds %d ranges", c.Bytes())
	}
	if text := c.String(); len(text) > 8<<10 {
		t.Errorf("it is stored in %d bytes", len(text))
	}
	stored, err := reports.ParseCoverage(c.String())
	if err != nil || stored.Bytes() > c.Bytes() || stored.Bytes() == 0 {
		t.Errorf("stored: %d bytes, %v", stored.Bytes(), err)
	}
	c.Add(0, 2*reads)
	if !c.Whole(2 * reads) {
		t.Error("a read of the whole file does not count")
	}
}

func TestParseCoverageRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"x", "1", "1-", "-1", "-5-7", "7-7", "8-7", "1-2,", ",1-2", "1-2;3-4", "0-99999999999999999999"} {
		if c, err := reports.ParseCoverage(bad); err == nil || c.Bytes() != 0 {
			t.Errorf("ParseCoverage(%q) = %s, %v", bad, &c, err)
		}
	}
}

func TestTakeFrom(t *testing.T) {
	t.Parallel()
	var c reports.Coverage
	c.Add(10, 20)
	c.Add(30, 40)
	if _, ok := c.TakeFrom(5); ok {
		t.Error("took what is not there")
	}
	if _, ok := c.TakeFrom(15); ok {
		t.Error("took from the middle")
	}
	if end, ok := c.TakeFrom(10); !ok || end != 20 || c.String() != "30-40" {
		t.Errorf("took up to %d, %v; left %s", end, ok, &c)
	}
}

func FuzzParseCoverage(f *testing.F) {
	for _, seed := range []string{"", "0-1", "0-10,20-30", "5-7,0-9", "1-2,2-3", "-1-2", strings.Repeat("1-2,", 9)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		c, err := reports.ParseCoverage(in)
		if err != nil {
			return
		}
		back, err := reports.ParseCoverage(c.String())
		if err != nil || back.Bytes() > c.Bytes() || back.String() != c.String() {
			t.Fatalf("%q → %s → %s, %v", in, &c, &back, err)
		}
	})
}

func ExampleCoverage() {
	var c reports.Coverage
	c.Add(0, 32768)
	c.Add(65536, 98304)
	fmt.Println(&c, c.Whole(98304))
	c.Add(32768, 65536)
	fmt.Println(&c, c.Whole(98304))
	// Output:
	// 0-32768,65536-98304 false
	// 0-98304 true
}

func BenchmarkCoverageInOrder(b *testing.B) {
	for b.Loop() {
		var c reports.Coverage
		for i := range int64(1000) {
			c.Add(i*32768, (i+1)*32768)
		}
	}
}
