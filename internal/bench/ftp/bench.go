package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// settings is what the command line says.
type settings struct {
	size     int64 // bytes of the file
	rounds   int
	dir      string
	peers    string
	sealdrop string
}

// cell is a kind of transfer.
type cell struct {
	tls, upload bool
}

// cells are in the order in which they are reported.
var cells = [...]cell{{}, {upload: true}, {tls: true}, {tls: true, upload: true}}

func (c cell) String() string {
	protocol, direction := "plain", "download"
	if c.tls {
		protocol = "FTPS"
	}
	if c.upload {
		direction = "upload"
	}
	return protocol + " " + direction
}

// sample is what one transfer took.
type sample struct {
	wall   time.Duration
	server time.Duration // processor time of the server's processes
	client time.Duration // processor time of the client
}

// bench is a run of the benchmark.
type bench struct {
	settings
	servers  []server
	scratch  string    // configurations, logs
	data     string    // the servers' folders
	file     *os.File  // what is uploaded
	content  []byte    // the same, mapped
	progress io.Writer // for whoever waits
	result   *result
}

// runAll runs the benchmark. It says on progress how far it is.
func runAll(ctx context.Context, s settings, progress io.Writer) (*result, error) {
	b := &bench{settings: s, progress: progress, result: newResult(s)}
	defer b.close()
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	for round := range b.rounds {
		if err := b.run(ctx, round); err != nil {
			if ctx.Err() != nil {
				return nil, errors.New("interrupted")
			}
			return nil, err
		}
	}
	return b.result, nil
}

// prepare makes the folders and the file, and finds the servers.
func (b *bench) prepare(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return &hintedError{"the servers can't be started by this user", "run it as root: they drop privileges as they do in production"}
	}
	dir, err := filepath.Abs(b.dir)
	if err != nil {
		return err
	}
	b.dir = dir
	var fs unix.Statfs_t
	if err := unix.Statfs(b.dir, &fs); err != nil {
		return fmt.Errorf("looking at %s: %w", b.dir, err)
	}
	// The source, a file on each of four servers, and two more on Sealdrop, which
	// keeps what its clients remove.
	if need := 7*b.size + b.size/4; int64(fs.Bavail)*fs.Bsize < need {
		return &hintedError{fmt.Sprintf("%s has less than %d MiB free", b.dir, need>>20), "name another folder with -dir, or a smaller -size"}
	}
	if b.scratch, err = os.MkdirTemp("", "sealdrop-bench-"); err != nil {
		return err
	}
	if b.data, err = os.MkdirTemp(b.dir, "sealdrop-bench-"); err != nil {
		return err
	}
	for _, dir := range []string{b.scratch, b.data} {
		if err := os.Chmod(dir, 0o755); err != nil { // the servers drop privileges
			return err
		}
	}
	certificate, err := makeCertificate(b.scratch)
	if err != nil {
		return err
	}
	b.servers, err = findServers(ctx, b.settings, certificate)
	if skipped := (*skippedError)(nil); errors.As(err, &skipped) {
		fmt.Fprintln(b.progress, "sealdrop is left out:", skipped)
		b.result.skipped = skipped.Error()
	} else if err != nil {
		return err
	}
	b.result.servers = b.servers
	return b.makeFile()
}

// makeFile fills the file with what can't be compressed.
func (b *bench) makeFile() error {
	var err error
	if b.file, err = os.Create(filepath.Join(b.data, "file")); err != nil {
		return err
	}
	if _, err := io.CopyN(b.file, rand.NewChaCha8([32]byte{}), b.size); err != nil {
		return fmt.Errorf("writing the file to upload: %w", err)
	}
	b.content, err = unix.Mmap(int(b.file.Fd()), 0, int(b.size), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("mapping the file to upload: %w", err)
	}
	return nil
}

