package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const templateHead = `# Configuration of the Sealdrop gateway.
#
# A line that begins with # and a key shows a default; take the # away to change
# it. Any key can be overridden by a variable: SEALDROP_RETENTION_AFTER=30d for
# retention.after, and so on. An unknown key is an error.
#
# These are the settings in which gateways differ. There are more, such as limits and
# time-outs: sealdrop config reference
#
# Check this file with: sealdrop config check
# A running gateway takes changed clients with SIGHUP (systemctl reload sealdrop),
# and everything else when it is started again.
`

const templateClients = `clients:
  #- id: acme
  #  name: Acme Capital
  #  allow: [203.0.113.0/24, "2001:db8::/48", 198.51.100.7]
  #  retention: 30d
  #  disabled: false
  #  ftp: tls
  #  expects:
  #    - {name: "Activity_*.csv", by: "06:30", days: mon-fri, timezone: Europe/Berlin}
`

// Template returns a configuration file in which the keys are explained. Keys in
// values are set to the text given, which is written as in an environment
// variable; of the others the few that most operators change are set to their
// defaults, those that some do stand as comments, and the rest is left to the
// reference. The error tells of a key that is unknown or a value that can't be parsed;
// with no values there is none.
func Template(values map[string]string) ([]byte, error) {
	table := settings()
	var b bytes.Buffer
	b.WriteString(templateHead)
	opened := ""
	for _, f := range table {
		text, set := values[f.key]
		if !set && rare(f) {
			continue
		}
		parent, name := splitKey(f.key)
		openSections(&b, opened, parent)
		opened = parent
		indent := indentOf(f.key)
		comment(&b, indent, f.doc+defaultOf(f))
		if !set {
			text = f.def
		}
		value, err := inline(f, text)
		if err != nil {
			return nil, err
		}
		if !set && !f.shown {
			name = "#" + name
		}
		fmt.Fprintf(&b, "%s%s: %s\n", indent, name, value)
	}
	for key := range values {
		if !slices.ContainsFunc(table, func(f field[Config]) bool { return f.key == key }) {
			return nil, fmt.Errorf("writing a configuration: no key %q", key)
		}
	}
	b.WriteByte('\n')
	comment(&b, "", clientsDoc)
	b.WriteString(templateClients)
	return b.Bytes(), nil
}

// rare reports whether the default of a key is what nearly every gateway has.
func rare(f field[Config]) bool {
	parent, _ := splitKey(f.key)
	return f.rare || slices.ContainsFunc(sections(), func(s section) bool { return s.key == parent && s.rare })
}

// openSections writes the heads of the sections on the way to the section now
// that the section before does not share.
func openSections(b *bytes.Buffer, before, now string) {
	b.WriteByte('\n')
	for _, s := range sections() {
		open := s.key == before || strings.HasPrefix(before, s.key+".")
		if wanted := s.key == now || strings.HasPrefix(now, s.key+"."); open || !wanted {
			continue
		}
		indent := indentOf(s.key)
		comment(b, indent, s.doc)
		_, name := splitKey(s.key)
		fmt.Fprintf(b, "%s%s:\n", indent, name)
	}
}

// splitKey takes the last name off a full key.
func splitKey(key string) (parent, name string) {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:]
	}
	return "", key
}

func indentOf(key string) string { return strings.Repeat("  ", strings.Count(key, ".")) }

// inline writes the value that text means as YAML on one line.
func inline(f field[Config], text string) (string, error) {
	var r report
	var c Config
	if !apply(&r, f, setFromText(f, text, "values", f.key, place{}), &c) {
		return "", r.err()
	}
	v := f.value.show(&c)
	if _, isText := v.(string); isText {
		v = text // as it was given: 24h and not 1d
	}
	n, err := flow(v)
	if err != nil {
		return "", fmt.Errorf("writing %s as YAML: %w", f.key, err)
	}
	out, err := yaml.Marshal(n)
	if err != nil {
		return "", fmt.Errorf("writing %s as YAML: %w", f.key, err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// defaultOf is the sentence about a field's default. Where there is none, what
// an empty value means is part of the field's meaning.
func defaultOf(f field[Config]) string {
	if f.def == "" {
		return ""
	}
	return " Default: " + f.def + "."
}

// comment writes text as lines of a comment.
func comment(b *bytes.Buffer, indent, text string) {
	const width = 78
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// Reference returns the reference of all keys as a page of Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Configuration

The gateway reads ` + "`config.yaml`" + ` in the working directory, else ` + "`/etc/sealdrop/config.yaml`" + `, or the
file given with ` + "`--config`" + `. An unknown key is an error. Each key can be overridden by its
environment variable, except the clients; a list is then written with commas.

A duration is a number with its unit (` + "`30s`, `15m`, `12h`, `100d`, `2w`" + `) or several
(` + "`1d12h`" + `). Relative paths are taken from the file's folder.
`)
	for _, sec := range slices.Concat([]section{{}}, sections()) {
		if sec.key != "" {
			b.WriteString("\n## " + sec.key + "\n\n" + sec.doc + "\n")
		}
		b.WriteString("\n| key | value | default | variable | meaning |\n|---|---|---|---|---|\n")
		for _, f := range settings() {
			if parent, _ := splitKey(f.key); parent == sec.key {
				fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` | %s |\n", f.key, f.kind, code(f.def), f.variable(), escape(f.doc))
			}
		}
	}
	b.WriteString("\n## clients\n\n" + clientsDoc + "\n\n```yaml\n" + strings.ReplaceAll(templateClients, "#", "") + "```\n")
	b.WriteString("\n| key | value | meaning |\n|---|---|---|\n")
	for _, f := range clientFields() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.key, f.kind, escape(f.doc))
	}
	fmt.Fprintf(&b, "| `%s` | list of mappings | %s |\n", expectsKey, escape(expectsDoc))
	fmt.Fprintf(&b, "| `%s` | mapping | %s |\n", notifyKey, escape(notifyDoc))
	b.WriteString("\n### clients: expects\n\n| key | value | meaning |\n|---|---|---|\n")
	for _, f := range expectFields() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.key, f.kind, escape(f.doc))
	}
	b.WriteString("\n### clients: notify\n\n| key | value | meaning |\n|---|---|---|\n")
	for _, f := range notifyFields() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.key, f.kind, escape(f.doc))
	}
	return b.String()
}

// code sets text in a table's cell as code; nothing for an empty one.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + escape(text) + "`"
}

func escape(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
