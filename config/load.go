package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

const (
	// maxFile bounds the configuration file, in bytes.
	maxFile = 4 << 20
	// maxClientsFile bounds a file of clients, in bytes.
	maxClientsFile = 64 << 20
)

// Load reads the configuration file at path with the overrides of environ, which
// has the form of [os.Environ]. The error is a [Faults] with all that is wrong.
func Load(path string, environ []string) (*Config, error) {
	return newLoader(readFile, listFolder).load(path, environ)
}

// loader is the state of one load.
type loader struct {
	report
	// read returns a file of at most limit bytes; list the names in a folder.
	read func(path string, limit int64) ([]byte, error)
	list func(dir string) ([]string, error)

	table   []field[Config]
	clients clientReader
}

func newLoader(read func(string, int64) ([]byte, error), list func(string) ([]string, error)) *loader {
	l := &loader{read: read, list: list, table: settings()}
	l.clients = newClientReader(&l.report)
	return l
}

func (l *loader) load(path string, environ []string) (*Config, error) {
	const missing = "run `sealdrop init` to make one, or name another with --config FILE"
	l.main = path
	declared := make(map[string]any)
	if data, ok := l.open(path, maxFile, Fault{File: path, Hint: missing}); ok {
		if root, ok := l.parseYAML(path, data); ok && root != nil {
			d := l.document(path, data)
			for _, f := range l.table {
				d.everywhere = append(d.everywhere, f.key)
			}
			l.section(d, root, "", declared)
		}
	}
	c := &Config{File: path, origins: make(map[string]string)}
	used := l.layer(c, declared, l.readEnviron(environ, l.table))
	l.check(c, used)
	l.resolve(c)
	l.clientFiles(c, used["clients_from"])
	c.Clients = l.clients.found
	l.warnFTP(c, used)
	l.warnNotify(c, used)
	if err := l.err(); err != nil {
		return nil, err
	}
	l.sort(l.warnings)
	c.Warnings = l.warnings
	return c, nil
}

func (l *loader) document(file string, data []byte) *document {
	return &document{report: &l.report, file: file, budget: len(data) + aliasBudget}
}

// section reads the mapping n below the key prefix. The settings found go into
// declared, by full key.
func (l *loader) section(d *document, n *yaml.Node, prefix string, declared map[string]any) {
	for _, e := range d.entries(n, prefix, l.children(prefix)) {
		key := join(prefix, e.name)
		if key == "clients" {
			if !isNull(e.value) {
				l.clients.list(d, e.value)
			}
			continue
		}
		i := slices.IndexFunc(l.table, func(f field[Config]) bool { return f.key == key })
		if i < 0 { // a section; one without any key is one of defaults
			if !isNull(e.value) {
				l.section(d, e.value, key, declared)
			}
			continue
		}
		items := d.scalars(e.value, key, l.table[i].value.list)
		declared[key] = setting{items: items, origin: place{d.file, e.line}, file: d.file, key: key}
	}
}

