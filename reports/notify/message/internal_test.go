package message

import (
	"io/fs"
	"slices"
	"testing"

	"golang.org/x/text/language"
)

// TestComplete: each built-in language has every text, with every plural form and with
// the placeholders that the others have.
func TestComplete(t *testing.T) {
	t.Parallel()
	folder, err := fs.Sub(builtin, "languages")
	if err != nil {
		t.Fatal(err)
	}
	files, faults := read(folder)
	if len(faults) > 0 || len(files) != 4 {
		t.Fatalf("%d languages, %v", len(files), faults)
	}
	all := specs()
	english := files["en"]
	for name, f := range files {
		for _, fault := range f.check(all) {
			t.Error(fault)
		}
		for id := range all {
			want, _ := placeholders(english.texts[id].forms["other"])
			got, _ := placeholders(f.texts[id].forms["other"])
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s: has the placeholders %v; in English it has %v", name, id, got, want)
			}
		}
	}
}

// TestCheckBites: the check would be no use if it passed everything.
func TestCheckBites(t *testing.T) {
	t.Parallel()
	folder, err := fs.Sub(builtin, "languages")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := read(folder)
	pt := files["pt-BR"]
	delete(pt.texts, "test.what")
	delete(pt.texts["in"].forms, "many")
	faults := pt.check(specs())
	if len(faults) != 2 || faults[0].ID != "test.what" || faults[1].Message != `the plural form "many" is missing` {
		t.Errorf("%v", faults)
	}
}

func TestPluralForms(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"en":    {"one", "other"},
		"ja":    {"other"},
		"pt-BR": {"one", "many", "other"},
		"ar":    {"zero", "one", "two", "few", "many", "other"},
	} {
		if got := pluralForms(language.Make(name)); !slices.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