func (b *bench) close() {
	if b.content != nil {
		_ = unix.Munmap(b.content)
	}
	if b.file != nil {
		_ = b.file.Close()
	}
	for _, dir := range []string{b.scratch, b.data} {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
}

// run measures every cell once on every server: uploads first, so that there is
// something to download.
func (b *bench) run(ctx context.Context, round int) error {
	running := make([]*measure.Server, len(b.servers))
	defer func() {
		for i, p := range running {
			if p != nil {
				p.Stop()
				_ = os.RemoveAll(filepath.Join(b.data, b.servers[i].name()))
			}
		}
	}()
	for i, s := range b.servers {
		p, err := start(ctx, s, place{
			config: filepath.Join(b.scratch, fmt.Sprint(s.name(), "-", round)),
			data:   filepath.Join(b.data, s.name()),
		})
		if err != nil {
			return fmt.Errorf("starting %s: %w", s.name(), err)
		}
		running[i] = p
	}
	for _, overTLS := range []bool{false, true} {
		for _, upload := range []bool{true, false} {
			for i := range b.servers {
				i = (i + round) % len(b.servers)
				c := cell{tls: overTLS, upload: upload}
				if err := b.one(ctx, i, running[i], c, round == 0); err != nil {
					return fmt.Errorf("%s, %s: %w%s", b.servers[i].name(), c, err, running[i].LastWords())
				}
			}
		}
	}
	return nil
}

// one measures one cell on one server. A download removes the file when it is done.
func (b *bench) one(ctx context.Context, i int, p *measure.Server, c cell, verify bool) error {
	s, err := dial(ctx, p.Address, b.servers[i].login(), c.tls)
	if err != nil {
		return err
	}
	defer s.close()
	if c.upload {
		if err := warm(int(b.size + b.size/8)); err != nil {
			return err
		}
	}
	taken, err := b.timed(s, p, c)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.progress, "%-9s  %-14s  wall %.3f  server %.3f  client %.3f\n",
		b.servers[i].name(), c, taken.wall.Seconds(), taken.server.Seconds(), taken.client.Seconds())
	b.result.add(b.servers[i].name(), c, taken)
	if c.tls {
		b.result.negotiated[b.servers[i].name()] = s.negotiated()
	}
	if c.upload && verify {
		return s.compare(fileName, b.content)
	}
	if !c.upload {
		return s.command(250, "DELE %s", fileName)
	}
	return nil
}

// fileName is the file's name on the servers.
const fileName = "statement.bin"

// settle is how long a server has, after the login and after the transfer, for what
// it does behind an answer: the second time, that is counted as the server's.
const settle = 30 * time.Millisecond

// warm takes memory from the system and gives it back. The host of a virtual machine may
// have taken back what the machine does not use, and hands it out again so slowly that an
// upload into memory would measure little else. Small pages are what tmpfs takes too.
func warm(size int) error {
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("taking %d MiB of memory: %w", size>>20, err)
	}
	_ = unix.Madvise(memory, unix.MADV_NOHUGEPAGE) // fails if the kernel has no others
	if err := unix.Madvise(memory, unix.MADV_POPULATE_WRITE); err != nil {
		return fmt.Errorf("filling %d MiB of memory: %w", size>>20, err)
	}
	return unix.Munmap(memory)
}

// timed transfers the file.
func (b *bench) timed(s *session, p *measure.Server, c cell) (sample, error) {
	time.Sleep(settle)
	serverBefore, err := measure.TreeTime(p.PID())
	if err != nil {
		return sample{}, err
	}
	clientBefore := measure.OwnTime()
	started := time.Now()
	if c.upload {
		err = s.upload(fileName, b.file, b.content)
	} else {
		err = s.download(fileName, b.size)
	}
	if err != nil {
		return sample{}, err
	}
	taken := sample{wall: time.Since(started), client: measure.OwnTime() - clientBefore}
	time.Sleep(settle)
	serverAfter, err := measure.TreeTime(p.PID())
	taken.server = serverAfter - serverBefore
	return taken, err
}

// compare downloads the file and says whether it is the one that was uploaded.
func (s *session) compare(name string, want []byte) error {
	var at int
	different := false
	buffer := make([]byte, 1<<18)
	err := s.transfer("RETR "+name, func(data io.ReadWriter) error {
		for {
			n, err := data.Read(buffer)
			if n > len(want)-at || !bytes.Equal(buffer[:n], want[at:at+n]) {
				different = true
				return errors.New("what comes back is not what went out")
			}
			at += n
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
	if err == nil && (different || at != len(want)) {
		return fmt.Errorf("%d of %d bytes came back", at, len(want))
	}
	return err
}
