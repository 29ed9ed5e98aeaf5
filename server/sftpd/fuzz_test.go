package sftpd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

// FuzzRequests feeds a session's raw bytes to what serves them, under a memory
// cap that a count believed from the wire would break.
func FuzzRequests(f *testing.F) {
	packet := func(typ byte, parts ...any) []byte {
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
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(b)+1)), typ), b...)
	}
	init := packet(1, 3)
	join := func(p ...[]byte) []byte { return bytes.Join(append([][]byte{init}, p...), nil) }
	f.Add(init)
	f.Add(join(packet(200, 1, "limits@openssh.com"), packet(200, 2, "statvfs@openssh.com", "/"), packet(200, 3, "hardlink@openssh.com", "a", "b")))
	// Handles used before they are given and while they are closed.
	f.Add(join(packet(3, 1, "f", 1, 0), packet(5, 2, "1", uint64(0), 1<<31), packet(8, 3, "1"), packet(4, 4, "1")))
	f.Add(join(packet(3, 1, "g", 2|4|8, 0), packet(6, 2, "1", uint64(1<<62), "data"), packet(10, 3, "1", 8, 1, 2), packet(4, 4, "1")))
	f.Add(join(packet(11, 1, "/"), packet(12, 2, "1"), packet(12, 3, "1"), packet(4, 4, "1")))
	f.Add(join(packet(16, 1, "../.."), packet(17, 2, "\x00"), packet(7, 3, "f"), packet(13, 4, "f"), packet(14, 5, "d", 0), packet(15, 6, "d"), packet(18, 7, "a", "b")))
	f.Add(join(packet(9, 1, "f", -1, 0, 0, 0, 0, 0, 0, 0, 0x7fffffff)))
	f.Add(join(packet(200, 1, "posix-rename@openssh.com", "a", "b"), packet(20, 2, "a", "b"), packet(19, 3, "a")))
	f.Add(join(packet(3, 1, "f", 1, 0), packet(5, 2, "d1", uint64(0), 1<<31), packet(8, 3, "d1"), packet(10, 3, "d1", 8, 1, 2), packet(6, 3, "d1", uint64(0), "x"), packet(12, 3, "d1"), packet(4, 4, "d1"), packet(4, 5, "d1")))
	f.Add(join(packet(11, 1, "/"), packet(12, 2, "d1"), packet(5, 2, "d1", uint64(0), 9), packet(12, 3, "d1")))
	f.Add([]byte{0, 4, 0, 0, 5})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 200})

	debug.SetMemoryLimit(512 << 20)
	s := &Server{}
	s.cfg.setDefaults()
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		c := &connection{server: s, log: slog.New(slog.DiscardHandler), conn: nopConn{}, session: fuzzSession{}, share: &share{}, streams: map[*stream]struct{}{}}
		ch := &bytesChannel{in: bytes.NewReader(data)}
		st := newStream(c, ch)
		done := make(chan struct{})
		go func() { st.serve(t.Context()); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("the session does not end")
		}
		if n := c.handles.Load(); n != 0 {
			t.Errorf("%d handles are left", n)
		}
		if st.appending.Load() != 0 {
			t.Error("an appending handle is left")
		}
		for out := ch.out.Bytes(); len(out) > 0; {
			if len(out) < 5 || int64(binary.BigEndian.Uint32(out)) > int64(len(out)-4) {
				t.Fatalf("a broken packet was sent: %x", out[:min(len(out), 40)])
			}
			out = out[4+binary.BigEndian.Uint32(out):]
		}
	})
}

