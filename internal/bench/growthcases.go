package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

func growths() []growth {
	return []growth{
		{"login", "a login, of so many clients", "server CPU ms", 200, growLogin},
		{"idle", "an idle session, of so many", "KiB", 50, growIdle},
		{"list", "a name of a listing, in a folder of so many files", "server CPU µs", 1000, growList},
		{"fetch", "fetching a file of 20 KiB out of a folder of so many", "server CPU ms", 1000, growFetch},
		{"deliver", "delivering a statement of 20 KiB, beside so many reports", "CPU ms", 10_000, growDeliver},
		{"purge", "purging a report with its file, of so many that are due", "CPU µs", 1000, growPurge},
		{"start", "a report at the gateway's start, which looks for files of nobody's, of so many", "server CPU µs", 1000, growStart},
		{"status", "sealdrop status, for each of so many reports", "CPU µs", 10_000, growStatus},
		{"file", "a report in the catalog's file, of so many", "bytes", 10_000, growFile},
	}
}

// growing makes a gateway with clients and reports in its catalog, and their blobs if they are
// asked for.
func (b *bench) growing(ctx context.Context, clients, reports int, blobs bool, env ...string) (*gateway, register, error) {
	g, err := b.newGateway(ctx, env...)
	if err != nil {
		return nil, register{}, err
	}
	all, err := g.makeClients(ctx, clients)
	if err == nil && reports > 0 {
		err = g.fill(ctx, filling{clients: all.ids, reports: reports})
	}
	if err == nil && blobs {
		err = g.link(reports)
	}
	return g, all, err
}

// growingServer is the same, with the gateway running.
func (b *bench) growingServer(ctx context.Context, clients, reports int, blobs bool) (*sftpServer, register, error) {
	g, all, err := b.growing(ctx, clients, reports, blobs)
	if err != nil {
		return nil, all, err
	}
	server, err := g.serve(ctx)
	if err != nil {
		return nil, all, err
	}
	b.later(server.Stop)
	return &sftpServer{Server: server}, all, quiet(ctx, server)
}

// quiet waits until a server has nothing to do any more: it uses next to no processor time, and
// none of its threads waits for a processor, be the others ever so busy.
func quiet(ctx context.Context, server *measure.Server) error {
	const look, enough, ticks = 100 * time.Millisecond, 10, 10 * time.Millisecond
	var last time.Duration
	for calm := 0; calm < enough; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		used, err := measure.TreeTime(server.PID())
		if err != nil {
			return err
		}
		if calm++; used-last > ticks || wantsToRun(server.PID()) {
			calm = 0
		}
		last = used
	}
	return nil
}

// wantsToRun reports whether a thread of the process runs, is ready to run, or waits for the disk.
func wantsToRun(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, t := range threads {
		stat, err := os.ReadFile(t)
		// The state is behind the name, which is in brackets and may hold anything.
		if end := bytes.LastIndexByte(stat, ')'); err == nil && end+2 < len(stat) && bytes.IndexByte([]byte("RD"), stat[end+2]) >= 0 {
			return true
		}
	}
	return false
}

// grownOperations is how many are measured where one takes a millisecond or so; of fetches
// ten times as many. The system counts processor time in hundredths of a second.
const grownOperations = 300

func growLogin(ctx context.Context, b *bench, clients int) (float64, error) {
	s, all, err := b.growingServer(ctx, clients, 0, false)
	if err != nil {
		return 0, err
	}
	logins := func(n int) func() error {
		return func() error {
			return parallel(ctx, n, 8, func(i int) error {
				_, _, err := s.morningVisit(all, (i*7919)%clients, 0)
				return err
			})
		}
	}
	if err := logins(grownOperations / 10)(); err != nil { // what is made once
		return 0, err
	}
	got, err := onServer(s.Server, logins(grownOperations))
	return got[cpu] * 1000 / grownOperations, err
}

func growIdle(ctx context.Context, b *bench, sessions int) (float64, error) {
	s, all, err := b.growingServer(ctx, 1, 0, false)
	if err != nil {
		return 0, err
	}
	if _, _, err := s.morningVisit(all, 0, 0); err != nil {
		return 0, err
	}
	before, err := measure.Memory(s.PID())
	if err != nil {
		return 0, err
	}
	conns := make([]*ssh.Client, sessions)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	if err := parallel(ctx, sessions, 16, func(i int) error {
		var err error
		if conns[i], err = s.dial(all.ids[0], all.keys[0]); err != nil {
			return err
		}
		_, err = sftp.NewClient(conns[i])
		return err
	}); err != nil {
		return 0, err
	}
	if err := quiet(ctx, s.Server); err != nil {
		return 0, err
	}
	after, err := measure.Memory(s.PID())
	return max(0, float64(after)-float64(before)) / 1024 / float64(sessions), err
}

