package demo_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDemo runs the real program in all the ways in which somebody may run it.
func TestDemo(t *testing.T) {
	t.Parallel()
	// A process of another user must get at it, which rules out t.TempDir.
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "sealdrop")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/sealdrop").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	for name, test := range map[string]func(*testing.T, *run){
		"whole":                        wholeStory,
		"without-gpg-and-puttygen":     withoutGPG,
		"without-openssh":              withoutOpenSSH,
		"without-any-client-program":   withoutClients,
		"without-privilege":            withoutPrivilege,
		"port-taken":                   portTaken,
		"keep":                         keep,
		"interrupted":                  interrupted,
		"reader-of-the-output-is-gone": readerGone,
		"something-is-wrong":           somethingWrong,
		"chosen-folder":                chosenFolder,
		"unusable-folders":             unusableFolders,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newRun(t, program))
		})
	}
}

// run is one call of the program with its surroundings.
type run struct {
	*exec.Cmd
	tmp      string // where temporary folders are made
	out, err bytes.Buffer
}

func newRun(t *testing.T, program string) *run {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	r := &run{Cmd: exec.CommandContext(ctx, program, "demo"), tmp: shortDir(t)}
	r.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + r.tmp, "HOME=/nonexistent"}
	r.Dir, r.Stdout, r.Stderr = "/", &r.out, &r.err
	return r
}

// shortDir is a temporary folder whose path has room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// setenv sets a variable of the program's environment.
func (r *run) setenv(name, value string) { r.Env = append(r.Env, name+"="+value) }

// finish runs the program and returns its exit status.
func (r *run) finish(t *testing.T) int {
	t.Helper()
	err := r.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running the program: %v", err)
	}
	return r.ProcessState.ExitCode()
}

func (r *run) mustSucceed(t *testing.T) {
	t.Helper()
	if code := r.finish(t); code != 0 || r.err.Len() > 0 {
		t.Fatalf("exit status %d\n%s%s", code, &r.err, &r.out)
	}
}

func (r *run) mustSay(t *testing.T, lines ...string) {
	t.Helper()
	said := strings.Join(strings.Fields(r.out.String()), " ") // however it was wrapped
	for _, line := range lines {
		if !strings.Contains(said, line) {
			t.Errorf("the story lacks %q:\n%s", line, &r.out)
		}
	}
}

func (r *run) mustNotSay(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if strings.Contains(r.out.String(), line) {
			t.Errorf("the story should not have %q:\n%s", line, &r.out)
		}
	}
}

// mustLeaveNothing checks that no file and no process is left.
func (r *run) mustLeaveNothing(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(r.tmp)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
	r.mustLeaveNoProcess(t)
}

