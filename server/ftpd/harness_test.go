package ftpd_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/certificate"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/ftpd"
)

const password = "correct horse battery"

// testGate lets clients in whose password is [password], and remembers what it
// was asked.
type testGate struct {
	plain     bool // logins and data may go in the clear
	forbidden sync.Map
	folder    func(client string) ftpd.Folder

	mu          sync.Mutex
	asked       []ftpd.Attempt
	logins      []ftpd.Attempt
	passwords   []string
	refused     chan ftpd.Attempt
	ends        []func(string)
	open        int
	unreachable []netip.AddrPort
	reached     int
	dataRefused []ftpd.DataFault
}

func (g *testGate) Ask(_ context.Context, a ftpd.Attempt) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, a)
	if !a.TLS && !g.plain {
		return &ftpd.Refusal{Reason: "tls-required"}
	}
	return nil
}

func (g *testGate) Login(_ context.Context, a ftpd.Attempt, given string, end func(string)) (ftpd.Session, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.logins, g.passwords = append(g.logins, a), append(g.passwords, given)
	if given != password || a.User != "one" && a.User != "two" {
		return nil, &ftpd.Refusal{Reason: "password-wrong"}
	}
	g.ends = append(g.ends, end)
	g.open++
	return &testSession{g: g, client: a.User, folder: g.folder(a.User)}, nil
}

func (g *testGate) Refused(_ context.Context, a ftpd.Attempt) { g.refused <- a }

func (g *testGate) Admits(addr netip.Addr) bool {
	_, found := g.forbidden.Load(addr)
	return !found
}

type testSession struct {
	g      *testGate
	client string
	folder ftpd.Folder
}

func (s *testSession) Folder() ftpd.Folder { return s.folder }
func (s *testSession) Client() string      { return s.client }
func (s *testSession) Plain() bool         { return s.g.plain }

func (s *testSession) Unreachable(announced netip.AddrPort) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.g.unreachable = append(s.g.unreachable, announced)
}

func (s *testSession) Reached() {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.g.reached++
}

func (s *testSession) DataRefused(why ftpd.DataFault) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.g.dataRefused = append(s.g.dataRefused, why)
}

func (s *testSession) Close() {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.g.open--
}

// options of a harness.
type options struct {
	network string // of the listeners; "127.0.0.1" by default
	noTLS   bool
	secure  bool // in the clear nobody gets in
	panics  bool // expected ones
	ports   int
	folder  func(client string, real *folder.FS) ftpd.Folder
	config  func(*ftpd.Config)
	limits  func(*server.Limits)
}

