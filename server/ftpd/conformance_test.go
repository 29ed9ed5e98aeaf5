package ftpd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/folder/foldertest"
)

// TestConformance runs the suite for folders through FTP, in the clear and over
// TLS.
func TestConformance(t *testing.T) {
	t.Parallel()
	for way, login := range map[string]func(*harness, string) *client{"plain": (*harness).login, "tls": (*harness).loginTLS} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			foldertest.Run(t, func(t *testing.T) foldertest.Gateway {
				g := &remoteGateway{harness: start(t, options{}), enter: login}
				return foldertest.Gateway{
					Session:   g.remote,
					SHA256:    func(client string, name reports.Name) string { return g.mustLookup(client, name).SHA256 },
					Collected: g.collected,
					Lacks: map[foldertest.Ability]string{
						foldertest.WriteAnywhere:     "an upload is one stream, from where REST says",
						foldertest.CutBack:           "REST says where an upload goes on before it is open",
						foldertest.ReadUpload:        "RETR reads whole files",
						foldertest.WorkBeside:        "a session does one thing at a time",
						foldertest.CreateExclusively: "STOR overwrites",
						foldertest.RenameExclusively: "RNTO replaces",
						foldertest.CountFiles:        "AVBL tells what is free, and nothing tells what is used",
					},
				}
			})
		})
	}
}

// TestMLSDListsAFileAsIfItWereAFolder: a program that walks a tree would take the
// file for a folder that holds itself.
func TestMLSDListsAFileAsIfItWereAFolder(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.put("one", "a", []byte("hello"))
	c := h.login("one")
	c.port()
	c.want(501, "MLSD a")
	c.want(250, "MLST a")
	if got := c.retrieve("MLSD"); !strings.HasSuffix(string(got), " a\r\n") {
		t.Errorf("the folder holds %q", got)
	}
}

// remoteGateway is a server that is looked at through FTP.
type remoteGateway struct {
	*harness
	enter func(*harness, string) *client

	mu      sync.Mutex
	folders []*remoteFolder
}

func (g *remoteGateway) remote(client string) foldertest.Folder {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := &remoteFolder{g: g, user: client}
	g.folders = append(g.folders, r)
	return r
}

func (g *remoteGateway) mustLookup(client string, name reports.Name) reports.Report {
	g.tb.Helper()
	r, err := g.lookup(client, name.String())
	if err != nil {
		g.tb.Fatal(err)
	}
	return r
}

// collected hangs up first: a session that is over has nothing more to record.
func (g *remoteGateway) collected(client string, name reports.Name) bool {
	g.tb.Helper()
	g.mu.Lock()
	for _, r := range g.folders {
		r.hangUp()
	}
	g.mu.Unlock()
	eventually(g.tb, "all sessions are over", func() bool {
		g.gate.mu.Lock()
		defer g.gate.mu.Unlock()
		return g.gate.open == 0
	})
	g.gate.mu.Lock() // the next session sees the new recorder
	g.collect()
	g.store.Recorder = folder.NewRecorder(g.store.Catalog, g.store.Log)
	g.collect = sync.OnceFunc(g.store.Recorder.Close)
	g.gate.mu.Unlock()
	return g.mustLookup(client, name).State == reports.Collected
}

// remoteFolder is a folder that is used through FTP, as programs with several
// connections do it: one for commands, and one for each transfer under way.
type remoteFolder struct {
	g    *remoteGateway
	user string

	asking sync.Mutex // held during a command, so that one connection is enough
	mu     sync.Mutex
	idle   []*client
}

// take returns a connection that nobody uses.
func (r *remoteFolder) take() *client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.idle); n > 0 {
		c := r.idle[n-1]
		r.idle = r.idle[:n-1]
		return c
	}
	return r.g.enter(r.g.harness, r.user)
}

func (r *remoteFolder) give(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, c)
}

func (r *remoteFolder) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.idle {
		_ = c.conn.Close()
	}
	r.idle = nil
}

// ask sends commands, the last of which must be answered with a code.
func (r *remoteFolder) ask(want int, lines ...string) (text string, err error) {
	r.asking.Lock()
	defer r.asking.Unlock()
	c := r.take()
	defer r.give(c)
	for _, line := range lines {
		var code int
		if code, text = c.do(line); code >= 400 {
			return "", meant(code, text)
		} else if line == lines[len(lines)-1] && code != want {
			return "", fmt.Errorf("%s was answered: %s", line, text)
		}
	}
	return text, nil
}

// meant is the error that a reply stands for. That the client can tell them apart
// is what is tested.
func meant(code int, text string) error {
	for _, reply := range []struct {
		code    int
		text    string
		meaning error
	}{
		{550, "no such file or folder", fs.ErrNotExist},
		{550, "name is taken", fs.ErrExist},
		{550, "not permitted", fs.ErrPermission},
		{550, "It is a folder", reports.ErrIsFolder},
		{550, "not a folder", reports.ErrNotFolder},
		{501, "not a folder", reports.ErrNotFolder},
		{550, "not empty", reports.ErrNotEmpty},
		{550, "cut off", reports.ErrNotResumable},
		{501, "not valid", fs.ErrInvalid},
	} {
		if code == reply.code && strings.Contains(text, reply.text) {
			return fmt.Errorf("%w: %s", reply.meaning, strings.TrimSpace(text))
		}
	}
	return errors.New(strings.TrimSpace(text))
}

