package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// benchCase is a row of the table of targets.
type benchCase struct {
	name string
	// prepare makes what the sides need. What must be undone it hands to [bench.later].
	prepare func(ctx context.Context, b *bench) (prepared, error)
	targets []target
	// once: it is measured in one round, however many there are of the others, because what it
	// measures takes minutes.
	once bool
}

// prepared is a case that can be measured.
type prepared struct {
	what  string // a sentence, with the sizes
	sides []side
}

// side is one of the programs that a case is measured on.
type side struct {
	name string
	run  func(ctx context.Context, round int) (sample, error)
}

const (
	own        = "sealdrop"
	sftpgoName = "SFTPGo"
	sqName     = "sq"
)

// isOptional reports whether the run goes on without a side: where it is not there, or fails.
func isOptional(side string) bool { return side == sftpgoName || side == sqName }

// figure is something measured, with its unit; it heads a column.
type figure string

const (
	wall   figure = "wall s"
	cpu    figure = "CPU s" // of the server, or of the program where there is no server
	memory figure = "peak MiB"
)

// sample is what one measurement found.
type sample map[figure]float64

// bench is a run of the benchmark.
type bench struct {
	settings
	progress io.Writer
	data     string // on the disk
	volatile string // in memory, for what clients fetch
	undo     []func()
	leftOut  []string // of the case that is measured: the optional sides that failed, and why
}

func cases() []benchCase {
	return slices.Concat(transferCases(), sessionCases(), sealCases(), storeCases(), morningCases())
}

// measure runs the chosen cases. What was measured before an error is returned with it.
func (b *bench) measure(ctx context.Context) (*result, error) {
	if err := b.ready(); err != nil {
		return nil, err
	}
	b.findOptional()
	r := newResult(b.settings)
	for _, c := range cases() {
		if !b.chosen.MatchString(c.name) {
			continue
		}
		if err := b.one(ctx, r, c); err != nil {
			if ctx.Err() != nil {
				err = errors.New("interrupted")
			}
			return r, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return r, nil
}

// ready looks for what every case needs.
func (b *bench) ready() error {
	if os.Geteuid() != 0 {
		return &hintedError{"the servers can't be started by this user", "run it as root: sshd drops privileges as it does in production"}
	}
	program, err := filepath.Abs(b.sealdrop)
	if err == nil {
		b.sealdrop = program
		_, err = os.Stat(program)
	}
	if err != nil {
		return &hintedError{err.Error(), "make build builds it"}
	}
	return nil
}

// findOptional forgets the optional programs that are not there.
func (b *bench) findOptional() {
	program, err := filepath.Abs(b.sftpgo)
	if err == nil {
		_, err = os.Stat(program)
	}
	if b.sftpgo = program; err != nil {
		b.sftpgo = ""
	}
	if b.sq, err = b.findProgram("sq"); err != nil {
		b.sq = ""
	}
}

// leaveOut notes that a side is not measured in this case.
func (b *bench) leaveOut(side string, why error) {
	text, _, _ := strings.Cut(why.Error(), "; it said:\n") // and no more than a line into the table
	text, _, _ = strings.Cut(text, "\n")
	b.leftOut = append(b.leftOut, fmt.Sprintf("%s is left out: %s", side, text))
	fmt.Fprintf(b.progress, "  %s is left out: %v\n", side, why)
}

// one measures a case.
func (b *bench) one(ctx context.Context, r *result, c benchCase) error {
	defer b.cleanUp()
	b.leftOut = nil
	if err := b.makeFolders(); err != nil {
		return err
	}
	p, err := c.prepare(ctx, b)
	if err != nil {
		return fmt.Errorf("preparing it: %w", err)
	}
	fmt.Fprintf(b.progress, "%s: %s\n", c.name, p.what)
	m := measured{name: c.name, what: p.what, targets: c.targets, samples: make(map[string][]sample)}
	for _, s := range p.sides {
		m.sides = append(m.sides, s.name)
	}
	rounds := b.rounds
	if c.once {
		rounds = 1
	}
	for round := range rounds {
		if err := b.round(ctx, &m, p.sides, round); err != nil {
			return err
		}
	}
	m.leftOut = b.leftOut
	r.cases = append(r.cases, m)
	return nil
}

// round measures every side once.
func (b *bench) round(ctx context.Context, m *measured, sides []side, round int) error {
	order := slices.Clone(sides)
	if round%2 == 1 {
		slices.Reverse(order)
	}
	for _, s := range order {
		if !slices.Contains(m.sides, s.name) {
			continue // it failed before
		}
		got, err := s.run(ctx, round)
		if err != nil && isOptional(s.name) && ctx.Err() == nil {
			b.leaveOut(s.name, err)
			m.sides = slices.DeleteFunc(m.sides, func(name string) bool { return name == s.name })
			delete(m.samples, s.name)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(b.progress, "  %-12s %s\n", s.name, got)
		m.samples[s.name] = append(m.samples[s.name], got)
	}
	return nil
}

// makeFolders makes the folders of one case.
func (b *bench) makeFolders() error {
	for _, f := range []struct {
		at   *string
		base string
	}{{&b.data, b.dir}, {&b.volatile, "/dev/shm"}} {
		dir, err := os.MkdirTemp(f.base, "sealdrop-bench-")
		if err != nil {
			return err
		}
		b.later(func() { _ = os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil { // sshd's user reads it
			return err
		}
		*f.at = dir
	}
	return nil
}

// later has fn called when the case is over.
func (b *bench) later(fn func()) { b.undo = append(b.undo, fn) }

func (b *bench) cleanUp() {
	for _, fn := range slices.Backward(b.undo) {
		fn()
	}
	b.undo = nil
}

// scaled returns n times the size factor, and at least least.
func (b *bench) scaled(n, least int) int { return max(least, int(float64(n)*b.scale)) }

// settle is how long a server has before and after a measurement for what it does behind an
// answer: the second time, that is counted as the server's.
const settle = 50 * time.Millisecond

// onServer measures what a server does while fn runs.
func onServer(s *measure.Server, fn func() error) (sample, error) {
	time.Sleep(settle)
	before, err := measure.TreeTime(s.PID())
	if err != nil {
		return nil, err
	}
	peak := measure.Peak(s.PID())
	started := time.Now()
	err = fn()
	took := time.Since(started)
	most := peak()
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, s.LastWords())
	}
	time.Sleep(settle)
	after, err := measure.TreeTime(s.PID())
	return sample{wall: took.Seconds(), cpu: (after - before).Seconds(), memory: float64(most) / (1 << 20)}, err
}

// onCommand measures a program from its start to its end.
func onCommand(cmd *exec.Cmd) (sample, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	// The kernel's own peak (ru_maxrss) begins with what this program held when it forked.
	peak := measure.Peak(cmd.Process.Pid)
	err := cmd.Wait()
	took := time.Since(started)
	most := peak()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out.Bytes()[max(0, out.Len()-1000):])
	}
	return sample{wall: took.Seconds(), cpu: processorTime(cmd.ProcessState), memory: float64(most) / (1 << 20)}, nil
}

// processorTime returns what a program that has ended has used, in seconds.
func processorTime(p *os.ProcessState) float64 { return (p.UserTime() + p.SystemTime()).Seconds() }
