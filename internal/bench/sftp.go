package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// sftpServer is a running server with one user.
type sftpServer struct {
	*measure.Server
	name   string
	user   string
	folder string // where the user's files are, as it names it: with a slash at the end, or empty
	home   string // the same on the disk; empty for Sealdrop, which has a catalog
	key    *clientKey
}

// clientKey is the user's key: RSA-2048, which is what clients have.
type clientKey struct {
	signer  ssh.Signer
	private string // file
	public  string // file
}

func makeClientKey(dir string) (*clientKey, error) {
	secret, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(secret)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(secret, "")
	if err != nil {
		return nil, err
	}
	k := &clientKey{signer, filepath.Join(dir, "id_rsa"), filepath.Join(dir, "id_rsa.pub")}
	if err := os.WriteFile(k.private, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return k, os.WriteFile(k.public, ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o644)
}

// sftpServers starts Sealdrop, sshd and, where it is there, SFTPGo, in this order and each with an empty folder.
func (b *bench) sftpServers(ctx context.Context) (*gateway, []*sftpServer, error) {
	key, err := makeClientKey(b.data)
	if err != nil {
		return nil, nil, err
	}
	return b.sftpServersFor(ctx, key)
}

// sftpServersFor is the same for the user of a key.
func (b *bench) sftpServersFor(ctx context.Context, key *clientKey) (*gateway, []*sftpServer, error) {
	gw, err := b.newGateway(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err = gw.addClient(ctx, "bench", key.public); err != nil {
		return nil, nil, err
	}
	sealdrop, err := b.start(ctx, gw, key)
	if err != nil {
		return nil, nil, err
	}
	sshd, err := b.startSSHD(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	servers := []*sftpServer{sealdrop, sshd}
	if b.sftpgo == "" {
		return gw, servers, nil
	}
	third, err := b.startSFTPGo(ctx, key)
	if err != nil {
		b.leaveOut(sftpgoName, err)
		return gw, servers, nil
	}
	return gw, append(servers, third), nil
}

// onEach does something with each server, and returns those that are left.
func (b *bench) onEach(servers []*sftpServer, do func(*sftpServer) error) (left []*sftpServer, err error) {
	for _, s := range servers {
		err := do(s)
		switch {
		case err == nil:
			left = append(left, s)
		case isOptional(s.name):
			b.leaveOut(s.name, err)
		default:
			return nil, fmt.Errorf("%s: %w%s", s.name, err, s.LastWords())
		}
	}
	return left, nil
}

// start starts Sealdrop until the case is over.
func (b *bench) start(ctx context.Context, gw *gateway, key *clientKey) (*sftpServer, error) {
	s, err := gw.serve(ctx)
	if err != nil {
		return nil, fmt.Errorf("starting sealdrop: %w", err)
	}
	b.later(s.Stop)
	return &sftpServer{Server: s, name: own, user: "bench", key: key}, nil
}

// sshdUser is a user of every Debian that has no shell and owns nothing.
const sshdUser, sshdUID = "daemon", 1

// startSSHD starts sshd until the case is over.
func (b *bench) startSSHD(ctx context.Context, key *clientKey) (*sftpServer, error) {
	program, err := b.findProgram("sshd")
	if err != nil {
		return nil, err
	}
	// What Debian's start-up scripts make.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return nil, err
	}
	dir, files := filepath.Join(b.data, "sshd"), filepath.Join(b.data, "files")
	for _, d := range []string{dir, files} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Chown(files, sshdUID, sshdUID); err != nil {
		return nil, err
	}
	address, err := measure.FreeAddress()
	if err != nil {
		return nil, err
	}
	hostKey, config := filepath.Join(dir, "host_ed25519_key"), filepath.Join(dir, "sshd_config")
	if err := makeHostKey(hostKey); err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, []byte(`ListenAddress `+address+`
HostKey `+hostKey+`
AuthorizedKeysFile `+key.public+`
StrictModes no
UsePAM no
PasswordAuthentication no
PidFile none
MaxStartups 10000
LogLevel ERROR
Subsystem sftp internal-sftp
`), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "-D", "-e", "-f", config)
	cmd.Env = append(os.Environ(), measure.Libraries(b.peers))
	// A session's processes may end before the one that waits for them, and what they used
	// would be lost with them. As the first process of a namespace, the daemon inherits them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	s, err := measure.Start(ctx, cmd, address, filepath.Join(dir, "output"))
	if err != nil {
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	b.later(s.Stop)
	return &sftpServer{Server: s, name: "sshd", user: sshdUser, folder: files + "/", home: files, key: key}, nil
}

// makeHostKey writes a host key of the kind that Sealdrop has.
func makeHostKey(file string) error {
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(secret, "")
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(block), 0o600)
}

// findProgram returns where a peer is: installed, or unpacked.
func (b *bench) findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"usr/sbin", "usr/bin"} {
		path, err := filepath.Abs(filepath.Join(b.peers, dir, name))
		if err == nil {
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
		}
	}
	return "", &hintedError{name + " is not there", "deploy/setup --bench unpacks it"}
}

// sftp runs commands of OpenSSH's client.
func (s *sftpServer) sftp(ctx context.Context, options []string, commands ...string) error {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	args := append([]string{
		"-q", "-b", "-", "-F", "/dev/null", "-i", s.key.private, "-P", port, "-o", "IdentitiesOnly=yes",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
	}, options...)
	cmd := exec.CommandContext(ctx, "sftp", append(args, s.user+"@"+host)...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var errors strings.Builder
	cmd.Stderr = &errors // what it lists goes to /dev/null
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sftp: %w: %s", err, errors.String())
	}
	return nil
}

// dial opens a connection of the Go client.
func (s *sftpServer) dial(user string, key ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", s.Address, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback:   ssh.InsecureIgnoreHostKey(),  // on loopback, a key made just now
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, // what OpenSSH and PuTTY prefer; this library prefers RSA
	})
}
