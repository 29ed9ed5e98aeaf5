package catalog_test

import (
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// TestHandedOverIsNotCollected: a mail server's word leaves a receipt and an audit
// record, and the report is still to be fetched.
func TestHandedOverIsNotCollected(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		r := f.put(t, "a.csv")
		err := f.HandOver(t.Context(), catalog.Transfer{
			Report: r, Protocol: "email", Address: "smtp.example.com:587", Started: f.clock.now(), Ended: f.clock.now().Add(time.Second),
			Evidence: "250, handed over",
		})
		if err != nil {
			t.Fatal(err)
		}
		list, err := f.Receipts(t.Context(), r.ID)
		if err != nil || len(list) != 1 || list[0].Protocol != "email" || !list[0].Whole() || list[0].SHA256 != r.SHA256 {
			t.Errorf("receipts %+v, %v", list, err)
		}
		after, err := f.Report(t.Context(), r.ID)
		if err != nil || after.State != reports.Published || !after.Collected.IsZero() {
			t.Errorf("it is %s, %v", after.State, err)
		}
	})
}
