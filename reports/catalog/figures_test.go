package catalog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

func TestFigures(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		check := func(what string, want catalog.Figures) {
			t.Helper()
			got, err := f.Figures(t.Context(), f.clock.now().Add(14*day))
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s (-want +got), %v:\n%s", what, err, diff)
			}
		}
		check("an empty catalog", catalog.Figures{})
		f.publish(t, f.publication(t, "a.pgp", "a"))
		held := f.publication(t, "b.pgp", "b")
		held.Held = true
		f.publish(t, held)
		f.mkdir(t, "folder")
		f.upload(t, "folder/up.csv")
		states := []catalog.StateCount{
			{Kind: reports.KindReport, State: reports.Held, N: 1},
			{Kind: reports.KindReport, State: reports.Published, N: 1},
			{Kind: reports.KindUpload, State: reports.Published, N: 1},
		}
		check("three files", catalog.Figures{States: states, Bytes: 210})
		f.clock.advance(87 * day)
		check("thirteen days before the purge", catalog.Figures{States: states, Bytes: 210, Uncollected: 1})
	})
}
