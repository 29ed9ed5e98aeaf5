package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// gateway is a Sealdrop with a data folder of its own.
type gateway struct {
	program, dir, address string
	env                   []string
}

// newGateway makes a data folder. The limits per client and address are out of the way:
// here, all clients come from one.
func (b *bench) newGateway(ctx context.Context, env ...string) (*gateway, error) {
	dir, err := os.MkdirTemp(b.data, "gateway-")
	if err != nil {
		return nil, err
	}
	address, err := measure.FreeAddress()
	if err != nil {
		return nil, err
	}
	g := &gateway{program: b.sealdrop, dir: dir, address: address, env: append([]string{
		"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "SEALDROP_SFTP_LISTEN=" + address,
		"SEALDROP_SFTP_LIMITS_CONNECTIONS=20000", "SEALDROP_SFTP_LIMITS_CONNECTIONS_PER_ADDRESS=20000",
		"SEALDROP_SFTP_LIMITS_UNAUTHENTICATED=20000", "SEALDROP_SFTP_LIMITS_SESSIONS_PER_CLIENT=20000",
	}, env...)}
	return g, g.do(ctx, "init", "--dir", dir)
}

// profile is a variable that names a folder for CPU profiles of the gateways, for who wants to know why.
const profile = "BENCH_OPS"

// command returns a command of the program.
func (g *gateway) command(ctx context.Context, args ...string) *exec.Cmd {
	if args[0] != "init" {
		args = append([]string{"--config", filepath.Join(g.dir, "config.yaml")}, args...)
	}
	cmd := exec.CommandContext(ctx, g.program, args...)
	cmd.Dir, cmd.Env = g.dir, g.env
	if listen := os.Getenv(profile); listen != "" {
		cmd.Env = append(cmd.Env, "SEALDROP_OPS_LISTEN="+listen, "SEALDROP_OPS_PPROF=true")
	}
	return cmd
}

// do runs a command of the program.
func (g *gateway) do(ctx context.Context, args ...string) error {
	if out, err := g.command(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("sealdrop %s: %w\n%s", strings.Join(args[:min(2, len(args))], " "), err, out)
	}
	return nil
}

// addClient adds a client with its keys.
func (g *gateway) addClient(ctx context.Context, id string, keyFiles ...string) error {
	err := g.do(ctx, "client", "add", id, "--allow", "127.0.0.1")
	if err == nil && len(keyFiles) > 0 {
		err = g.do(ctx, append([]string{"key", "import", "--client", id}, keyFiles...)...)
	}
	return err
}

// serve starts the gateway.
func (g *gateway) serve(ctx context.Context) (*measure.Server, error) {
	return measure.Start(ctx, g.command(ctx, "serve"), g.address, filepath.Join(g.dir, "output"))
}

// wholeProgram is why this program runs itself: it is a peer, too.
func wholeProgram() (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", errors.New("this program does not know where it is")
	}
	return program, nil
}
