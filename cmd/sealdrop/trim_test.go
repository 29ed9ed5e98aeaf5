package main

import "testing"

func TestTrimOnceAfterARush(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	var trim trimmer
	for i, step := range []struct {
		allocates uint64
		want      bool
	}{
		{10 * mib, false}, // the start
		{mib, false},      // quiet, and hardly anything to give back
		{100 * mib, false},
		{90 * mib, false},
		{2 * mib, true},
		{2 * mib, false}, // it was done
		{0, false},
		{20 * mib, false},
		{20 * mib, false},
		{0, true},
	} {
		if got := trim.due(trim.allocated + step.allocates); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}
