package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealdrop/sealdrop/reports"
	"go.yaml.in/yaml/v3"
)

// LoadClients reads one file of clients by itself: a list, or a mapping with the
// key clients. The error is a [Faults] with all that is wrong.
func LoadClients(path string) (clients []Client, warnings []Fault, err error) {
	l := newLoader(readFile, listFolder)
	l.clientFile(path, Fault{File: path})
	if err := l.err(); err != nil {
		return nil, nil, err
	}
	l.sort(l.warnings)
	return l.clients.found, l.warnings, nil
}

// clientFiles reads the files that clients_from names.
func (l *loader) clientFiles(c *Config, from setting) {
	for _, it := range from.items {
		at := Fault{File: from.file, Line: it.line, Key: from.key}
		folder, pattern := filepath.Split(it.text)
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(filepath.Dir(c.File), folder)
		}
		const wild = `*?[\`
		if !strings.ContainsAny(it.text, wild) {
			l.clientFile(filepath.Join(folder, pattern), at)
			continue
		}
		if strings.ContainsAny(filepath.Dir(it.text), wild) {
			at.Message, at.Hint = quote(it.text)+" has a pattern in the folder", "only the file's name may have * and ?"
			l.fault(at)
			continue
		}
		names, err := l.matches(folder, pattern)
		switch {
		case err != nil:
			at.Message = quote(it.text) + ": " + reason(err)
			if errors.Is(err, fs.ErrPermission) {
				at.Hint = "let the user that runs sealdrop read the folder " + filepath.Clean(folder)
			}
			l.fault(at)
		case len(names) == 0 && from.origin.file != "default":
			at.Message, at.Hint = quote(it.text)+" matches no file", "mend the pattern, unless the files come later"
			l.warn(at)
		}
		for _, name := range names {
			l.clientFile(filepath.Join(folder, name), at)
		}
	}
}

// matches returns the names in folder that match pattern. Hidden files, such as
// those of an editor, have to be asked for by a pattern that begins with a dot.
func (l *loader) matches(folder, pattern string) ([]string, error) {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return nil, err
	}
	names, err := l.list(folder)
	return slices.DeleteFunc(names, func(name string) bool {
		match, _ := filepath.Match(pattern, name)
		return !match || strings.HasPrefix(name, ".") && !strings.HasPrefix(pattern, ".")
	}), err
}

func (l *loader) clientFile(path string, at Fault) {
	data, ok := l.open(path, maxClientsFile, at)
	if !ok {
		return
	}
	root, ok := l.parseYAML(path, data)
	if !ok || root == nil {
		return
	}
	d := l.document(path, data)
	if root.Kind == yaml.MappingNode {
		for _, e := range d.entries(root, "", []string{"clients"}) {
			if !isNull(e.value) {
				l.clients.list(d, e.value)
			}
		}
		return
	}
	l.clients.list(d, root)
}

// clientReader reads clients from any number of documents.
type clientReader struct {
	report *report
	table  []field[Client]
	known  []string
	found  []Client
	places map[reports.ClientID]place
}

func newClientReader(r *report) clientReader {
	cr := clientReader{report: r, table: clientFields(), places: make(map[reports.ClientID]place)}
	for _, f := range cr.table {
		cr.known = append(cr.known, f.key)
	}
	cr.known = append(cr.known, expectsKey, notifyKey)
	return cr
}

// list reads a list of clients.
func (cr *clientReader) list(d *document, n *yaml.Node) {
	n = follow(n)
	if n.Kind != yaml.SequenceNode {
		d.faultf(n, "clients", "begin each client with \"- id: …\"", "is %s; a list of clients is expected", kindOf(n))
		return
	}
	if d.tagged(n, "clients") || !d.spend(n, len(n.Content)) {
		return
	}
	for i, c := range n.Content {
		cr.client(d, follow(c), i)
	}
}

// client reads one client, the i-th of its list.
func (cr *clientReader) client(d *document, n *yaml.Node, i int) {
	key := fmt.Sprintf("clients[%s]", clientLabel(n, i))
	entries := d.entries(n, key, cr.known)
	if entries == nil {
		if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
			d.faultf(n, key, "", "has no id")
		}
		return
	}
	c := Client{Declared: make(map[string]string, len(entries))}
	good, lines := true, map[string]int{"allow": n.Line}
	for _, e := range entries {
		lines[e.name] = e.line
		if e.name == notifyKey {
			prefs, ok := cr.notify(d, e.value, key+"."+notifyKey)
			c.Notify, good = prefs, good && ok
			c.Declared[e.name] = place{d.file, e.line}.String()
			continue
		}
		if e.name == expectsKey {
			list, ok := cr.expects(d, e.value, key+"."+expectsKey)
			c.Expects, good = list, good && ok
			c.Declared[e.name] = place{d.file, e.line}.String()
			continue
		}
		f := cr.table[slices.Index(cr.known, e.name)]
		s := setting{items: d.scalars(e.value, key+"."+e.name, f.value.list), file: d.file, key: key + "." + e.name}
		good = apply(cr.report, f, s, &c) && good
		c.Declared[e.name] = place{d.file, e.line}.String()
	}
	if c.Declared["id"] == "" {
		d.faultf(n, key, "add a line \"id: …\"", "has no id")
		return
	}
	at := place{d.file, n.Line}
	if first, twice := cr.places[c.ID]; twice && !c.ID.IsZero() {
		d.faultf(n, key, "keep one of the two", "is declared twice; first at %s", first)
		return
	}
	cr.places[c.ID] = at
	if good && cr.producer(d, c, lines) {
		cr.found = append(cr.found, c)
		cr.warnings(c, d.file, lines)
	}
}

// clientLabel names the client that the mapping n declares: by its id if that is
// good, else by its number in the list, from 0. It looks at a few keys only,
// because aliases may make it look at one huge mapping again and again.
func clientLabel(n *yaml.Node, i int) string {
	const maxKeys = 16
	for j := 0; j+1 < min(len(n.Content), 2*maxKeys) && n.Kind == yaml.MappingNode; j += 2 {
		if n.Content[j].Value == "id" {
			if id, err := reports.ParseClientID(follow(n.Content[j+1]).Value); err == nil {
				return id.String()
			}
		}
	}
	return fmt.Sprint(i)
}

// warnings tells what is odd about a good client, whose keys stand at the lines.
func (cr *clientReader) warnings(c Client, file string, lines map[string]int) {
	if c.FTP == "plain" {
		cr.report.warn(Fault{
			File: file, Line: lines["ftp"], Key: fmt.Sprintf("clients[%s].ftp", c.ID),
			Message: "sends its password and the names of its files over the network where anybody on the way can read them; the reports themselves stay encrypted",
			Hint:    "write tls, unless its program knows no FTP over TLS, as Windows Explorer does not",
		})
	}
	w := Fault{File: file, Line: lines["allow"], Key: fmt.Sprintf("clients[%s].allow", c.ID)}
	_, declared := c.Declared["allow"]
	switch {
	case c.Disabled:
	case !declared:
		w.Message = "is not declared: unless it was set by command, nobody can log in as " + c.ID.String()
	case len(c.Allow) == 0:
		w.Message = "is empty: nobody can log in as " + c.ID.String()
	}
	if w.Message != "" {
		w.Hint = "declare the client's addresses, as in allow: [203.0.113.0/24]"
		cr.report.warn(w)
	}
	for _, p := range c.Allow {
		if p.Bits() == 0 {
			w.Message = fmt.Sprintf("%s lets anyone try to log in as %s", p, c.ID)
			w.Hint = "name the client's own networks"
			cr.report.warn(w)
		}
	}
}
