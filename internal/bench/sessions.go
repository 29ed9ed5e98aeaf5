package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

func sessionCases() []benchCase {
	return []benchCase{
		{name: "logins", prepare: prepareLogins, targets: []target{timesAsFast(8, "sshd"), atMost(1./8, cpuPerLogin, "sshd")}},
		// Once: a server that has held sessions before has memory left of them, which the next measurement would count as its own.
		{name: "idle-memory", prepare: prepareIdle, targets: []target{atMost(.1, perSession, "sshd"), {perSession, "", 64}}, once: true},
	}
}

const (
	cpuPerLogin figure = "server CPU ms per login"
	perSecond   figure = "logins/s"
	clientCPU   figure = "client CPU ms per login"
	perSession  figure = "KiB per session"
)

// parallel calls fn n times, some at a time, and returns the first error.
func parallel(ctx context.Context, n, atATime int, fn func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range atATime {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// loginsAtATime is how many clients log in at once.
const loginsAtATime = 32

func prepareLogins(ctx context.Context, b *bench) (prepared, error) {
	n := b.scaled(2000, 64)
	key, err := makeVisitorKey(b.data)
	if err != nil {
		return prepared{}, err
	}
	_, servers, err := b.sftpServersFor(ctx, key)
	if err != nil {
		return prepared{}, err
	}
	p := prepared{what: fmt.Sprintf("%d logins with an RSA-2048 key, %d at a time, each with a session and a stat; %s, AES-128-GCM and an Ed25519 host key on all sides; "+
		"the client runs on this machine, too, and its key has eight primes, with which it signs faster and the servers verify as ever", n, loginsAtATime, visitorKex)}
	for _, s := range servers {
		p.sides = append(p.sides, side{s.name, func(ctx context.Context, _ int) (sample, error) {
			before := measure.OwnTime()
			got, err := onServer(s.Server, func() error {
				return parallel(ctx, n, loginsAtATime, func(int) error { return s.visit() })
			})
			if err == nil {
				got[cpuPerLogin], got[perSecond] = got[cpu]*1000/float64(n), float64(n)/got[wall]
				got[clientCPU] = (measure.OwnTime() - before).Seconds() * 1000 / float64(n)
			}
			return got, err
		}})
	}
	return p, nil
}

// sshdSessions is how many sessions sshd is given at most: they take gigabytes.
const sshdSessions = 500

func prepareIdle(ctx context.Context, b *bench) (prepared, error) {
	n := b.scaled(2000, 50)
	key, err := makeVisitorKey(b.data)
	if err != nil {
		return prepared{}, err
	}
	_, servers, err := b.sftpServersFor(ctx, key)
	if err != nil {
		return prepared{}, err
	}
	p := prepared{what: fmt.Sprintf("what the server holds more with %d sessions (sshd: %d) than before, by session, %.0f s after the last has logged in", n, min(n, sshdSessions), idleFor.Seconds())}
	for _, s := range servers {
		n := n
		if s.name == "sshd" {
			n = min(n, sshdSessions)
		}
		p.sides = append(p.sides, side{s.name, func(ctx context.Context, _ int) (sample, error) { return s.idle(ctx, n) }})
	}
	return p, nil
}

const (
	// calm is how long a server has after its start for what begins with it.
	calm = 3 * time.Second
	// idleFor is how long sessions have been idle when their memory is looked at. Nobody
	// logs in meanwhile.
	idleFor = 15 * time.Second
)

// idle opens sessions and says what each costs.
func (s *sftpServer) idle(ctx context.Context, n int) (sample, error) {
	before, err := measure.Memory(s.PID())
	if err != nil {
		return nil, err
	}
	conns := make([]*ssh.Client, n)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	if err := parallel(ctx, n, 16, func(i int) error {
		var err error
		if conns[i], err = s.enter(s.key.signer); err != nil {
			return err
		}
		_, err = openSFTP(conns[i])
		return err
	}); err != nil {
		return nil, err
	}
	select {
	case <-time.After(idleFor):
	case <-ctx.Done():
		return nil, errors.New("interrupted")
	}
	after, err := measure.Memory(s.PID())
	return sample{memory: float64(after) / (1 << 20), perSession: float64(after-before) / 1024 / float64(n)}, err
}
