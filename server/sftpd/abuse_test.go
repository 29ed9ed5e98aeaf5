package sftpd_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/sftpd"
)

// raw is an sFTP session without a client library.
type raw struct {
	t  testing.TB
	in io.WriteCloser
	io.Reader
}

func (h *harness) raw() *raw {
	h.t.Helper()
	s, err := h.dial().NewSession()
	if err != nil {
		h.t.Fatal(err)
	}
	in, out := must(s.StdinPipe()), must(s.StdoutPipe())
	if err := s.RequestSubsystem("sftp"); err != nil {
		h.t.Fatal(err)
	}
	r := &raw{h.t, in, out}
	r.send(1, binary.BigEndian.AppendUint32(nil, 3))
	if typ, _ := r.receive(); typ != 2 {
		h.t.Fatalf("answer to INIT is of type %d", typ)
	}
	return r
}

func (r *raw) send(typ byte, body []byte) {
	r.t.Helper()
	p := append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+1)), typ)
	if _, err := r.in.Write(append(p, body...)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) receive() (byte, []byte) {
	r.t.Helper()
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		r.t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head)-1)
	if _, err := io.ReadFull(r, body); err != nil {
		r.t.Fatal(err)
	}
	return head[4], body
}

// req builds a request's body of numbers and texts.
func req(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		case uint64:
			b = binary.BigEndian.AppendUint64(b, p)
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
		}
	}
	return b
}

func TestLimitsExtension(t *testing.T) {
	t.Parallel()
	r := start(t, options{}).raw()
	r.send(200, req(7, "limits@openssh.com"))
	typ, body := r.receive()
	if want := req(7, uint64(262144), uint64(261120), uint64(261120), uint64(100)); typ != 201 || string(body) != string(want) {
		t.Errorf("type %d, %x; want 201, %x", typ, body, want)
	}
	r.send(200, req(8, "nonsense@example.com"))
	if typ, body := r.receive(); typ != 101 || binary.BigEndian.Uint32(body[4:]) != 8 {
		t.Errorf("unknown extension: type %d, %x", typ, body)
	}
}

// A client may send all its requests, end its input, and then listen.
func TestAnswersOutliveTheInput(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.folder.put("f", []byte("x"))
	r := h.raw()
	for i := range 200 {
		r.send(17, req(i, "f"))
	}
	_ = r.in.Close()
	for i := range 200 {
		if typ, body := r.receive(); typ != 105 || binary.BigEndian.Uint32(body) != uint32(i) {
			t.Fatalf("answer %d: type %d, %x", i, typ, body)
		}
	}
	if n, err := io.Copy(io.Discard, r); n != 0 || err != nil {
		t.Errorf("after the last answer: %d bytes, %v", n, err)
	}
}

// A reply that lists the longest names in the longest form still fits a packet.
func TestLongestListingFits(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	for i := range 450 {
		h.folder.put(fmt.Sprintf("%0255d", i), nil)
		h.folder.nodes[fmt.Sprintf("%0255d", i)].size = 1<<63 - 1
	}
	cfg := h.clientConfig()
	cfg.User = strings.Repeat("c", reports.MaxClientID)
	h.gate.register(cfg.User, h.key.PublicKey())
	conn, err := ssh.Dial("tcp", h.addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	c, err := sftp.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := c.ReadDir("/"); err != nil || len(list) != 450 {
		t.Errorf("listed %d names, %v", len(list), err)
	}
}

func TestAttackTraversal(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.folder.put("mine", []byte("mine"))
	c := h.sftp()
	for _, p := range []string{
		"../../etc/passwd", "/../../../etc/passwd", "a/../../../../mine/../../etc/passwd", "....//....//etc/passwd",
		`..\..\etc\passwd`, `a\b`, "/etc/passwd\x00.pgp", "mine\x00", "a\nb", "\u202egpj.exe", "a\u2028b", "\xff\xfe", "%2e%2e/%2e%2e/etc/passwd",
		strings.Repeat("a", 256), strings.Repeat("a/", 17) + "a", strings.Repeat("/", 5000), "~root/x", "//etc//passwd", "C:/x", "CON", "mine/..", "mine/../..",
	} {
		if f, err := c.Open(p); err == nil {
			_ = f.Close()
			t.Errorf("%q was opened", p)
		}
		_ = c.Mkdir(p)
	}
	h.folder.mu.Lock()
	defer h.folder.mu.Unlock()
	for _, call := range h.folder.calls {
		_, name, _ := strings.Cut(call, " ")
		if parsed, err := reports.ParseName(name); err != nil || parsed.String() != name || strings.ContainsAny(name, "\\\x00\n") {
			t.Errorf("the folder was called with %q", call)
		}
	}
}

func TestAttackHandleExhaustion(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: func(c *sftpd.Config) { c.MaxHandles = 10 }})
	h.folder.put("f", []byte("x"))
	c := h.sftp()
	var files []*sftp.File
	for i := range 10 {
		f, err := c.Open("f")
		if err != nil {
			t.Fatalf("handle %d: %v", i, err)
		}
		files = append(files, f)
	}
	for what, open := range map[string]func() error{
		"file":   func() error { _, err := c.Open("f"); return err },
		"upload": func() error { _, err := c.Create("g"); return err },
		"folder": func() error { _, err := c.ReadDir("/"); return err },
	} {
		if err := open(); err == nil || !strings.Contains(err.Error(), "too many files") {
			t.Errorf("one %s too many: %v", what, err)
		}
	}
	_ = files[0].Close()
	if _, err := c.ReadDir("/"); err != nil {
		t.Errorf("a handle was closed, and yet: %v", err)
	}
	if _, err := c.Open("missing"); err == nil {
		t.Error("opened a missing file")
	}
	if _, err := c.Open("f"); err != nil {
		t.Errorf("a failed open kept its handle: %v", err)
	}
}