// session opens one of a client's.
func (s *sftpServer) session(all register, b *bench) (*sftp.Client, error) {
	conn, err := s.dial(all.ids[0], all.keys[0])
	if err != nil {
		return nil, err
	}
	b.later(func() { _ = conn.Close() })
	return sftp.NewClient(conn)
}

// grownNames is how many names are listed at each size, by listing small folders more often.
const grownNames = 100_000

func growList(ctx context.Context, b *bench, files int) (float64, error) {
	s, all, err := b.growingServer(ctx, 1, files, false)
	if err != nil {
		return 0, err
	}
	client, err := s.session(all, b)
	if err != nil {
		return 0, err
	}
	times := max(1, b.scaled(grownNames, 20)/files)
	got, err := onServer(s.Server, func() error {
		for range times {
			names, err := client.ReadDir("/")
			if err == nil && len(names) != files {
				err = fmt.Errorf("%d names, not %d", len(names), files)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return got[cpu] * 1e6 / float64(times*files), err
}

func growFetch(ctx context.Context, b *bench, files int) (float64, error) {
	s, all, err := b.growingServer(ctx, 1, files, true)
	if err != nil {
		return 0, err
	}
	client, err := s.session(all, b)
	if err != nil {
		return 0, err
	}
	const fetches = 10 * grownOperations
	r := rand.New(rand.NewPCG(1, uint64(files)))
	buffer := make([]byte, smallFile)
	got, err := onServer(s.Server, func() error {
		for range fetches {
			f, err := client.Open("/" + reportName(r.IntN(files)))
			if err != nil {
				return err
			}
			_, err = f.ReadAt(buffer, 0)
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	return got[cpu] * 1000 / fetches, err
}

func growDeliver(ctx context.Context, b *bench, reports int) (float64, error) {
	k, err := b.makeKeyring(ctx, "future-default", producers)
	if err != nil {
		return 0, err
	}
	g, err := b.freshGateway(ctx, k)
	if err != nil {
		return 0, err
	}
	ids := make([]string, producers)
	for i := range ids {
		ids[i] = fmt.Sprintf("client-%d", i)
	}
	if err := g.fill(ctx, filling{clients: ids, reports: reports}); err != nil {
		return 0, err
	}
	dir := filepath.Join(b.data, "plain")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, err
	}
	_, manifest, err := writeStatements(dir, grownOperations, smallFile)
	if err != nil {
		return 0, err
	}
	got, err := onCommand(g.command(ctx, "deliver", "--manifest", manifest, "--journal", filepath.Join(g.dir, "journal")))
	return got[cpu] * 1000 / grownOperations, err
}

func growPurge(ctx context.Context, b *bench, reports int) (float64, error) {
	g, err := b.newGateway(ctx, "SEALDROP_RETENTION_GRACE="+grace.String())
	if err != nil {
		return 0, err
	}
	all, err := g.makeClients(ctx, 100)
	if err == nil {
		err = g.fill(ctx, filling{clients: all.ids, reports: reports, expired: true})
	}
	if err == nil {
		err = g.link(reports)
	}
	if err != nil {
		return 0, err
	}
	var used float64
	for range 2 { // the second takes the blobs
		got, err := onCommand(g.command(ctx, "retention", "run", "--confirm"))
		if err != nil {
			return 0, err
		}
		used += got[cpu]
		time.Sleep(grace + 100*time.Millisecond)
	}
	return used * 1e6 / float64(reports), nil
}

// growStart has the gateway look, as it does at its start and once a day, whether each file
// belongs to a report.
func growStart(ctx context.Context, b *bench, reports int) (float64, error) {
	g, _, err := b.growing(ctx, 100, reports, true, "SEALDROP_RETENTION_GRACE="+grace.String())
	if err != nil {
		return 0, err
	}
	time.Sleep(grace + 100*time.Millisecond) // younger ones might be somebody's delivery under way
	server, err := g.serve(ctx)
	if err != nil {
		return 0, err
	}
	b.later(server.Stop)
	if err := quiet(ctx, server); err != nil {
		return 0, err
	}
	used, err := measure.TreeTime(server.PID())
	return used.Seconds() * 1e6 / float64(reports), err
}

func growStatus(ctx context.Context, b *bench, reports int) (float64, error) {
	g, _, err := b.growing(ctx, 100, reports, false)
	if err != nil {
		return 0, err
	}
	cmd := g.command(ctx, "status", "-o", "json")
	err = cmd.Run() // how it ends says how the gateway is
	if cmd.ProcessState == nil {
		return 0, err
	}
	return processorTime(cmd.ProcessState) * 1e6 / float64(reports), nil
}

func growFile(ctx context.Context, b *bench, reports int) (float64, error) {
	g, _, err := b.growing(ctx, 100, reports, false)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(filepath.Join(g.dir, "data", "catalog.db"))
	if err != nil {
		return 0, err
	}
	return float64(info.Size()) / float64(reports), nil
}
