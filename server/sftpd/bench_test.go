package sftpd_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/folder"
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

// BenchmarkSmallFile opens, reads and closes one of many statements after the other, from a real catalog and
// store, in one session.
func BenchmarkSmallFile(b *testing.B) {
	const size, files = 20 << 10, 500
	g := startWithStore(b)
	f := &remoteFolder{g: g, user: "one"}
	content := noise(size)
	for i := range files {
		u, err := f.Create(b.Context(), must(reports.ParseName(name(i))), folder.Truncate)
		if err == nil {
			_, err = u.WriteAt(content, 0)
		}
		if err == nil {
			err = u.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	c := f.sftp()
	b.SetBytes(size)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r, err := c.Open(name(i % files))
		if err != nil {
			b.Fatal(err)
		}
		if n, err := r.WriteTo(io.Discard); n != size || err != nil {
			b.Fatal(n, err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
		i++
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