func TestAttackChannelExhaustion(t *testing.T) {
	t.Parallel()
	c := start(t, options{}).dial()
	for i := range 4 {
		if _, err := c.NewSession(); err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("a fifth session was opened")
	}
}

func TestAttackMalformedPackets(t *testing.T) {
	t.Parallel()
	for name, packet := range map[string][]byte{
		"length 0":           {0, 0, 0, 0},
		"length 2^32-1":      {0xff, 0xff, 0xff, 0xff, 5},
		"257 KiB":            binary.BigEndian.AppendUint32(nil, 257<<10),
		"unknown type":       {0, 0, 0, 5, 99, 0, 0, 0, 1},
		"short stat":         {0, 0, 0, 5, 17, 0, 0, 0, 1},
		"string beyond end":  {0, 0, 0, 9, 17, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff},
		"huge extended":      binary.BigEndian.AppendUint32(nil, 200<<10),
		"open without flags": append([]byte{0, 0, 0, 10, 3}, req(1, "x")...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, options{})
			r := h.raw()
			if name == "huge extended" {
				packet = append(packet, 200)
			}
			_, _ = r.in.Write(append(packet, make([]byte, 64)...))
			_ = r.in.Close()
			done := make(chan struct{})
			go func() { _, _ = io.Copy(io.Discard, r); close(done) }()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Fatal("the session did not end")
			}
			h.sftp()
		})
	}
}

// pkg/sftp takes a READ on a handle for writing as a WRITE of its own buffer.
func TestAttackReadOnUploadWritesNothing(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	r := h.raw()
	r.send(3, req(1, "up", 2|8|16, 0))
	typ, body := r.receive()
	if typ != 102 {
		t.Fatalf("open: type %d", typ)
	}
	handle := string(body[8:])
	r.send(6, req(2, handle, uint64(0), "data"))
	r.receive()
	r.send(5, req(3, handle, uint64(0), 1000))
	if typ, body := r.receive(); typ != 103 || string(body[8:]) != "data" {
		t.Errorf("read: type %d, %q", typ, body)
	}
	r.send(4, req(4, handle))
	r.receive()
	if got, _ := h.folder.content("up"); string(got) != "data" {
		t.Errorf("upload holds %q", got)
	}
}

func TestAttackOffsetsBeyondReason(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.folder.put("f", []byte("data"))
	r := h.raw()
	r.send(3, req(1, "f", 1, 0))
	_, body := r.receive()
	read := string(body[8:])
	r.send(3, req(2, "g", 2|8, 0))
	_, body = r.receive()
	write := string(body[8:])
	for _, off := range []uint64{1 << 63, 1<<64 - 1, 1<<63 - 2, 1 << 62} {
		r.send(5, req(3, read, off, 1<<31))
		if typ, _ := r.receive(); typ != 101 {
			t.Errorf("read at %d: type %d", off, typ)
		}
		r.send(6, req(4, write, off, "xxxx"))
		if typ, body := r.receive(); typ != 101 || binary.BigEndian.Uint32(body[4:]) == 0 {
			t.Errorf("write at %d: type %d, %q", off, typ, body)
		}
	}
}

