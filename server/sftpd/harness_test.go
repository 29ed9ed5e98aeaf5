package sftpd_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/sftpd"
)

// testGate lets registered keys in and remembers what it was asked.
type testGate struct {
	folder sftpd.Folder
	login  func(sftpd.Attempt) error // nil: yes

	mu      sync.Mutex
	keys    map[string]bool // user + " " + fingerprint
	offered []sftpd.Offer
	logins  []sftpd.Attempt
	refused chan sftpd.Attempt
	ends    []func(string)
	open    int
}

func newGate(f sftpd.Folder) *testGate {
	return &testGate{folder: f, keys: map[string]bool{}, refused: make(chan sftpd.Attempt, 1000)}
}

func (g *testGate) register(user string, key ssh.PublicKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keys[user+" "+ssh.FingerprintSHA256(key)] = true
}

func (g *testGate) Offered(_ context.Context, o sftpd.Offer) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.offered = append(g.offered, o)
	if !g.keys[o.User+" "+o.Fingerprint] {
		return errors.New("unknown key")
	}
	return nil
}

func (g *testGate) Login(_ context.Context, a sftpd.Attempt, end func(string)) (sftpd.Session, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.logins = append(g.logins, a)
	if g.login != nil {
		if err := g.login(a); err != nil {
			return nil, err
		}
	}
	g.ends = append(g.ends, end)
	g.open++
	return &testSession{g, a.User}, nil
}

func (g *testGate) Refused(_ context.Context, a sftpd.Attempt) { g.refused <- a }

func (g *testGate) attempts() []sftpd.Attempt {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]sftpd.Attempt(nil), g.logins...)
}

func (g *testGate) nextRefused(t testing.TB) sftpd.Attempt {
	t.Helper()
	select {
	case a := <-g.refused:
		return a
	case <-time.After(time.Minute):
		t.Fatal("the gate was not told of a refused connection")
		return sftpd.Attempt{}
	}
}

type testSession struct {
	g      *testGate
	client string
}

func (s *testSession) Folder() sftpd.Folder { return s.g.folder }
func (s *testSession) Client() string       { return s.client }
func (s *testSession) Close() {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.g.open--
}

// keys are made once: RSA takes its time.
var (
	rsaSigner = sync.OnceValue(func() ssh.Signer { return signerOf(must(rsa.GenerateKey(rand.Reader, 2048))) })
	hostRSA   = sync.OnceValue(func() ssh.Signer { return signerOf(must(rsa.GenerateKey(rand.Reader, 3072))) })
	hostEd    = sync.OnceValue(edSigner)
)

func edSigner() ssh.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return signerOf(must(key, err))
}

func signerOf(key any) ssh.Signer { return must(ssh.NewSignerFromKey(key)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// harness is a running server with one client, acme.
type harness struct {
	t      testing.TB
	folder *memFolder
	gate   *testGate
	key    ssh.Signer
	server *server.Server
	sftpd  *sftpd.Server
	addr   string
	log    *lockedBuffer
}

type options struct {
	config func(*sftpd.Config)
	limits func(*server.Limits)
	admit  func(netip.Addr) bool
	key    ssh.Signer
}

func start(t testing.TB, opt options) *harness {
	t.Helper()
	h := &harness{t: t, folder: newMemFolder(), key: opt.key, log: &lockedBuffer{}}
	h.gate = newGate(h.folder)
	if h.key == nil {
		h.key = edSigner()
	}
	h.gate.register("acme", h.key.PublicKey())
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg := sftpd.Config{
		HostKeys: []ssh.Signer{hostRSA(), hostEd()},
		CheckKey: checkKey,
		Gate:     h.gate,
		Log:      log,
	}
	if opt.config != nil {
		opt.config(&cfg)
	}
	sftpServer, err := sftpd.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.sftpd = sftpServer
	limits := server.DefaultLimits()
	if opt.limits != nil {
		opt.limits(&limits)
	}
	if opt.admit == nil {
		opt.admit = func(netip.Addr) bool { return true }
	}
	h.server, err = server.New(server.Config{
		Name: "sftp", Limits: limits, Admit: opt.admit, Log: log,
		Handler: func(ctx context.Context, c *server.Conn) { sftpServer.ServeConn(ctx, c) },
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	go func() { _ = h.server.Serve(l) }()
	t.Cleanup(h.close)
	return h
}

func (h *harness) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = h.server.Shutdown(ctx)
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	if h.gate.open != 0 {
		h.t.Errorf("%d gate sessions were not closed", h.gate.open)
	}
	if h.t.Failed() {
		h.t.Logf("server log:\n%s", h.log)
	}
}

func checkKey(key ssh.PublicKey) error {
	if ck, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := ck.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
			return fmt.Errorf("RSA with %d bits", k.N.BitLen())
		}
	}
	return nil
}

func (h *harness) clientConfig(keys ...ssh.Signer) *ssh.ClientConfig {
	if len(keys) == 0 {
		keys = []ssh.Signer{h.key}
	}
	return &ssh.ClientConfig{
		User:            "acme",
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(keys...)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		Timeout:         time.Minute,
	}
}

func (h *harness) dial() *ssh.Client {
	h.t.Helper()
	c, err := ssh.Dial("tcp", h.addr, h.clientConfig())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (h *harness) sftp(opts ...sftp.ClientOption) *sftp.Client {
	h.t.Helper()
	c, err := sftp.NewClient(h.dial(), opts...)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

// keyFile writes the private key for programs, and returns the path.
func (h *harness) keyFile() string {
	h.t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	h.gate.register("acme", must(ssh.NewPublicKey(pub)))
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		h.t.Fatal(err)
	}
	file := filepath.Join(h.t.TempDir(), "id")
	if err := os.WriteFile(file, pemBytes(block), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return file
}

func (h *harness) port() string {
	_, port, _ := net.SplitHostPort(h.addr)
	return port
}

// run runs a program in dir with input, and returns what it said; it skips the
// test where the program is missing.
func (h *harness) run(dir, input string, name string, args ...string) (string, error) {
	h.t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		h.t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+h.t.TempDir(), "LC_ALL=C.UTF-8")
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("%s: it did not come to that", what)
}

// running counts the goroutines that have the text on their stacks.
func running(text string) int { return strings.Count(stacks(), text) }

func stacks() string {
	buf := make([]byte, 4<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

func fingerprint(k ssh.PublicKey) string { return ssh.FingerprintSHA256(k) }