func remote(name reports.Name) string { return "/" + name.String() }

// Stat asks for the facts, and for the size as older programs do.
func (r *remoteFolder) Stat(_ context.Context, name reports.Name) (folder.Entry, error) {
	text, err := r.ask(250, "MLST "+remote(name))
	if err != nil {
		return folder.Entry{}, err
	}
	_, line, _ := strings.Cut(text, "\r\n ")
	line, _, _ = strings.Cut(line, "\r\n")
	e, path, err := entryFrom(line)
	if err != nil || path != remote(name) {
		return e, fmt.Errorf("MLST was answered with %q: %w", text, err)
	}
	e.Name = name
	if !e.Folder {
		text, err := r.ask(213, "SIZE "+remote(name))
		if err != nil || strings.TrimSpace(text) != fmt.Sprint("213 ", e.Size) {
			return e, fmt.Errorf("SIZE says %q, MLST %d: %w", text, e.Size, err)
		}
	}
	return e, nil
}

// entryFrom reads facts and a name (RFC 3659, section 7.2).
func entryFrom(line string) (e folder.Entry, name string, err error) {
	facts, name, _ := strings.Cut(line, " ")
	for fact := range strings.SplitSeq(facts, ";") {
		key, value, _ := strings.Cut(fact, "=")
		switch key {
		case "type":
			e.Folder = value == "dir"
		case "size":
			e.Size, err = strconv.ParseInt(value, 10, 64)
		case "modify":
			e.ModTime, err = time.Parse("20060102150405", value)
		}
		if err != nil {
			return e, name, err
		}
	}
	return e, name, nil
}

// List picks its page out of the whole listing: FTP has no other.
func (r *remoteFolder) List(_ context.Context, dir reports.Name, after string, limit int) ([]folder.Entry, error) {
	t, err := r.begin("MLSD " + remote(dir))
	if err != nil {
		return nil, err
	}
	listing, err := io.ReadAll(t.conn)
	if err := errors.Join(err, t.end()); err != nil {
		return nil, err
	}
	var page []folder.Entry
	for line := range strings.Lines(string(listing)) {
		e, base, err := entryFrom(strings.TrimSuffix(line, "\r\n"))
		if err != nil {
			return nil, err
		}
		if e.Name, err = reports.ParseName(dir.String() + "/" + base); err != nil {
			return nil, err
		}
		if base > after && len(page) < limit {
			page = append(page, e)
		}
	}
	return page, nil
}

func (r *remoteFolder) Remove(_ context.Context, name reports.Name) error {
	_, err := r.ask(250, "DELE "+remote(name))
	return err
}

func (r *remoteFolder) RemoveFolder(_ context.Context, name reports.Name) error {
	_, err := r.ask(250, "RMD "+remote(name))
	return err
}

func (r *remoteFolder) Rename(_ context.Context, from, to reports.Name, _ bool) error {
	_, err := r.ask(250, "RNFR "+remote(from), "RNTO "+remote(to))
	return err
}

func (r *remoteFolder) Mkdir(_ context.Context, name reports.Name) error {
	_, err := r.ask(257, "MKD "+remote(name))
	return err
}

func (r *remoteFolder) Chtimes(_ context.Context, name reports.Name, mtime time.Time) error {
	_, err := r.ask(213, "MFMT "+mtime.UTC().Format("20060102150405")+" "+remote(name))
	return err
}

func (r *remoteFolder) Usage(context.Context) (folder.Usage, error) {
	return folder.Usage{}, errors.ErrUnsupported
}

func (r *remoteFolder) Open(_ context.Context, name reports.Name) (folder.File, error) {
	text, sizeErr := r.ask(213, "SIZE "+remote(name))
	t, err := r.begin("RETR " + remote(name))
	if err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(text, "213 ")), 10, 64)
	if err := errors.Join(sizeErr, err); err != nil {
		return nil, errors.Join(err, t.cut())
	}
	return &remoteFile{transfer: t, name: name, size: size}, nil
}

// Create resumes as programs do: from the size that the name has.
func (r *remoteFolder) Create(_ context.Context, name reports.Name, mode folder.CreateMode) (folder.Upload, error) {
	var size int64
	lines := []string{"STOR " + remote(name)}
	if mode == folder.Continue {
		lines = []string{"APPE " + remote(name)}
		if text, err := r.ask(213, "SIZE "+remote(name)); err == nil {
			fmt.Sscanf(text, "213 %d", &size)
			lines = []string{fmt.Sprint("REST ", size), "STOR " + remote(name)}
		}
	}
	t, err := r.begin(lines...)
	if err != nil {
		return nil, err
	}
	return &remoteUpload{transfer: t, size: size}, nil
}

// transfer is a data connection, and the control connection that it belongs to.
type transfer struct {
	r      *remoteFolder
	c      *client
	conn   net.Conn // over TLS, or tcp
	tcp    *net.TCPConn
	closed bool
}

