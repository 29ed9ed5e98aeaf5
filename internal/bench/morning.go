package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

func morningCases() []benchCase {
	return []benchCase{
		{name: "cold-start", prepare: prepareColdStart, targets: []target{{firstLogin, "", 1}, {memory, "", 200}}, once: true},
		{name: "morning", prepare: prepareMorning, once: true},
	}
}

const (
	firstLogin figure = "s until the first login"
	loginP99   figure = "login p99 ms"
	loginP50   figure = "login p50 ms"
	byteP99    figure = "first byte p99 ms"
	knee       figure = "knee, logins/s"
)

func prepareColdStart(ctx context.Context, b *bench) (prepared, error) {
	clients, files := b.scaled(20_000, 100), b.scaled(5_000_000, 10_000)
	g, err := b.newGateway(ctx)
	if err != nil {
		return prepared{}, err
	}
	all, err := g.makeClients(ctx, clients)
	if err != nil {
		return prepared{}, err
	}
	if err := g.fill(ctx, filling{clients: all.ids, reports: files}); err != nil {
		return prepared{}, err
	}
	return prepared{
		what: fmt.Sprintf("start with %d clients, %d keys and %d reports, with the files in the cache", clients, 3*clients, files),
		sides: []side{{own, func(ctx context.Context, round int) (sample, error) {
			started := time.Now()
			server, err := g.serve(ctx)
			if err != nil {
				return nil, err
			}
			defer server.Stop()
			s := &sftpServer{Server: server}
			if _, _, err := s.morningVisit(all, round%clients, 0); err != nil {
				return nil, err
			}
			took := time.Since(started)
			time.Sleep(calm) // what begins with the start goes on for a while
			held, err := measure.Memory(server.PID())
			return sample{firstLogin: took.Seconds(), memory: float64(held) / (1 << 20)}, err
		}}},
	}, nil
}

// morningReports is how many reports each client fetches.
const morningReports = 3

// morningSpan is the time within which all clients come.
const morningSpan = 10 * time.Minute

func prepareMorning(ctx context.Context, b *bench) (prepared, error) {
	clients := b.scaled(20_000, 200)
	g, err := b.newGateway(ctx)
	if err != nil {
		return prepared{}, err
	}
	all, err := g.makeClients(ctx, clients)
	if err == nil {
		err = g.fill(ctx, filling{clients: all.ids, reports: morningReports * clients})
	}
	if err == nil {
		err = g.link(morningReports * clients)
	}
	if err != nil {
		return prepared{}, err
	}
	server, err := g.serve(ctx)
	if err != nil {
		return prepared{}, err
	}
	b.later(server.Stop)
	s := &sftpServer{Server: server}
	rate := 20_000 / morningSpan.Seconds() // the size factor shortens it, and thins nothing out
	return prepared{
		what: fmt.Sprintf("%d clients with Ed25519 keys come at random, %.0f a second, for half a minute of the ten, and each fetches %d reports of 20 KiB; "+
			"the knee is the last rate at which the p99 of a login is below a second, client and server on this machine", clients, rate, morningReports),
		sides: []side{{own, func(ctx context.Context, round int) (sample, error) {
			return s.morning(ctx, all, rate, time.Duration(float64(30*time.Second)*max(b.scale, .2)), uint64(round))
		}}},
	}, nil
}

// morning has clients come at the rate of the morning, and then ever more, until the gateway
// does not keep up.
func (s *sftpServer) morning(ctx context.Context, all register, rate float64, span time.Duration, seed uint64) (sample, error) {
	var logins, bytes []time.Duration
	got, err := onServer(s.Server, func() (err error) {
		logins, bytes, err = s.arrivals(ctx, all, rate, span, seed)
		return err
	})
	if err != nil {
		return nil, err
	}
	got[loginP50], got[loginP99] = milliseconds(quantile(logins, .5)), milliseconds(quantile(logins, .99))
	got[byteP99] = milliseconds(quantile(bytes, .99))
	got[cpuPerLogin] = got[cpu] * 1000 / float64(len(logins))
	got[knee] = rate
	for next := rate * 1.5; ; next *= 1.25 {
		logins, _, err := s.arrivals(ctx, all, next, span/3, seed)
		if err != nil || quantile(logins, .99) > time.Second {
			return got, ctx.Err() // what breaks at the knee is what was looked for
		}
		got[knee] = next
	}
}

// arrivals has clients come at random at a rate, each by itself and whether or not the
// others are done.
func (s *sftpServer) arrivals(ctx context.Context, all register, rate float64, span time.Duration, seed uint64) (logins, bytes []time.Duration, err error) {
	r := rand.New(rand.NewPCG(seed, uint64(rate)))
	var mu sync.Mutex
	var group sync.WaitGroup
	started := time.Now()
	for at := time.Duration(0); at < span; at += time.Duration(r.ExpFloat64() / rate * float64(time.Second)) {
		select {
		case <-ctx.Done():
			group.Wait()
			return nil, nil, ctx.Err()
		case <-time.After(at - time.Since(started)):
		}
		i := r.IntN(len(all.ids))
		group.Go(func() {
			login, first, failed := s.morningVisit(all, i, morningReports)
			mu.Lock()
			defer mu.Unlock()
			if failed != nil {
				err = errors.Join(err, failed)
				return
			}
			logins, bytes = append(logins, login), append(bytes, first)
		})
	}
	group.Wait()
	return logins, bytes, err
}

// morningVisit logs in, fetches the client's first reports, and leaves. It returns how long it
// took until it was logged in, with a session, and until the first byte of a report.
func (s *sftpServer) morningVisit(all register, i, reports int) (login, first time.Duration, err error) {
	started := time.Now()
	conn, err := s.dial(all.ids[i], all.keys[i])
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	client, err := sftp.NewClient(conn)
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	if _, err := client.Stat("/"); err != nil {
		return 0, 0, err
	}
	login = time.Since(started)
	buffer := make([]byte, smallFile)
	for n := range reports {
		f, err := client.Open("/" + reportName(i+n*len(all.ids)))
		if err != nil {
			return 0, 0, err
		}
		_, err = f.ReadAt(buffer[:1], 0)
		if n == 0 {
			first = time.Since(started)
		}
		if err == nil {
			_, err = f.ReadAt(buffer, 0)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return 0, 0, err
		}
	}
	return login, first, nil
}
