package ftpd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/ftpd"
)

// FuzzControl feeds arbitrary bytes to a control connection, before and after a
// login, under a memory cap.
func FuzzControl(f *testing.F) {
	seeds := []string{
		"NOOP\r\nFEAT\r\nHELP\r\nQUIT\r\n",
		"USER one\r\nPASS wrong\r\nUSER one\r\nPASS " + password + "\r\nPWD\r\n",
		"USER anonymous\r\nPASS IEUser@\r\nopts utf8 on\r\nsyst\r\nsite help\r\n",
		"PASV\r\nLIST -la\r\nEPSV\r\nNLST *.csv\r\nEPSV\r\nMLSD\r\nSTAT /\r\n",
		"EPSV\r\nRETR f\r\nREST 50\r\nEPSV\r\nRETR f\r\nREST 5000\r\nEPSV\r\nRETR f\r\nQUIT\r\n",
		"EPSV\r\nSTOR g\r\nEPSV\r\nAPPE f\r\nEPSV\r\nSTOU\r\nABOR\r\nABOR\r\n",
		"EPSV\r\nEPSV ALL\r\nPASV\r\nEPSV 2\r\nPORT 1,2,3,4,5,6\r\nEPRT |1|::|5|\r\n",
		"MKD a\r\nCWD d\r\nCDUP\r\nRNFR f\r\nRNTO g\r\nDELE f\r\nRMD d\r\nSIZE f\r\nMDTM d\r\nMFMT 20260101000000 f\r\nMLST f\r\n",
		"AUTH TLS\r\nPBSZ 0\r\nPROT P\r\nPROT C\r\nCCC\r\nREIN\r\nHOST x\r\n",
		"\xff\xf4\xff\xf2ABOR\r\n\xf2ABOR\r\nMKD \u202ex\r\nMKD a\x00\r\nCLNT \u009b2J\r\nALLO 5 R 5\r\nOPTS MLST size;\r\n",
		strings.Repeat("x", 5000) + "\r\n" + strings.Repeat("y", 70000),
	}
	for _, seed := range seeds {
		f.Add(false, []byte(seed))
		f.Add(true, []byte(seed))
	}
	debug.SetMemoryLimit(512 << 20)
	peer := newFuzzServer(f)
	f.Fuzz(func(t *testing.T, loggedIn bool, data []byte) {
		if len(data) > 256<<10 {
			return
		}
		if loggedIn {
			data = append([]byte("USER one\r\nPASS "+password+"\r\n"), data...)
		}
		wellFormed(t, peer.serve(t, data).out.Bytes())
	})
}

// wellFormed fails unless all that was sent is replies of RFC 959, section 4.2.
func wellFormed(t *testing.T, out []byte) {
	t.Helper()
	reply := regexp.MustCompile(`^[1-5][0-9][0-9][ -]`)
	within := ""
	for len(out) > 0 {
		raw, rest, ok := bytes.Cut(out, []byte("\r\n"))
		line := string(raw)
		out = rest
		switch {
		case !ok:
			t.Fatalf("a reply has no end: %q", line)
		case !utf8.ValidString(line) || strings.ContainsFunc(line, isC0C1):
			t.Fatalf("a reply has characters that none may have: %q", line)
		case within != "" && strings.HasPrefix(line, within+" "):
			within = ""
		case within != "":
		case !reply.MatchString(line):
			t.Fatalf("this is no reply: %q", line)
		case line[3] == '-':
			within = line[:3]
		}
	}
	if within != "" {
		t.Fatalf("a reply of several lines has no last one: %s", within)
	}
}

// FuzzListing asks for listings with arbitrary arguments.
func FuzzListing(f *testing.F) {
	for _, arg := range []string{
		"", "-la", "-a -l /", "*", "*.csv", "[", "[a-", "d/*", "/d/../*", "-", "--", "-z", "-la -la f", "?", "\\*", "d/", "//d//", ". ", "*\u202e/..", "[^x]*", "nowhere/*",
	} {
		for verb := range byte(4) {
			f.Add(verb, arg)
		}
	}
	debug.SetMemoryLimit(512 << 20)
	peer := newFuzzServer(f)
	f.Fuzz(func(t *testing.T, verb byte, arg string) {
		if len(arg) > 3900 || strings.ContainsAny(arg, "\r\n") {
			return
		}
		name := []string{"LIST", "NLST", "MLSD", "STAT"}[verb%4]
		c := peer.serve(t, []byte("USER one\r\nPASS "+password+"\r\nEPSV\r\n"+name+" "+arg+"\r\nQUIT\r\n"))
		wellFormed(t, c.out.Bytes())
		list := c.data.String()
		if list == "" {
			return
		}
		lines := strings.Split(strings.TrimSuffix(list, "\r\n"), "\r\n")
		if len(lines) > len(fuzzNames()) || !strings.HasSuffix(list, "\r\n") {
			t.Errorf("%s %q: %q", name, arg, list)
		}
		for _, line := range lines {
			known := slices.ContainsFunc(fuzzNames(), func(n string) bool { return strings.HasSuffix(line, n) })
			if !known || strings.ContainsFunc(line, isC0C1) {
				t.Errorf("%s %q lists %q", name, arg, line)
			}
		}
	})
}

// fuzzServer serves connections that exist in memory only; their data connections
// are real ones.
type fuzzServer struct {
	server *ftpd.Server
	gate   *testGate
}

