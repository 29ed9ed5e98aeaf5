package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// server is a program that can be measured.
type server interface {
	name() string
	version() string
	login() login
	// command makes what the server needs in the place and returns how to start it, in
	// the foreground, with FTP on the address. data exists and belongs to the unprivileged user; config is empty.
	command(ctx context.Context, at place, address string) (*exec.Cmd, error)
}

// place is where a server keeps its things.
type place struct {
	config string // configuration and logs
	data   string // files
}

// login is how the client gets to where it can write. The password is the same everywhere.
type login struct {
	user   string
	folder string // empty: where it is after the login
}

// unprivileged is the user and the group as whom the servers work: daemon. Of nobody the
// home does not exist, which vsftpd does not accept.
const unprivileged = 1

// process is a running server.
type process struct {
	cmd     *exec.Cmd
	address string
	log     string
	done    chan struct{} // closed when it has ended
}

// start runs a server and waits until it listens.
func start(ctx context.Context, s server, at place) (*process, error) {
	for _, dir := range []string{at.config, at.data} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Chown(at.data, unprivileged, unprivileged); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd, err := s.command(ctx, at, address)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, address: address, log: filepath.Join(at.config, "output"), done: make(chan struct{})}
	output, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // even if this program is killed
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	if err := p.listens(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("%w%s", err, p.lastWords())
	}
	return p, nil
}

// freeAddress returns an address on loopback that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// listens waits until the server greets.
func (p *process) listens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "tcp", p.address); err == nil {
			return conn.Close()
		}
		select {
		case <-p.done:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it does not listen on %s: %w", p.address, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// lastWords is the end of what the server has said, for an error's text.
func (p *process) lastWords() string {
	said, err := os.ReadFile(p.log)
	if err != nil || len(bytes.TrimSpace(said)) == 0 {
		return ""
	}
	return "; it said:\n" + string(said[max(0, len(said)-2000):])
}

// stop ends the server and the processes it has started.
func (p *process) stop() {
	children, _ := descendants(p.pid())
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	for _, c := range children {
		if c.pid != p.cmd.Process.Pid && c.isAlive() {
			_ = syscall.Kill(c.pid, syscall.SIGKILL)
		}
	}
}

// entry is a process as /proc/PID/stat shows it (proc_pid_stat(5)).
type entry struct {
	pid, parent int
	started     string        // ticks since boot: tells it from a later process with its number
	reaped      time.Duration // processor time of its children that have ended
}

// ticksPerSecond is USER_HZ, which is 100 wherever Go runs on Linux.
const ticksPerSecond = 100

// readEntry returns an [fs.ErrNotExist] if the process has ended.
func readEntry(pid int) (entry, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if errors.Is(err, syscall.ESRCH) {
		return entry{}, fs.ErrNotExist
	}
	if err != nil {
		return entry{}, err
	}
	return parseEntry(pid, string(stat))
}

func parseEntry(pid int, stat string) (entry, error) {
	// The second field is the program's name in brackets, and may hold anything.
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:]) // from the third field, the state, on
	if end < 0 || len(fields) < 20 {
		return entry{}, fmt.Errorf("process %d: its stat has too few fields", pid)
	}
	var numbers [3]int
	for i, field := range []int{4, 16, 17} {
		n, err := strconv.Atoi(fields[field-3])
		if err != nil {
			return entry{}, fmt.Errorf("process %d: field %d of its stat: %w", pid, field, err)
		}
		numbers[i] = n
	}
	return entry{
		pid:     pid,
		parent:  numbers[0],
		started: fields[22-3],
		reaped:  time.Duration(numbers[1]+numbers[2]) * time.Second / ticksPerSecond,
	}, nil
}

func (e entry) isAlive() bool {
	now, err := readEntry(e.pid)
	return err == nil && now.started == e.started
}

// descendants returns the process and all that it has started, directly or not.
func descendants(root int) ([]entry, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]entry)
	var found []entry
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		e, err := readEntry(pid)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if pid == root {
			found = append(found, e)
		}
		children[e.parent] = append(children[e.parent], e)
	}
	for i := 0; i < len(found); i++ { // found grows
		found = append(found, children[found[i].pid]...)
	}
	return found, nil
}

// treeTime returns the processor time, user and system, that a process and its
// descendants have used, with those that have ended and been waited for. A running one
// is counted by its own clock, in nanoseconds; one that has ended, in ticks of 10 ms.
func treeTime(root int) (time.Duration, error) {
	tree, err := descendants(root)
	if err != nil {
		return 0, err
	}
	if len(tree) == 0 {
		return 0, errors.New("the server has ended")
	}
	var total time.Duration
	for _, e := range tree {
		used, err := processTime(e.pid)
		if err != nil && e.isAlive() {
			return 0, fmt.Errorf("reading the clock of process %d: %w", e.pid, err)
		}
		total += e.reaped + used
	}
	return total, nil
}

// processTime reads the processor-time clock of any process: its id is made as
// clock_getcpuclockid(3) makes it.
func processTime(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &at); err != nil {
		return 0, err
	}
	return time.Duration(at.Nano()), nil
}

// ownTime returns the processor time that this program has used.
func ownTime() time.Duration {
	used, err := processTime(os.Getpid())
	if err != nil {
		return 0
	}
	return used
}
