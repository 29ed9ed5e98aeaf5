package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier tells systemd of the gateway's state. nil is one that tells nobody: all
// its methods may be called. It is safe for concurrent use.
type Notifier struct {
	conn     *net.UnixConn
	watchdog time.Duration
}

// sendWait is how long a message may take: systemd may be busy, and the gateway
// has other work.
const sendWait = time.Second

// Open connects to systemd's socket; nil and no error if there is none. getenv is
// os.Getenv outside of tests.
func Open(getenv func(string) string) (*Notifier, error) {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil, nil
	}
	// A name that begins with @ is in the abstract namespace; package net knows.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("connecting to systemd: %w", err)
	}
	n := &Notifier{conn: conn}
	if pid := getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
			n.watchdog = time.Duration(us) * time.Microsecond
		}
	}
	return n, nil
}

// Watchdog is how long systemd waits for [Notifier.Alive] before it takes the
// gateway for hung; 0: it does not watch.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready tells that the gateway serves, after a start or a reload.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", "STATUS="+status) }

// Reloading tells that the configuration is read again; [Notifier.Ready] must follow.
func (n *Notifier) Reloading() error {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return fmt.Errorf("reading the monotonic clock: %w", err)
	}
	return n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", t.Nano()/1000))
}

// Stopping tells that the gateway ends, and how long that may take at most: systemd
// waits that long, whatever its unit's TimeoutStopSec= is.
func (n *Notifier) Stopping(status string, within time.Duration) error {
	return n.send("STOPPING=1", "STATUS="+status, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", within.Microseconds()))
}

// Alive tells that the gateway was found well, and what `systemctl status` shows.
func (n *Notifier) Alive(status string) error { return n.send("WATCHDOG=1", "STATUS="+status) }

// Status tells what `systemctl status` shows.
func (n *Notifier) Status(status string) error { return n.send("STATUS=" + status) }

// Close lets go of the socket.
func (n *Notifier) Close() error {
	if n == nil {
		return nil
	}
	return n.conn.Close()
}

func (n *Notifier) send(lines ...string) error {
	if n == nil {
		return nil
	}
	for i, l := range lines {
		lines[i] = strings.ReplaceAll(l, "\n", " ")
	}
	_ = n.conn.SetWriteDeadline(time.Now().Add(sendWait)) // writing fails as well if this does
	if _, err := n.conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	return nil
}
