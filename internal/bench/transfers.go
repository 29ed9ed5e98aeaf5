package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

func transferCases() []benchCase {
	return []benchCase{
		{
			name: "download",
			prepare: func(ctx context.Context, b *bench) (prepared, error) {
				return b.prepareDownload(ctx, "as they negotiate")
			},
			targets: []target{timesAsFast(2, "sshd"), atMost(.5, cpu, "sshd"), timesAsFast(2, sftpgoName), atMost(.5, cpu, sftpgoName)},
		},
		{
			name: "download-gcm",
			prepare: func(ctx context.Context, b *bench) (prepared, error) {
				return b.prepareDownload(ctx, "aes128-gcm", "-c", "aes128-gcm@openssh.com")
			},
			targets: []target{timesAsFast(1.2, "sshd"), atMost(.65, cpu, "sshd")},
		},
		{name: "upload", prepare: prepareUpload, targets: []target{timesAsFast(1, "sshd"), atMost(1, cpu, "sshd")}},
		{name: "small-files", prepare: prepareSmallFiles, targets: []target{timesAsFast(1.3, "sshd")}},
		{name: "listing", prepare: prepareListing, targets: []target{timesAsFast(1.5, "sshd"), {memory, "", 100}}},
	}
}

// makeFile writes a file of what can't be compressed.
func makeFile(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{}), size); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return f.Close()
}

// onServers makes a case of what one does with a server.
func onServers(what string, servers []*sftpServer, do func(ctx context.Context, s *sftpServer, round int) error) prepared {
	p := prepared{what: what}
	for _, s := range servers {
		p.sides = append(p.sides, side{s.name, func(ctx context.Context, round int) (sample, error) {
			return onServer(s.Server, func() error { return do(ctx, s, round) })
		}})
	}
	return p
}

func (b *bench) prepareDownload(ctx context.Context, cipher string, options ...string) (prepared, error) {
	size := b.scaled(1<<30, 1<<20)
	file := filepath.Join(b.volatile, "large")
	if err := makeFile(file, int64(size)); err != nil {
		return prepared{}, err
	}
	_, servers, err := b.sftpServers(ctx)
	if err != nil {
		return prepared{}, err
	}
	servers, err = b.onEach(servers, func(s *sftpServer) error { return s.sftp(ctx, nil, "put "+file+" "+s.folder+"large") })
	if err != nil {
		return prepared{}, err
	}
	what := fmt.Sprintf("sFTP download of %d MiB with OpenSSH's sftp, login included; ciphers: %s", size>>20, cipher)
	return onServers(what, servers, func(ctx context.Context, s *sftpServer, _ int) error {
		return s.sftp(ctx, options, "get "+s.folder+"large /dev/null")
	}), nil
}

func prepareUpload(ctx context.Context, b *bench) (prepared, error) {
	size := b.scaled(1<<30, 1<<20)
	file := filepath.Join(b.volatile, "large")
	if err := makeFile(file, int64(size)); err != nil {
		return prepared{}, err
	}
	_, servers, err := b.sftpServers(ctx)
	if err != nil {
		return prepared{}, err
	}
	what := fmt.Sprintf("sFTP upload of %d MiB, on disk when it is answered (put -f), login included", size>>20)
	if servers[len(servers)-1].name == sftpgoName {
		what += "; SFTPGo does not sync when it is asked to, so its uploads are not on disk"
	}
	return onServers(what, servers, func(ctx context.Context, s *sftpServer, round int) error {
		return s.sftp(ctx, nil, fmt.Sprintf("put -f %s %slarge%d", file, s.folder, round))
	}), nil
}

// smallFile is the size of a statement, in bytes.
const smallFile = 20 << 10

func prepareSmallFiles(ctx context.Context, b *bench) (prepared, error) {
	n := b.scaled(2000, 20)
	tree := filepath.Join(b.volatile, "small")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return prepared{}, err
	}
	for i := range n {
		if err := makeFile(filepath.Join(tree, fmt.Sprintf("statement-%05d", i)), smallFile); err != nil {
			return prepared{}, err
		}
	}
	_, servers, err := b.sftpServers(ctx)
	if err != nil {
		return prepared{}, err
	}
	servers, err = b.onEach(servers, func(s *sftpServer) error { return s.sftp(ctx, nil, "put -r "+tree+" "+s.folder+"small") })
	if err != nil {
		return prepared{}, err
	}
	what := fmt.Sprintf("sFTP download of %d files of 20 KiB in one session", n)
	return onServers(what, servers, func(ctx context.Context, s *sftpServer, round int) error {
		to := filepath.Join(b.volatile, fmt.Sprint(s.name, round))
		defer os.RemoveAll(to)
		return s.sftp(ctx, nil, "get -r "+s.folder+"small "+to)
	}), nil
}

func prepareListing(ctx context.Context, b *bench) (prepared, error) {
	n := b.scaled(100_000, 1000)
	gw, servers, err := b.sftpServers(ctx)
	if err != nil {
		return prepared{}, err
	}
	if err := gw.fill(ctx, filling{reports: n, clients: []string{"bench"}}); err != nil {
		return prepared{}, err
	}
	for _, s := range servers[1:] {
		for i := range n {
			if err := os.WriteFile(filepath.Join(s.home, reportName(i)), nil, 0o644); err != nil {
				return prepared{}, err
			}
		}
	}
	what := fmt.Sprintf("listing a folder of %d files (ls -1)", n)
	return onServers(what, servers, func(ctx context.Context, s *sftpServer, _ int) error {
		return s.sftp(ctx, nil, "ls -1 "+s.folder)
	}), nil
}
