package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatModelNamesRealTests: a promise whose test was renamed or removed is held by
// nothing.
func TestThreatModelNamesRealTests(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	document, err := os.ReadFile(filepath.Join(root, "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && file != root && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return err
		}
		switch {
		case strings.HasSuffix(file, ".txtar"):
			defined[d.Name()] = true
		case strings.HasSuffix(file, "_test.go"), strings.Contains(file, "foldertest"), strings.Contains(file, "blobtest"):
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			for _, m := range function.FindAllSubmatch(text, -1) {
				defined[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+|[a-z0-9-]+\\.txtar)`").FindAllSubmatch(document, -1)
	if len(named) < 20 {
		t.Fatalf("the threat model names %d tests", len(named))
	}
	for _, m := range named {
		if !defined[string(m[1])] {
			t.Errorf("docs/threat-model.md names %s, which there is not", m[1])
		}
	}
}

// TestLinksLeadSomewhere: a link of a document to a file of the project, and to a
// heading in it, must not break when either is renamed.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	documents, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	documents = append(documents, filepath.Join(root, "README.md"), filepath.Join(root, "CHANGELOG.md"), filepath.Join(root, "SECURITY.md"))
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	runbook := regexp.MustCompile(`runbook_url: \S+/(docs/\S+)`)
	check := func(from, dir, target string) {
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			return
		}
		file, anchor, _ := strings.Cut(target, "#")
		path := from
		if file != "" {
			path = filepath.Join(dir, file)
		}
		text, err := os.ReadFile(path)
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() && anchor == "" {
			return
		}
		if err != nil {
			t.Errorf("%s: the link to %s leads nowhere", from, target)
		} else if anchor != "" && !anchors(string(text))[anchor] {
			t.Errorf("%s: there is no heading for the link to %s", from, target)
		}
	}
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			check(document, filepath.Dir(document), string(m[1]))
		}
	}
	alerts := filepath.Join(root, "deploy", "prometheus", "alerts.yaml")
	text, err := os.ReadFile(alerts)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range runbook.FindAllSubmatch(text, -1) {
		check(alerts, root, string(m[1]))
	}
}

// anchors are those that GitHub gives the headings of a Markdown text.
func anchors(text string) map[string]bool {
	list := map[string]bool{}
	for line := range strings.Lines(text) {
		heading, is := strings.CutPrefix(strings.TrimSpace(line), "#")
		if !is {
			continue
		}
		heading = strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
		heading = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(heading, "")
		list[strings.ReplaceAll(heading, " ", "-")] = true
	}
	return list
}
