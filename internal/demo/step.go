package demo

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// stepTime is how long a command may take.
	stepTime = time.Minute
	// endTime is how long a command that was told to end is waited for.
	endTime = 2 * time.Second
	// patience is how long is waited for what comes a moment later.
	patience = 5 * time.Second
	// retryTime is how often is asked within it.
	retryTime = 100 * time.Millisecond
)

// step is one command of the story, and what must come of it.
type step struct {
	say string // what it is about, told before it
	run string // the command, in shell
	// do is called in place of the shell where the tour itself must do what the
	// command does: because it keeps account of what it starts and ends, say.
	do func(context.Context) (output string, err error)

	needs tools // it is left out when one of these is missing

	exit  int                       // the exit status
	want  []string                  // each is in the output
	never []string                  // none is in the output
	check func(output string) error // looks at the output more closely
	soon  bool                      // it may take a moment until it is as it should be

	show []string // only the lines of the output that contain one of these
	mute bool     // none of them
}

// Mismatch says that a command did not do what the story says that it does.
type Mismatch struct {
	Command string
	Problem string
	Output  string // all that the command printed
	Dir     string // the folder, which is kept
}

func (e *Mismatch) Error() string {
	said := strings.TrimSpace(e.Output)
	if said == "" {
		said = "(nothing)"
	}
	return fmt.Sprintf("the demonstration went wrong: %s\nthe command was: %s\nit printed: %s", e.Problem, e.Command, said)
}

// Hint says where to look.
func (e *Mismatch) Hint() string {
	return fmt.Sprintf("the folder is kept: %s\nthe gateway's log in it: %s/gateway.log", e.Dir, e.Dir)
}

// play tells a step, runs it, and holds what comes of it against what should.
func (t *tour) play(ctx context.Context, s step) error {
	if s.say != "" {
		t.story.say(s.say)
	}
	t.story.command(s.run)
	deadline := time.Now().Add(patience)
	for {
		output, err := t.attempt(ctx, s)
		if err == nil {
			if !s.mute {
				t.story.output(output, s.show)
			}
			t.story.blank()
			return nil
		}
		if !s.soon || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryTime):
		}
	}
}

func (t *tour) attempt(ctx context.Context, s step) (string, error) {
	output, exit, err := "", 0, error(nil)
	if s.do != nil {
		output, err = s.do(ctx)
	} else {
		output, exit, err = t.shell(ctx, s.run)
	}
	problem := ""
	switch {
	case err != nil:
		problem = err.Error()
	case exit != s.exit:
		problem = fmt.Sprintf("a command ended with exit status %d instead of %d", exit, s.exit)
	default:
		problem = s.problem(output)
	}
	if problem == "" {
		return output, nil
	}
	return output, &Mismatch{Command: s.run, Problem: problem, Output: output, Dir: t.folder.path}
}

// problem says what is wrong with an output; nothing if it is right.
func (s step) problem(output string) string {
	for _, w := range s.want {
		if !strings.Contains(output, w) {
			return fmt.Sprintf("a command should have printed %q", w)
		}
	}
	for _, n := range s.never {
		if strings.Contains(output, n) {
			return fmt.Sprintf("a command should not have printed %q", n)
		}
	}
	if s.check != nil {
		if err := s.check(output); err != nil {
			return err.Error()
		}
	}
	return ""
}

// shell runs a command to the letter. It is a process group of its own, so that
// all of it can be ended, and so that a Ctrl-C at the terminal comes to us alone.
func (t *tour) shell(ctx context.Context, script string) (output string, exit int, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	var printed strings.Builder
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
	cmd.Dir, cmd.Env = t.folder.path, slices.Concat(t.environ, t.settings())
	cmd.Stdout, cmd.Stderr = &printed, &printed
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	err = cmd.Run()
	var status *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return printed.String(), -1, fmt.Errorf("running a command: %w", ctx.Err())
	case errors.As(err, &status):
		return printed.String(), status.ExitCode(), nil
	}
	return printed.String(), 0, err
}