func (r *run) mustLeaveNoProcess(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		left := processes(t, r.tmp)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still running: %q", left)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// processes lists the command lines that mention a folder.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && bytes.Contains(line, []byte(dir)) {
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// lacking gives the run a PATH that lacks some programs.
func (r *run) lacking(t *testing.T, names ...string) {
	t.Helper()
	dir := shortDir(t)
	for _, from := range filepath.SplitList(os.Getenv("PATH")) {
		files, err := filepath.Glob(from + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			err := os.Symlink(f, filepath.Join(dir, filepath.Base(f)))
			if err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
		}
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	r.setenv("PATH", dir)
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

func wholeStory(t *testing.T, r *run) {
	needs(t, "ssh-keygen", "puttygen", "sftp", "gpg")
	// What the user has set for gateways and keys of its own is nobody's business.
	r.setenv("SEALDROP_CONFIG", "/nonexistent/config.yaml")
	r.setenv("SEALDROP_DATA", "/nonexistent")
	r.setenv("GNUPGHOME", "/nonexistent")
	r.setenv("SSH_AUTH_SOCK", "/nonexistent")
	r.setenv("LANG", "de_DE.UTF-8")
	r.mustSucceed(t)
	r.mustSay(
		t, "makes an SSH key with OpenSSH", "makes an SSH key with PuTTY", "The gateway serves sFTP on port",
		"is held: client acme has no usable PGP key", "held reports released: 1", "delivered before", "nowhere",
		"the same, byte for byte", "Borealis Fund connects from 127.0.0.2", "collected",
		"cause=address-not-admitted address=127.0.0.9", "Your key is right, but your address 127.0.0.2 is not on the list",
		"acme@127.0.0.1: Permission denied (publickey).", "key-unknown: the key", `Can't ls: "/borealis" not found`,
		"gpg: decryption failed: No secret key", "0 of 6 are due", "6 of 6 are due", "1 of 7 are due", "purged 0", "purged 1",
		"records fit", "All of it is as it should be.",
		"the same file", "curl: (67)", "plain-not-allowed: client borealis", "> USER anonymous < 331", "> opts utf8 on < 200", "< 226 Transfer complete.",
	)
	r.mustNotSay(t, "left out", "missing (Debian", "\x1b[")
	r.mustLeaveNothing(t)
}

func withoutGPG(t *testing.T, r *run) {
	needs(t, "ssh-keygen", "sftp")
	r.lacking(t, "gpg", "puttygen")
	r.mustSucceed(t)
	r.mustSay(t, "gpg is missing", "puttygen is missing", "Without a PGP key each is held", "request.txt", "not on the list",
		"1 of 1 are due", "records fit", "commands were left out")
	r.mustNotSay(t, "sftp is missing", "ssh-keygen is missing", "$ gpg", "$ puttygen")
	r.mustLeaveNothing(t)
}

func withoutOpenSSH(t *testing.T, r *run) {
	needs(t, "puttygen", "gpg")
	r.lacking(t, "ssh-keygen", "sftp")
	r.mustSucceed(t)
	r.mustSay(t, "sftp is missing", "ssh-keygen is missing", "Acme Capital makes an SSH key with PuTTY", "key-unknown", "purged 1")
	r.mustNotSay(t, "$ sftp", "$ ssh-keygen")
	r.mustLeaveNothing(t)
}

func withoutClients(t *testing.T, r *run) {
	r.lacking(t, "ssh-keygen", "sftp", "gpg", "puttygen", "curl")
	r.mustSucceed(t)
	r.mustSay(t, "sftp is missing", "gpg is missing", "curl is missing", "nobody can log in", "is held", "nowhere", "address-not-allowed", "records fit")
	r.mustLeaveNothing(t)
}

func withoutPrivilege(t *testing.T, r *run) {
	needs(t, "ssh-keygen", "sftp", "gpg")
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	const nobody = 65534
	if err := os.Chown(r.tmp, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	r.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	r.mustSucceed(t)
	r.mustSay(t, "port 32 needs a privilege that this user does not have", "on port 20", "All of it is as it should be.")
	r.mustLeaveNothing(t)
}

func portTaken(t *testing.T, r *run) {
	l, err := net.Listen("tcp", "127.0.0.1:32")
	if errors.Is(err, syscall.EACCES) {
		t.Skip("only with the privilege can port 32 be taken")
	}
	if err == nil { // otherwise somebody else has it, which is as good
		defer l.Close()
	}
	r.lacking(t, "ssh-keygen", "sftp", "gpg", "puttygen", "curl")
	r.mustSucceed(t)
	if err == nil {
		r.mustSay(t, "port 32 is taken by another program")
	}
	r.mustLeaveNothing(t)
}

// start runs the program in the background until it has said something.
func (r *run) start(t *testing.T, until string) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	r.Stdout = writer
	err = r.Start()
	writer.Close() // the program has its own; when it ends, we read to the end
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for !strings.Contains(r.out.String(), until) {
		n, err := reader.Read(buf)
		r.out.Write(buf[:n])
		if err != nil {
			_ = r.Wait()
			t.Fatalf("it ended before it said %q (%v):\n%s%s", until, r.ProcessState, &r.err, &r.out)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }() // until the program ends
}

func keep(t *testing.T, r *run) {
	r.Args = append(r.Args, "--keep")
	r.start(t, "Ctrl-C ends it all.")
	text := r.out.String()
	port := regexp.MustCompile(`Port +(\d+)`).FindStringSubmatch(text)
	if port == nil || !strings.Contains(text, "FileZilla") || !strings.Contains(text, "SHA256:") {
		t.Fatalf("it does not say how to connect:\n%s%s", text, &r.err)
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+port[1])
	if err != nil {
		t.Fatalf("nobody listens: %v", err)
	}
	defer conn.Close()
	if err := r.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &r.err)
	}
	r.mustLeaveNothing(t)
}

func interrupted(t *testing.T, r *run) {
	r.start(t, "4. ")
	if err := r.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = r.Wait()
	if code := r.ProcessState.ExitCode(); code != 1 || !strings.Contains(r.err.String(), "error: the demonstration was interrupted") {
		t.Errorf("exit status %d\n%s", code, &r.err)
	}
	r.mustLeaveNothing(t)
}

func readerGone(t *testing.T, r *run) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	r.Stdout = writer
	code := r.finish(t)
	writer.Close()
	if code != 1 || !strings.Contains(r.err.String(), "error: the demonstration was interrupted") {
		t.Errorf("exit status %d\n%s", code, &r.err)
	}
	r.mustLeaveNothing(t)
}

// somethingWrong has an sftp that fetches nothing and says that all is well.
func somethingWrong(t *testing.T, r *run) {
	needs(t, "ssh-keygen", "gpg")
	dir := shortDir(t)
	if err := os.WriteFile(filepath.Join(dir, "sftp"), []byte("#!/bin/sh\nexit 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.setenv("PATH", dir+":"+os.Getenv("PATH"))
	if code := r.finish(t); code != 1 {
		t.Errorf("exit status %d", code)
	}
	for _, line := range []string{
		"error: the demonstration went wrong: a command should have printed \"Activity_", "error: the command was: ", "hint: the folder is kept: " + r.tmp,
	} {
		if !strings.Contains(r.err.String(), line) {
			t.Errorf("it lacks %q:\n%s", line, &r.err)
		}
	}
	if kept, err := filepath.Glob(r.tmp + "/*/gateway.log"); err != nil || len(kept) != 1 {
		t.Errorf("the folder was not kept: %v, %v", kept, err)
	}
	r.mustLeaveNoProcess(t)
}

func chosenFolder(t *testing.T, r *run) {
	r.lacking(t, "ssh-keygen", "sftp", "gpg", "puttygen", "curl")
	dir := filepath.Join(r.tmp, "mine", "demo")
	r.Args = append(r.Args, "--dir", dir)
	r.mustSucceed(t)
	r.mustSay(t, "D="+dir, "the folder stays: "+dir)
	if _, err := os.Stat(filepath.Join(dir, "gateway", "config.yaml")); err != nil {
		t.Error(err)
	}
	r.mustLeaveNoProcess(t)
}

func unusableFolders(t *testing.T, r *run) {
	full := filepath.Join(r.tmp, "full")
	if err := os.MkdirAll(filepath.Join(full, "thing"), 0o700); err != nil {
		t.Fatal(err)
	}
	for dir, complaint := range map[string]string{
		full:                            "there is something in it already: thing",
		filepath.Join(r.tmp, "a space"): "letters, digits",
		filepath.Join(r.tmp, "$HOME"):   "letters, digits",
		filepath.Join(r.tmp, strings.Repeat("long", 20)): "bytes; GnuPG's sockets leave room for",
	} {
		again := newRun(t, r.Path)
		again.Args = append(again.Args, "--dir", dir)
		code := again.finish(t)
		if said := again.err.String(); code != 1 || !strings.Contains(said, complaint) || !strings.Contains(said, "hint: ") {
			t.Errorf("--dir %s: exit status %d\n%s", dir, code, said)
		}
	}
	if entries, err := os.ReadDir(full); err != nil || len(entries) != 1 {
		t.Errorf("what was in a folder is %v, %v", entries, err)
	}
}
