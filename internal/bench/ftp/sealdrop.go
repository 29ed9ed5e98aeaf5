package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// sealdrop is the program under test.
type sealdrop struct {
	program string
	number  string
}

// skippedError says why Sealdrop can't be measured, although its peers can.
type skippedError struct{ reason string }

func (e *skippedError) Error() string { return e.reason }

// findSealdrop fails with a [*skippedError] if the program serves no FTP.
func findSealdrop(ctx context.Context, program string) (sealdrop, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return sealdrop{}, err
	}
	for _, need := range []struct{ word, args string }{
		{"`ftp.listen`", "config reference"},
		{"--ftp", "client set --help"},
		{"--stdin", "password set --help"},
	} {
		text, err := exec.CommandContext(ctx, program, strings.Fields(need.args)...).CombinedOutput()
		if errors.Is(err, fs.ErrNotExist) {
			return sealdrop{}, &hintedError{fmt.Sprintf("%s is not there", program), "make build builds it"}
		}
		if err != nil || !bytes.Contains(text, []byte(need.word)) {
			return sealdrop{}, &skippedError{fmt.Sprintf("%s serves no FTP: %q does not name %s", program, "sealdrop "+need.args, need.word)}
		}
	}
	said, err := exec.CommandContext(ctx, program, "version").Output()
	if err != nil {
		return sealdrop{}, fmt.Errorf("asking %s for its version: %w", program, err)
	}
	return sealdrop{program: program, number: secondWord(string(said))}, nil
}

// secondWord returns the version of "sealdrop VERSION ...".
func secondWord(line string) string {
	if words := strings.Fields(line); len(words) > 1 {
		return words[1]
	}
	return "of unknown version"
}

func (s sealdrop) name() string    { return "sealdrop" }
func (s sealdrop) version() string { return s.number }
func (s sealdrop) login() login    { return login{user: user} }

func (s sealdrop) command(ctx context.Context, at place, address string) (*exec.Cmd, error) {
	// The program may lie where only root can read it.
	program := filepath.Join(at.config, "sealdrop")
	if err := copyProgram(s.program, program); err != nil {
		return nil, err
	}
	config := filepath.Join(at.data, "config.yaml")
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir = at.data
		cmd.Env = []string{
			"HOME=" + at.data, "PATH=" + os.Getenv("PATH"),
			"SEALDROP_SFTP_LISTEN=127.0.0.1:0", "SEALDROP_FTP_LISTEN=" + address,
			"SEALDROP_FTP_PASSIVE_PORTS=any", "SEALDROP_FTP_TLS_MODE=optional",
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
		return cmd
	}
	for _, step := range []struct {
		input string
		args  []string
	}{
		{args: []string{"init", "--dir", at.data}},
		{args: []string{"client", "add", user, "--allow", "127.0.0.1", "--config", config}},
		{args: []string{"client", "set", user, "--ftp", "plain", "--config", config}},
		{args: []string{"password", "set", "--client", user, "--stdin", "--config", config}, input: password + "\n"},
	} {
		cmd := run(step.args...)
		cmd.Stdin = strings.NewReader(step.input)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("sealdrop %s: %w\n%s", strings.Join(step.args, " "), err, out)
		}
	}
	return run("serve", "--config", config), nil
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closing := out.Close(); err == nil {
		err = closing
	}
	return err
}
