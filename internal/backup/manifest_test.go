package backup

import (
	"path/filepath"
	"strings"
	"testing"
)

func FuzzManifest(f *testing.F) {
	f.Add("")
	f.Add(`{"sealdrop_backup":1}` + "\n" + `{"path":"catalog.db","size":1,"sha256":"ab","how":"copied"}` + "\n" + `{"end":true,"files":1,"bytes":1}`)
	f.Add(`{"sealdrop_backup":1}` + "\n" + `{"path":"../x","size":-1}`)
	f.Add(`{"sealdrop_backup":1}{"end":true}`)
	f.Fuzz(func(t *testing.T, text string) {
		_ = readManifest(strings.NewReader(text), func(Header) error { return nil }, func(e entry) error {
			if !filepath.IsLocal(filepath.FromSlash(e.Path)) || e.Size < 0 {
				t.Errorf("%+v", e)
			}
			return nil
		})
	})
}

// TestManifestIsCutOff: no beginning of a manifest passes for the whole.
func TestManifestIsCutOff(t *testing.T) {
	t.Parallel()
	text := `{"sealdrop_backup":1}` + "\n" + `{"path":"catalog.db","size":1,"sha256":"ab","how":"copied"}` + "\n" + `{"end":true,"files":1,"bytes":1}` + "\n"
	read := func(text string) error {
		return readManifest(strings.NewReader(text), func(Header) error { return nil }, func(entry) error { return nil })
	}
	if err := read(text); err != nil {
		t.Fatal(err)
	}
	for n := range len(text) - 1 { // the last line break may be missing
		if read(text[:n]) == nil {
			t.Errorf("cut after %q", text[:n])
		}
	}
}
