package spool_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/reports"
)

// TestTwoGatewaysOnOneFolder: each file is one report, and neither gateway takes the
// other for a fault.
func TestTwoGatewaysOnOneFolder(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep=%v", keep), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.config.Keep = keep
			f.run()
			f.run()
			want := map[string]bool{}
			for i := range 120 {
				client := []string{"acme", "borealis"}[i%2]
				name := fmt.Sprintf("%s/%03d.csv", client, i)
				f.write(client+"/.dropping", fmt.Sprint(i))
				if err := os.Rename(f.path(client+"/.dropping"), f.path(name)); err != nil {
					t.Fatal(err)
				}
				want[fmt.Sprintf("%03d.csv.pgp", i)] = true
			}
			for _, client := range []string{"acme", "borealis"} {
				for _, folder := range []string{client, ".taken/" + client} {
					f.eventually(folder+" is empty", func() bool {
						left, err := os.ReadDir(f.path(folder))
						return err == nil && len(left) == 0
					})
				}
			}
			list := f.reports()
			for _, r := range list {
				if !want[r.Name.String()] || r.State != reports.Held {
					t.Errorf("there is a report %s", r.Name)
				}
				delete(want, r.Name.String())
			}
			if len(want) > 0 || len(list) != 120 {
				t.Errorf("there are %d reports; %v are missing", len(list), want)
			}
			if log := f.log.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
				t.Error("a gateway complains")
			}
		})
	}
}
