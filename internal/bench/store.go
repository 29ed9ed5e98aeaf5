package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/sftp"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

func storeCases() []benchCase {
	return []benchCase{
		{name: "publish-slow-disk", prepare: preparePublish, targets: []target{timesAsFast(1, "loop")}},
		{name: "purge", prepare: preparePurge, targets: []target{atMost(1.5, wall, "find"), {slowdown, "", 2}}, once: true},
	}
}

// syncDelay is how much slower each sync is made, in microseconds.
const syncDelay = 2000

// slowSyncs runs a command on a disk that takes longer to sync: strace has the system calls wait after they are
// done, each in its own thread, and stops for no other call.
func (b *bench) slowSyncs(ctx context.Context, cmd *exec.Cmd) (*exec.Cmd, error) {
	strace, err := b.findProgram("strace")
	if err != nil {
		return nil, err
	}
	slow := exec.CommandContext(ctx, strace, append([]string{
		"-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync",
		"-e", fmt.Sprint("inject=fsync,fdatasync:delay_exit=", syncDelay), cmd.Path,
	}, cmd.Args[1:]...)...)
	slow.Dir, slow.Env = cmd.Dir, cmd.Env
	return slow, nil
}

const publishSize = 64 << 10

func preparePublish(ctx context.Context, b *bench) (prepared, error) {
	n := b.scaled(4000, 64)
	k, err := b.makeKeyring(ctx, "future-default", producers)
	if err != nil {
		return prepared{}, err
	}
	dir := filepath.Join(b.data, "plain")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return prepared{}, err
	}
	_, manifest, err := writeStatements(dir, n, publishSize)
	if err != nil {
		return prepared{}, err
	}
	self, err := wholeProgram()
	if err != nil {
		return prepared{}, err
	}
	timed := func(ctx context.Context, cmd *exec.Cmd) (sample, error) {
		slow, err := b.slowSyncs(ctx, cmd)
		if err != nil {
			return nil, err
		}
		got, err := onCommand(slow)
		return sample{wall: got[wall]}, err // the rest is strace's as well
	}
	return prepared{
		what: fmt.Sprintf("publishing %d reports of 64 KiB for %d clients, each sync 2 ms slower; loop: %d at a time, each with write, fsync, rename, fsync of the folder", n, producers, producers),
		sides: []side{
			{own, func(ctx context.Context, _ int) (sample, error) {
				g, err := b.freshGateway(ctx, k)
				if err != nil {
					return nil, err
				}
				defer os.RemoveAll(g.dir)
				return timed(ctx, g.command(ctx, "deliver", "--manifest", manifest, "--journal", filepath.Join(g.dir, "journal")))
			}},
			{"loop", func(ctx context.Context, round int) (sample, error) {
				to := filepath.Join(b.data, fmt.Sprint("loop", round))
				if err := os.Mkdir(to, 0o755); err != nil {
					return nil, err
				}
				defer os.RemoveAll(to)
				return timed(ctx, exec.CommandContext(ctx, self, loopCommand, to, strconv.Itoa(n)))
			}},
		},
	}, nil
}

// loopCommand has this program be the careful programmer's loop: FOLDER NUMBER.
const loopCommand = "loop"

