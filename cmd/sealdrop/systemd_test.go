package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// serviceManager does for a script what systemd does: it holds the socket that
// clients connect to, hands it to one gateway after the other, and hears what they
// tell. deploy/package/trial tries the same under systemd itself.
type serviceManager struct {
	ts     *testscript.TestScript
	socket *os.File
	heard  *net.UnixConn
	log    *transcript
}

func newServiceManager(ts *testscript.TestScript) *serviceManager {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	socket, err := l.(*net.TCPListener).File()
	ts.Check(err)
	ts.Setenv("PORT", fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(ts.MkAbs("."), "notify"), Net: "unixgram"})
	ts.Check(err)
	ts.Defer(func() { _, _, _ = l.Close(), socket.Close(), heard.Close() })
	return &serviceManager{ts, socket, heard, &transcript{}}
}

// start starts a gateway and waits until it is ready.
func (m *serviceManager) start() *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" serve`, inPath(m.ts, "sealdrop"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = m.ts.MkAbs("."), m.log, m.log
	cmd.Env = append(environment(m.ts), "LISTEN_FDS=1", "LISTEN_FDNAMES=sftp", "NOTIFY_SOCKET="+m.ts.MkAbs("notify"), "WATCHDOG_USEC=200000")
	cmd.ExtraFiles = []*os.File{m.socket}
	m.ts.Check(cmd.Start())
	m.ts.Defer(func() { _ = cmd.Process.Kill() }) // it may have ended
	m.hear("READY=1")
	return cmd
}

// hear waits until a gateway says something.
func (m *serviceManager) hear(want string) string {
	buf := make([]byte, 4096)
	_ = m.heard.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := m.heard.Read(buf)
		if err != nil {
			m.ts.Fatalf("waiting for %s: %v\n%s", want, err, m.log)
		}
		if strings.Contains(string(buf[:n]), want) {
			return string(buf[:n])
		}
	}
}

func (m *serviceManager) stop(cmd *exec.Cmd) {
	m.ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	if told := m.hear("STOPPING=1"); !strings.Contains(told, "EXTEND_TIMEOUT_USEC=90000000") {
		m.ts.Fatalf("how long it may take to stop: %q", told)
	}
	m.ts.Check(cmd.Wait())
}

// runUnderManager goes through a gateway's life while a client fetches a file again
// and again: usage: managed USER KEY FILE.
func runUnderManager(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: managed USER KEY FILE")
	}
	m := newServiceManager(ts)
	cmd := m.start()
	var fetched, stop atomic.Int64
	refused := make(chan string, 1)
	sftp, options, env, dir := inPath(ts, "sftp"), sftpArgs(ts, args[0], args[1]), environment(ts), ts.MkAbs(".")
	go func() {
		defer close(refused)
		for stop.Load() == 0 {
			client := exec.Command(sftp, append([]string{"-b", "-"}, options...)...)
			client.Env, client.Dir, client.Stdin = env, dir, strings.NewReader("get "+args[2]+" /dev/null\n")
			if out, err := client.CombinedOutput(); err != nil {
				refused <- fmt.Sprintf("%v: %s", err, out)
				return
			}
			fetched.Add(1)
		}
	}()
	for range 3 {
		m.hear("WATCHDOG=1")
		m.stop(cmd)
		cmd = m.start()
	}
	ts.Check(cmd.Process.Signal(syscall.SIGHUP))
	m.hear("RELOADING=1\nMONOTONIC_USEC=")
	m.hear("READY=1")
	stop.Store(1)
	for why := range refused {
		ts.Fatalf("a client was refused: %s\n%s", why, m.log)
	}
	m.stop(cmd)
	if fetched.Load() == 0 {
		ts.Fatalf("nothing was fetched")
	}
}
