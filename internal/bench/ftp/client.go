package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long any one command or transfer may take.
const patience = 2 * time.Minute

// session is a logged-in control connection of the client.
type session struct {
	host    string
	raw     net.Conn
	control *textproto.Conn
	tls     *tls.Config // nil: plain
	state   tls.ConnectionState
}

// dial logs in, over explicit TLS (RFC 4217) if asked, and sets the type to binary.
func dial(ctx context.Context, address string, as login, overTLS bool) (*session, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	s := &session{host: host, raw: raw, control: textproto.NewConn(raw)}
	if err := s.login(as, overTLS); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) login(as login, overTLS bool) error {
	if err := s.expect(220); err != nil {
		return err
	}
	if overTLS {
		if err := s.secure(); err != nil {
			return err
		}
	}
	// A server that takes anyone answers 230 at once.
	code, _, err := s.ask("USER %s", as.user)
	if err == nil && code != 230 {
		err = s.command(230, "PASS %s", password)
	}
	if err != nil {
		return err
	}
	if overTLS {
		if err := s.command(200, "PBSZ 0"); err != nil {
			return err
		}
		if err := s.command(200, "PROT P"); err != nil {
			return err
		}
	}
	if as.folder != "" {
		if err := s.command(250, "CWD %s", as.folder); err != nil {
			return err
		}
	}
	return s.command(200, "TYPE I")
}

// secure turns the control connection into one over TLS.
func (s *session) secure() error {
	if err := s.command(234, "AUTH TLS"); err != nil {
		return err
	}
	s.tls = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         "localhost",
		InsecureSkipVerify: true, // self-signed, on loopback
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
		// Records of full size from the first on, as the peers' own clients send them.
		DynamicRecordSizingDisabled: true,
	}
	conn := tls.Client(s.raw, s.tls)
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	s.state = conn.ConnectionState()
	s.control = textproto.NewConn(conn)
	return nil
}

// negotiated names the TLS version and cipher.
func (s *session) negotiated() string {
	return tls.VersionName(s.state.Version) + ", " + tls.CipherSuiteName(s.state.CipherSuite)
}

func (s *session) close() {
	_ = s.raw.SetDeadline(time.Now().Add(time.Second))
	if _, _, err := s.ask("QUIT"); err == nil {
		_, _ = s.control.R.ReadByte() // the server hangs up first
	}
	_ = s.raw.Close()
}

// ask sends a command and returns the reply.
func (s *session) ask(format string, args ...any) (code int, text string, err error) {
	if err := s.control.PrintfLine(format, args...); err != nil {
		return 0, "", err
	}
	return s.control.ReadResponse(0)
}

// command sends a command to which only one reply will do.
func (s *session) command(code int, format string, args ...any) error {
	if err := s.raw.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := s.control.PrintfLine(format, args...); err != nil {
		return err
	}
	return s.expect(code)
}

func (s *session) expect(code int) error {
	if _, _, err := s.control.ReadResponse(code); err != nil {
		return fmt.Errorf("the server says %w, not %d", err, code)
	}
	return nil
}

var extendedPassive = regexp.MustCompile(`\(\|\|\|(\d+)\|\)`)

// transfer opens a data connection, sends the command, has the data moved, and waits
// for the 226.
func (s *session) transfer(command string, move func(io.ReadWriter) error) error {
	if err := s.raw.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, text, err := s.ask("EPSV")
	if err != nil {
		return err
	}
	port := extendedPassive.FindStringSubmatch(text)
	if port == nil {
		return fmt.Errorf("EPSV: the server says %q", text)
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(s.host, port[1]), patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := s.command(1, "%s", command); err != nil {
		return err
	}
	if s.tls == nil {
		err = move(conn)
	} else {
		err = overTLS(conn.(*net.TCPConn), s.tls, move)
	}
	if err == nil {
		err = conn.Close()
	}
	if err == nil {
		err = s.expect(2)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

// overTLS has the data moved over TLS and ends the connection as it should be: with a
// close_notify, and with nothing left unread, since to close a connection on the
// server's session tickets would reset it, and cost the server the end of an upload.
func overTLS(conn *net.TCPConn, config *tls.Config, move func(io.ReadWriter) error) error {
	over := tls.Client(conn, config)
	if err := over.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake of the data connection: %w", err)
	}
	if err := move(over); err != nil {
		return err
	}
	if err := over.CloseWrite(); err != nil {
		return err
	}
	// The server may have gone already, after a download.
	_ = conn.CloseWrite()
	_, _ = io.Copy(io.Discard, conn)
	return nil
}

// upload stores the file: by sendfile in plain, record by record over TLS.
func (s *session) upload(name string, file *os.File, content []byte) error {
	return s.transfer("STOR "+name, func(data io.ReadWriter) error {
		if plain, ok := data.(*net.TCPConn); ok {
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				return err
			}
			n, err := plain.ReadFrom(file)
			if err == nil && n != int64(len(content)) {
				err = io.ErrShortWrite
			}
			return err
		}
		_, err := data.Write(content)
		return err
	})
}

// download fetches the file and throws it away.
func (s *session) download(name string, size int64) error {
	return s.transfer("RETR "+name, func(data io.ReadWriter) error {
		var n int64
		var err error
		if plain, ok := data.(*net.TCPConn); ok {
			n, err = discard(plain)
		} else {
			n, err = io.CopyBuffer(sink{}, data, make([]byte, 1<<16))
		}
		if err == nil && n != size {
			err = fmt.Errorf("%d of %d bytes came", n, size)
		}
		return err
	})
}

// sink throws away what is written to it. Unlike [io.Discard] it has no ReadFrom, and
// so leaves the size of the buffer to the caller.
type sink struct{}

func (sink) Write(p []byte) (int, error) { return len(p), nil }

// wake is how many bytes make the client wake up in a plain download. Woken for every
// segment, it would cost the server, whose send does the waking, as much as the data.
const wake = 512 << 10

// discard reads to the end and has the kernel drop the bytes instead of copying them
// (MSG_TRUNC, tcp(7)).
func discard(conn *net.TCPConn) (int64, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, wake)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	var total int64
	buffer := make([]byte, 8<<20) // only its length matters
	for {
		var n int
		err := raw.Read(func(fd uintptr) bool {
			n, _, failed = unix.Recvfrom(int(fd), buffer, unix.MSG_TRUNC)
			return failed != unix.EAGAIN && failed != unix.EINTR
		})
		if err = errors.Join(err, failed); err != nil || n == 0 {
			return total, err
		}
		total += int64(n)
	}
}
