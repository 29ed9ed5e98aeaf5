package publish_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// TestRecordIsOfTheTransaction: what a producer is answered is there if the report is,
// and the other way round.
func TestRecordIsOfTheTransaction(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	d := f.delivery(t, "a.csv")
	refusal := errors.New("not recorded")
	var told []publish.Outcome
	record := func(failure error) func(*database.Tx, publish.Outcome) error {
		return func(tx *database.Tx, o publish.Outcome) error {
			told = append(told, o)
			return errors.Join(tx.SetMark(tx.Context(), query.SetMarkParams{Name: o.Report.ID, N: 1}), failure)
		}
	}
	d.Record = record(refusal)
	if _, err := f.Publish(t.Context(), d, strings.NewReader("figures")); !errors.Is(err, refusal) {
		t.Errorf("the error is %v", err)
	}
	if n := f.blobCount(t); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
	d.Record = record(nil)
	for _, known := range []bool{false, true} {
		o, err := f.Publish(t.Context(), d, strings.NewReader("figures"))
		last := told[len(told)-1]
		if err != nil || o.Known != known || last.Known != known || last.Report.ID != o.Report.ID ||
			o.Report.State != reports.Held || last.HeldBecause == nil {
			t.Errorf("%+v, %v; told: %+v", o, err, last)
		}
	}
}
