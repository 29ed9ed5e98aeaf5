package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

const diagnosisDocument = "../../docs/diagnosis.md"

const diagnosisIntroduction = `# Diagnosis

What goes wrong between a client and the gateway, and what each of them is told. The test provoked each of these faults
at the real gateway, most of them with a real client program, and looked where the operator looks; it fails where one is
not told right. A client that has not proved who it is learns nothing but that it is refused.

` + "Where to look: `sealdrop why`, `sealdrop audit list` and the gateway's log have the same reasons; the log has the words\nand the remedy, too. Written by `go test ./internal/e2e -run TestDiagnosis -update`.\n"

// inDiagnosisDocument compares the faults with the document; with -update it writes
// that.
func inDiagnosisDocument(t *testing.T, all []*diagnosed) {
	t.Helper()
	var b strings.Builder
	b.WriteString(diagnosisIntroduction)
	b.WriteString("\n| fault | what the client sees | where | what the operator is told | remedy |\n|---|---|---|---|---|\n")
	for _, d := range all {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", inCell(d.name), inCell(d.seen()), d.told.place, inCell(d.told.words(d)), inCell(orDash(d.told.remedy), d.scene))
	}
	fmt.Fprintf(&b, "\n%d faults, of which %d were told right.\n", len(all), len(all))
	if *update {
		if err := os.WriteFile(diagnosisDocument, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(diagnosisDocument)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(old) {
		t.Errorf("%s differs from what was told; `go test ./internal/e2e -run TestDiagnosis -update` writes this:\n%s", diagnosisDocument, &b)
	}
}

// seen is what the client's program shows.
func (d *diagnosed) seen() string {
	switch {
	case d.sees != "":
		return "“" + strings.TrimSpace(d.sees) + "…”"
	case strings.HasPrefix(d.told.place, "the log"), d.told.place == "`why`":
		return "the connection is closed"
	}
	return "–"
}

// words is the reason, if it is a word of the closed list, and what it means.
func (o told) words(d *diagnosed) string {
	what := normal(o.what, d.scene)
	if regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(o.reason) {
		return "**" + o.reason + "**: " + what
	}
	return what
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// inCell makes a text fit for a cell of a table.
func inCell(text string, of ...*scene) string {
	for _, s := range of {
		text = normal(text, s)
	}
	return strings.NewReplacer("\n", " ", "|", `\|`, "<", "&lt;").Replace(strings.TrimSpace(text))
}

// normal replaces what differs between runs.
func normal(text string, s *scene) string {
	text = strings.NewReplacer(s.home+"/", "", s.g.dir, "DIR").Replace(text)
	for _, r := range []struct{ pattern, with string }{
		{s.id + `\b`, "acme"},
		{`127\.[12]\.\d+\.\d+`, "203.0.113.7"},
		{`SHA256:[A-Za-z0-9+/]{43}`, "SHA256:…"},
		{`\b[0-9A-F]{40}\b`, "FINGERPRINT"},
		{`\b[0-9a-f]{64}\b`, "DIGEST"},
		{`127\.0\.0\.1:\d+`, "LISTENER"},
		{`port \d+`, "port PORT"},
		{`\d+ were stored`, "SIZE were stored"},
		{`operator:[\w-]+`, "OPERATOR"},
		{`key approve \S+\x60`, "key approve KEY`"},
		{`\b\d{1,2} [A-Z][a-z]{2} \d{4}( \d\d:\d\d UTC)?`, "DATE"},
		{`\b\d\d:\d\d UTC on \d+ [A-Z][a-z]{2}`, "TIME"},
		{`\b\d{4}-\d\d-\d\d( \d\d:\d\d( UTC)?)?`, "DATE"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}