func loop(args []string) error {
	if len(args) != 2 {
		return errors.New("loop takes a folder and a number")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	content := statementText(publishSize, 1)
	return parallel(context.Background(), n, producers, func(i int) error {
		return writeDurably(args[0], fmt.Sprintf("statement-%05d", i), content)
	})
}

// filesCommand has this program do the least that a durable file for each report takes: FOLDER NUMBER SIZE.
const filesCommand = "files"

// filesAlone creates, writes and syncs files, and syncs their folder once for all of them. What a gateway that
// keeps each report in a file takes beyond that is its own.
func filesAlone(args []string) error {
	if len(args) != 3 {
		return errors.New("files takes a folder, a number and a size")
	}
	n, err := strconv.Atoi(args[1])
	size, sizeErr := strconv.Atoi(args[2])
	if err := errors.Join(err, sizeErr); err != nil {
		return err
	}
	content := statementText(size, 1)
	err = parallel(context.Background(), n, producers, func(i int) error {
		f, err := os.Create(filepath.Join(args[0], fmt.Sprintf("statement-%05d", i)))
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		return errors.Join(err, f.Sync(), f.Close())
	})
	folder, openErr := os.Open(args[0])
	if err := errors.Join(err, openErr); err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func writeDurably(dir, name string, content []byte) error {
	temporary := filepath.Join(dir, name+".tmp")
	f, err := os.Create(temporary)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

const (
	slowdown  figure = "others' p99, times that of before"
	p99Before figure = "others' p99 ms before"
	p99During figure = "others' p99 ms meanwhile"
)

// dueBlob is the size of a blob that is purged, in bytes: what it takes to delete one does not depend on it.
const dueBlob = 512

func preparePurge(_ context.Context, b *bench) (prepared, error) {
	n := b.scaled(1_000_000, 2000)
	return prepared{
		what: fmt.Sprintf("purging %d reports that are due, while other clients log in and read; find -delete: as many files, a file for each report", n),
		sides: []side{
			{own, func(ctx context.Context, _ int) (sample, error) { return b.purge(ctx, n) }},
			{"find", func(ctx context.Context, round int) (sample, error) {
				dir := filepath.Join(b.data, fmt.Sprint("found", round))
				if err := makeFiles(dir, n); err != nil {
					return nil, err
				}
				syscall.Sync() // as before the other side
				return onCommand(exec.CommandContext(ctx, "find", dir, "-type", "f", "-delete"))
			}},
		},
	}, nil
}

// makeFiles makes n files in 256 folders.
func makeFiles(dir string, n int) error {
	for i := range n {
		folder := filepath.Join(dir, fmt.Sprintf("%02x", i%256))
		if i < 256 {
			if err := os.MkdirAll(folder, 0o700); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(folder, reportName(i)), make([]byte, dueBlob), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// grace is how long a purged report's blob is kept here.
const grace = time.Second

// purge fills a gateway with what is due and purges it: the rows, and after the grace the blobs.
func (b *bench) purge(ctx context.Context, n int) (sample, error) {
	g, err := b.newGateway(ctx, "SEALDROP_RETENTION_GRACE="+grace.String())
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(g.dir)
	clients, err := g.makeClients(ctx, 100)
	if err != nil {
		return nil, err
	}
	if err := g.fill(ctx, filling{clients: clients.ids, reports: n, size: dueBlob, expired: true}); err != nil {
		return nil, err
	}
	err = makePacks(filepath.Join(g.dir, "data", "blobs"), n, func(path string, _ int) error {
		return os.WriteFile(path, make([]byte, packed*pageSize*pagesOf(dueBlob)), 0o600)
	})
	if err != nil {
		return nil, err
	}
	server, err := g.serve(ctx) // its own sweep refuses to purge all that there is
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	syscall.Sync() // or what was filled in is written meanwhile, and slows those who come before the purge
	before := startProbe(server, clients)
	time.Sleep(10 * time.Second)
	quiet, err := before.stop()
	if err != nil {
		return nil, err
	}
	during := startProbe(server, clients)
	total := sample{}
	for range 2 { // the second takes the blobs
		got, err := onCommand(g.command(ctx, "retention", "run", "--confirm"))
		if err != nil {
			return nil, err
		}
		total[wall] += got[wall]
		total[cpu] += got[cpu]
		total[memory] = max(total[memory], got[memory])
		time.Sleep(grace + 100*time.Millisecond)
	}
	busy, err := during.stop()
	if err != nil {
		return nil, err
	}
	total[p99Before], total[p99During] = milliseconds(quantile(quiet, .99)), milliseconds(quantile(busy, .99))
	total[slowdown] = total[p99During] / total[p99Before]
	return total, nil
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// quantile returns the value below which a share of the values is.
func quantile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	return values[min(len(values)-1, int(share*float64(len(values))))]
}

// probe is other clients: one logs in every 50 ms and asks for a name.
type probe struct {
	ending chan struct{}
	group  sync.WaitGroup
	mu     sync.Mutex
	took   []time.Duration
	err    error
}

const probeEvery = 50 * time.Millisecond

func startProbe(server *measure.Server, clients register) *probe {
	p := &probe{ending: make(chan struct{})}
	p.group.Go(func() {
		tick := time.NewTicker(probeEvery)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-p.ending:
				return
			case <-tick.C:
			}
			p.group.Go(func() { p.one(server, clients, i%len(clients.ids)) })
		}
	})
	return p
}

func (p *probe) one(server *measure.Server, clients register, i int) {
	s := &sftpServer{Server: server}
	started := time.Now()
	conn, err := s.dial(clients.ids[i], clients.keys[i])
	if err == nil {
		var client *sftp.Client
		if client, err = sftp.NewClient(conn); err == nil {
			_, err = client.Stat("/")
			_ = client.Close()
		}
		_ = conn.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took, p.err = append(p.took, time.Since(started)), errors.Join(p.err, err)
}

func (p *probe) stop() ([]time.Duration, error) {
	close(p.ending)
	p.group.Wait()
	return p.took, p.err
}
