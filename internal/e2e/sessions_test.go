package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// session is a client's session of either protocol, driven from within the test:
// for what needs many operations, each at its moment. Names have no slash in front.
type session interface {
	put(name string, content []byte) error
	// resume goes on with an upload or a file from an offset, or behind what there
	// is if at is negative.
	resume(name string, rest []byte, at int64) error
	// cut uploads in a session of its own, which breaks off before the end.
	cut(name string, part []byte) error
	get(name string) ([]byte, error)
	list(dir string) ([]node, error)
	size(name string) (int64, error) // of what could be resumed, too
	rename(from, to string) error
	mkdir(name string) error
	rmdir(name string) error
	remove(name string) error
}

// node is a file or folder as a session sees it.
type node struct {
	Name   string
	Folder bool
	Size   int64 // of a file
}

// withSSH gives a client that has a password a key as well.
func (c *client) withSSH() ssh.Signer {
	c.g.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		c.g.t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		c.g.t.Fatal(err)
	}
	c.g.sealdrop("key", "import", "--client", c.id, c.write("key.pub", ssh.MarshalAuthorizedKey(key.PublicKey())))
	return key
}

// sftpSession is a session over SSH.
type sftpSession struct {
	*sftp.Client
	open func() (*ssh.Client, *sftp.Client, error)
}

func (c *client) openSFTP(key ssh.Signer) *sftpSession {
	c.g.t.Helper()
	s := &sftpSession{open: func() (*ssh.Client, *sftp.Client, error) {
		conn, err := ssh.Dial("tcp", net.JoinHostPort("127.0.0.1", c.g.port), &ssh.ClientConfig{
			User: c.id, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: time.Minute,
		})
		if err != nil {
			return nil, nil, err
		}
		c.g.t.Cleanup(func() { _ = conn.Close() })
		client, err := sftp.NewClient(conn)
		return conn, client, err
	}}
	var err error
	if _, s.Client, err = s.open(); err != nil {
		c.g.t.Fatal(err)
	}
	return s
}

// write writes to an open file and closes it.
func write(f *sftp.File, content []byte, at int64) error {
	_, err := f.WriteAt(content, at)
	return errors.Join(err, f.Close())
}

func (s *sftpSession) put(name string, content []byte) error {
	f, err := s.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	return write(f, content, 0)
}

func (s *sftpSession) resume(name string, rest []byte, at int64) error {
	flags := os.O_WRONLY | os.O_CREATE
	if at < 0 {
		flags, at = flags|os.O_APPEND, 0
	}
	f, err := s.OpenFile(name, flags)
	if err != nil {
		return err
	}
	return write(f, rest, at)
}

func (s *sftpSession) cut(name string, part []byte) error {
	conn, client, err := s.open()
	if err != nil {
		return err
	}
	defer conn.Close()
	f, err := client.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(part, 0)
	return err
}

func (s *sftpSession) get(name string) ([]byte, error) {
	f, err := s.Open(name)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	return content, errors.Join(err, f.Close())
}

func (s *sftpSession) list(dir string) (nodes []node, err error) {
	infos, err := s.ReadDir("/" + dir)
	for _, info := range infos {
		nodes = append(nodes, node{info.Name(), info.IsDir(), info.Size()})
	}
	return nodes, err
}

