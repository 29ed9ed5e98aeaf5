package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
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

// start runs a server and waits until it listens.
func start(ctx context.Context, s server, at place) (*measure.Server, error) {
	for _, dir := range []string{at.config, at.data} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Chown(at.data, unprivileged, unprivileged); err != nil {
		return nil, err
	}
	address, err := measure.FreeAddress()
	if err != nil {
		return nil, err
	}
	cmd, err := s.command(ctx, at, address)
	if err != nil {
		return nil, err
	}
	return measure.Start(ctx, cmd, address, filepath.Join(at.config, "output"))
}
