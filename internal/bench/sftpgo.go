package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// SFTPGo is the third sFTP server. Debian has no package of it, and its module can't be fetched everywhere, so
// it is optional. It runs with its default settings but for those of [sftpgoEnvironment], and, as it drops no
// privileges by itself, as this user.

// startSFTPGo starts SFTPGo until the case is over.
func (b *bench) startSFTPGo(ctx context.Context, key *clientKey) (*sftpServer, error) {
	dir, home := filepath.Join(b.data, "sftpgo"), filepath.Join(b.data, "sftpgo-files")
	for _, d := range []string{dir, home} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, err
		}
	}
	address, err := measure.FreeAddress()
	if err != nil {
		return nil, err
	}
	hostKey, users := filepath.Join(dir, "host_ed25519_key"), filepath.Join(dir, "users.json")
	if err := makeHostKey(hostKey); err != nil {
		return nil, err
	}
	dump, err := sftpgoUsers("bench", home, key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(users, dump, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.sftpgo, "serve", "--config-dir", dir, "--log-file-path", filepath.Join(dir, "log"), "--log-level", "error")
	cmd.Dir = dir
	if cmd.Env, err = sftpgoEnvironment(address, hostKey, users); err != nil {
		return nil, err
	}
	s, err := measure.Start(ctx, cmd, address, filepath.Join(dir, "output"))
	if err != nil {
		return nil, fmt.Errorf("starting SFTPGo: %w", err)
	}
	b.later(s.Stop)
	return &sftpServer{Server: s, name: sftpgoName, user: "bench", home: home, key: key}, nil
}

// sftpgoUsers is what SFTPGo's memory takes its users from.
func sftpgoUsers(name, home string, key *clientKey) ([]byte, error) {
	public, err := os.ReadFile(key.public)
	if err != nil {
		return nil, err
	}
	type user struct {
		Name        string              `json:"username"`
		Status      int                 `json:"status"`
		Home        string              `json:"home_dir"`
		PublicKeys  []string            `json:"public_keys"`
		Permissions map[string][]string `json:"permissions"`
	}
	const enabled, version = 1, 17 // of a user; of the format
	return json.Marshal(struct {
		Users   []user `json:"users"`
		Version int    `json:"version"`
	}{[]user{{name, enabled, home, []string{strings.TrimSpace(string(public))}, map[string][]string{"/": {"*"}}}}, version})
}

// sftpgoEnvironment has SFTPGo listen on one address for sFTP, and for nothing else; keep its users in memory;
// and take any number of sessions from this machine.
func sftpgoEnvironment(address, hostKey, users string) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"SFTPGO_SFTPD__BINDINGS__0__ADDRESS=" + host,
		"SFTPGO_SFTPD__BINDINGS__0__PORT=" + port,
		"SFTPGO_SFTPD__HOST_KEYS=" + hostKey,
		"SFTPGO_HTTPD__BINDINGS__0__PORT=0",
		"SFTPGO_DATA_PROVIDER__DRIVER=memory",
		"SFTPGO_DATA_PROVIDER__NAME=" + users,
		"SFTPGO_COMMON__MAX_PER_HOST_CONNECTIONS=0",
	}, nil
}
