package catalog

import (
	"testing"
	"time"
)

func TestPaceFindsTheSizeThatTakesTheTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		row  time.Duration // that each takes
		want int
	}{
		{"slow rows", time.Millisecond, leastBatch},
		{"usual rows", 40 * time.Microsecond, 100},
		{"quick rows", time.Microsecond, mostBatch},
		{"a clock that stands still", 0, mostBatch},
		{"a clock that was set back", -time.Second, mostBatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var p pace
			for range 10 {
				p.took(p.size(), p.size(), time.Duration(p.size())*c.row)
			}
			if p.size() != c.want {
				t.Errorf("%d rows, want %d", p.size(), c.want)
			}
		})
	}
}

func TestPaceIsNotMovedByOneBatch(t *testing.T) {
	t.Parallel()
	var p pace
	p.rows.Store(200)
	p.took(200, 200, time.Hour)
	if p.size() != 100 {
		t.Errorf("after one that was interrupted: %d rows, want 100", p.size())
	}
	p.took(100, 3, time.Microsecond) // the last of them
	if p.size() != 100 {
		t.Errorf("after one that was not full: %d rows, want 100", p.size())
	}
	p.took(100, 20, time.Second)
	if p.size() != 50 {
		t.Errorf("after one that was not full and took long: %d rows, want 50", p.size())
	}
}