// harness is a running server over a real store with the clients one and two.
type harness struct {
	tb       testing.TB
	gate     *testGate
	store    *folder.Store
	server   *server.Server
	addr     string // explicit
	implicit string
	roots    *x509.CertPool
	log      *syncBuffer
	collect  func()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newStore(tb testing.TB, log *slog.Logger) (*folder.Store, func()) {
	tb.Helper()
	dir := tb.TempDir()
	db, err := database.Open(context.Background(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	for _, id := range []string{"one", "two"} {
		err := db.Write(context.Background(), func(tx *database.Tx) error {
			return tx.InsertClient(tx.Context(), query.InsertClientParams{ID: id, Name: id})
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	blobs, err := blob.OpenDir(filepath.Join(dir, "blobs"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { blobs.Close() })
	c := catalog.New(db, time.Now)
	recorder := folder.NewRecorder(c, log)
	return &folder.Store{Catalog: c, Blobs: blobs, Recorder: recorder, Now: time.Now, Log: log}, sync.OnceFunc(recorder.Close)
}

func start(tb testing.TB, o options) *harness {
	tb.Helper()
	h := &harness{tb: tb, log: &syncBuffer{}}
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store, collect := newStore(tb, log)
	h.store, h.collect = store, collect
	h.gate = &testGate{plain: !o.secure, refused: make(chan ftpd.Attempt, 1000), folder: func(client string) ftpd.Folder {
		real := h.session(client)
		if o.folder != nil {
			return o.folder(client, real)
		}
		return real
	}}
	host := o.network
	if host == "" {
		host = "127.0.0.1"
	}
	cfg := ftpd.Config{Gate: h.gate, Log: log, FailureDelay: time.Millisecond}
	for range max(o.ports, 1) * map[bool]int{true: 1, false: 16}[o.ports > 0] {
		cfg.Passive = append(cfg.Passive, listenOn(tb, host))
	}
	if !o.noTLS {
		cert, key, err := certificate.SelfSigned(tb.TempDir(), []string{host}, time.Now())
		if err != nil {
			tb.Fatal(err)
		}
		f, err := certificate.Open(cert, key, time.Now, log)
		if err != nil {
			tb.Fatal(err)
		}
		cfg.Certificate = f.Get
		pair, err := f.Get()
		if err != nil {
			tb.Fatal(err)
		}
		h.roots = x509.NewCertPool()
		h.roots.AddCert(pair.Leaf)
	}
	if o.config != nil {
		o.config(&cfg)
	}
	speaker, err := ftpd.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	limits := server.DefaultLimits()
	if o.limits != nil {
		o.limits(&limits)
	}
	implicitListener := listenOn(tb, host)
	h.server, err = server.New(server.Config{
		Name: "ftp", Limits: limits, Log: log, Admit: func(netip.Addr) bool { return true },
		Handler: func(ctx context.Context, c *server.Conn) {
			speaker.ServeConn(ctx, c, c.LocalAddr().String() == implicitListener.Addr().String())
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	explicitListener := listenOn(tb, host)
	h.addr, h.implicit = explicitListener.Addr().String(), implicitListener.Addr().String()
	var serving sync.WaitGroup
	for _, l := range []net.Listener{explicitListener, implicitListener} {
		serving.Go(func() { _ = h.server.Serve(l) })
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // at once
		_ = h.server.Shutdown(ctx)
		serving.Wait()
		speaker.Close()
		h.collect()
		if strings.Contains(h.log.String(), "panicked") != o.panics {
			tb.Errorf("something panicked:\n%s", h.log)
		}
		h.gate.mu.Lock()
		defer h.gate.mu.Unlock()
		if h.gate.open != 0 {
			tb.Errorf("%d sessions were not closed", h.gate.open)
		}
	})
	return h
}

func listenOn(tb testing.TB, host string) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func (h *harness) session(client string) *folder.FS {
	id, err := reports.ParseClientID(client)
	if err != nil {
		h.tb.Fatal(err)
	}
	return h.store.Folder(folder.Session{
		Client: id, Retention: 24 * time.Hour, Protocol: "ftp", Address: "127.0.0.1", Fingerprint: "password", Evidence: "226",
	})
}

func (h *harness) lookup(client, name string) (reports.Report, error) {
	id, err := reports.ParseClientID(client)
	if err != nil {
		h.tb.Fatal(err)
	}
	n, err := reports.ParseName(name)
	if err != nil {
		h.tb.Fatal(err)
	}
	return h.store.Catalog.Lookup(context.Background(), id, n)
}

// put stores a file without going over the network.
func (h *harness) put(client, name string, content []byte) {
	h.tb.Helper()
	n, err := reports.ParseName(name)
	if err != nil {
		h.tb.Fatal(err)
	}
	u, err := h.session(client).Create(context.Background(), n, folder.Truncate)
	if err == nil {
		_, err = u.WriteAt(content, 0)
	}
	if err == nil {
		err = u.Close()
	}
	if err != nil {
		h.tb.Fatal(err)
	}
}

// get reads a file without going over the network.
func (h *harness) get(client, name string) ([]byte, error) {
	n, err := reports.ParseName(name)
	if err != nil {
		h.tb.Fatal(err)
	}
	f, err := h.session(client).Open(context.Background(), n)
	if err != nil {
		return nil, err
	}
	f.TransferError(errors.New("not a client's")) // no receipt
	defer f.Close()
	content := make([]byte, f.Size())
	_, err = f.ReadAt(content, 0)
	if err == io.EOF {
		err = nil
	}
	return content, err
}

func (h *harness) holds(client, name string, want []byte) {
	h.tb.Helper()
	got, err := h.get(client, name)
	if err != nil || !bytes.Equal(got, want) {
		h.tb.Errorf("%s holds %d bytes (%v), want %d", name, len(got), err, len(want))
	}
}

func (h *harness) tlsConfig() *tls.Config {
	host, _, _ := net.SplitHostPort(h.addr)
	return &tls.Config{RootCAs: h.roots, ServerName: host, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
}

// client is an FTP client that does what it is told.
type client struct {
	tb   testing.TB
	h    *harness
	conn net.Conn
	in   *bufio.Reader
	tls  *tls.Config // for data, once PROT P was sent
}

// dial connects and reads the greeting.
func (h *harness) dial() *client {
	h.tb.Helper()
	c := h.connect(h.addr)
	c.want(220, "")
	return c
}

func (h *harness) connect(addr string) *client {
	h.tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		h.tb.Fatal(err)
	}
	h.tb.Cleanup(func() { conn.Close() })
	return &client{tb: h.tb, h: h, conn: conn, in: bufio.NewReader(conn)}
}

// login connects and logs in, in the clear.
func (h *harness) login(user string) *client {
	h.tb.Helper()
	c := h.dial()
	c.want(331, "USER "+user)
	c.want(230, "PASS "+password)
	return c
}

// loginTLS connects and logs in over explicit TLS, data included.
func (h *harness) loginTLS(user string) *client {
	h.tb.Helper()
	c := h.dial()
	c.authTLS()
	c.want(200, "PBSZ 0")
	c.want(200, "PROT P")
	c.want(331, "USER "+user)
	c.want(230, "PASS "+password)
	return c
}

func (c *client) authTLS() {
	c.tb.Helper()
	c.want(234, "AUTH TLS")
	c.secure()
}

func (c *client) secure() {
	c.tb.Helper()
	c.tls = c.h.tlsConfig()
	conn := tls.Client(c.conn, c.tls)
	if err := conn.Handshake(); err != nil {
		c.tb.Fatal(err)
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
}

func (c *client) send(line string) {
	c.tb.Helper()
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		c.tb.Fatalf("sending %q: %v", line, err)
	}
}

// reply reads one reply, of however many lines.
func (c *client) reply() (code int, text string, err error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Minute))
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return 0, all.String(), err
		}
		all.WriteString(line)
		if len(line) < 5 {
			continue
		}
		n, err := strconv.Atoi(line[:3])
		if code == 0 {
			if err != nil {
				return 0, all.String(), fmt.Errorf("reply %q has no code", line)
			}
			code = n
		}
		if n == code && line[3] == ' ' {
			return code, all.String(), nil
		}
	}
}

// do sends a command and returns its reply.
func (c *client) do(line string) (int, string) {
	c.tb.Helper()
	if line != "" {
		c.send(line)
	}
	code, text, err := c.reply()
	if err != nil {
		c.tb.Fatalf("after %q: %v %q", line, err, text)
	}
	return code, text
}

// want sends a command, none if it is "", and fails unless the code is right.
func (c *client) want(code int, line string) string {
	c.tb.Helper()
	got, text := c.do(line)
	if got != code {
		c.tb.Fatalf("after %q: %q, want %d", line, text, code)
	}
	return text
}

// closed fails unless the server closes the connection.
func (c *client) closed() {
	c.tb.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Minute))
	if b, err := c.in.ReadByte(); err == nil || isTimeout(err) {
		c.tb.Errorf("the connection is still open: %q, %v", b, err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// port asks for a passive port.
func (c *client) port() string {
	c.tb.Helper()
	host, _, _ := net.SplitHostPort(c.conn.RemoteAddr().String())
	text := c.want(229, "EPSV")
	_, after, _ := strings.Cut(text, "(|||")
	port, _, _ := strings.Cut(after, "|)")
	return net.JoinHostPort(host, port)
}

// data connects to a port, in the clear: TLS begins with the transfer.
func (c *client) data(addr string) net.Conn {
	c.tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// begin starts a transfer and returns its data connection.
func (c *client) begin(line string) net.Conn {
	c.tb.Helper()
	conn := c.data(c.port())
	c.want(150, line)
	if c.tls != nil {
		secure := tls.Client(conn, c.tls)
		if err := secure.Handshake(); err != nil {
			c.tb.Fatal(err)
		}
		conn = secure
	}
	return conn
}

// retrieve downloads what a command sends.
func (c *client) retrieve(line string) []byte {
	c.tb.Helper()
	conn := c.begin(line)
	content, err := io.ReadAll(conn)
	if err != nil {
		c.tb.Fatalf("%s: %v", line, err)
	}
	_ = conn.Close()
	c.want(226, "")
	return content
}

func (c *client) store(line string, content []byte) {
	c.tb.Helper()
	conn := c.begin(line)
	if _, err := conn.Write(content); err != nil {
		c.tb.Fatalf("%s: %v", line, err)
	}
	_ = conn.Close()
	c.want(226, "")
}

func eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	tb.Errorf("%s: not within a minute", what)
}
