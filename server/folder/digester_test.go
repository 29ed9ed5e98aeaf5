package folder_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/server/folder"
)

func noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	return data
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// stopDigester gives the gateway a digester that does nothing any more, as if
// the gateway were killed before its turn came.
func (g *gateway) stopDigester() {
	g.Digester = folder.NewDigester(g.Catalog, g.Blobs, g.Log)
	g.Digester.Close()
}

func (g *gateway) startDigester(tb testing.TB) {
	g.Digester = folder.NewDigester(g.Catalog, g.Blobs, g.Log)
	tb.Cleanup(g.Digester.Close)
}

func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	tb.Fatalf("it did not come to pass that %s", what)
}

func (g *gateway) wantDigest(tb testing.TB, name string, data []byte) {
	tb.Helper()
	eventually(tb, name+" has a digest", func() bool { return g.lookup(tb, "one", parseName(tb, name)).SHA256 != "" })
	if got := g.lookup(tb, "one", parseName(tb, name)).SHA256; got != sumOf(data) {
		tb.Errorf("the catalog's SHA-256 of %s is %s, want %s", name, got, sumOf(data))
	}
}

// fromMemory and fromSocket are the two ways in which a stream arrives.
func fromMemory(_ testing.TB, data []byte) io.Reader { return bytes.NewReader(data) }

func fromSocket(tb testing.TB, data []byte) io.Reader {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	sender, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = sender.Write(data) // what is missing, the digest tells
		sender.Close()
	})
	tb.Cleanup(func() {
		conn.Close()
		sending.Wait()
	})
	return conn
}

