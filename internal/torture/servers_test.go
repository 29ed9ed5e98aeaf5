package torture

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/ftpd"
	"github.com/sealdrop/sealdrop/server/sftpd"
)

// door is a gate of both protocols that lets everybody into one folder.
type door struct{ open func() *folder.FS }

type visitor struct {
	door
	*folder.FS
}

func (visitor) Client() string             { return "one" }
func (visitor) Close()                     {}
func (visitor) Plain() bool                { return true }
func (visitor) Unreachable(netip.AddrPort) {}
func (visitor) Reached()                   {}
func (visitor) DataRefused(ftpd.DataFault) {}

type sftpVisitor struct{ visitor }

func (v sftpVisitor) Folder() sftpd.Folder { return v.FS }

type ftpVisitor struct{ visitor }

func (v ftpVisitor) Folder() ftpd.Folder { return v.FS }

type sftpDoor struct{ door }

func (d sftpDoor) Offered(context.Context, sftpd.Offer) error { return nil }
func (d sftpDoor) Login(context.Context, sftpd.Attempt, func(string)) (sftpd.Session, error) {
	return sftpVisitor{visitor{d.door, d.open()}}, nil
}
func (sftpDoor) Refused(context.Context, sftpd.Attempt) {}

type ftpDoor struct{ door }

func (ftpDoor) Ask(context.Context, ftpd.Attempt) error { return nil }
func (d ftpDoor) Login(context.Context, ftpd.Attempt, string, func(string)) (ftpd.Session, error) {
	return ftpVisitor{visitor{d.door, d.open()}}, nil
}
func (ftpDoor) Refused(context.Context, ftpd.Attempt) {}
func (ftpDoor) Admits(netip.Addr) bool                { return true }

// newSigner makes a key for either side of SSH.
func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// serveSFTP serves a folder over sFTP, and returns the address.
func serveSFTP(t *testing.T, open func() *folder.FS) string {
	t.Helper()
	speaker, err := sftpd.New(sftpd.Config{
		HostKeys: []ssh.Signer{newSigner(t)}, CheckKey: func(ssh.PublicKey) error { return nil },
		Gate: sftpDoor{door{open}}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, "sftp", func(ctx context.Context, c *server.Conn) { speaker.ServeConn(ctx, c) })
}

// serveFTP serves a folder over FTP in the clear, and returns the address.
func serveFTP(t *testing.T, open func() *folder.FS) string {
	t.Helper()
	cfg := ftpd.Config{Gate: ftpDoor{door{open}}, Log: slog.New(slog.DiscardHandler)}
	for range 16 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Passive = append(cfg.Passive, l)
	}
	speaker, err := ftpd.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(speaker.Close)
	return listen(t, "ftp", func(ctx context.Context, c *server.Conn) { speaker.ServeConn(ctx, c, false) })
}

func listen(t *testing.T, name string, handler func(context.Context, *server.Conn)) string {
	t.Helper()
	limits := server.DefaultLimits()
	limits.Connections, limits.ConnectionsPerAddress, limits.Unauthenticated = 10000, 10000, 10000
	s, err := server.New(server.Config{
		Name: name, Limits: limits, Log: slog.New(slog.DiscardHandler), Admit: func(netip.Addr) bool { return true }, Handler: handler,
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // at once
		_ = s.Shutdown(ctx)
		<-served
	})
	return l.Addr().String()
}

// ftpClient speaks just enough of FTP.
type ftpClient struct {
	net.Conn
	in *bufio.Reader
}

func dialFTP(addr string) (*ftpClient, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	c := &ftpClient{conn, bufio.NewReader(conn)}
	for _, step := range []struct{ send, want string }{{"", "220"}, {"USER one", "331"}, {"PASS x", "230"}, {"TYPE I", "200"}} {
		if _, err = c.do(step.send, step.want); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return c, nil
}

// do sends a command, none if it is "", and returns the reply, which must begin
// with the wanted code.
func (c *ftpClient) do(command, want string) (string, error) {
	if command != "" {
		if _, err := io.WriteString(c, command+"\r\n"); err != nil {
			return "", err
		}
	}
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("after %q: %w", command, err)
		}
		if len(line) < 4 || line[3] != ' ' || line[0] < '1' || line[0] > '5' {
			continue // of a longer reply
		}
		if !strings.HasPrefix(line, want) {
			return "", fmt.Errorf("after %q: %q", command, line)
		}
		return line, nil
	}
}

// retrieve begins to download a file from an offset.
func (c *ftpClient) retrieve(name string, offset int64) (*net.TCPConn, error) {
	line, err := c.do("EPSV", "229")
	if err != nil {
		return nil, err
	}
	_, after, _ := strings.Cut(line, "(|||")
	port, _, _ := strings.Cut(after, "|)")
	if offset > 0 {
		if _, err := c.do(fmt.Sprintf("REST %d", offset), "350"); err != nil {
			return nil, err
		}
	}
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.do("RETR "+name, "150"); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}