// begin sends commands, the last of which begins a transfer.
func (r *remoteFolder) begin(lines ...string) (*transfer, error) {
	c := r.take()
	port := c.port()
	for _, line := range lines[:len(lines)-1] {
		c.want(350, line)
	}
	t := &transfer{r: r, c: c, tcp: c.data(port).(*net.TCPConn)}
	if code, text := c.do(lines[len(lines)-1]); code != 150 {
		_ = t.tcp.Close()
		r.give(c)
		return nil, meant(code, text)
	}
	if t.conn = t.tcp; c.tls != nil {
		secure := tls.Client(t.tcp, c.tls)
		if err := secure.Handshake(); err != nil {
			return nil, errors.Join(err, t.cut())
		}
		t.conn = secure
	}
	return t, nil
}

// end closes the data connection as a client does that has done its part, and
// returns what the server makes of it.
func (t *transfer) end() error {
	if t.closed {
		return fs.ErrClosed
	}
	t.closed = true
	err := t.conn.Close()
	code, text := t.c.do("")
	t.r.give(t.c)
	if code != 226 {
		return meant(code, text)
	}
	return err
}

// cut breaks the data connection off, once what was sent has arrived: over TLS
// without the end of the session, in the clear by a reset.
func (t *transfer) cut() error {
	if t.closed {
		return fs.ErrClosed
	}
	t.closed = true
	eventually(t.c.tb, "what was sent has arrived", func() bool {
		left := 1
		raw, err := t.tcp.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { left, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		}
		return left == 0 || err != nil
	})
	if t.c.tls == nil {
		_ = t.tcp.SetLinger(0)
	}
	err := t.tcp.Close()
	t.c.do("") // of a download it may be a 226, that went out before
	t.r.give(t.c)
	return err
}

// remoteFile is a download. It begins anew for a read from elsewhere.
type remoteFile struct {
	*transfer
	name     reports.Name
	size, at int64
	broken   bool
}

func (f *remoteFile) seek(off int64) error {
	if off == f.at {
		return nil
	}
	if err := f.cut(); err != nil {
		return err
	}
	t, err := f.r.begin(fmt.Sprint("REST ", off), "RETR "+remote(f.name))
	if err != nil {
		return err
	}
	f.transfer, f.at = t, off
	return nil
}

func (f *remoteFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.seek(off); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(f.conn, p)
	f.at += int64(n)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

func (f *remoteFile) SendTo(w io.Writer, off int64) (int64, error) {
	if err := f.seek(off); err != nil {
		return 0, err
	}
	n, err := io.Copy(w, f.conn)
	f.at += n
	return n, err
}

func (f *remoteFile) Size() int64 { return f.size }

func (f *remoteFile) TransferError(error) { f.broken = true }

// Close ends the transfer, or breaks it off if not everything was read.
func (f *remoteFile) Close() error {
	if f.broken || f.at < f.size {
		_ = f.tcp.SetLinger(0)
		return f.cut()
	}
	if !f.closed {
		if n, err := f.conn.Read(make([]byte, 1)); n > 0 || err != io.EOF {
			return fmt.Errorf("behind its end the file has %d bytes: %w", n, err)
		}
	}
	return f.end()
}

// remoteUpload is an upload.
type remoteUpload struct {
	*transfer
	size int64
	err  error // why it is broken off
}

func (u *remoteUpload) ReadAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (u *remoteUpload) Truncate(int64) error              { return errors.ErrUnsupported }

func (u *remoteUpload) WriteAt(p []byte, off int64) (int, error) {
	if off != u.size {
		return 0, errors.ErrUnsupported
	}
	n, err := u.conn.Write(p)
	u.size += int64(n)
	return n, err
}

func (u *remoteUpload) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(u.conn, r)
	u.size += n
	return n, err
}

func (u *remoteUpload) Size() int64             { return u.size }
func (u *remoteUpload) TransferError(err error) { u.err = err }

func (u *remoteUpload) Close() error {
	if u.err == nil {
		return u.end()
	}
	return errors.Join(u.err, u.cut())
}

// TestConnectionOfARefusedTransferServesTheNext: a client connects for an upload
// that is refused, and announces its next transfer on the same port. It got an
// empty file, and 226.
func TestConnectionOfARefusedTransferServesTheNext(t *testing.T) {
	t.Parallel()
	h := start(t, options{ports: 1})
	h.put("one", "a", []byte("hello"))
	c := h.login("one")
	c.want(257, "MKD dir")
	for range 20 {
		early := c.data(c.port())
		fmt.Fprint(c.conn, "STOR dir\r\nEPSV\r\n")
		c.want(550, "")
		_, after, _ := strings.Cut(c.want(229, ""), "(|||")
		port, _, _ := strings.Cut(after, "|)")
		_ = early.Close()
		conn := c.data(net.JoinHostPort("127.0.0.1", port))
		c.want(150, "RETR a")
		got, err := io.ReadAll(conn)
		_ = conn.Close()
		c.want(226, "")
		if string(got) != "hello" {
			t.Fatalf("it came with %q, %v, and 226", got, err)
		}
	}
}
