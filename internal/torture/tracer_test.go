//go:build linux && amd64

package torture

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
)

// tracer runs a program and kills it right before its nth system call that can
// change something outside of it. Unlike `strace -e inject`, which counts for each
// thread by itself, it counts over all of them, so that every boundary has a number.
type tracer struct {
	// n is the call before which the program is killed; 0 lets it run.
	n int64
	// first, if there is one, is called right before it is killed.
	first func()
	// counting can be switched on later. Calls before that are not counted.
	counting atomic.Bool
	calls    atomic.Int64 // counted so far
}

// ending is how a traced program ended.
type ending struct {
	status syscall.WaitStatus
	// injected tells that it was killed before its nth call.
	injected bool
}

// changes are the system calls that can change a file, a folder or what a peer sees.
// SQLite's shared memory is changed without a call; it is rebuilt after a crash.
var changes = map[uint64]bool{
	syscall.SYS_OPEN: true, syscall.SYS_OPENAT: true, syscall.SYS_CREAT: true,
	syscall.SYS_WRITE: true, syscall.SYS_PWRITE64: true, syscall.SYS_WRITEV: true, syscall.SYS_PWRITEV: true,
	syscall.SYS_SENDFILE: true, syscall.SYS_SPLICE: true, 326: true, // copy_file_range, later than package syscall
	syscall.SYS_FSYNC: true, syscall.SYS_FDATASYNC: true, syscall.SYS_SYNC_FILE_RANGE: true,
	syscall.SYS_TRUNCATE: true, syscall.SYS_FTRUNCATE: true, syscall.SYS_FALLOCATE: true,
	syscall.SYS_RENAME: true, syscall.SYS_RENAMEAT: true, 316: true, // renameat2
	syscall.SYS_UNLINK: true, syscall.SYS_UNLINKAT: true, syscall.SYS_RMDIR: true,
	syscall.SYS_LINK: true, syscall.SYS_LINKAT: true, syscall.SYS_MKDIR: true, syscall.SYS_MKDIRAT: true,
}

// start starts cmd, whose output must go to files: nobody waits for it but the
// tracer. The ending comes once it has ended.
func (tr *tracer) start(cmd *exec.Cmd) (pid int, end <-chan ending, err error) {
	started := make(chan error, 1)
	ended := make(chan ending, 1)
	go func() {
		runtime.LockOSThread() // a program is traced by one thread; this one ends with the goroutine
		cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		pid = cmd.Process.Pid
		_ = cmd.Process.Release() // waited for below
		started <- nil
		ended <- tr.follow(pid)
	}()
	return pid, ended, <-started
}

// run runs cmd to its end.
func (tr *tracer) run(cmd *exec.Cmd) (ending, error) {
	tr.counting.Store(true)
	_, end, err := tr.start(cmd)
	if err != nil {
		return ending{}, fmt.Errorf("tracing: %w", err)
	}
	return <-end, nil
}

// follow stops every thread of the program at its system calls until it is dead.
func (tr *tracer) follow(pid int) (end ending) {
	const options = syscall.PTRACE_O_TRACESYSGOOD | syscall.PTRACE_O_TRACECLONE | 0x100000 // EXITKILL
	known := map[int]bool{}
	for {
		var status syscall.WaitStatus
		// The program is a process group of its own; other tests' children are not waited for.
		tid, err := syscall.Wait4(-pid, &status, syscall.WALL, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return end
		}
		if status.Exited() || status.Signaled() {
			if tid == pid {
				end.status = status
				return end
			}
			continue
		}
		signal := 0
		switch s := status.StopSignal(); {
		case !known[tid]:
			known[tid] = true // its first stop is the tracer's doing
			if tid == pid {
				_ = syscall.PtraceSetOptions(pid, options)
			}
		case s == syscall.SIGTRAP|0x80:
			if !end.injected && tr.due(tid) {
				end.injected = true
				if tr.first != nil {
					tr.first()
				}
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		case s != syscall.SIGTRAP:
			signal = int(s)
		}
		_ = syscall.PtraceSyscall(tid, signal) // fails if it was killed meanwhile, which Wait4 tells
	}
}

// due counts a thread's call, and tells whether it is the one not to be made.
func (tr *tracer) due(tid int) bool {
	var regs syscall.PtraceRegs
	if !tr.counting.Load() || syscall.PtraceGetRegs(tid, &regs) != nil {
		return false
	}
	entering := int64(regs.Rax) == -int64(syscall.ENOSYS)
	return entering && changes[regs.Orig_rax] && tr.calls.Add(1) == tr.n
}
