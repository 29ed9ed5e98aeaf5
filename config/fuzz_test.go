package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzLoad reads a configuration, a file of clients and the environment, all of
// a stranger's making: Load returns faults or a configuration that holds what
// its type promises, and never panics.
func FuzzLoad(f *testing.F) {
	archives, err := filepath.Glob("testdata/faults/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatalf("no archives: %v", err)
	}
	for _, archive := range archives {
		a, err := txtar.ParseFile(archive)
		if err != nil {
			f.Fatal(err)
		}
		var config, clients, env []byte
		for _, file := range a.Files {
			switch {
			case file.Name == "config.yaml":
				config = file.Data
			case file.Name == "env":
				env = file.Data
			case strings.HasPrefix(file.Name, "clients.d/"):
				clients = file.Data
			}
		}
		f.Add(config, clients, string(env))
	}
	template, err := Template(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(template, manyClients(3), "SEALDROP_RETENTION_AFTER=30d\nSEALDROP_SFTP_LISTEN=:1,:2")
	f.Add([]byte("clients: &c [*c]"), []byte("- &a {<<: *a, id: x}"), "")

	f.Fuzz(func(t *testing.T, config, clients []byte, env string) {
		read := func(path string, _ int64) ([]byte, error) {
			switch filepath.Base(path) {
			case "config.yaml":
				return config, nil
			case "clients.yaml":
				return clients, nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		list := func(string) ([]string, error) { return []string{"clients.yaml"}, nil }
		c, err := newLoader(read, list).load("/etc/sealdrop/config.yaml", strings.Split(env, "\n"))
		if err != nil {
			checkFaults(t, c, err)
			return
		}
		checkConfig(t, c)
	})
}

func checkFaults(t *testing.T, c *Config, err error) {
	t.Helper()
	var faults Faults
	if c != nil || !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("Load returned %v, %v", c, err)
	}
	for _, fault := range faults {
		if text := fault.Error() + fault.Hint; fault.File == "" || fault.Message == "" || strings.ContainsAny(text, "\n\r\x00\x1b") {
			t.Errorf("unfit to print: %#v", fault)
		}
	}
}

func checkConfig(t *testing.T, c *Config) {
	t.Helper()
	seen := make(map[string]bool)
	for _, client := range c.Clients {
		if id := client.ID.String(); id == "" || seen[id] {
			t.Errorf("a client has no id, or that of another: %q", id)
		}
		seen[client.ID.String()] = true
	}
	if len(c.SFTP.Listen) == 0 || len(c.SFTP.HostKeys) == 0 || !filepath.IsAbs(c.Data) || c.Retention.After <= 0 || c.SFTP.Limits.Tries <= 0 {
		t.Errorf("half a configuration: %+v", c)
	}
	if _, _, err := c.Effective(); err != nil {
		t.Error(err)
	}
}
