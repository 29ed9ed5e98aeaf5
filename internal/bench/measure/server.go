package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Server is a running server.
type Server struct {
	Address string // where it listens

	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// Start runs a server in the foreground, has it write its output to the file log, and waits
// until it listens on the address. The server ends with this program, however that ends.
func Start(ctx context.Context, cmd *exec.Cmd, address, log string) (*Server, error) {
	s := &Server{Address: address, cmd: cmd, log: log, done: make(chan struct{})}
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(s.done)
	}()
	if err := s.listens(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("%w%s", err, s.LastWords())
	}
	return s, nil
}

// Libraries returns the variable of the environment by which programs of packages that were unpacked below root
// find their libraries. It does no harm where nothing was unpacked. The folders in it are absolute: sshd starts
// itself again from another.
func Libraries(root string) string {
	if absolute, err := filepath.Abs(root); err == nil {
		root = absolute
	}
	var dirs []string
	for _, in := range []string{"usr/lib", "lib"} {
		found, _ := filepath.Glob(filepath.Join(root, in, "*-linux-gnu*"))
		dirs = append(dirs, found...)
	}
	return "LD_LIBRARY_PATH=" + strings.Join(dirs, ":")
}

// FreeAddress returns an address on loopback that nobody listens on.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// patience is how long a server may take until it listens.
const patience = 30 * time.Second

// listens waits until the server takes a connection.
func (s *Server) listens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "tcp", s.Address); err == nil {
			return conn.Close()
		}
		select {
		case <-s.done:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it does not listen on %s: %w", s.Address, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// PID returns the number of the server's first process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// LastWords is the end of what the server has said, for an error's text.
func (s *Server) LastWords() string {
	said, err := os.ReadFile(s.log)
	if err != nil || len(bytes.TrimSpace(said)) == 0 {
		return ""
	}
	return "; it said:\n" + string(said[max(0, len(said)-2000):])
}

// Stop ends the server and the processes that it has started.
func (s *Server) Stop() {
	children, _ := Descendants(s.PID())
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	for _, c := range children {
		if c.PID != s.PID() && c.IsAlive() {
			_ = syscall.Kill(c.PID, syscall.SIGKILL)
		}
	}
}
