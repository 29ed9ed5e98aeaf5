package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what TestClientTable and TestDiagnosis find into docs/clients.md and docs/diagnosis.md")

// A column of the tables in docs/clients.md.
type column string

const (
	list           column = "list"
	download       column = "download"
	resumeDownload column = "resume download"
	upload         column = "upload"
	resumeUpload   column = "resume upload"
	rename         column = "rename"
	folders        column = "mkdir, rmdir"
	remove         column = "delete"
	utf8Name       column = "UTF-8 name"
	ipv6           column = "IPv6"
)

func columns() []column {
	return []column{list, download, resumeDownload, upload, resumeUpload, rename, folders, remove, utf8Name, ipv6}
}

// row is what one program managed.
type row struct {
	program
	version string
	cells   map[column]cell
	whole   bool // nothing went wrong
}

// cell is empty if the program did it, else it says why the program can't.
type cell string

func (r *row) can(did ...column) {
	for _, c := range did {
		r.set(c, "")
	}
}

func (r *row) set(c column, content cell) {
	if r.cells == nil {
		r.cells = map[column]cell{}
	}
	r.cells[c] = content
}

// document is where the tables are, between a pair of comments for each.
const document = "../../docs/clients.md"

// inDocument compares a table with the one in the document, but for the versions;
// with -update it writes it there. A run of some of the programs only compares
// nothing.
func inDocument(t *testing.T, name string, rows []*row) {
	t.Helper()
	if slices.ContainsFunc(rows, func(r *row) bool { return !r.whole }) {
		if *update {
			t.Errorf("the %s table is not written: not every program ran to its end", name)
		}
		return
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	first, last := "<!-- table "+name+": made by TestClientTable -->\n", "<!-- end of table "+name+" -->\n"
	before, rest, ok := strings.Cut(string(text), first)
	old, after, ok2 := strings.Cut(rest, last)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table %s", document, name)
	}
	made := table(t, rows)
	if *update {
		if err := os.WriteFile(document, []byte(before+first+made+last+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if versions := regexp.MustCompile(`(?m)^(\| [^|]*) \|[^|]*\|`); versions.ReplaceAllString(made, "$1") != versions.ReplaceAllString(old, "$1") {
		t.Errorf("%s differs from what the programs did; `go test ./internal/e2e -run TestClientTable -update` writes this:\n%s", document, made)
	}
}

// table renders the rows in Markdown, with the reasons below.
func table(t *testing.T, rows []*row) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| program | version |")
	for _, c := range columns() {
		fmt.Fprintf(&b, " %s |", c)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(columns())) + "\n")
	var reasons []cell
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |", r.name, r.version)
		for _, c := range columns() {
			reason, known := r.cells[c]
			switch {
			case !known:
				t.Errorf("%s neither did %q nor says why it can't", r.name, c)
			case reason == "":
				b.WriteString(" yes |")
			default:
				n := slices.Index(reasons, reason)
				if n < 0 {
					n, reasons = len(reasons), append(reasons, reason)
				}
				fmt.Fprintf(&b, " – %s |", superscript(n+1))
			}
		}
		b.WriteString("\n")
	}
	for i, reason := range reasons {
		fmt.Fprintf(&b, "\n%s %s.\n", superscript(i+1), reason)
	}
	return b.String()
}

func superscript(n int) string {
	return strings.Map(func(digit rune) rune { return []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[digit-'0'] }, fmt.Sprint(n))
}

// printed finds the version in what a command prints.
func printed(name string, args ...string) func(c *client) string {
	return func(c *client) string {
		c.g.t.Helper()
		out, _ := c.command(name, args...).CombinedOutput() // some exit with a status
		version := regexp.MustCompile(`\d+(\.\d+)+\w*`).Find(out)
		if version == nil {
			c.g.t.Fatalf("%s tells no version: %s", name, out)
		}
		return string(version)
	}
}

// debian finds the version in what the package manager knows.
func debian(name string) func(c *client) string {
	return func(c *client) string {
		c.g.t.Helper()
		version := string(must(c.g.t, exec.Command("dpkg-query", "--show", "--showformat", "${source:Upstream-Version}", name)))
		version, _, _ = strings.Cut(version, "+") // how Debian repacked it
		return version
	}
}
