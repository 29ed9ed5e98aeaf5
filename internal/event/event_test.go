package event_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/event"
)

var update = flag.Bool("update", false, "write docs/events.md")

const (
	root     = "../.."
	document = root + "/docs/events.md"
)

// record is one call of log/slog.
type record struct {
	place      string
	event      string // "" if it has none
	level      string
	message    string
	attributes []string
}

// TestEveryLogRecordHasAnEvent: a record without a name can't be matched by anything
// but its wording.
func TestEveryLogRecordHasAnEvent(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, e := range all() {
		if listed[e.Name] {
			t.Errorf("%s is in the list twice", e.Name)
		}
		listed[e.Name] = true
		if !regexp.MustCompile(`^[a-z]+\.[a-z-]+$`).MatchString(e.Name) || !strings.HasSuffix(e.Meaning, ".") {
			t.Errorf("%+v: its name is about.what, its meaning a sentence", e)
		}
	}
	used := map[string]bool{}
	for _, r := range records(t, root) {
		switch {
		case r.event == "":
			t.Errorf("%s: the record %q has no event: add \"event\" and a name that is in internal/event", r.place, r.message)
		case !listed[r.event]:
			t.Errorf("%s: the event %q is not in internal/event", r.place, r.event)
		}
		used[r.event] = true
	}
	for name := range listed {
		if !used[name] {
			t.Errorf("nothing logs the event %s", name)
		}
	}
}

func all() (list []event.Event) {
	for _, s := range event.Sections() {
		list = append(list, s.Events...)
	}
	return list
}

func TestDocument(t *testing.T) {
	t.Parallel()
	want := write(records(t, root))
	if *update {
		if err := os.WriteFile(document, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/events.md is out of date; run go test ./internal/event -update")
	}
}

// TestRecordsAreFound: a test that finds nothing would hold nothing.
func TestRecordsAreFound(t *testing.T) {
	t.Parallel()
	const source = `package p
func f() {
	log.Info("plain", "event", "a.b", "client", c)
	s.cfg.Log.Warn("with " + what, "event", "c.d")
	g.log.Error("none", "error", err)
	args := []any{"event", "e.f", "name", n}
	x.Log.Debug("spread", append(args, "because", why)...)
	t.Log("no record")
	catalog.Error("none, too")
}`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range recordsOf(file) {
		got = append(got, fmt.Sprint(r.level, " ", r.event, " ", r.message, " ", r.attributes))
	}
	want := []string{"INFO a.b plain [client]", "WARN c.d with … []", "ERROR  none [error]", "DEBUG e.f spread [because name]"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// records reads all code that is not a test.
func records(t *testing.T, root string) (list []record) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, r := range recordsOf(file) {
			r.place = path
			list = append(list, r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 50 {
		t.Fatalf("only %d records were found", len(list))
	}
	return list
}

func recordsOf(file *ast.File) (list []record) {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if level := levelOf(call); level != "" {
					list = append(list, recordOf(f, call, level))
				}
			}
			return true
		})
	}
	return list
}

// levelOf returns the level of a call that logs, "" for any other call. Loggers are
// called log, Log or logger everywhere.
func levelOf(call *ast.CallExpr) string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return ""
	}
	name := ""
	switch on := method.X.(type) {
	case *ast.Ident:
		name = on.Name
	case *ast.SelectorExpr:
		name = on.Sel.Name
	}
	if !slices.Contains([]string{"log", "logger", "slog"}, strings.ToLower(name)) {
		return ""
	}
	level := strings.TrimSuffix(method.Sel.Name, "Context")
	if !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, level) {
		return ""
	}
	return strings.ToUpper(level)
}

func recordOf(f *ast.FuncDecl, call *ast.CallExpr, level string) record {
	r := record{level: level, message: text(call.Args[0])}
	found := pairs(call.Args[1:])
	if call.Ellipsis.IsValid() { // what is spread was put together before
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if list, ok := n.(*ast.CompositeLit); ok {
				if array, ok := list.Type.(*ast.ArrayType); ok && isAny(array.Elt) {
					maps.Copy(found, pairs(list.Elts))
				}
			}
			return true
		})
		if inner, ok := call.Args[len(call.Args)-1].(*ast.CallExpr); ok {
			maps.Copy(found, pairs(inner.Args[1:]))
		}
	}
	if name, ok := found["event"]; ok {
		r.event = text(name)
		delete(found, "event")
	}
	r.attributes = slices.Sorted(maps.Keys(found))
	return r
}

func isAny(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "any"
}

// pairs returns the values behind keys that are literals.
func pairs(args []ast.Expr) map[string]ast.Expr {
	found := map[string]ast.Expr{}
	for i := 0; i+1 < len(args); i += 2 {
		if key, ok := args[i].(*ast.BasicLit); ok {
			found[text(key)] = args[i+1]
		}
	}
	return found
}

// text is a literal's, with … for what is put in when the program runs.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil {
			return s
		}
	case *ast.BinaryExpr:
		return text(e.X) + text(e.Y)
	}
	return "…"
}

const head = `<!-- Written by go test ./internal/event -update; the texts are in internal/event/event.go. -->

# What the gateway logs

The gateway logs to standard error, as text for people or, with ` + "`log.format: json`" + `, one JSON object a line. Every
record has ` + "`time`, `level`, `msg` and `event`" + `. The event is a name of the closed list below and stays the same from version
to version; the message is for people, and may be worded better one day: match the event.

No record has a secret. What a stranger sent (a user name, the name of a program) is cut to 200 printable characters.
Records of a connection also have ` + "`address`" + `, those of a session ` + "`client`" + `, those of a listener ` + "`server`" + ` (its protocol) and those
of a spool folder ` + "`folder`" + `. What is only an attribute for some of an event's records is listed, too.

What somebody must be able to prove is in the audit (` + "`sealdrop audit list`" + `), not in the log.
`

// write makes the document.
func write(all []record) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for _, section := range event.Sections() {
		fmt.Fprintf(&b, "\n## %s\n\n| event | level | message | attributes | meaning | what to do |\n|---|---|---|---|---|---|\n", section.Title)
		for _, e := range section.Events {
			var levels, messages, attributes []string
			for _, r := range all {
				if r.event == e.Name {
					levels, messages, attributes = append(levels, r.level), append(messages, r.message), append(attributes, r.attributes...)
				}
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", e.Name, words(levels), words(messages), words(attributes), e.Meaning, cmp.Or(e.Do, "–"))
		}
	}
	return b.Bytes()
}

func words(list []string) string {
	slices.Sort(list)
	return cmp.Or(strings.Join(slices.Compact(list), ", "), "–")
}