// A client that asks for much and reads nothing holds a bounded amount.
func TestAttackPipelinedReadsAreBounded(t *testing.T) {
	h := start(t, options{})
	h.folder.nodes["big"] = &node{size: 1 << 40}
	r := h.raw()
	r.send(3, req(1, "big", 1, 0))
	_, body := r.receive()
	handle := string(body[8:])
	before := heap()
	go func() {
		for i := range 5000 {
			p := req(i, handle, uint64(i)<<18, 255<<10)
			head := append(binary.BigEndian.AppendUint32(nil, uint32(len(p)+1)), 5)
			if _, err := r.in.Write(append(head, p...)); err != nil {
				return
			}
		}
	}()
	time.Sleep(300 * time.Millisecond)
	if grown := int64(heap()) - int64(before); grown > 24<<20 {
		t.Errorf("5,000 unread answers hold %d MiB", grown>>20)
	}
}

// What strangers send before they log in is held in small amounts.
func TestAttackStalledHandshakesHoldLittleMemory(t *testing.T) {
	h := start(t, options{limits: func(l *server.Limits) { l.ConnectionsPerAddress, l.Unauthenticated = 100, 200 }})
	before := heap()
	half := append(binary.BigEndian.AppendUint32([]byte("SSH-2.0-stall\r\n"), 35000), make([]byte, 34000)...)
	for range 100 {
		nc := must(net.Dial("tcp", h.addr))
		defer func() { _ = nc.Close() }()
		if _, err := nc.Write(half); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are waiting", func() bool { return h.server.Stats().Unauthenticated == 100 })
	time.Sleep(200 * time.Millisecond)
	if grown := int64(heap()) - int64(before); grown > 100*128<<10 {
		t.Errorf("100 stalled handshakes hold %d KiB each", grown/100>>10)
	} else {
		t.Logf("%d KiB each", grown/100>>10)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestInternalErrorsStayInside(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.folder.fail = func(op string, _ reports.Name) error {
		return fmt.Errorf("%s: catalog at /var/lib/sealdrop/catalog.db: disk I/O error", op)
	}
	c := h.sftp()
	_, statErr := c.Stat("x")
	_, openErr := c.Open("x")
	_, createErr := c.Create("x")
	_, listErr := c.ReadDir("/")
	for what, err := range map[string]error{
		"stat": statErr, "open": openErr, "create": createErr, "list": listErr,
		"mkdir": c.Mkdir("x"), "remove": c.Remove("x"), "rename": c.Rename("x", "y"),
	} {
		if err == nil || strings.Contains(err.Error(), "catalog") {
			t.Errorf("%s: the client is told %v", what, err)
		}
		if !strings.Contains(h.log.String(), what) && what != "stat" {
			t.Errorf("%s: the log does not tell", what)
		}
	}
	if !strings.Contains(h.log.String(), "disk I/O error") {
		t.Error("the log lacks the error")
	}
}

func TestErrorsHaveTheirStatus(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	c := h.sftp()
	for _, tt := range []struct {
		err  error
		code uint32
		text string
	}{
		{fs.ErrNotExist, 2, ""},
		{fmt.Errorf("rename: %w", fs.ErrExist), 4, "the name is taken"},
		{fs.ErrPermission, 3, ""},
		{reports.ErrOnHold, 3, ""},
		{reports.ErrBusy, 4, "another session"},
		{reports.ErrNoSpace, 4, "no space left"},
		{fmt.Errorf("db: %w: it is odd", reports.ErrName), 4, "not a valid name: it is odd"},
		{errors.New("boom"), 4, "internal error"},
	} {
		h.folder.mu.Lock()
		h.folder.fail = func(string, reports.Name) error { return tt.err }
		h.folder.mu.Unlock()
		err := c.Mkdir("x")
		switch st, ok := errors.AsType[*sftp.StatusError](err); {
		case ok && (st.Code != tt.code || !strings.Contains(err.Error(), tt.text)):
			t.Errorf("%v: client is told %v", tt.err, err)
		case !ok && !(tt.code == 2 && os.IsNotExist(err) || tt.code == 3 && os.IsPermission(err)):
			t.Errorf("%v: client is told %v", tt.err, err)
		}
	}
}

func TestPanicEndsOnlyItsConnection(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	bystander, victim := h.sftp(), h.sftp()
	h.folder.put("f", []byte("x"))
	h.folder.fail = func(op string, _ reports.Name) error {
		if op == "mkdir" {
			panic("broken folder")
		}
		return nil
	}
	if err := victim.Mkdir("x"); err == nil {
		t.Error("mkdir that panicked succeeded")
	}
	eventually(t, "connection ended", func() bool { _, err := victim.Stat("f"); return err != nil })
	if _, err := bystander.Stat("f"); err != nil {
		t.Errorf("the other connection: %v", err)
	}
	if !strings.Contains(h.log.String(), "broken folder") || !strings.Contains(h.log.String(), "handlers.go") {
		t.Error("the log lacks the panic and its stack")
	}
}

// A session that pauses gives its request server back and goes on as if nothing
// were; what is open stays open.
func TestPausedSessionGoesOn(t *testing.T) {
	h := start(t, options{config: func(c *sftpd.Config) { c.Pause = 20 * time.Millisecond }})
	h.folder.put("f", noise(1<<20))
	c := h.sftp()
	read := func(pause time.Duration) {
		t.Helper()
		f, err := c.Open("f")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		time.Sleep(pause)
		if n, err := io.Copy(io.Discard, f); n != 1<<20 || err != nil {
			t.Fatal(n, err)
		}
	}
	for range 3 {
		read(0)
		eventually(t, "request server ended", func() bool { return running("sftp.(*packetManager).controller(") == 0 })
	}
	read(100 * time.Millisecond)
}

func TestIdleSessionEnds(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: func(c *sftpd.Config) { c.IdleTimeout = 200 * time.Millisecond }})
	began := time.Now()
	_ = h.dial().Wait()
	if took := time.Since(began); took < 200*time.Millisecond || took > time.Minute {
		t.Errorf("ended after %v", took)
	}
	if !strings.Contains(h.log.String(), "reason=idle") {
		t.Error("the log does not tell why")
	}
}

// A peer whose machine is gone answers nothing.
func TestVanishedPeerIsNoticed(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: func(c *sftpd.Config) { c.Keepalive = time.Second }})
	nc := must(net.Dial("tcp", h.addr))
	tap := &freezer{Conn: nc, frozen: make(chan struct{})}
	sc, chans, reqs, err := ssh.NewClientConn(tap, h.addr, h.clientConfig())
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	go func() {
		for r := range reqs {
			_ = r.Reply(false, nil)
			asked.Add(1)
		}
	}()
	go func() {
		for range chans {
		}
	}()
	// Keepalives are answered, so it lives.
	eventually(t, "it was asked twice", func() bool { return asked.Load() == 2 })
	if h.server.Stats().Open != 1 {
		t.Fatal("a peer that answers was dropped")
	}
	close(tap.frozen)
	eventually(t, "connection dropped", func() bool { return h.server.Stats().Open == 0 })
	_ = sc.Close()
}

