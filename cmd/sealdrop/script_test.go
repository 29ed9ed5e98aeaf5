package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealdrop/sealdrop/keys"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sealdrop": func() { os.Exit(run()) }})
}

// TestScripts runs the program as its users do. Beside testscript's own commands
// the scripts have these:
//
//	gateway [CLIENT…]      a data folder as `sealdrop init` makes it, in gw, with clients that may come from 127.0.0.1
//	refused PROGRAM…       it must fail with status 1, an "error:" line, and nothing on standard output
//	misused PROGRAM…       the same with status 2 and a hint
//	json PATH [VALUE]      what the last command printed is JSON, and PATH ("0.keys.count") has the value; ~ begins a pattern
//	let NAME PATH          puts a value of that JSON into the environment
//	keeps-nothing-of FILE  no piece of a key file is in gw or in the last command's output
//	decrypt FILE OUT       opens a sealed file with gpg
//	growing FILE           keeps appending to FILE
//	locked DATABASE        has another program hold DATABASE locked
//
// and the commands of a running gateway, which live_test.go explains. "powerless"
// before a program takes from root the power to read what others may not.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, scripts(t, "testdata/script"))
}

func scripts(t *testing.T, dir string) testscript.Params {
	ring := makeKeyring(t)
	template := filepath.Join(t.TempDir(), "gw")
	if _, err := initialize(t.Context(), template, nil); err != nil {
		t.Fatal(err)
	}
	commands := liveCommands()
	commands["gateway"] = func(ts *testscript.TestScript, neg bool, args []string) { setUpGateway(ts, template, args) }
	commands["refused"] = func(ts *testscript.TestScript, neg bool, args []string) { mustFail(ts, 1, args) }
	commands["misused"] = func(ts *testscript.TestScript, neg bool, args []string) { mustFail(ts, 2, args) }
	commands["becomes"] = becomes
	commands["json"] = checkJSON
	commands["let"] = letJSON
	commands["keeps-nothing-of"] = keepsNothing
	commands["decrypt"] = ring.decrypt
	commands["growing"] = growing
	commands["locked"] = lockDatabase
	return testscript.Params{
		Dir: dir, Cmds: commands, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Values[processesKey{}] = processes{}
			env.Setenv("KEYS", ring.dir)
			env.Setenv("GNUPG", ring.gnupg)
			env.Setenv("LC_ALL", "C.UTF-8")
			// The race detector has every program wait for a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("SEALDROP_SFTP_LISTEN", "127.0.0.1:0")
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "mounts" { // needs root, and a machine that lets root mount
				return exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt").Run() == nil, nil
			}
			if cond == "twousers" { // needs root, and a session without a login user
				return os.Getuid() == 0 && operator().Login == keys.NoUID, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	}
}

func setUpGateway(ts *testscript.TestScript, template string, clients []string) {
	dir := ts.MkAbs("gw")
	ts.Check(exec.Command("cp", "-a", template, dir).Run())
	ts.Setenv("SEALDROP_CONFIG", filepath.Join(dir, "config.yaml"))
	for _, client := range clients {
		ts.Check(ts.Exec("sealdrop", "client", "add", client, "--allow", "127.0.0.1"))
	}
}

// powers are what lets root read files that their modes keep from everybody.
const powers = "--bounding-set=-dac_override,-dac_read_search"

func mustFail(ts *testscript.TestScript, want int, args []string) {
	if len(args) > 0 && args[0] == "powerless" {
		if args = args[1:]; os.Getuid() == 0 {
			args = append([]string{"setpriv", powers}, args...)
		}
	}
	if len(args) == 0 {
		ts.Fatalf("usage: refused|misused PROGRAM [ARGUMENT…]")
	}
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != want {
		ts.Fatalf("%v: %v, want exit status %d", args, err, want)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("%v: it failed, and yet standard output has %q", args, out)
	}
	for line := range strings.Lines(ts.ReadFile("stderr")) {
		if !regexp.MustCompile(`^(error: |hint: |warning: |time=)`).MatchString(line) {
			ts.Fatalf("%v: standard error has the line %q", args, line)
		}
	}
	if !regexp.MustCompile(`(?m)^error: `).MatchString(ts.ReadFile("stderr")) {
		ts.Fatalf("%v: standard error says nothing of an error", args)
	}
	if want == 2 && !strings.Contains(ts.ReadFile("stderr"), "\nhint: `sealdrop") {
		ts.Fatalf("%v: no hint says how the command is used", args)
	}
}

// valueAt finds a value in the JSON that the last command printed. The path's
// steps are keys and indices; "count" is a list's length.
func valueAt(ts *testscript.TestScript, path string) (string, bool) {
	var v any
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		ts.Fatalf("standard output is not JSON: %v", err)
	}
	if dec.More() {
		ts.Fatalf("standard output has more than one JSON value")
	}
	for step := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			if step == "count" {
				return strconv.Itoa(len(at)), true
			}
			if err != nil || i >= len(at) {
				return "", false
			}
			v = at[i]
		default:
			return "", false
		}
	}
	if v == nil {
		return "", false
	}
	if s, ok := v.(string); ok {
		return s, true
	}
	text, err := json.Marshal(v)
	ts.Check(err)
	return string(text), true
}

func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 || neg && len(args) != 1 {
		ts.Fatalf("usage: json PATH [VALUE|~PATTERN], or ! json PATH")
	}
	got, found := valueAt(ts, args[0])
	switch {
	case neg && found:
		ts.Fatalf("%s is %q, and should not be there", args[0], got)
	case neg:
		return
	case !found:
		ts.Fatalf("there is no %s", args[0])
	case len(args) == 1:
		return
	}
	want := args[1]
	if pattern, is := strings.CutPrefix(want, "~"); is {
		if !regexp.MustCompile(pattern).MatchString(got) {
			ts.Fatalf("%s is %q, want a match of %q", args[0], got, pattern)
		}
	} else if got != want {
		ts.Fatalf("%s is %q, want %q", args[0], got, want)
	}
}

// becomes waits until a report has a state: receipts are written behind a
// transfer's back.
func becomes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: becomes REPORT STATE")
	}
	got := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ts.Check(ts.Exec("sealdrop", "report", "show", args[0], "-o", "json"))
		if got, _ = valueAt(ts, "state"); got == args[1] {
			return
		}
	}
	ts.Fatalf("report %s is %q, want %q", args[0], got, args[1])
}

func letJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: let NAME PATH")
	}
	got, found := valueAt(ts, args[1])
	if !found {
		ts.Fatalf("there is no %s", args[1])
	}
	ts.Setenv(args[0], got)
}

// keepsNothing looks for a piece from the middle of a key file, as text and as
// the bytes that the text stands for.
func keepsNothing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keeps-nothing-of FILE")
	}
	pieces := keyPieces([]byte(ts.ReadFile(args[0])))
	look := func(where string, data []byte) {
		for _, piece := range pieces {
			if bytes.Contains(data, piece) {
				ts.Fatalf("%s holds a piece of %s", where, args[0])
			}
		}
	}
	look("standard output", []byte(ts.ReadFile("stdout")))
	look("standard error", []byte(ts.ReadFile("stderr")))
	ts.Check(filepath.WalkDir(ts.MkAbs("gw"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		look(path, data)
		return err
	}))
}
