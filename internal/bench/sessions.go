package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

func sessionCases() []benchCase {
	return []benchCase{
		{name: "logins", prepare: prepareLogins, targets: []target{timesAsFast(8, "sshd"), atMost(1./8, cpuPerLogin, "sshd")}},
		{name: "idle-memory", prepare: prepareIdle, targets: []target{atMost(.1, perSession, "sshd"), {perSession, "", 64}}},
	}
}

const (
	cpuPerLogin figure = "server CPU ms per login"
	perSecond   figure = "logins/s"
	perSession  figure = "KiB per session"
)

// visit logs in, asks for a folder, and leaves.
func (s *sftpServer) visit() error {
	conn, err := s.dial(s.user, s.key.signer)
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := sftp.NewClient(conn)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Stat("/")
	return err
}

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
	_, sealdrop, sshd, err := b.sftpServers(ctx)
	if err != nil {
		return prepared{}, err
	}
	p := prepared{what: fmt.Sprintf("%d logins with an RSA-2048 key, %d at a time, each with a session and a stat; the client is in Go", n, loginsAtATime)}
	for _, s := range []*sftpServer{sealdrop, sshd} {
		p.sides = append(p.sides, side{s.name, func(ctx context.Context, _ int) (sample, error) {
			got, err := onServer(s.Server, func() error {
				return parallel(ctx, n, loginsAtATime, func(int) error { return s.visit() })
			})
			if err == nil {
				got[cpuPerLogin], got[perSecond] = got[cpu]*1000/float64(n), float64(n)/got[wall]
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
	_, sealdrop, sshd, err := b.sftpServers(ctx)
	if err != nil {
		return prepared{}, err
	}
	p := prepared{what: fmt.Sprintf("memory of a session that has logged in and waits, of %d (sshd: %d)", n, min(n, sshdSessions))}
	for _, s := range []*sftpServer{sealdrop, sshd} {
		n := n
		if s == sshd {
			n = min(n, sshdSessions)
		}
		p.sides = append(p.sides, side{s.name, func(ctx context.Context, _ int) (sample, error) { return s.idle(ctx, n) }})
	}
	return p, nil
}

// calm is how long the sessions have been idle when their memory is looked at.
const calm = 3 * time.Second

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
		if conns[i], err = s.dial(s.user, s.key.signer); err != nil {
			return err
		}
		_, err = sftp.NewClient(conns[i])
		return err
	}); err != nil {
		return nil, err
	}
	select {
	case <-time.After(calm):
	case <-ctx.Done():
		return nil, errors.New("interrupted")
	}
	after, err := measure.Memory(s.PID())
	return sample{memory: float64(after) / (1 << 20), perSession: float64(after-before) / 1024 / float64(n)}, err
}
