package torture

import (
	"crypto/ed25519"
	wire "encoding/binary" // binary is the program under test
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

func stranger(l *lane) ssh.Signer {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = l.source.Read(seed)
	signer, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		panic(err) // of a key that was just made
	}
	return signer
}

// big is how large the hostile client's own file is, in bytes.
const big = 4 << 20

// enter logs in and opens sessions, as many as a connection may have.
func (l *lane) enter(sessions int) (*ssh.Client, []*rawSFTP, error) {
	c, err := l.login(ssh.Config{})
	if err != nil {
		return nil, nil, err
	}
	var list []*rawSFTP
	for range sessions {
		s, err := session(c)
		if err != nil {
			_ = c.Close()
			return nil, nil, err
		}
		list = append(list, s)
	}
	return c, list, nil
}

// upload makes the lane's own big file, and opens it.
func (l *lane) upload(s *rawSFTP) (handle string, err error) {
	name := fmt.Sprintf("big-%d", l.i)
	const write, create, truncate = 2, 8, 16
	handle, err = s.do(s.open(name, write|create|truncate))
	if err != nil {
		return "", err
	}
	block := string(make([]byte, 32<<10))
	for at := uint64(0); at < big; at += uint64(len(block)) {
		p := s.request(6, handle)
		p = wire.BigEndian.AppendUint64(p, at)
		p = append(wire.BigEndian.AppendUint32(p, uint32(len(block))), block...)
		wire.BigEndian.PutUint32(p, uint32(len(p)-4))
		if _, err := s.do(p); err != nil {
			return "", err
		}
	}
	if _, err := s.do(s.request(4, handle)); err != nil {
		return "", err
	}
	return s.do(s.open(name, 1))
}

// deafReads asks for a file a hundred thousand times over, in all the sessions that
// a connection may have, and never reads an answer.
func deafReads(l *lane) error {
	c, sessions, err := l.enter(4)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := l.upload(sessions[0]); err != nil {
		return err
	}
	for _, s := range sessions {
		handle, err := s.do(s.open(fmt.Sprintf("big-%d", l.i), 1))
		if err != nil {
			return err
		}
		go func() {
			for range 100_000 {
				if _, err := s.Write(s.read(handle, 0, 255<<10)); err != nil {
					return
				}
				l.count(1)
			}
		}()
	}
	l.under()
	_ = c.Wait()
	return io.EOF
}

// greedyReads fetches with many requests at a time.
func greedyReads(l *lane) error {
	c, sessions, err := l.enter(1)
	if err != nil {
		return err
	}
	defer c.Close()
	s := sessions[0]
	handle, err := l.upload(s)
	if err != nil {
		return err
	}
	l.under()
	go func() {
		for range 100_000 {
			if _, err := s.Write(s.read(handle, uint64(l.dice.IntN(big)), 255<<10)); err != nil {
				return
			}
			l.count(1)
		}
	}()
	swallow(s)
	return io.EOF
}

// deafListings lists a wide folder in all sessions, and never reads an answer.
func deafListings(l *lane) error {
	c, sessions, err := l.enter(4)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, s := range sessions {
		handle, err := s.do(s.request(11, l.Target.Wide)) // OPENDIR
		if err != nil {
			return err
		}
		go func() {
			for range 100_000 {
				if _, err := s.Write(s.request(12, handle)); err != nil { // READDIR
					return
				}
				l.count(1)
			}
		}()
	}
	l.under()
	_ = c.Wait()
	return io.EOF
}

// hoardHandles opens what there is to open, and closes nothing.
func hoardHandles(l *lane) error {
	c, sessions, err := l.enter(4)
	if err != nil {
		return err
	}
	defer c.Close()
	l.under()
	const readWriteCreate = 1 | 2 | 8
	for n := 0; l.ctx.Err() == nil; n++ {
		s := sessions[n%len(sessions)]
		request := s.request(11, "/")
		if n%2 == 0 {
			request = s.open(fmt.Sprintf("new-%d-%d", l.i, n), readWriteCreate)
		}
		_, err := s.do(request)
		l.count(1)
		if refusal := (*sftpError)(nil); errors.As(err, &refusal) {
			if !strings.Contains(refusal.text, "too many files are open") {
				return err
			}
			l.refused.Add(1)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// rename moves a folder with many others in it to and fro, deeper and back.
func rename(l *lane) error {
	c, sessions, err := l.enter(1)
	if err != nil {
		return err
	}
	defer c.Close()
	s := sessions[0]
	deep := ""
	for i := range 13 {
		deep += fmt.Sprintf("/d%d-%d", l.i, i)
		_, _ = s.do(s.request(14, deep)) // MKDIR; it may be there
	}
	l.under()
	for l.ctx.Err() == nil {
		// Whichever lane has the folder, all others are told that it is not there.
		_, there := s.do(s.request(18, l.Target.Wide, deep+"/wide"))
		_, back := s.do(s.request(18, deep+"/wide", l.Target.Wide))
		l.count(2)
		for _, err := range []error{there, back} {
			if refusal := (*sftpError)(nil); err != nil && !errors.As(err, &refusal) {
				return err
			}
		}
	}
	return nil
}

// makeFolders makes and removes folders without waiting for an answer.
func makeFolders(l *lane) error {
	c, sessions, err := l.enter(1)
	if err != nil {
		return err
	}
	defer c.Close()
	s := sessions[0]
	go func() {
		for n := 0; ; n++ {
			name := fmt.Sprintf("/m%d-%d-%d", l.i, time.Now().Unix(), n)
			if _, err := s.Write(append(s.request(14, name), s.request(15, name)...)); err != nil {
				return
			}
			l.count(2)
		}
	}()
	l.under()
	swallow(s)
	return io.EOF
}

// garbledSession sends garbage for requests, and endless ones.
func garbledSession(l *lane) error {
	c, err := l.login(ssh.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1000 {
		s, err := session(c)
		if err != nil {
			return err
		}
		switch l.dice.IntN(3) {
		case 0: // a length that there is none of
			_, _ = s.Write([]byte{0xff, 0xff, 0xff, 0xf0, 5})
		case 1: // requests that make no sense
			for range 8 {
				junk := make([]byte, 8+l.dice.IntN(4000))
				_, _ = l.source.Read(junk)
				p := append(wire.BigEndian.AppendUint32(nil, uint32(len(junk))), junk...)
				if _, err := s.Write(p); err != nil {
					break
				}
			}
		}
		_ = l.pour(s, 256<<10)
		_ = s.Close()
		if l.ctx.Err() != nil {
			break
		}
	}
	return nil
}
