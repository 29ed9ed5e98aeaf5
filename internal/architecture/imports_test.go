package architecture

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sealdrop/sealdrop/"

// allowed says which of our packages each package may import: itself aside, those
// named, and with a trailing "/..." those below. A package that is not listed is
// looked up as its nearest parent that ends in "/...".
//
// The arrows point from what is near the network and the operator towards package
// reports, which imports nothing of ours.
var allowed = map[string][]string{
	"cmd/...": {"..."},
	"config":  {"reports", "reports/expect", "reports/notify/contact"},

	"reports":                nil,
	"reports/expect":         {"reports"},
	"reports/catalog":        {"reports", "reports/blob/blobid", "internal/..."},
	"reports/blob":           {"reports", "reports/blob/blobid", "internal/durable"},
	"reports/blob/blobid":    nil,
	"reports/publish":        {"reports", "reports/blob", "reports/catalog", "keys", "keys/pgp", "internal/database"},
	"reports/intake/...":     {"reports", "reports/publish", "internal/..."},
	"reports/notify":         {"reports", "reports/notify/...", "internal/..."},
	"reports/notify/contact": nil,
	"reports/notify/message": nil,
	"reports/notify/mail":    nil,
	"reports/notify/courier": {"reports", "reports/blob", "reports/catalog", "reports/notify/...", "keys", "keys/pgp"},
	"keys":                   {"reports", "reports/notify/contact", "keys/password", "keys/pgp", "keys/sshkey", "internal/..."},
	"keys/password":          nil,
	"keys/pgp":               {"reports", "internal/..."},
	"keys/sshkey":            {"reports", "internal/..."},
	"server":                 nil,
	"server/access":          {"reports", "keys", "keys/password", "internal/database/...", "internal/audit"},
	"server/folder":          {"reports", "reports/blob", "reports/catalog", "internal/database"},
	"server/sftpd":           {"reports", "server/folder", "server/access"},
	"server/ftpd":            {"reports", "server/folder", "server/access"},
	"server/api":             {"reports", "reports/publish", "reports/intake/producer", "internal/database"},
	"server/drop":            {"reports", "reports/publish", "server/folder"},
	"server/portal":          {"reports", "server/folder", "server/access"},
	"server/ops":             {"reports", "server/folder", "server/access"},
	"retention":              {"reports", "reports/blob/blobid", "reports/catalog"},

	"internal/architecture": nil,
	"internal/audit":        {"internal/database/..."},
	"internal/backup":       {"reports", "reports/blob", "reports/blob/blobid", "reports/catalog", "internal/audit", "internal/database/...", "internal/durable"},
	"internal/bench/...":    {"internal/bench/..."},
	"internal/certificate":  {"internal/durable"},
	"internal/database/...": {"internal/database/..."},
	"internal/demo":         {"...", "-cmd/...", "-config"}, // a tour through everything
	"internal/outbox":       {"internal/database/...", "internal/id", "reports/notify/contact"},
	"internal/fsck":         {"reports", "reports/blob", "reports/catalog", "keys/pgp", "internal/audit", "internal/database/..."},
	"internal/status":       {"reports", "reports/expect", "server/access", "internal/database/..."},
	"internal/support":      {"reports", "reports/catalog", "keys", "internal/audit", "internal/database"},
	"internal/...":          {"reports"},

	// Conformance suites speak of what they test.
	"reports/blob/blobtest":    {"reports", "reports/blob"},
	"server/folder/foldertest": {"reports", "server/folder"},
}

// vague are names that say nothing of what a package is for.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "lib"}

func TestImports(t *testing.T) {
	t.Parallel()
	imports := readImports(t, filepath.Join("..", ".."))
	if len(imports) < 10 {
		t.Fatalf("only %d packages were found", len(imports))
	}
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		if slices.Contains(vague, path.Base(pkg)) {
			t.Errorf("package %s: its name does not say what it is for", pkg)
		}
		rule, found := ruleFor(pkg)
		if !found {
			t.Errorf("package %s has no place in the architecture: add it to the table, and to docs/design.md", pkg)
			continue
		}
		for _, imported := range slices.Sorted(maps.Keys(imports[pkg])) {
			if imported != pkg && !permits(rule, imported) {
				t.Errorf("%s: package %s must not import %s", imports[pkg][imported], pkg, imported)
			}
		}
	}
}

