package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	host = "127.0.0.1"
	// wantedPort is the gateway's own port; the first one tried instead is
	// highPort, and after highPorts of them there is something else wrong.
	wantedPort = 32
	highPort   = 2032
	highPorts  = 100
	// The same for FTP.
	wantedFTP = 21
	highFTP   = 2021

	startTime = 15 * time.Second
	pollTime  = 20 * time.Millisecond
)

// gateway is a running `sealdrop serve`.
type gateway struct {
	process *os.Process
	ended   chan struct{} // closed when the process is gone
}

var (
	errNoPort     = errors.New("found no free port on " + host)
	errStartTime  = errors.New("the gateway did not begin to listen in time")
	errPortGone   = errors.New("another program was faster to take the port")
	errStartEnded = errors.New("the gateway ended before it listened")
)

// startGateway starts it on port 32, or on the port that it had before, or on the
// next free high port. The reason says why it is not the first choice ("" if it
// is).
func (t *tour) startGateway(ctx context.Context) (reason string, err error) {
	ports := []int{wantedPort}
	if t.port != 0 {
		ports = []int{t.port} // the one it had before
	}
	for p := highPort; p < highPort+highPorts; p++ {
		ports = append(ports, p)
	}
	for _, port := range ports {
		err := probe(port)
		if err == nil {
			t.port = port
			err = t.findFTPPort()
		}
		if err == nil {
			err = t.startOn(ctx)
		}
		switch {
		case err == nil:
			return reason, nil
		case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
			reason = fmt.Sprintf("port %d needs a privilege that this user does not have", port)
		case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, errPortGone):
			if reason == "" {
				reason = fmt.Sprintf("port %d is taken by another program", port)
			}
		default:
			return "", err
		}
	}
	return "", errNoPort
}

// findFTPPort chooses a port for FTP: the one that it had before, 21, or the next
// free high one.
func (t *tour) findFTPPort() error {
	ports := []int{wantedFTP}
	if t.ftpPort != 0 {
		ports = []int{t.ftpPort}
	}
	for p := highFTP; p < highFTP+highPorts; p++ {
		ports = append(ports, p)
	}
	for _, port := range ports {
		if probe(port) == nil {
			t.ftpPort = port
			return nil
		}
	}
	return errNoPort
}

func (t *tour) ftpAddress() string { return address(t.ftpPort) }

// probe finds out whether the port can be listened on.
func probe(port int) error {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return err
	}
	return l.Close()
}

func address(port int) string { return fmt.Sprintf("%s:%d", host, port) }

// settings are the variables that differ from what the configuration says: where
// the gateway listens, and that FTP is on.
func (t *tour) settings() []string {
	if t.port == 0 {
		return nil // not chosen yet
	}
	return []string{
		"SEALDROP_SFTP_LISTEN=" + address(t.port), "SEALDROP_FTP_LISTEN=" + t.ftpAddress(),
		"SEALDROP_FTP_TLS_MODE=optional", "SEALDROP_FTP_PASSIVE_PORTS=any",
	}
}

// serveCommand is what a person would type for what startOn does.
func (t *tour) serveCommand() string {
	return "export " + strings.Join(t.settings(), " ") + "\nsealdrop serve 2>>$D/gateway.log & echo $! >$D/gateway.pid"
}

func (t *tour) startOn(ctx context.Context) error {
	log, err := os.OpenFile(t.folder.join("gateway.log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the gateway's log: %w", err)
	}
	defer log.Close()
	before, err := log.Stat()
	if err != nil {
		return fmt.Errorf("reading the gateway's log: %w", err)
	}
	// Not bound to ctx: whoever ends the story ends the gateway in order.
	cmd := exec.Command(t.folder.join("bin", "sealdrop"), "serve")
	cmd.Dir, cmd.Env, cmd.Stderr = t.folder.path, slices.Concat(t.environ, t.settings()), log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the gateway: %w", err)
	}
	g := &gateway{process: cmd.Process, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the log says why it ended
		close(g.ended)
	}()
	t.gateway = g
	if err := os.WriteFile(t.folder.join("gateway.pid"), fmt.Appendln(nil, g.process.Pid), 0o600); err != nil {
		return fmt.Errorf("noting the gateway's process: %w", err)
	}
	return t.awaitListening(ctx, before.Size())
}

// awaitListening waits until the gateway's log, from the offset on, says that it
// listens.
func (t *tour) awaitListening(ctx context.Context, offset int64) error {
	deadline := time.After(startTime)
	for {
		ended := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return t.startProblem(errStartTime, offset)
		case <-t.gateway.ended:
			ended = true
		case <-time.After(pollTime):
		}
		text := t.logFrom(offset)
		switch {
		case strings.Contains(text, "msg=listening"):
			return nil
		case ended && strings.Contains(text, syscall.EADDRINUSE.Error()):
			return errPortGone
		case ended:
			return t.startProblem(errStartEnded, offset)
		}
	}
}

func (t *tour) startProblem(err error, offset int64) error {
	return &Mismatch{Command: t.serveCommand(), Problem: err.Error(), Output: t.logFrom(offset), Dir: t.folder.path}
}

// logFrom is the gateway's log from an offset on.
func (t *tour) logFrom(offset int64) string {
	text, err := os.ReadFile(t.folder.join("gateway.log"))
	if err != nil || int64(len(text)) < offset {
		return ""
	}
	return string(text[offset:])
}

// stopGateway ends the gateway, if one runs, and waits until it is gone.
func (t *tour) stopGateway() error {
	g := t.gateway
	if g == nil {
		return nil
	}
	t.gateway = nil
	// Asked politely it would wait for the sessions that are still open.
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := g.process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("ending the gateway (process %d): %w", g.process.Pid, err)
		}
		select {
		case <-g.ended:
			return nil
		case <-time.After(endTime):
		}
	}
	<-g.ended
	return nil
}

// endAgents ends the GnuPG agents of both clients and removes their sockets,
// which may lie outside of our folder.
func (t *tour) endAgents(ctx context.Context) error {
	if !t.tools.have(gpg) {
		return nil
	}
	var errs []error
	for _, c := range t.clients() {
		if _, err := os.Stat(t.folder.join(c.id, "gnupg")); err != nil {
			continue
		}
		home := "$D/" + c.id + "/gnupg"
		output, exit, err := t.shell(ctx, "gpgconf --homedir "+home+" --kill all; gpgconf --homedir "+home+" --remove-socketdir")
		if err == nil && exit != 0 {
			err = errors.New(strings.TrimSpace(output))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("ending the GnuPG agent of %s: %w", c.id, err))
		}
	}
	return errors.Join(errs...)
}