// children returns the names that may stand directly below prefix.
func (l *loader) children(prefix string) []string {
	var names []string
	for _, f := range l.table {
		rest, below := f.key, true
		if prefix != "" {
			rest, below = strings.CutPrefix(f.key, prefix+".")
		}
		name, _, _ := strings.Cut(rest, ".")
		if below && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if prefix == "" {
		names = append(names, "clients")
	}
	return names
}

// layer lays the environment over the file over the defaults and parses what
// comes out on top into c. It returns the settings that were used and were good,
// by key.
func (l *loader) layer(c *Config, declared map[string]any, env map[string]setting) map[string]setting {
	v := viper.New()
	for _, f := range l.table {
		v.SetDefault(f.key, setFromText(f, f.def, "", f.key, place{file: "default"}))
	}
	if err := v.MergeConfigMap(declared); err != nil {
		l.fault(Fault{File: c.File, Message: "merging: " + err.Error()})
	}
	for key, s := range env {
		v.Set(key, s)
	}
	used := make(map[string]setting, len(l.table))
	for _, f := range l.table {
		if below, ok := declared[f.key].(setting); ok && env[f.key].file != "" {
			apply(&l.report, f, below, new(Config)) // overridden, but its faults are told
		}
		s, ok := v.Get(f.key).(setting)
		if ok && apply(&l.report, f, s, c) {
			used[f.key] = s
			c.origins[f.key] = s.origin.String()
		}
	}
	return used
}

// check finds what is wrong between values that are each good.
func (l *loader) check(c *Config, used map[string]setting) {
	if s, ok := used["sftp.listen"]; ok && len(c.SFTP.Listen) == 0 {
		l.fault(Fault{File: s.file, Line: s.origin.line, Key: s.key, Message: "is empty", Hint: `name at least one address, as in ":32"`})
	}
	l.checkListeners(used, []listeners{
		{"sftp.listen", c.SFTP.Listen},
		{"ftp.listen", c.FTP.Listen},
		{"ftp.tls.implicit_listen", c.FTP.TLS.ImplicitListen},
		{"api.listen", c.API.Listen},
		{"ops.listen", c.Ops.Listen},
	})
	l.checkRoles(c, used)
	l.checkFTP(c, used)
	l.checkAPI(c, used)
	l.checkNotify(c, used)
}

// listeners are the addresses of one key.
type listeners struct {
	key       string
	addresses []string
}

// checkListeners finds addresses that can't be listened on together.
func (l *loader) checkListeners(used map[string]setting, lists []listeners) {
	type address struct {
		Fault
		value, text string
	}
	var all []address
	for _, list := range lists {
		s := used[list.key]
		if len(s.items) != len(list.addresses) {
			continue // it has faults of its own
		}
		for i, value := range list.addresses {
			all = append(all, address{Fault{File: s.file, Line: s.items[i].line, Key: list.key, Hint: "keep one of the two"}, value, s.items[i].text})
		}
	}
	for i, a := range all {
		for j, other := range all {
			switch {
			case a.Message != "":
			case j < i && a.value == other.value && !strings.HasSuffix(a.value, ":0"):
				a.Message = quote(a.text) + " is named twice"
			case covers(other.value, a.value):
				a.Message = fmt.Sprintf("%s is an address that %s listens on already", quote(a.text), quote(other.text))
			}
		}
		if a.Message != "" {
			l.fault(a.Fault)
		}
	}
}

// covers reports whether a listener on a, being one on every address, keeps
// another on b from starting. Both are results of [parseListen].
func covers(a, b string) bool {
	return a != b && strings.HasPrefix(a, ":") && a != ":0" && strings.HasSuffix(b, a)
}

// resolve makes the paths of c absolute and fills in those that follow from
// others.
func (l *loader) resolve(c *Config) {
	dir, err := filepath.Abs(filepath.Dir(c.File))
	if err != nil {
		l.fault(Fault{File: c.File, Message: "finding its folder: " + err.Error()})
		return
	}
	resolve := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	resolve(&c.Data)
	resolve(&c.Catalog.PasswordFile)
	resolve(&c.Sealing.Escrow)
	resolve(&c.FTP.TLS.Certificate)
	resolve(&c.FTP.TLS.Key)
	resolve(&c.API.TLS.Certificate)
	resolve(&c.API.TLS.Key)
	resolve(&c.API.TLS.ClientCA)
	resolve(&c.Notify.Templates)
	resolve(&c.Notify.SMTP.PasswordFile)
	resolve(&c.Notify.SMTP.CA)
	resolve(&c.Notify.SMS.HeadersFile)
	if len(c.SFTP.HostKeys) == 0 {
		folder := filepath.Join(c.Data, "hostkeys")
		c.SFTP.HostKeys = []string{filepath.Join(folder, "ssh_host_ed25519_key"), filepath.Join(folder, "ssh_host_rsa_key")}
	}
	for _, list := range [][]string{c.SFTP.HostKeys, c.SFTP.NextHostKeys, c.ClientsFrom, c.Spool.Folders} {
		for i := range list {
			resolve(&list[i])
		}
	}
}

// open reads a file and tells, at the place of at, why it could not. at has the
// hint for a file that is missing.
func (l *loader) open(path string, limit int64, at Fault) ([]byte, bool) {
	if slices.Contains(l.files, path) {
		return nil, false // named twice, read once
	}
	l.files = append(l.files, path)
	data, err := l.read(path, limit)
	if err == nil {
		return data, true
	}
	at.Message = reason(err)
	if at.File != path {
		at.Message = "reading " + path + ": " + at.Message
	}
	switch {
	case errors.Is(err, syscall.EISDIR) && limit == maxFile:
		at.Hint = "name the file in it, such as " + filepath.Join(path, "config.yaml")
	case errors.Is(err, syscall.EISDIR):
		at.Hint = "name the files in it, as in " + filepath.Join(path, "*.yaml")
	case !errors.Is(err, fs.ErrNotExist):
		at.Hint = hintOf(err)
	}
	l.fault(at)
	return nil, false
}

// reason returns an error's text without the path, which the fault has already.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// readFile reads a whole file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		hint := "split it"
		if limit == maxFile {
			hint = "declare clients in files of their own, named by clients_from"
		}
		return nil, &valueError{fmt.Sprintf("is larger than %d MiB", limit>>20), hint}
	}
	return data, nil
}

// listFolder returns the names in a folder, sorted; none if it is not there.
func listFolder(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}
