package keys_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

// TestReached: page by page come the clients that there are, and no producers.
func TestReached(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		db, _ := e.Open(t, t.TempDir())
		r := keys.NewRegister(db, time.Now)
		parse := func(text string) reports.ClientID {
			id, err := reports.ParseClientID(text)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		add := func(id string, reach keys.Reach) {
			if err := r.AddClient(t.Context(), "test", keys.Client{ID: parse(id), DeliversTo: reach}); err != nil {
				t.Fatal(err)
			}
		}
		// a_b is a pattern that axb fits, were one used.
		for _, id := range []string{"a_b", "axb", "b", "c", "d"} {
			add(id, keys.Reach{})
		}
		add("batch", keys.Reach{All: true})
		for _, test := range []struct {
			reach keys.Reach
			want  []string
		}{
			{keys.Reach{All: true}, []string{"a_b", "axb", "b", "c", "d"}},
			{keys.Reach{Clients: []reports.ClientID{parse("d"), parse("axb"), parse("gone"), parse("batch"), parse("d")}}, []string{"axb", "d"}},
			{keys.Reach{}, nil},
		} {
			var got []string
			for after, more := "", true; more; {
				page, err := r.Reached(t.Context(), test.reach, after, 2)
				if err != nil {
					t.Fatal(err)
				}
				for _, id := range page {
					got = append(got, id.String())
					after = id.String()
				}
				more = len(page) == 2
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%s: %v, want %v", fmt.Sprint(test.reach), got, test.want)
			}
		}
	})
}
