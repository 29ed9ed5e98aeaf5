package publish_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sealdrop/sealdrop/reports/publish"
)

// TestObserve: each delivery is told of, whatever became of it.
func TestObserve(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var got []string
	f.Observe = func(o publish.Observed) {
		what := string(o.Outcome.Report.State)
		switch {
		case o.Err != nil:
			what = "failed"
		case o.Outcome.Known:
			what = "known"
		}
		if (o.Sealing > 0) != (o.Err == nil) || o.Actor != "test" {
			t.Errorf("%s: %+v", what, o)
		}
		got = append(got, what)
	}
	f.deliver(t, f.delivery(t, "held.csv"), "1")
	f.certify(t)
	f.deliver(t, f.delivery(t, "a.csv"), "2")
	f.deliver(t, f.delivery(t, "a.csv"), "2")
	broken := errors.New("the producer hung up")
	if _, err := f.Publish(context.Background(), f.delivery(t, "b.csv"), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if want := []string{"held", "published", "known", "failed"}; !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
	f.Observe = nil
	if _, err := f.Publish(context.Background(), f.delivery(t, "c.csv"), strings.NewReader("3")); err != nil {
		t.Error(err)
	}
}
