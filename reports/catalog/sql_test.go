package catalog_test

import (
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
)

// TestNamesAreNoSQL: a name that is a piece of SQL, or a pattern of it, is a name like
// any other, on both engines, and finds nothing but itself.
func TestNamesAreNoSQL(t *testing.T) {
	t.Parallel()
	hostile := []string{
		"'; DROP TABLE entries; --", `" OR "1"="1`, "%", "_", "100%", "x' UNION SELECT id FROM clients --", "$1", "@client_id", "?1", "':name", "CAST(1 AS TEXT)",
	}
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		f.put(t, "plain.csv")
		for _, h := range hostile {
			r := f.put(t, h)
			got, err := f.Lookup(t.Context(), f.acme, name(t, h))
			if err != nil || got.ID != r.ID || got.Name.String() != "/"+h && got.Name.String() != h {
				t.Errorf("%s is found as %v, %v", h, got.Name, err)
			}
			if _, err := f.Lookup(t.Context(), f.beta, name(t, h)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is found in another client's folder: %v", h, err)
			}
			to := name(t, h+" renamed")
			if err := f.Rename(t.Context(), "client:acme", f.acme, name(t, h), to, false); err != nil {
				t.Errorf("renaming %s: %v", h, err)
			}
		}
		var want []string
		for _, h := range append(hostile, "plain.csv") {
			if h != "plain.csv" {
				h += " renamed"
			}
			want = append(want, h)
		}
		got := f.names(t, "")
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the folder has\n%q, want\n%q", got, want)
		}
	})
}
