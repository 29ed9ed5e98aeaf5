package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestTemplateLoadsToTheDefaults(t *testing.T) {
	t.Parallel()
	text, err := Template(nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "template.yaml", string(text))
	c, dir := loadText(t, "-- config.yaml --\n"+string(text))
	equal(t, defaults(dir), c)

	// What is commented out is what holds anyhow, and the example client is good.
	all := regexp.MustCompile(`(?m)^( *)#([^ #\n]|  )`).ReplaceAllString(string(text), "$1$2")
	c, dir = loadText(t, "-- config.yaml --\n"+all)
	if len(c.Clients) != 1 || len(c.Clients[0].Declared) != 7 || len(c.Warnings) != 1 {
		t.Errorf("the example: %+v, warnings %v", c.Clients, c.Warnings)
	}
	origins := c.Origins()
	for _, f := range settings() {
		if there := strings.HasPrefix(origins[f.key], dir); there == rare(f) {
			t.Errorf("%s is in the template: %t", f.key, there)
		}
	}
	c.Clients, c.Warnings = nil, nil
	equal(t, defaults(dir), c)
}

func TestTemplateWithValues(t *testing.T) {
	t.Parallel()
	text, err := Template(map[string]string{
		"data": "/srv/a folder # here: x", "sftp.listen": "127.0.0.1:2032,[::1]:2032", "retention.grace": "24h", "sftp.limits.tries": "3",
	})
	if err != nil {
		t.Fatal(err)
	}
	c, dir := loadText(t, "-- config.yaml --\n"+string(text))
	want := defaults(dir)
	want.Data = "/srv/a folder # here: x"
	want.SFTP.HostKeys = []string{want.Data + "/hostkeys/ssh_host_ed25519_key", want.Data + "/hostkeys/ssh_host_rsa_key"}
	want.SFTP.Listen, want.SFTP.Limits.Tries = []string{"127.0.0.1:2032", "[::1]:2032"}, 3
	equal(t, want, c)
	if !strings.Contains(string(text), "\n  grace: 24h\n") {
		t.Error("a value is not written as it was given")
	}
	for _, values := range []map[string]string{{"sftp.listn": ":32"}, {"sftp.limits.tries": "0"}, {"clients": "x"}} {
		if text, err := Template(values); err == nil {
			t.Errorf("%v makes\n%s", values, text)
		}
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	page := Reference()
	golden(t, "reference.md", page)
	for _, f := range settings() {
		if !strings.Contains(page, "| `"+f.key+"` |") || !strings.HasSuffix(f.doc, ".") || f.kind == "" {
			t.Errorf("%s is not documented", f.key)
		}
		parent, _ := splitKey(f.key)
		if parent != "" && !strings.Contains(page, "\n## "+parent+"\n") {
			t.Errorf("section %s is not documented", parent)
		}
	}
}

func TestEffective(t *testing.T) {
	t.Parallel()
	c, dir := loadText(t, `
-- config.yaml --
data: "a: b # c"
retention: {after: 30d}
clients:
  - id: acme
    name: "Acme: Capital"
    allow: ["::/0", 198.51.100.7]
clients_from: clients.d/*.yaml
-- clients.d/x.yaml --
- id: globex
  allow: []
  disabled: true
`, "SEALDROP_SFTP_LISTEN=:99,[::1]:4")
	text, value, err := c.Effective()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "effective.yaml", strings.ReplaceAll(string(text), dir, "DIR"))
	asJSON, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var fromJSON, fromYAML any
	if err := json.Unmarshal(asJSON, &fromJSON); err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromYAML, fromJSON); diff != "" {
		t.Errorf("the YAML and the JSON differ (-YAML +JSON):\n%s", diff)
	}
}
