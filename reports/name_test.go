package reports_test

import (
	"errors"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/sealdrop/sealdrop/reports"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	deep := strings.TrimSuffix(strings.Repeat("a/", reports.MaxDepth), "/")
	longest := strings.Repeat("é", 127) + "x" // 255 bytes
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"/", ""},
		{"a", "a"},
		{"/a/b", "a/b"},
		{"a/b/", "a/b"},
		{"Zahlungen März 2026.csv.pgp", "Zahlungen März 2026.csv.pgp"},
		{"Ma\u0308rz.csv", "März.csv"}, // macOS sends form D
		{"...", "..."},
		{".hidden", ".hidden"},
		{"a..b", "a..b"},
		{"C:", "C:"},
		{"~2", "~2"},
		{"-rf *", "-rf *"},
		{"$(reboot)`id`;%00%2e%2e", "$(reboot)`id`;%00%2e%2e"},
		{"می\u200cخواهم", "می\u200cخواهم"}, // Persian needs the joiner
		{deep, deep},
		{longest, longest},
	} {
		got, err := reports.ParseName(test.in)
		if err != nil || got.String() != test.want {
			t.Errorf("ParseName(%q) = %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func TestParseNameRefuses(t *testing.T) {
	t.Parallel()
	for attack, in := range map[string]string{
		"dot-dot":                       "..",
		"dot":                           ".",
		"dot-dot-inside":                "a/../b",
		"dot-dot-at-the-end":            "a/..",
		"dot-dot-absolute":              "/../etc/passwd",
		"empty-part":                    "a//b",
		"two-leading-slashes":           "//a",
		"two-trailing-slashes":          "a//",
		"only-slashes":                  "//",
		"windows-traversal":             `..\..\boot.ini`,
		"backslash":                     `a\b`,
		"nul-cuts-the-name":             "a.csv\x00.exe",
		"newline-forges-a-log-line":     "a\nb",
		"carriage-return":               "a\rb",
		"terminal-escape":               "a\x1b[2Jb",
		"delete-character":              "a\x7f",
		"c1-control":                    "a\u009bb",
		"line-separator":                "a\u2028b",
		"paragraph-separator":           "a\u2029b",
		"right-to-left-override":        "invoice\u202efdp.exe",
		"bidi-isolate":                  "a\u2067b",
		"zero-width-space-lookalike":    "a\u200bb",
		"byte-order-mark":               "\ufeffa",
		"soft-hyphen":                   "a\u00adb",
		"tag-characters":                "a\U000e0041",
		"not-utf-8":                     "a\xff",
		"overlong-slash":                "a\xc0\xafb",
		"surrogate-half":                "a\xed\xa0\x80",
		"segment-too-long":              strings.Repeat("a", reports.MaxSegment+1),
		"segment-too-long-in-bytes":     strings.Repeat("é", 128),
		"too-deep":                      strings.Repeat("a/", reports.MaxDepth) + "a",
		"megabytes-of-path":             strings.Repeat("a/", 1<<20),
		"megabytes-of-one-segment":      strings.Repeat("a", 1<<21),
		"decomposed-and-still-too-long": strings.Repeat("a\u0308", 200),
	} {
		got, err := reports.ParseName(in)
		if !errors.Is(err, reports.ErrName) || !got.IsRoot() {
			t.Errorf("%s: ParseName(%.40q) = %.40q, %v; want ErrName", attack, in, got, err)
		}
		if err != nil && len(err.Error()) > 4096 {
			t.Errorf("%s: the error has %d bytes", attack, len(err.Error()))
		}
	}
}

func TestParseSegment(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "/", "a/b", "/a", "a/", ".", "..", `a\b`, "\x00", strings.Repeat("x", 256)} {
		if got, err := reports.ParseSegment(bad); !errors.Is(err, reports.ErrName) || !got.IsRoot() {
			t.Errorf("ParseSegment(%q) = %q, %v; want ErrName", bad, got, err)
		}
	}
	if got, err := reports.ParseSegment("a b.csv"); err != nil || got.Base() != "a b.csv" {
		t.Errorf("ParseSegment = %q, %v", got, err)
	}
}

func TestNameParts(t *testing.T) {
	t.Parallel()
	name := mustName(t, "/in/2026/a.csv")
	if name.Base() != "a.csv" || name.Dir().String() != "in/2026" || len(name.Segments()) != 3 {
		t.Errorf("parts of %s: base %q, dir %q, segments %q", name, name.Base(), name.Dir(), name.Segments())
	}
	root := reports.Name{}
	if !root.Dir().IsRoot() || root.Base() != "" || root.Segments() != nil {
		t.Error("the root has parts")
	}
	if text, err := name.MarshalText(); string(text) != "in/2026/a.csv" || err != nil {
		t.Errorf("MarshalText = %q, %v", text, err)
	}
}

func TestContains(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		outer, inner string
		want         bool
	}{
		{"", "", true},
		{"", "a", true},
		{"a", "", false},
		{"a", "a", true},
		{"a", "a/b", true},
		{"a", "a/b/c", true},
		{"a/b", "a", false},
		{"a", "ab", false}, // a prefix of the text is not a folder above
		{"a", "ab/c", false},
		{"a/b", "a/bc", false},
	} {
		if got := mustName(t, test.outer).Contains(mustName(t, test.inner)); got != test.want {
			t.Errorf("%q contains %q: %v", test.outer, test.inner, got)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		k    int
		want string
	}{
		{"Activity.csv.pgp", 2, "Activity~2.csv.pgp"},
		{"Activity", 12, "Activity~12"},
		{"in/Activity.csv", 3, "in/Activity~3.csv"},
		{"v1.2/Activity", 3, "v1.2/Activity~3"},
		{".hidden", 2, ".hidden~2"},
		{"a~2.csv", 2, "a~2~2.csv"},
		{"x." + strings.Repeat("e", 64), 2, "x." + strings.Repeat("e", 64) + "~2"}, // no extension is that long
		{strings.Repeat("a", 251) + ".csv", 2, strings.Repeat("a", 249) + "~2.csv"},
		{strings.Repeat("é", 125) + ".csv", 10, strings.Repeat("é", 124) + "~10.csv"},
	} {
		got := mustName(t, test.in).Version(test.k)
		if got.String() != test.want {
			t.Errorf("version %d of %q is %q, want %q", test.k, test.in, got, test.want)
		}
		if again, err := reports.ParseName(got.String()); err != nil || again != got {
			t.Errorf("version %q is not a name: %v", got, err)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{
		"", "/", "a/b", "/a/b/", "..", "a/../b", "a//b", `a\b`, "Ma\u0308rz", "a\x00b", "a\u202eb", "\xff", "K\u212a", "a/\u0338b",
		"\u1100\u1161\u11a8", strings.Repeat("a/", 17), strings.Repeat("\u0344", 130), "x" + strings.Repeat("\u0301\u0323", 60),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		name, err := reports.ParseName(in)
		if err != nil {
			if !errors.Is(err, reports.ErrName) || !name.IsRoot() {
				t.Fatalf("ParseName(%q) = %q, %v", in, name, err)
			}
			return
		}
		s := name.String()
		if again, err := reports.ParseName(s); err != nil || again != name {
			t.Fatalf("%q does not parse back: %q, %v", s, again, err)
		}
		if !norm.NFC.IsNormalString(s) || !utf8.ValidString(s) {
			t.Fatalf("%q is not in normal form C", s)
		}
		// What we take as it is, a file system would too: nothing is left to resolve.
		if want := strings.TrimPrefix(path.Clean("/"+s), "/"); want != s {
			t.Fatalf("%q would be cleaned to %q", s, want)
		}
		// And what we make of the text differs from it by slashes and normal form only.
		if want := strings.TrimPrefix(path.Clean("/"+norm.NFC.String(in)), "/"); want != s {
			t.Fatalf("%q became %q, and path.Clean gives %q", in, s, want)
		}
		checkParts(t, name)
	})
}

func checkParts(t *testing.T, name reports.Name) {
	t.Helper()
	segments := name.Segments()
	if len(segments) > reports.MaxDepth {
		t.Fatalf("%q is %d deep", name, len(segments))
	}
	for _, segment := range segments {
		if segment == "" || segment == "." || segment == ".." || len(segment) > reports.MaxSegment || strings.ContainsAny(segment, "/\\\x00\r\n") {
			t.Fatalf("%q has the segment %q", name, segment)
		}
		if one, err := reports.ParseSegment(segment); err != nil || one.String() != segment {
			t.Fatalf("segment %q of a name is none: %v", segment, err)
		}
	}
	if name.IsRoot() {
		return
	}
	for _, k := range []int{2, 1 << 30} {
		version := name.Version(k)
		if again, err := reports.ParseName(version.String()); err != nil || again != version || version == name || version.Dir() != name.Dir() {
			t.Fatalf("version %d of %q is %q: %v", k, name, version, err)
		}
	}
	if !name.Dir().Contains(name) || name.Contains(name.Dir()) {
		t.Fatalf("%q and its folder %q contain each other wrongly", name, name.Dir())
	}
}

func mustName(tb testing.TB, s string) reports.Name {
	tb.Helper()
	name, err := reports.ParseName(s)
	if err != nil {
		tb.Fatal(err)
	}
	return name
}
