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
			f.config.Keep, f.config.Owner = keep, "shared"
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

// TestTwoCatalogsOnOneFolder: two gateways with catalogs of their own rejected each the
// files of the other's clients.
func TestTwoCatalogsOnOneFolder(t *testing.T) {
	t.Parallel()
	first, second := newFixture(t), newFixture(t)
	second.folder, second.config.Folder = first.folder, first.folder
	first.config.Owner, second.config.Owner = "one", "two"
	stop := first.run()
	first.eventually("the folder is the first one's", func() bool {
		owner, err := os.ReadFile(first.path(".sealdrop"))
		return err == nil && string(owner) == "one"
	})
	second.run()
	second.eventually("the second one says why it waits", func() bool {
		return strings.Contains(second.log.String(), "another gateway, with another catalog, takes reports in")
	})
	for i := range 10 {
		first.write(fmt.Sprintf("acme/%d.csv", i), "1")
	}
	first.eventually("the first one has taken all", func() bool { return len(first.reports()) == 10 })
	if n := len(second.reports()); n > 0 {
		t.Errorf("the second one has taken %d", n)
	}
	if _, err := os.Stat(first.path("rejected")); err == nil {
		t.Error("something was rejected")
	}
	stop()
	first.write("acme/later.csv", "2")
	second.eventually("the second one goes on", func() bool { return len(second.reports()) == 1 })
}
