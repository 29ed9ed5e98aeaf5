package sftpd_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
	"golang.org/x/crypto/ssh"
)

func TestZZServe(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip()
	}
	h := start(t, options{})
	h.folder.nodes["big"] = &node{size: 1 << 30}
	block, _ := os.ReadFile(os.Getenv("ZZ"))
	s, _ := ssh.ParsePrivateKey(block)
	h.gate.register("acme", s.PublicKey())
	os.WriteFile(os.Getenv("ZZ")+".port", []byte(h.port()), 0o600)
	var last int64
	for range 1200 {
		time.Sleep(100 * time.Millisecond)
		var ru syscall.Rusage
		syscall.Getrusage(0, &ru)
		os.WriteFile(os.Getenv("ZZ")+".cpu", []byte(fmt.Sprint(ru.Utime.Nano()+ru.Stime.Nano())), 0o600)
		if _, err := os.Stat(os.Getenv("ZZ") + ".stop"); err == nil {
			return
		}
		_ = last
	}
}
