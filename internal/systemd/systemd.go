// Package systemd speaks with the service manager: it takes over the sockets that
// systemd listens on for the gateway, and tells it how the gateway does. Start with
// [Sockets] and [Open]; both find out by themselves that there is no systemd, and
// then do nothing.
//
// A socket that is taken over belongs to systemd as well. Closing it here refuses
// nobody: who connects while no gateway runs waits in the socket's queue for the
// next one.
//
// What it promises of sd_listen_fds(3): only descriptors meant for this process
// (LISTEN_PID) are taken, programs that it starts inherit none, and a descriptor
// that is no listening stream socket is an error, not passed over. Of sd_notify(3):
// each message is one datagram, and one that can't be sent never holds up the
// gateway.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstSocket is the number of the first descriptor that is handed over.
const firstSocket = 3

// Unnamed is the name of sockets whose unit has no FileDescriptorName=.
const Unnamed = "unknown"

// Sockets takes over the sockets that systemd hands to this process, by the name
// that their unit gives them. getenv is os.Getenv outside of tests. It must be
// called once, before descriptors are opened by anybody else: the numbers are all
// that is known of them.
func Sockets(getenv func(string) string) (sockets map[string][]net.Listener, err error) {
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return nil, fmt.Errorf("taking over systemd's sockets: LISTEN_FDS is %q", getenv("LISTEN_FDS"))
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	sockets = map[string][]net.Listener{}
	var faults []error
	for i := range n {
		name := Unnamed
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		l, err := takeOver(firstSocket+i, name)
		if err != nil {
			faults = append(faults, fmt.Errorf("taking over systemd's socket %q: %w", name, err))
			continue
		}
		sockets[name] = append(sockets[name], l)
	}
	if len(faults) == 0 {
		return sockets, nil
	}
	for _, list := range sockets {
		for _, l := range list {
			faults = append(faults, l.Close())
		}
	}
	return nil, errors.Join(faults...)
}

func takeOver(fd int, name string) (net.Listener, error) {
	unix.CloseOnExec(fd)
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if listening == 0 {
		return nil, fmt.Errorf("descriptor %d is no listening stream socket", fd)
	}
	f := os.NewFile(uintptr(fd), name)
	l, err := net.FileListener(f) // has a descriptor of its own
	return l, errors.Join(err, f.Close())
}
