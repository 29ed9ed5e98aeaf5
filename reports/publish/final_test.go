package publish_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports/publish"
)

// TestNameThatComesLast: a report is named when its last byte has come, and is known
// again as the same delivery as one that was named before its first.
func TestNameThatComesLast(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certify(t)
	named := f.delivery(t, "a.csv")
	modified := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	late := publish.Delivery{Client: f.acme, Size: -1, Actor: "test", Final: func() (publish.Landing, error) {
		return publish.Landing{Name: named.Name, Modified: modified}, nil
	}}
	o, err := f.Publish(t.Context(), late, strings.NewReader("figures"))
	if err != nil || o.Known {
		t.Fatalf("%+v, %v", o, err)
	}
	if o.Report.Name.String() != "a.csv.pgp" || !o.Report.Modified.Equal(modified) {
		t.Errorf("it is %s of %s", o.Report.Name, o.Report.Modified)
	}
	if again := f.deliver(t, named, "figures"); !again.Known || again.Report.ID != o.Report.ID {
		t.Errorf("named before: %+v", again)
	}
	if other := f.deliver(t, named, "other figures"); other.Known {
		t.Error("another content was taken for it")
	}

	refusal := errors.New("it has no name")
	late.Final = func() (publish.Landing, error) { return publish.Landing{}, refusal }
	if _, err := f.Publish(t.Context(), late, strings.NewReader("nameless")); !errors.Is(err, refusal) {
		t.Errorf("without a name: %v", err)
	}
	if f.blobCount(t) != 2 {
		t.Errorf("%d blobs are left, want 2", f.blobCount(t))
	}
}