func (g *gateway) create(tb testing.TB, name string, mode folder.CreateMode) folder.Upload {
	tb.Helper()
	u, err := g.session(tb, "one").Create(context.Background(), parseName(tb, name), mode)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

func stream(tb testing.TB, u folder.Upload, r io.Reader, n int) {
	tb.Helper()
	if got, err := u.ReadFrom(r); got != int64(n) || err != nil {
		tb.Fatalf("streaming %d bytes: %d, %v", n, got, err)
	}
}

func closeUpload(tb testing.TB, u folder.Upload) {
	tb.Helper()
	if err := u.Close(); err != nil {
		tb.Fatal(err)
	}
}

// cutOff streams the beginning of a file and breaks off.
func (g *gateway) cutOff(tb testing.TB, name string, r io.Reader, n int) {
	tb.Helper()
	u := g.create(tb, name, folder.Truncate)
	stream(tb, u, r, n)
	u.TransferError(io.ErrUnexpectedEOF)
	if err := u.Close(); err == nil {
		tb.Fatal("an upload that was cut off closed well")
	}
}

func TestDigestOfAStream(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	data := noise(3*mib + 12345)
	for _, test := range []struct {
		name  string
		later bool // whether the digest is computed after the upload is published
		put   func(t *testing.T, g *gateway, from func(testing.TB, []byte) io.Reader) (want []byte)
	}{
		{"short", false, func(t *testing.T, g *gateway, from func(testing.TB, []byte) io.Reader) []byte {
			u := g.create(t, "a", folder.Truncate)
			stream(t, u, from(t, data[:mib]), mib)
			closeUpload(t, u)
			return data[:mib]
		}},
		{"long", true, func(t *testing.T, g *gateway, from func(testing.TB, []byte) io.Reader) []byte {
			u := g.create(t, "a", folder.Truncate)
			stream(t, u, from(t, data), len(data))
			closeUpload(t, u)
			return data
		}},
		{"in two parts", true, func(t *testing.T, g *gateway, from func(testing.TB, []byte) io.Reader) []byte {
			u := g.create(t, "a", folder.Truncate)
			stream(t, u, from(t, data[:mib/2]), mib/2)
			stream(t, u, from(t, data[mib/2:2*mib]), 2*mib-mib/2)
			closeUpload(t, u)
			return data[:2*mib]
		}},
		{"resumed", true, func(t *testing.T, g *gateway, from func(testing.TB, []byte) io.Reader) []byte {
			g.cutOff(t, "a", from(t, data[:2*mib]), 2*mib)
			u := g.create(t, "a", folder.Continue)
			stream(t, u, from(t, data[2*mib:]), len(data)-2*mib)
			closeUpload(t, u)
			return data
		}},
		{"resumed from within", true, func(t *testing.T, g *gateway, from func(testing.TB, []byte) io.Reader) []byte {
			g.cutOff(t, "a", from(t, data[mib:]), len(data)-mib)
			u := g.create(t, "a", folder.Continue)
			if err := u.Truncate(1000); err != nil {
				t.Fatal(err)
			}
			stream(t, u, from(t, data), len(data))
			closeUpload(t, u)
			return append(bytes.Clone(data[mib:mib+1000]), data...)
		}},
		{"cut short", false, func(t *testing.T, g *gateway, from func(testing.TB, []byte) io.Reader) []byte {
			g.cutOff(t, "a", from(t, data), len(data))
			u := g.create(t, "a", folder.Continue)
			if err := u.Truncate(1000); err != nil {
				t.Fatal(err)
			}
			stream(t, u, from(t, data[1000:2000]), 1000)
			closeUpload(t, u)
			return data[:2000]
		}},
		{"appended to a file", true, func(t *testing.T, g *gateway, from func(testing.TB, []byte) io.Reader) []byte {
			put(t, g.session(t, "one"), "a", string(data[:2*mib]))
			u := g.create(t, "a", folder.Continue)
			stream(t, u, from(t, data[2*mib:2*mib+10]), 10)
			closeUpload(t, u)
			return data[:2*mib+10]
		}},
		{"written at offsets", false, func(t *testing.T, g *gateway, _ func(testing.TB, []byte) io.Reader) []byte {
			put(t, g.session(t, "one"), "a", string(data))
			return data
		}},
	} {
		for way, from := range map[string]func(testing.TB, []byte) io.Reader{"memory": fromMemory, "socket": fromSocket} {
			t.Run(test.name+"/"+way, func(t *testing.T) {
				t.Parallel()
				g := newGateway(t)
				g.stopDigester()
				want := test.put(t, g, from)
				if got := g.lookup(t, "one", parseName(t, "a")).SHA256; (got == "") != test.later {
					t.Errorf("at first the digest is %q", got)
				}
				g.startDigester(t) // as the next start of the gateway does
				g.wantDigest(t, "a", want)
			})
			t.Run(test.name+"/"+way+"/without a digester", func(t *testing.T) {
				t.Parallel()
				g := newGateway(t)
				want := test.put(t, g, from)
				if got := g.lookup(t, "one", parseName(t, "a")).SHA256; got != sumOf(want) {
					t.Errorf("the digest is %q, want %s", got, sumOf(want))
				}
			})
		}
	}
}

func TestUploadsWakeTheDigester(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	g.startDigester(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			name, data := fmt.Sprint("f", i), noise(2<<20+i)
			u := g.create(t, name, folder.Truncate)
			stream(t, u, fromMemory(t, data), len(data))
			closeUpload(t, u)
			g.wantDigest(t, name, data)
		})
	}
	group.Wait()
}

