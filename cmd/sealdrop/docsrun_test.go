package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// reader runs the commands of the operators' manual on a gateway of its own.
type reader struct {
	t      *testing.T
	dir    string
	stands *strings.Replacer // what names of the manual stand for here
}

// TestTheManualRuns runs each block of commands in docs/operations.md from its first line
// to its last, but for what waits for a second operator (script key-approval does that),
// and checks the statement that is made for the auditor with the gateway's key.
func TestTheManualRuns(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	keyring := makeKeyring(t)
	m, ran := newReader(t, keyring.dir), 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSpace(line)
			words := shellWords(line)
			switch {
			case len(words) == 0 || strings.Contains(line, " KEY"):
			case words[0] == "sealdrop":
				m.run(line)
				ran++
			case words[0] == "gpg":
				check := &steps{}
				keyring.gpg(check, "--import", filepath.Join(m.dir, "gateway.asc"))
				keyring.gpg(check, words[1], filepath.Join(m.dir, words[2]))
				if check.err != nil {
					t.Error(check.err)
				}
			default:
				t.Errorf("%s is not run", line)
			}
		}
	}
	if ran < 12 {
		t.Errorf("only %d commands were run", ran)
	}
}

func newReader(t *testing.T, keys string) *reader {
	m := &reader{t: t, dir: t.TempDir(), stands: strings.NewReplacer()}
	gateway := filepath.Join(m.dir, "gateway")
	m.run("sealdrop init --dir " + gateway)
	config := "--config " + filepath.Join(gateway, "config.yaml")
	m.stands = strings.NewReplacer("sealdrop ", "sealdrop "+config+" ")
	m.run("sealdrop client add acme --allow 127.0.0.1")
	m.run("sealdrop key import --client acme " + filepath.Join(keys, "acme.pub") + " " + filepath.Join(keys, "acme.asc"))
	var list []struct{ Kind, Fingerprint string }
	if err := json.Unmarshal(m.run("sealdrop key list -o json"), &list); err != nil || len(list) != 2 {
		t.Fatal(err, list)
	}
	ssh := list[0].Fingerprint
	if list[0].Kind != "ssh" {
		ssh = list[1].Fingerprint
	}
	m.stands = strings.NewReplacer(
		"sealdrop ", "sealdrop "+config+" ", "SHA256:…", ssh, "/mnt/backup/sealdrop", filepath.Join(m.dir, "backup"),
		"new-pgp.asc", filepath.Join(keys, "globex.asc"), "new-ssh.pub", filepath.Join(keys, "spare.pub"),
	)
	return m
}

// run runs one line and returns what it printed. What the line writes into a file is put
// there. Exit status 3 says that something is red, and so it is here.
func (m *reader) run(line string) []byte {
	m.t.Helper()
	command := line
	if program, rest, ok := strings.Cut(line, "sealdrop "); ok && program == "" {
		command = m.stands.Replace("sealdrop ") + m.stands.Replace(rest) // the name also stands in paths
	}
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &errs}
	if status := a.execute(m.t.Context(), shellWords(command)[1:]); status != 0 && status != 3 {
		m.t.Errorf("%s: exit status %d\n%s%s", line, status, &out, &errs)
	}
	if _, file, ok := strings.Cut(line, " > "); ok {
		if err := os.WriteFile(filepath.Join(m.dir, strings.Fields(file)[0]), out.Bytes(), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	return out.Bytes()
}