// FuzzHello feeds a stranger's first bytes to what reads them.
func FuzzHello(f *testing.F) {
	kex := ssh.Marshal(&kexInit{KeyExchanges: []string{"curve25519-sha256"}, CiphersToServer: gcmCiphers(), CiphersToClient: gcmCiphers()})
	packet := append(binary.BigEndian.AppendUint32(nil, uint32(len(kex)+1+4)), 4)
	packet = append(append(packet, kex...), 0, 0, 0, 0)
	f.Add(append([]byte("SSH-2.0-OpenSSH_9.2\r\n"), packet...))
	f.Add([]byte("SSH-2.0-x\n\x00\x00\x00\x02\xff\x14"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("SSH-1.99-old\r\n\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		conn := &fuzzConn{in: bytes.NewReader(data)}
		h, hc, err := exchangeHello(conn)
		if len(h.version) > maxIdentification || len(hc.replay) > maxIdentification+4+maxFirstPacket+4096 {
			t.Errorf("too much was kept: %d, %d", len(h.version), len(hc.replay))
		}
		if err != nil {
			return
		}
		// The handshake sees every byte, and its own line is not sent twice.
		if _, err := hc.Write([]byte(serverVersion + "\r\nrest")); err != nil || conn.out.String() != serverVersion+"\r\nrest" {
			t.Errorf("sent %q, %v", conn.out.String(), err)
		}
		if all, _ := io.ReadAll(hc); !bytes.Equal(all, data) {
			t.Errorf("replayed %d bytes of %d", len(all), len(data))
		}
		_ = rulesHere().ciphersFor(h.kex)
		_ = rulesHere().macsFor(h.kex)
	})
}

type fuzzConn struct {
	nopConn
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *fuzzConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *fuzzConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// nopConn is a connection with nobody at the other end.
type nopConn struct{ net.Conn }

func (nopConn) Close() error                    { return nil }
func (nopConn) SetReadDeadline(time.Time) error { return nil }
func (nopConn) Remote() netip.Addr              { return netip.Addr{} }
func (nopConn) Authenticated()                  {}
func (nopConn) Draining() <-chan struct{}       { return nil }

// bytesChannel is an SSH channel whose client has said all it will.
type bytesChannel struct {
	ssh.Channel
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *bytesChannel) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *bytesChannel) Write(p []byte) (int, error) { return c.out.Write(p) }
func (c *bytesChannel) Close() error                { return nil }

type fuzzSession struct{}

func (fuzzSession) Folder() Folder { return fuzzFolder{} }
func (fuzzSession) Client() string { return "acme" }
func (fuzzSession) Close()         {}

// fuzzFolder has every name, and holds nothing.
type fuzzFolder struct{}

func entryOf(name reports.Name) folder.Entry {
	return folder.Entry{Name: name, Folder: name.IsRoot(), Size: 100}
}

func (fuzzFolder) Stat(_ context.Context, name reports.Name) (folder.Entry, error) {
	return entryOf(name), nil
}

func (fuzzFolder) List(_ context.Context, _ reports.Name, after string, _ int) ([]folder.Entry, error) {
	if after != "" {
		return nil, nil
	}
	name, err := reports.ParseName("f")
	return []folder.Entry{entryOf(name)}, err
}

func (fuzzFolder) Open(context.Context, reports.Name) (folder.File, error) { return fuzzFile{}, nil }

func (fuzzFolder) Create(context.Context, reports.Name, folder.CreateMode) (folder.Upload, error) {
	return fuzzFile{}, nil
}
func (fuzzFolder) Remove(context.Context, reports.Name) error                     { return nil }
func (fuzzFolder) RemoveFolder(context.Context, reports.Name) error               { return nil }
func (fuzzFolder) Rename(context.Context, reports.Name, reports.Name, bool) error { return nil }
func (fuzzFolder) Mkdir(context.Context, reports.Name) error                      { return nil }
func (fuzzFolder) Chtimes(context.Context, reports.Name, time.Time) error         { return nil }
func (fuzzFolder) Usage(context.Context) (folder.Usage, error)                    { return folder.Usage{}, nil }

type fuzzFile struct{}

func (fuzzFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= 100 {
		return 0, io.EOF
	}
	n := min(len(p), 100-int(off))
	clear(p[:n])
	return n, io.EOF
}

func (fuzzFile) SendTo(io.Writer, int64) (int64, error) { return 0, errors.ErrUnsupported }
func (fuzzFile) ReadFrom(io.Reader) (int64, error)      { return 0, errors.ErrUnsupported }
func (fuzzFile) Truncate(int64) error                   { return errors.ErrUnsupported }

func (fuzzFile) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		panic("negative offset")
	}
	return len(p), nil
}
func (fuzzFile) Size() int64         { return 100 }
func (fuzzFile) TransferError(error) {}
func (fuzzFile) Close() error        { return nil }
