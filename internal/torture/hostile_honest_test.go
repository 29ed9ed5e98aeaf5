package torture

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

const (
	// patience is how long an honest client waits for anything.
	patience = 2 * time.Minute
	// pause is how long it does nothing between two rounds: it is not what loads
	// the gateway.
	pause = 20 * time.Millisecond
)

// statement is what honest clients fetch and upload, of 64 KiB.
var statement = bytes.Repeat([]byte("0123456789abcdef"), 4<<10)

// honest is a client that logs in, lists, fetches and uploads.
type honest struct {
	protocol string
	at       string // the gateway
	from     string // its own address
	user     string
	signer   ssh.Signer
	password string
}

// dialFrom connects from one of the machine's addresses.
func dialFrom(ctx context.Context, from, to string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	return d.DialContext(ctx, "tcp", to)
}

// round is one visit to the gateway; the first of all must be a prepare.
func (h *honest) round(ctx context.Context) error { return h.visit(ctx, true) }

// prepare uploads what the rounds fetch.
func (h *honest) prepare(ctx context.Context) error { return h.visit(ctx, false) }

func (h *honest) visit(ctx context.Context, fetch bool) error {
	conn, err := dialFrom(ctx, h.from, h.at)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if h.protocol == "sftp" {
		err = h.overSFTP(conn, fetch)
	} else {
		err = h.overFTPS(ctx, conn, fetch)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h.protocol, err)
	}
	return nil
}

func (h *honest) overSFTP(conn net.Conn, fetch bool) error {
	sc, channels, requests, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{
		User: h.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(h.signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return fmt.Errorf("logging in: %w", err)
	}
	c, err := sftp.NewClient(ssh.NewClient(sc, channels, requests))
	if err != nil {
		return fmt.Errorf("beginning a session: %w", err)
	}
	defer c.Close()
	name := "a.bin"
	if fetch {
		list, err := c.ReadDir("/")
		if err != nil || len(list) == 0 {
			return fmt.Errorf("listing: %d entries, %v", len(list), err)
		}
		f, err := c.Open("a.bin")
		if err != nil {
			return fmt.Errorf("opening: %w", err)
		}
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, statement) {
			return fmt.Errorf("fetching: %d bytes, %v", len(got), err)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("closing: %w", err)
		}
		name = "b.bin"
	}
	f, err := c.Create(name)
	if err != nil {
		return fmt.Errorf("creating: %w", err)
	}
	if _, err := f.Write(statement); err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	return nil
}

func (h *honest) overFTPS(ctx context.Context, raw net.Conn, fetch bool) error {
	c, err := loginFTPS(raw, h.from, h.user, h.password)
	if err != nil {
		return err
	}
	name := "a.bin"
	if fetch {
		if list, err := c.fetch(ctx, "MLSD"); err != nil || len(list) == 0 {
			return fmt.Errorf("listing: %d bytes, %v", len(list), err)
		}
		if got, err := c.fetch(ctx, "RETR a.bin"); err != nil || !bytes.Equal(got, statement) {
			return fmt.Errorf("fetching: %d bytes, %v", len(got), err)
		}
		name = "b.bin"
	}
	data, err := c.data(ctx, "STOR "+name)
	if err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	defer data.Close()
	if _, err := data.Write(statement); err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	if err := data.Close(); err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	if _, err := c.do("", "226"); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	_, err = c.do("QUIT", "221")
	return err
}

// secureFTP is an FTP client over TLS from the first byte.
type secureFTP struct {
	*ftpClient
	from string
	tls  *tls.Config
}

// loginFTPS logs in over a connection of its own.
func loginFTPS(raw net.Conn, from, user, password string) (*secureFTP, error) {
	cfg := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4), ServerName: "gateway"}
	conn := tls.Client(raw, cfg)
	c := &secureFTP{ftpClient: &ftpClient{conn, bufio.NewReader(conn)}, from: from, tls: cfg}
	for _, step := range []struct{ send, want string }{
		{"", "220"}, {"USER " + user, "331"}, {"PASS " + password, "230"}, {"TYPE I", "200"},
	} {
		if _, err := c.do(step.send, step.want); err != nil {
			return nil, fmt.Errorf("logging in: %w", err)
		}
	}
	return c, nil
}

// port asks for a passive port, and returns its address.
func (c *secureFTP) port() (string, error) {
	line, err := c.do("EPSV", "229")
	if err != nil {
		return "", err
	}
	_, after, _ := strings.Cut(line, "(|||")
	port, _, _ := strings.Cut(after, "|)")
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	return net.JoinHostPort(host, port), err
}

// data begins a transfer.
func (c *secureFTP) data(ctx context.Context, command string) (net.Conn, error) {
	to, err := c.port()
	if err != nil {
		return nil, err
	}
	raw, err := dialFrom(ctx, c.from, to)
	if err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		_ = raw.Close()
		return nil, err
	}
	conn := tls.Client(raw, c.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	if _, err := c.do("", "150"); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

// fetch returns what a command sends.
func (c *secureFTP) fetch(ctx context.Context, command string) ([]byte, error) {
	data, err := c.data(ctx, command)
	if err != nil {
		return nil, err
	}
	defer data.Close()
	got, err := io.ReadAll(data)
	if err != nil {
		return got, err
	}
	_ = data.Close()
	_, err = c.do("", "226")
	return got, err
}
