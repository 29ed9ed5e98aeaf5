package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long the scripts wait for what should take two seconds at most.
// It is generous: a busy machine must not fail a test.
const patience = 90 * time.Second

// liveCommands are the commands of scripts that need a running gateway:
//
//	serve [NAME]                  starts it, and puts the port it listens on into $PORT, and the API's into $API_PORT
//	logged PATTERN                waits until its log has a match; with !, it has none now
//	hup, term, stop               signals it; stop waits for a good end
//	managed USER KEY FILE         starts it as systemd does, and restarts it while a client fetches a file
//	killed NAME                   ends a process with kill -9
//	sftp USER KEY COMMAND…        runs OpenSSH's sftp in batch mode
//	slowly NAME USER KEY COMMAND  runs one that takes some seconds, and waits until it is under way
//	pause NAME, resume NAME       stops a process for a while, by signal
//	session NAME USER KEY         opens a session that lasts
//	alive NAME, ended NAME        it answers; it is ended by the gateway
func liveCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"serve": func(ts *testscript.TestScript, _ bool, args []string) { serveGateway(ts, append(args, "serve")[0]) },
		"killed": func(ts *testscript.TestScript, _ bool, args []string) {
			if len(args) != 1 {
				ts.Fatalf("usage: killed NAME")
			}
			p := processNamed(ts, args[0])
			p.signal(ts, syscall.SIGKILL)
			<-p.done
		},
		"logged": func(ts *testscript.TestScript, neg bool, args []string) {
			if len(args) != 1 {
				ts.Fatalf("usage: logged PATTERN")
			}
			p := processNamed(ts, "serve")
			if neg {
				if regexp.MustCompile(args[0]).MatchString(p.output.String()) {
					ts.Fatalf("the gateway's log has %q", args[0])
				}
				return
			}
			p.await(ts, args[0])
		},
		"hup": func(ts *testscript.TestScript, _ bool, _ []string) {
			processNamed(ts, "serve").signal(ts, syscall.SIGHUP)
		},
		"term": func(ts *testscript.TestScript, _ bool, _ []string) {
			processNamed(ts, "serve").signal(ts, syscall.SIGTERM)
		},
		"managed": runUnderManager,
		"stop":    func(ts *testscript.TestScript, _ bool, _ []string) { stopGateway(ts) },
		"sftp":    runSFTP,
		"session": func(ts *testscript.TestScript, _ bool, args []string) {
			if len(args) != 3 {
				ts.Fatalf("usage: session NAME USER KEY")
			}
			p := start(ts, args[0], "sftp", sftpArgs(ts, args[1], args[2])...)
			p.say(ts, "pwd")
			p.await(ts, `Remote working directory: /\n`)
		},
		"slowly": func(ts *testscript.TestScript, _ bool, args []string) {
			if len(args) != 4 {
				ts.Fatalf("usage: slowly NAME USER KEY COMMAND")
			}
			p := start(ts, args[0], "sftp", append([]string{"-l", "2000"}, sftpArgs(ts, args[1], args[2])...)...) // 250 kB/s
			p.say(ts, args[3])
			p.await(ts, "Fetching")
		},
		"pause":  func(ts *testscript.TestScript, _ bool, args []string) { signalTo(ts, args, syscall.SIGSTOP) },
		"resume": func(ts *testscript.TestScript, _ bool, args []string) { signalTo(ts, args, syscall.SIGCONT) },
		"alive": func(ts *testscript.TestScript, _ bool, args []string) {
			p := processNamed(ts, args[0])
			p.say(ts, "!echo asked")
			p.say(ts, "pwd")
			p.await(ts, `(?s)asked\n.*Remote working directory: /\n$`)
			p.output.reset()
		},
		"ended": func(ts *testscript.TestScript, _ bool, args []string) {
			processNamed(ts, args[0]).await(ts, `closed by remote host`)
		},
	}
}

// process is a program that runs beside a script.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	output *transcript
	done   chan struct{}
	err    error // once done is closed
}

// transcript is what a process has printed so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

func (t *transcript) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Reset()
}

// processes is what runs beside one script, by name.
type processes map[string]*process

type processesKey struct{}

func processNamed(ts *testscript.TestScript, name string) *process {
	all, _ := ts.Value(processesKey{}).(processes)
	if all[name] == nil {
		ts.Fatalf("there is no %q running", name)
	}
	return all[name]
}