func newFuzzServer(f *testing.F) *fuzzServer {
	gate := &testGate{plain: true, refused: make(chan ftpd.Attempt, 1), folder: func(string) ftpd.Folder { return fuzzFolder{} }}
	var passive []net.Listener
	for range 4 {
		passive = append(passive, listenOn(f, "127.0.0.1"))
	}
	s, err := ftpd.New(ftpd.Config{
		Gate: gate, Passive: passive, FailureDelay: time.Nanosecond, ConnectTimeout: 50 * time.Millisecond, StallTimeout: time.Second,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.Close)
	return &fuzzServer{s, gate}
}

// serve returns the connection when it is over.
func (s *fuzzServer) serve(t *testing.T, data []byte) *fuzzConn {
	t.Helper()
	c := &fuzzConn{in: bytes.NewReader(data)}
	ended := make(chan struct{})
	go func() { s.server.ServeConn(t.Context(), c, false); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the connection does not end")
	}
	c.peers.Wait()
	select {
	case <-s.gate.refused:
	default:
	}
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	if s.gate.open != 0 {
		t.Errorf("%d sessions are open", s.gate.open)
	}
	s.gate.asked, s.gate.logins, s.gate.passwords, s.gate.ends = nil, nil, nil, nil
	return c
}

// fuzzConn is a control connection whose client has said all it will. It connects
// to each port that is announced.
type fuzzConn struct {
	net.Conn
	in    *bytes.Reader
	out   bytes.Buffer
	peers sync.WaitGroup

	mu   sync.Mutex
	data bytes.Buffer
}

func (c *fuzzConn) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *fuzzConn) Write(p []byte) (int, error) {
	var port, high, low int
	if _, err := fmt.Sscanf(string(p), "229 Entering Extended Passive Mode (|||%d|)", &port); err == nil {
		c.peers.Go(func() { c.connect(port) })
	} else if _, err := fmt.Sscanf(string(p), "227 Entering Passive Mode (127,0,0,1,%d,%d)", &high, &low); err == nil {
		c.peers.Go(func() { c.connect(high<<8 | low) })
	}
	return c.out.Write(p)
}

func (c *fuzzConn) connect(port int) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = conn.Write([]byte("data"))
	_ = conn.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(io.LimitReader(conn, 1<<20))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data.Write(got)
}

func (*fuzzConn) Close() error                          { return nil }
func (*fuzzConn) SetDeadline(time.Time) error           { return nil }
func (*fuzzConn) SetReadDeadline(time.Time) error       { return nil }
func (*fuzzConn) SetWriteDeadline(time.Time) error      { return nil }
func (*fuzzConn) SyscallConn() (syscall.RawConn, error) { return nil, syscall.EINVAL }
func (*fuzzConn) Remote() netip.Addr                    { return netip.MustParseAddr("127.0.0.1") }
func (*fuzzConn) RemoteAddr() net.Addr                  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (*fuzzConn) LocalAddr() net.Addr       { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (*fuzzConn) Authenticated()            {}
func (*fuzzConn) Touch()                    {}
func (*fuzzConn) Draining() <-chan struct{} { return nil }

func fuzzNames() []string { return []string{"a.csv", "d", "f", "ü [1] *.pdf"} }

// fuzzFolder has the same few names at its top and in the folder d.
type fuzzFolder struct{}

func (fuzzFolder) Stat(_ context.Context, name reports.Name) (folder.Entry, error) {
	if dir := name.Dir().String(); !name.IsRoot() && (dir != "" && dir != "d" || !slices.Contains(fuzzNames(), name.Base())) {
		return folder.Entry{}, fs.ErrNotExist
	}
	return folder.Entry{Name: name, Folder: name.IsRoot() || name.String() == "d", Size: 100}, nil
}

func (f fuzzFolder) List(ctx context.Context, dir reports.Name, after string, _ int) ([]folder.Entry, error) {
	if after != "" {
		return nil, nil
	}
	if e, err := f.Stat(ctx, dir); err != nil || !e.Folder {
		return nil, fs.ErrNotExist
	}
	var list []folder.Entry
	for _, base := range fuzzNames() {
		name, err := reports.ParseName(dir.String() + "/" + base)
		if err != nil {
			return nil, err
		}
		list = append(list, folder.Entry{Name: name, Folder: base == "d", Size: 100})
	}
	return list, nil
}

func (f fuzzFolder) Open(ctx context.Context, name reports.Name) (folder.File, error) {
	if _, err := f.Stat(ctx, name); err != nil {
		return nil, err
	}
	return fuzzFile{}, nil
}

func (fuzzFolder) Create(context.Context, reports.Name, folder.CreateMode) (folder.Upload, error) {
	return fuzzFile{}, nil
}
func (fuzzFolder) Remove(context.Context, reports.Name) error                     { return nil }
func (fuzzFolder) RemoveFolder(context.Context, reports.Name) error               { return nil }
func (fuzzFolder) Rename(context.Context, reports.Name, reports.Name, bool) error { return nil }
func (fuzzFolder) Mkdir(context.Context, reports.Name) error                      { return nil }
func (fuzzFolder) Chtimes(context.Context, reports.Name, time.Time) error         { return nil }
func (fuzzFolder) Usage(context.Context) (folder.Usage, error) {
	return folder.Usage{FreeBytes: 1000}, nil
}

// fuzzFile is 100 bytes long, whatever is written to it.
type fuzzFile struct{}

func (fuzzFile) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (fuzzFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func (fuzzFile) SendTo(w io.Writer, off int64) (int64, error) {
	if off < 0 || off > 100 {
		panic("an offset that is not in the file")
	}
	n, err := w.Write(bytes.Repeat([]byte("f\r\n"), 34)[:100-off])
	return int64(n), err
}
func (fuzzFile) ReadFrom(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) }
func (fuzzFile) Truncate(int64) error                { return nil }
func (fuzzFile) Size() int64                         { return 100 }
func (fuzzFile) TransferError(error)                 {}
func (fuzzFile) Close() error                        { return nil }
