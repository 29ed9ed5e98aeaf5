package sftpd_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/server"
)

// BenchmarkLogin is a full login with an RSA-2048 key, a stat and the end; the
// client's part is in the figure.
func BenchmarkLogin(b *testing.B) {
	h := start(b, options{
		key:    rsaSigner(),
		limits: func(l *server.Limits) { l.ConnectionsPerAddress = 1000 },
	})
	h.folder.put("f", []byte("x"))
	for b.Loop() {
		conn, err := ssh.Dial("tcp", h.addr, h.clientConfig())
		if err != nil {
			b.Fatal(err)
		}
		c, err := sftp.NewClient(conn)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Stat("f"); err != nil {
			b.Fatal(err)
		}
		_ = conn.Close()
	}
}

// BenchmarkRead is one download of 64 MiB with AES-128-GCM.
func BenchmarkRead(b *testing.B) {
	const size = 64 << 20
	h := start(b, options{})
	h.folder.nodes["f"] = &node{size: size}
	c := h.sftp(sftp.MaxPacketUnchecked(255 << 10))
	b.SetBytes(size)
	for b.Loop() {
		f, err := c.Open("f")
		if err != nil {
			b.Fatal(err)
		}
		if n, err := f.WriteTo(io.Discard); n != size || err != nil {
			b.Fatal(n, err)
		}
		_ = f.Close()
	}
}

// BenchmarkList lists 100,000 names.
func BenchmarkList(b *testing.B) {
	h := start(b, options{})
	many := newManyNames(100_000)
	h.gate.folder = many
	c := h.sftp()
	b.ReportAllocs()
	for b.Loop() {
		list, err := c.ReadDir("/")
		if err != nil || len(list) != len(many.entries) {
			b.Fatal(len(list), err)
		}
	}
}

func name(i int) string { return fmt.Sprintf("activity-statement-%06d.csv.pgp", i) }