func (s *sftpSession) size(name string) (int64, error) {
	info, err := s.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (s *sftpSession) rename(from, to string) error { return s.PosixRename(from, to) }
func (s *sftpSession) mkdir(name string) error      { return s.Mkdir(name) }
func (s *sftpSession) rmdir(name string) error      { return s.RemoveDirectory(name) }

// remove asks first: the library would go on to remove an empty folder.
func (s *sftpSession) remove(name string) error {
	if info, err := s.Stat(name); err == nil && info.IsDir() {
		return &sftp.StatusError{Code: uint32(sftp.ErrSSHFxFailure)}
	}
	return s.Remove(name)
}

// ftpSession is a session over plain FTP.
type ftpSession struct {
	*textproto.Conn
	at server
}

func (c *client) openFTP() *ftpSession {
	c.g.t.Helper()
	s, err := dialFTP(c.at)
	if err != nil {
		c.g.t.Fatal(err)
	}
	c.g.t.Cleanup(func() { _ = s.Close() })
	return s
}

func dialFTP(at server) (*ftpSession, error) {
	conn, err := textproto.Dial("tcp", at.hostPort())
	if err != nil {
		return nil, err
	}
	s := &ftpSession{conn, at}
	_, _, err = s.ReadResponse(220)
	if err == nil {
		_, err = s.ask(331, "USER "+at.user)
	}
	if err == nil {
		_, err = s.ask(230, "PASS "+at.password)
	}
	return s, err
}

// ask sends a command and returns its reply.
func (s *ftpSession) ask(want int, line string) (string, error) {
	if err := s.PrintfLine("%s", line); err != nil {
		return "", err
	}
	_, text, err := s.ReadResponse(want)
	return text, err
}

// begin starts a transfer, and returns its data connection.
func (s *ftpSession) begin(lines ...string) (*net.TCPConn, error) {
	text, err := s.ask(229, "EPSV")
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(text, "(|||")
	port, _, _ := strings.Cut(rest, "|)")
	conn, err := net.Dial("tcp", net.JoinHostPort(s.at.host, port))
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	for i, line := range lines {
		if _, err := s.ask(map[bool]int{true: 150, false: 350}[i == len(lines)-1], line); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn.(*net.TCPConn), nil
}

func (s *ftpSession) store(content []byte, lines ...string) error {
	conn, err := s.begin(lines...)
	if err != nil {
		return err
	}
	_, err = conn.Write(content)
	_ = conn.Close()
	_, _, replyErr := s.ReadResponse(226)
	return errors.Join(err, replyErr)
}

func (s *ftpSession) retrieve(line string) ([]byte, error) {
	conn, err := s.begin(line)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(conn)
	_ = conn.Close()
	_, _, replyErr := s.ReadResponse(226)
	return content, errors.Join(err, replyErr)
}

func (s *ftpSession) put(name string, content []byte) error { return s.store(content, "STOR /"+name) }

func (s *ftpSession) resume(name string, rest []byte, at int64) error {
	if at < 0 {
		return s.store(rest, "APPE /"+name)
	}
	return s.store(rest, fmt.Sprint("REST ", at), "STOR /"+name)
}

// cut resets the data connection, once what was sent has arrived.
func (s *ftpSession) cut(name string, part []byte) error {
	dying, err := dialFTP(s.at)
	if err != nil {
		return err
	}
	defer dying.Close()
	conn, err := dying.begin("STOR /" + name)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err = conn.Write(part); err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	for left := 1; left > 0 && err == nil; {
		controlErr := raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		err = errors.Join(err, controlErr)
	}
	_ = conn.SetLinger(0)
	if err := errors.Join(err, conn.Close()); err != nil {
		return err
	}
	_, _, err = dying.ReadResponse(426)
	return err
}

func (s *ftpSession) get(name string) ([]byte, error) { return s.retrieve("RETR /" + name) }

func (s *ftpSession) list(dir string) (nodes []node, err error) {
	listing, err := s.retrieve("MLSD /" + dir)
	for line := range strings.Lines(string(listing)) {
		facts, name, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		n := node{Name: name, Folder: strings.Contains(facts, "type=dir;")}
		if _, rest, ok := strings.Cut(facts, "size="); ok {
			digits, _, _ := strings.Cut(rest, ";")
			if n.Size, err = strconv.ParseInt(digits, 10, 64); err != nil {
				return nil, err
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, err
}

func (s *ftpSession) size(name string) (int64, error) {
	text, err := s.ask(213, "SIZE /"+name)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

func (s *ftpSession) rename(from, to string) error {
	if _, err := s.ask(350, "RNFR /"+from); err != nil {
		return err
	}
	_, err := s.ask(250, "RNTO /"+to)
	return err
}

func (s *ftpSession) mkdir(name string) error {
	_, err := s.ask(257, "MKD /"+name)
	return err
}

func (s *ftpSession) rmdir(name string) error {
	_, err := s.ask(250, "RMD /"+name)
	return err
}

func (s *ftpSession) remove(name string) error {
	_, err := s.ask(250, "DELE /"+name)
	return err
}

// refusal reports whether an error is the server's answer to something that can't
// be done, and not a fault of it.
func refusal(err error) bool {
	if reply := new(textproto.Error); errors.As(err, &reply) {
		return reply.Code == 550 || reply.Code == 501 || reply.Code == 450
	}
	if status := new(sftp.StatusError); errors.As(err, &status) {
		return !strings.Contains(err.Error(), "internal")
	}
	return errors.Is(err, os.ErrNotExist)
}

// cutOff has a session cut an upload, and returns once it can be resumed. No file
// may have the name.
func cutOff(t *testing.T, s session, name string, part []byte) {
	t.Helper()
	if err := s.cut(name, part); err != nil {
		t.Fatalf("cutting %s: %v", name, err)
	}
	eventually(t, "the cut upload of "+name+" can be resumed", func() bool {
		size, err := s.size(name)
		return err == nil && size == int64(len(part))
	})
}

// walk lists all folders of a session, and returns the contents by name, those of
// folders being nil.
func walk(t *testing.T, s session, dir string) map[string][]byte {
	t.Helper()
	nodes, err := s.list(dir)
	if err != nil {
		t.Fatalf("listing /%s: %v", dir, err)
	}
	found := map[string][]byte{}
	for _, n := range nodes {
		name := path.Join(dir, n.Name)
		if n.Folder {
			found[name] = nil
			for below, content := range walk(t, s, name) {
				found[below] = content
			}
			continue
		}
		content, err := s.get(name)
		if err != nil || int64(len(content)) != n.Size {
			t.Errorf("%s is listed with %d bytes, and %d came: %v", name, n.Size, len(content), err)
		}
		found[name] = append([]byte{}, content...) // never nil
	}
	return found
}