// freezer drops what is written once it is frozen.
type freezer struct {
	net.Conn
	frozen chan struct{}
}

func (f *freezer) Write(p []byte) (int, error) {
	select {
	case <-f.frozen:
		return len(p), nil
	default:
		return f.Conn.Write(p)
	}
}

// A client that opens a download and stops reading is not waited for.
func TestStalledDownloadEnds(t *testing.T) {
	t.Parallel()
	h := start(t, options{config: func(c *sftpd.Config) { c.StallTimeout = 200 * time.Millisecond }})
	h.folder.nodes["big"] = &node{size: 1 << 40}
	r := h.raw()
	r.send(3, req(1, "big", 1, 0))
	_, body := r.receive()
	for i := range 64 {
		p := req(i, string(body[8:]), uint64(i)<<18, 255<<10)
		if _, err := r.in.Write(append(append(binary.BigEndian.AppendUint32(nil, uint32(len(p)+1)), 5), p...)); err != nil {
			break
		}
	}
	eventually(t, "connection ended", func() bool { return h.server.Stats().Open == 0 })
	if !strings.Contains(h.log.String(), "transfer stalled") {
		t.Error("the log does not tell why")
	}
}

func TestShutdownLetsTransfersFinish(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	idle, c := h.dial(), h.sftp()
	f, err := c.Create("up")
	if err != nil {
		t.Fatal(err)
	}
	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		down <- h.server.Shutdown(ctx)
	}()
	_ = idle.Wait() // ended at once: nothing is under way on it
	if _, err := f.Write([]byte("all of it")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-down; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if got, _ := h.folder.content("up"); string(got) != "all of it" {
		t.Errorf("upload holds %q", got)
	}
}

func TestNoGoroutinesAreLeft(t *testing.T) {
	h := start(t, options{})
	h.folder.put("f", noise(100_000))
	for range 20 {
		c := h.sftp()
		if _, err := c.ReadDir("/"); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Open("f")
		_ = c.Close()
	}
	for _, cfg := range []*ssh.ClientConfig{h.clientConfig(edSigner())} {
		_, _ = ssh.Dial("tcp", h.addr, cfg)
	}
	h.close()
	gone := func() bool { return running("server/sftpd.(*") == 0 && running("sftp.(*packetManager)") == 0 }
	for end := time.Now().Add(time.Minute); !gone(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("goroutines are left:\n%s", stacks())
		}
	}
}
