package main

import (
	"slices"
	"testing"

	"github.com/sealdrop/sealdrop/config"
)

// TestReloadIsSilentAboutSomeSections: the list of sections was kept by hand, and a
// changed quota or catalog was passed over without a word.
func TestReloadIsSilentAboutSomeSections(t *testing.T) {
	t.Parallel()
	running, loaded := &config.Config{File: "a"}, &config.Config{File: "b", Clients: []config.Client{{}}}
	loaded.Quota.Files, loaded.Catalog.URL, loaded.FTP.Listen = 7, "postgres://db.example/sealdrop", []string{":21"}
	if got, want := changedSections(running, loaded), []string{"catalog", "ftp", "quota"}; !slices.Equal(got, want) {
		t.Errorf("changed are %q, want %q", got, want)
	}
}
