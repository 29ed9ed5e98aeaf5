package measure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a process as /proc/PID/stat shows it (proc_pid_stat(5)).
type Process struct {
	PID     int
	parent  int
	started string        // ticks since boot: tells it from a later process with its number
	reaped  time.Duration // processor time of its children that have ended
}

// ticksPerSecond is USER_HZ, which is 100 wherever Go runs on Linux.
const ticksPerSecond = 100

// readProcess returns an [fs.ErrNotExist] if the process has ended.
func readProcess(pid int) (Process, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if errors.Is(err, syscall.ESRCH) {
		return Process{}, fs.ErrNotExist
	}
	if err != nil {
		return Process{}, err
	}
	return parseProcess(pid, string(stat))
}

func parseProcess(pid int, stat string) (Process, error) {
	// The second field is the program's name in brackets, and may hold anything.
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:]) // from the third field, the state, on
	if end < 0 || len(fields) < 20 {
		return Process{}, fmt.Errorf("process %d: its stat has too few fields", pid)
	}
	var numbers [3]int
	for i, field := range []int{4, 16, 17} {
		n, err := strconv.Atoi(fields[field-3])
		if err != nil {
			return Process{}, fmt.Errorf("process %d: field %d of its stat: %w", pid, field, err)
		}
		numbers[i] = n
	}
	return Process{
		PID:     pid,
		parent:  numbers[0],
		started: fields[22-3],
		reaped:  time.Duration(numbers[1]+numbers[2]) * time.Second / ticksPerSecond,
	}, nil
}

// IsAlive reports whether the process has not ended; one with its number that was started later is another.
func (e Process) IsAlive() bool {
	now, err := readProcess(e.PID)
	return err == nil && now.started == e.started
}

// Descendants returns the process and all that it has started, directly or not.
func Descendants(root int) ([]Process, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]Process)
	var found []Process
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		e, err := readProcess(pid)
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
		found = append(found, children[found[i].PID]...)
	}
	return found, nil
}

// TreeTime returns the processor time, user and system, that a process and its
// Descendants have used, with those that have ended and been waited for. A running one
// is counted by its own clock, in nanoseconds; one that has ended, in ticks of 10 ms.
func TreeTime(root int) (time.Duration, error) {
	tree, err := Descendants(root)
	if err != nil {
		return 0, err
	}
	if len(tree) == 0 {
		return 0, errors.New("the process has ended")
	}
	var total time.Duration
	for _, e := range tree {
		used, err := processTime(e.PID)
		if err != nil && e.IsAlive() {
			return 0, fmt.Errorf("reading the clock of process %d: %w", e.PID, err)
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

// OwnTime returns the processor time that this program has used.
func OwnTime() time.Duration {
	used, err := processTime(os.Getpid())
	if err != nil {
		return 0
	}
	return used
}

// Memory returns the bytes of memory that a process and its descendants hold now; what
// several of them share counts in parts (PSS, proc_pid_smaps(5)).
func Memory(root int) (int64, error) {
	tree, err := Descendants(root)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, e := range tree {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(e.PID), "smaps_rollup"))
		if err != nil {
			continue // it has ended since
		}
		_, rest, _ := strings.Cut(string(text), "\nPss:")
		var kib int64
		if _, err := fmt.Sscan(rest, &kib); err == nil {
			total += kib << 10
		}
	}
	return total, nil
}

// Peak watches what a process and its descendants hold until the returned function is
// called, which says how much it was at most. Looking costs the machine: it is done at most
// ten times a second, and takes a twentieth of one core at most.
func Peak(root int) func() int64 {
	done, result := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			started := time.Now()
			if n, err := Memory(root); err == nil {
				most = max(most, n)
			}
			pause := max(100*time.Millisecond, 20*time.Since(started))
			select {
			case <-done:
				result <- most
				return
			case <-time.After(pause):
			}
		}
	}()
	return func() int64 {
		close(done)
		return <-result
	}
}