// TestStreamWithAGapIsRefused: that nothing is hashed before the upload is
// published must not let one through that is not whole.
func TestStreamWithAGapIsRefused(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	g.stopDigester()
	data := noise(2 << 20)
	u := g.create(t, "a", folder.Truncate)
	stream(t, u, fromMemory(t, data), len(data))
	if _, err := u.WriteAt([]byte("x"), 3<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := u.ReadFrom(strings.NewReader("more")); !errors.Is(err, reports.ErrIncomplete) {
		t.Errorf("streaming after a gap: %v", err)
	}
	if err := u.Close(); !errors.Is(err, reports.ErrIncomplete) || g.blobs(t) != 0 {
		t.Errorf("closing: %v; %d blobs are left", err, g.blobs(t))
	}
}

// undigested publishes a file whose digest is not known.
func (g *gateway) undigested(tb testing.TB, name, data string) catalog.Undigested {
	tb.Helper()
	w, err := g.Blobs.Create()
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(w, data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		tb.Fatal(err)
	}
	err = g.Catalog.Upload(context.Background(), catalog.Upload{
		Client: clientID(tb, "one"), Name: parseName(tb, name), Blob: w.ID(), Size: w.Size(), Modified: time.Now(), Retention: time.Hour,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return catalog.Undigested{ID: g.lookup(tb, "one", parseName(tb, name)).ID, Blob: w.ID(), Size: w.Size()}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(of string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), of)
}

func TestUnreadableContentIsPassedOver(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	var log lines
	g.Log = slog.New(slog.NewTextHandler(&log, nil))
	lost, shorter := g.undigested(t, "lost", "x"), g.undigested(t, "shorter", "four")
	if err := g.Blobs.Delete(lost.Blob); err != nil {
		t.Fatal(err)
	}
	w, err := g.Blobs.Reopen(shorter.Blob)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Truncate(3), w.Commit()); err != nil {
		t.Fatal(err)
	}
	const others = 250 // more than two pages
	for i := range others {
		g.undigested(t, fmt.Sprint("f", i), fmt.Sprint(i))
	}
	g.startDigester(t)
	for i := range others {
		g.wantDigest(t, fmt.Sprint("f", i), []byte(fmt.Sprint(i)))
	}
	for round := range 3 {
		name := fmt.Sprint("again", round)
		g.undigested(t, name, "y")
		g.Digester.Wake()
		g.wantDigest(t, name, []byte("y"))
	}
	g.Digester.Close()
	for _, u := range []catalog.Undigested{lost, shorter} {
		if n := log.count("report=" + u.ID); n != 1 {
			t.Errorf("%d lines in the log about %s", n, u.ID)
		}
	}
	left, err := g.Catalog.Undigested(t.Context(), "", 10)
	if err != nil || len(left) != 2 {
		t.Errorf("without a digest are %+v, %v", left, err)
	}
}

func TestDigestOfWhatWasRemoved(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	u := g.undigested(t, "a", "hello")
	if err := g.session(t, "one").Remove(t.Context(), parseName(t, "a")); err != nil {
		t.Fatal(err)
	}
	g.startDigester(t)
	eventually(t, "the removed file has its digest", func() bool {
		r, err := g.Catalog.Report(context.Background(), u.ID)
		return err == nil && r.State == reports.Removed && r.SHA256 == sumOf([]byte("hello"))
	})
}

// TestCloseInTheMiddleOfAFile: what would take minutes to hash is left at once,
// and stays without a digest.
func TestCloseInTheMiddleOfAFile(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	w, err := g.Blobs.Create()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Truncate(256<<30), w.Commit()); err != nil { // no bytes on the disk
		t.Fatal(err)
	}
	err = g.Catalog.Upload(t.Context(), catalog.Upload{
		Client: clientID(t, "one"), Name: parseName(t, "a"), Blob: w.ID(), Size: w.Size(), Modified: time.Now(), Retention: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	g.startDigester(t)
	eventually(t, "the file is being read", func() bool { return isOpen(t, w.ID()) })
	began := time.Now()
	g.Digester.Close()
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	if r := g.lookup(t, "one", parseName(t, "a")); r.SHA256 != "" || isOpen(t, w.ID()) {
		t.Errorf("the digest is %q; open: %v", r.SHA256, isOpen(t, w.ID()))
	}
	g.Digester.Wake() // does nothing, and does not block
	g.Digester.Wake()
}

// isOpen reports whether this process has a blob's file open.
func isOpen(tb testing.TB, id string) bool {
	tb.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasSuffix(target, "/"+id) {
			return true
		}
	}
	return false
}