func signalTo(ts *testscript.TestScript, args []string, s os.Signal) {
	if len(args) != 1 {
		ts.Fatalf("usage: pause NAME, resume NAME")
	}
	processNamed(ts, args[0]).signal(ts, s)
}

// start runs a program until the script ends, or earlier.
func start(ts *testscript.TestScript, name, program string, args ...string) *process {
	p := &process{cmd: exec.Command(inPath(ts, program), args...), output: &transcript{}, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = ts.MkAbs("."), environment(ts)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	ts.Defer(func() {
		ts.Logf("[%s]\n%s", name, p.output)
		_ = p.cmd.Process.Kill() // it may have ended by itself
		<-p.done
	})
	ts.Value(processesKey{}).(processes)[name] = p
	return p
}

// inPath finds a program as the script would.
func inPath(ts *testscript.TestScript, program string) string {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	ts.Fatalf("%s is not installed", program)
	return ""
}

// environment is the script's, as far as the programs need it.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LC_ALL", "GORACE"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	for _, name := range scriptSettings() {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// scriptSettings are the variables of the gateway that scripts set.
func scriptSettings() []string {
	return []string{
		"SEALDROP_CONFIG", "SEALDROP_CATALOG_URL", "SEALDROP_SFTP_LISTEN", "SEALDROP_API_LISTEN", "SEALDROP_API_TLS_CLIENT_CA", "SEALDROP_ACCESS_FAILURES", "SEALDROP_ACCESS_LEARN", "SEALDROP_RETENTION_SWEEP",
		"SEALDROP_RETENTION_AFTER", "SEALDROP_LOG_FORMAT", "SEALDROP_OPS_LISTEN", "SEALDROP_SPOOL_FOLDERS", "SEALDROP_SPOOL_SETTLE",
	}
}

// await waits until the process has printed what the pattern says.
func (p *process) await(ts *testscript.TestScript, pattern string) []string {
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(patience); ; {
		ended := false
		select {
		case <-p.done:
			ended = true
		case <-time.After(20 * time.Millisecond):
		}
		if found := re.FindStringSubmatch(p.output.String()); found != nil {
			return found
		}
		if ended || time.Now().After(deadline) {
			ts.Fatalf("waiting for %q in vain; ended: %v", pattern, ended)
		}
	}
}

func (p *process) say(ts *testscript.TestScript, line string) {
	_, err := io.WriteString(p.stdin, line+"\n")
	ts.Check(err)
}

func (p *process) signal(ts *testscript.TestScript, s os.Signal) { ts.Check(p.cmd.Process.Signal(s)) }

// end waits for the process to end well.
func (p *process) end(ts *testscript.TestScript) {
	select {
	case <-p.done:
		ts.Check(p.err)
	case <-time.After(patience):
		ts.Fatalf("%s does not end", p.cmd.Path)
	}
}

func serveGateway(ts *testscript.TestScript, name string) {
	p := start(ts, name, "sealdrop", "serve")
	found := p.await(ts, `listening"?.*address"?[=:]"?127\.0\.0\.1:(\d+)`)
	ts.Setenv("PORT", found[1])
	if strings.Contains(ts.Getenv("SEALDROP_API_LISTEN"), "127.0.0.1") {
		found = p.await(ts, `listening"?.*https.*address"?[=:]"?127\.0\.0\.1:(\d+)`)
		ts.Setenv("API_PORT", found[1])
	}
}

func stopGateway(ts *testscript.TestScript) {
	p := processNamed(ts, "serve")
	p.signal(ts, syscall.SIGTERM)
	p.end(ts)
}

func sftpArgs(ts *testscript.TestScript, user, key string) []string {
	return []string{
		"-F", "none", "-o", "LogLevel=INFO", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i", ts.MkAbs(key), "-P", ts.Getenv("PORT"), user + "@127.0.0.1",
	}
}

func runSFTP(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: sftp USER KEY COMMAND…")
	}
	batch := ts.MkAbs("batch")
	ts.Check(os.WriteFile(batch, []byte(strings.Join(args[2:], "\n")+"\n"), 0o600))
	err := ts.Exec("sftp", append([]string{"-b", batch}, sftpArgs(ts, args[0], args[1])...)...)
	if neg != (err != nil) {
		ts.Fatalf("sftp: %v", err)
	}
}