// TestRulesBite: the table would be no use if everything matched.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from, to string
		want     bool
	}{
		{"reports", "internal/id", false},
		{"reports/catalog", "internal/database/query", true},
		{"reports/blob", "reports/catalog", false},
		{"server/sftpd", "reports/catalog", false},
		{"server/sftpd", "config", false},
		{"server/access", "keys/pgp", false},
		{"internal/database", "reports", false},
		{"internal/audit", "internal/database", true},
		{"internal/demo", "reports/publish", true},
		{"internal/demo", "config", false},
		{"cmd/sealdrop", "config", true},
		{"keys", "config", false},
		{"keys/pgp", "keys", false},
		{"keys/pgp", "internal/keytext", true},
	} {
		rule, found := ruleFor(test.from)
		if got := permits(rule, test.to); got != test.want || !found {
			t.Errorf("%s may import %s: %v", test.from, test.to, got)
		}
	}
	if _, found := ruleFor("brandnew"); found {
		t.Error("a package without a place has a rule")
	}
}

func ruleFor(pkg string) (rule []string, found bool) {
	if rule, found = allowed[pkg]; found {
		return rule, true
	}
	for dir := pkg; dir != "."; dir = path.Dir(dir) {
		if rule, found = allowed[dir+"/..."]; found {
			return rule, true
		}
	}
	return nil, false
}

// permits reports whether a rule lets a package be imported. Nobody imports cmd,
// and a pattern that begins with "-" takes away.
func permits(rule []string, pkg string) bool {
	permitted := false
	for _, pattern := range rule {
		pattern, less := strings.CutPrefix(pattern, "-")
		if matches(pattern, pkg) {
			permitted = !less
		}
	}
	return permitted && !matches("cmd/...", pkg)
}

func matches(pattern, pkg string) bool {
	if dir, below := strings.CutSuffix(pattern, "/..."); below {
		return pkg == dir || strings.HasPrefix(pkg, dir+"/")
	}
	return pattern == "..." || pattern == pkg
}

// TestNothingIsExecuted: what comes in can't run a program, or a template, where there
// is nothing that could.
func TestNothingIsExecuted(t *testing.T) {
	t.Parallel()
	may := map[string][]string{
		"os/exec":       {"internal/demo", "internal/bench/...", "internal/testbinary", "internal/database/postgrestest"}, // real clients and servers, for the demo and the tests
		"plugin":        nil,
		"text/template": {"reports/notify/...", "internal/guide"}, // the operator's own; the guides' texts, which are part of the program
		"html/template": nil,
	}
	everything := readAllImports(t, filepath.Join("..", ".."))
	for pkg, imports := range everything {
		for imported, who := range may {
			if file, does := imports[imported]; does && !permits(who, pkg) {
				t.Errorf("%s: package %s must not import %s", file, pkg, imported)
			}
		}
	}
	if everything["internal/demo"]["os/exec"] == "" {
		t.Error("the demo imports no os/exec: the test looks at the wrong thing")
	}
}

// readImports returns which of our packages each package imports, and the first
// file that does.
func readImports(t *testing.T, root string) map[string]map[string]string {
	t.Helper()
	all := readAllImports(t, root)
	for pkg, imports := range all {
		ours := map[string]string{}
		for imported, file := range imports {
			if name, is := strings.CutPrefix(imported, module); is {
				ours[name] = file
			}
		}
		all[pkg] = ours
	}
	return all
}

// readAllImports returns what each package imports, and the first file that does.
// Tests are left out: they may set up whatever they need.
func readAllImports(t *testing.T, root string) map[string]map[string]string {
	t.Helper()
	imports := map[string]map[string]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Dir(rel)
		if imports[pkg] == nil {
			imports[pkg] = map[string]string{}
		}
		for _, spec := range parsed.Imports {
			value, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if imports[pkg][value] == "" {
				imports[pkg][value] = rel
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

// TestModule keeps the constant above true.
func TestModule(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil || !strings.HasPrefix(string(data), "module "+strings.TrimSuffix(module, "/")+"\n") {
		t.Errorf("go.mod begins with %.60q, %v", data, err)
	}
}
