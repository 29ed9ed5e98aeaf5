package sftpd_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/server"
	"github.com/sealdrop/sealdrop/server/sftpd"
)

func TestLoginTellsTheGateWhatWasProved(t *testing.T) {
	t.Parallel()
	h := start(t, options{key: rsaSigner()})
	h.dial()
	logins := h.gate.attempts()
	if len(logins) != 1 {
		t.Fatalf("the gate saw %d logins", len(logins))
	}
	a := logins[0]
	if a.User != "acme" || a.Fingerprint != fingerprint(h.key.PublicKey()) || a.Bits != 2048 ||
		!strings.HasPrefix(a.Algorithm, "rsa-sha2-") || a.Address.String() != "127.0.0.1" || !strings.HasPrefix(a.ClientVersion, "SSH-2.0-Go") {
		t.Errorf("attempt: %+v", a)
	}
	if len(a.Offered) != 1 || a.Offered[0].Algorithm != "ssh-rsa" || a.Offered[0].Bits != 2048 {
		t.Errorf("offered: %+v", a.Offered)
	}
}

// x/crypto CVE-2024-45337: identity taken from a key that was only offered.
func TestAttackOfferedKeyIsNotProof(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	mine, victims := edSigner(), edSigner()
	h.gate.register("acme", mine.PublicKey())
	h.gate.register("acme", victims.PublicKey())
	// The client asks about its own key, about the victim's, and signs with its
	// own: a server that remembers the last key it was asked about is fooled.
	for _, order := range [][]ssh.Signer{
		{publicOnly{victims.PublicKey()}, mine},
		{mine, publicOnly{victims.PublicKey()}},
	} {
		c, err := ssh.Dial("tcp", h.addr, h.clientConfig(order...))
		if err == nil {
			_ = c.Close()
		}
	}
	for _, a := range h.gate.attempts() {
		if a.Fingerprint != fingerprint(mine.PublicKey()) {
			t.Errorf("the gate was given %s as proved; the client proved %s", a.Fingerprint, fingerprint(mine.PublicKey()))
		}
	}
	if len(h.gate.attempts()) == 0 {
		t.Error("nobody logged in at all")
	}
}

// publicOnly offers a key whose private half it does not have.
type publicOnly struct{ key ssh.PublicKey }

func (p publicOnly) PublicKey() ssh.PublicKey { return p.key }
func (p publicOnly) Sign(io.Reader, []byte) (*ssh.Signature, error) {
	return nil, errors.New("no private key")
}

// forger signs for a key with another one.
type forger struct {
	publicOnly
	with ssh.Signer
}

func (f forger) Sign(r io.Reader, data []byte) (*ssh.Signature, error) { return f.with.Sign(r, data) }

func TestRefusedLoginsHaveTheirCause(t *testing.T) {
	t.Parallel()
	weak := signerOf(must(rsa.GenerateKey(rand.Reader, 1024)))
	sha1 := must(ssh.NewSignerWithAlgorithms(rsaSigner().(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA}))
	for _, tt := range []struct {
		name   string
		client func(h *harness) *ssh.ClientConfig
		cause  sftpd.Cause
		detail string
		offers int
	}{
		{"unknown key", func(h *harness) *ssh.ClientConfig { return h.clientConfig(edSigner()) }, sftpd.ClosedBeforeLogin, "", 1},
		{"too many keys", func(h *harness) *ssh.ClientConfig {
			keys := make([]ssh.Signer, 10)
			for i := range keys {
				keys[i] = edSigner()
			}
			return h.clientConfig(keys...)
		}, sftpd.TooManyTries, "", 6},
		{"forged signature", func(h *harness) *ssh.ClientConfig {
			return h.clientConfig(forger{publicOnly{h.key.PublicKey()}, edSigner()})
		}, sftpd.SignatureInvalid, "did not verify", 1},
		{"weak key", func(h *harness) *ssh.ClientConfig { return h.clientConfig(weak) }, sftpd.KeyTooWeak, "RSA with 1024 bits", 1},
		{"SHA-1 signature", func(h *harness) *ssh.ClientConfig { return h.clientConfig(sha1) }, sftpd.AlgorithmRefused, "ssh-rsa", 0},
		{"no common key exchange", func(h *harness) *ssh.ClientConfig {
			c := h.clientConfig()
			c.KeyExchanges = []string{ssh.InsecureKeyExchangeDH14SHA1, ssh.InsecureKeyExchangeDH1SHA1}
			return c
		}, sftpd.NoCommonAlgorithm, "diffie-hellman-group14-sha1,diffie-hellman-group1-sha1", 0},
		{"password", func(h *harness) *ssh.ClientConfig {
			c := h.clientConfig()
			c.Auth = []ssh.AuthMethod{ssh.Password("secret")}
			return c
		}, sftpd.ClosedBeforeLogin, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, options{})
			if _, err := ssh.Dial("tcp", h.addr, tt.client(h)); err == nil {
				t.Fatal("it logged in")
			}
			a := h.gate.nextRefused(t)
			if a.Cause != tt.cause || !strings.Contains(a.Detail, tt.detail) || len(a.Offered) != tt.offers {
				t.Errorf("cause %q, detail %q, %d offers; want %q, …%q…, %d", a.Cause, a.Detail, len(a.Offered), tt.cause, tt.detail, tt.offers)
			}
			if a.Fingerprint != "" {
				t.Errorf("a key counts as proved: %s", a.Fingerprint)
			}
			if strings.Contains(h.log.String(), "secret") {
				t.Error("the password is in the log")
			}
		})
	}
}

func TestRefusalAfterProofShowsItsBanner(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.gate.login = func(sftpd.Attempt) error {
		return &sftpd.Refusal{Reason: "address not allowed", Banner: "Your key is right, your address is not on the list."}
	}
	cfg := h.clientConfig()
	var banner string
	cfg.BannerCallback = func(m string) error { banner += m; return nil }
	if _, err := ssh.Dial("tcp", h.addr, cfg); err == nil {
		t.Fatal("it logged in")
	}
	if want := "Your key is right, your address is not on the list.\r\n"; banner != want {
		t.Errorf("banner %q, want %q", banner, want)
	}
	select {
	case a := <-h.gate.refused:
		t.Errorf("the gate refused it and was told again: %+v", a)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestGateEndsSession(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	c := h.dial()
	h.gate.ends[0]("key revoked")
	h.gate.ends[0]("key revoked")
	done := make(chan struct{})
	go func() { _ = c.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the session lives on")
	}
}

func TestCiphersByClient(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	for _, tt := range []struct {
		name    string
		ciphers []string
		want    string
	}{
		{"prefers chacha and ctr, knows gcm", []string{"chacha20-poly1305@openssh.com", "aes128-ctr", "aes256-ctr", "aes128-gcm@openssh.com"}, "aes128-gcm@openssh.com"},
		{"insists on ctr", []string{"aes256-ctr"}, "aes256-ctr"},
		{"knows chacha only", []string{"chacha20-poly1305@openssh.com"}, ""},
	} {
		cfg := h.clientConfig()
		cfg.Ciphers = tt.ciphers
		c, err := ssh.Dial("tcp", h.addr, cfg)
		if err != nil {
			if tt.want != "" {
				t.Errorf("%s: %v", tt.name, err)
			} else if a := h.gate.nextRefused(t); a.Cause != sftpd.NoCommonAlgorithm || !strings.Contains(a.Detail, "chacha20") {
				t.Errorf("%s: %+v", tt.name, a)
			}
			continue
		}
		algs := c.Conn.(ssh.AlgorithmsConnMetadata).Algorithms()
		if algs.Read.Cipher != tt.want || algs.Write.Cipher != tt.want || algs.KeyExchange != "mlkem768x25519-sha256" || algs.HostKey != "ssh-ed25519" && !strings.HasPrefix(algs.HostKey, "rsa-sha2") {
			t.Errorf("%s: %+v", tt.name, algs)
		}
		_ = c.Close()
	}
}

// A client that waits for our list of algorithms before it sends its own.
func TestClientThatWaitsForOurKexInit(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	nc := must(net.Dial("tcp", h.addr))
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(nc, "SSH-2.0-Patient\r\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := io.ReadAtLeast(nc, buf, 400)
	if err != nil {
		t.Fatalf("no list came: %v", err)
	}
	for _, want := range []string{"SSH-2.0-Sealdrop\r\n", "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr", "kex-strict-s-v00@openssh.com", "ssh-ed25519,rsa-sha2-"} {
		if !bytes.Contains(buf[:n], []byte(want)) {
			t.Errorf("what the server sent lacks %q", want)
		}
	}
	for _, no := range []string{"chacha20", "sha1", "ssh-rsa", "nistp", "hmac-sha2-256,"} {
		if bytes.Contains(buf[:n], []byte(no)) {
			t.Errorf("what the server sent has %q", no)
		}
	}
}

// What is not SSH, or too much of it, ends with its cause and leaves nothing.
func TestAttackGarbageInsteadOfHello(t *testing.T) {
	t.Parallel()
	huge := binary.BigEndian.AppendUint32([]byte("SSH-2.0-x\r\n"), 0xffffffff)
	speaks := map[string]string{ // "": it is SSH as far as can be told, or nothing
		"http": "HTTP", "tls": "TLS", "short tls": "TLS", "cut http": "HTTP", "ftp": "FTP", "ssh 1": "another protocol", "endless line": "another protocol",
	}
	for name, bytes := range map[string][]byte{
		"http":             []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"cut http":         []byte("POST /login"),
		"tls":              append([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), make([]byte, 500)...),
		"short tls":        []byte("\x16\x03\x01\x00\x20\x01\x00\x00\x1c\x03\x03"),
		"ftp":              []byte("user acme\r\n"),
		"ssh 1":            []byte("SSH-1.5-old\r\n"),
		"endless line":     bytes.Repeat([]byte("A"), 100_000),
		"huge packet":      append(huge, bytes.Repeat([]byte{0}, 70_000)...),
		"no kexinit":       append(binary.BigEndian.AppendUint32([]byte("SSH-2.0-x\r\n"), 12), make([]byte, 70_000)...),
		"control in ident": []byte("SSH-2.0-\x00\x1b[2Jroot logged in\r\n"),
		"nothing":          nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, options{})
			nc := must(net.Dial("tcp", h.addr))
			_ = nc.SetDeadline(time.Now().Add(time.Minute))
			_, _ = nc.Write(bytes)
			_ = nc.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, nc)
			_ = nc.Close()
			a := h.gate.nextRefused(t)
			want := sftpd.ClosedBeforeLogin
			if speaks[name] != "" {
				want = sftpd.NotSSH
			}
			if a.Cause != want || want == sftpd.NotSSH && a.Detail != speaks[name] {
				t.Errorf("cause %q, detail %q", a.Cause, a.Detail)
			}
			if strings.ContainsFunc(a.ClientVersion+a.Detail, func(r rune) bool { return r < ' ' }) || len(a.ClientVersion) > 255 || len(a.Detail) > 512 {
				t.Errorf("not fit for a log: %q %q", a.ClientVersion, a.Detail)
			}
		})
	}
}

// stall has n strangers send half a handshake and wait.
func (h *harness) stall(n int) (conns []net.Conn) {
	h.t.Helper()
	for range n {
		nc := must(net.Dial("tcp", h.addr))
		h.t.Cleanup(func() { _ = nc.Close() })
		_, _ = io.WriteString(nc, "SSH-2.0-stall\r\n\x00\x00")
		conns = append(conns, nc)
	}
	return conns
}

// A stranger who sends half a handshake and waits holds a slot until the login
// time-out, and little memory.
func TestAttackStalledHandshakes(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: func(l *server.Limits) { l.LoginTimeout, l.ConnectionsPerAddress = 2*time.Second, 100 }})
	for _, nc := range h.stall(20) {
		if a := h.gate.nextRefused(t); a.Cause != sftpd.TimedOut {
			t.Errorf("cause: %s", a.Cause)
		}
		_ = nc.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, nc); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("connection left open: %v", err)
		}
	}
	eventually(t, "no slot is held", func() bool { return h.server.Stats().Unauthenticated == 0 })
	h.dial()
}

// Before the login time-out it holds its slot until another stranger takes it.
func TestAttackStalledHandshakesMakeRoom(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: func(l *server.Limits) {
		l.LoginTimeout, l.Unauthenticated, l.ConnectionsPerAddress = time.Hour, 80, 100 // one network has half of 80
	}})
	h.stall(50)
	for range 10 {
		if a := h.gate.nextRefused(t); a.Cause != sftpd.ClosedBeforeLogin {
			t.Errorf("cause: %s", a.Cause)
		}
	}
	eventually(t, "ten have made room, and forty wait", func() bool {
		st := h.server.Stats()
		return st.Refused[server.TooManyUnauthenticated] == 10 && st.Unauthenticated == 40
	})
	h.dial()
}

// Terrapin: packets cut out of the handshake go unnoticed without strict key
// exchange. The real client says whether it is in force.
func TestAttackTerrapin(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	out, _ := h.run(t.TempDir(), "", "ssh", "-vvv", "-p", h.port(), "-i", h.keyFile(), "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "acme@127.0.0.1", "true")
	if !strings.Contains(out, "kex-strict-c-v00@openssh.com") {
		t.Skip("this ssh does not know strict key exchange")
	}
	if !strings.Contains(out, "will use strict KEX ordering") {
		t.Errorf("no strict key exchange:\n%s", out)
	}
}

// The refused key that comes first is what ends paramiko's connection: it asks
// for the service once more, and x/crypto does not take that. The operator is
// told what to tell the client.
func TestParamikoWithTheWrongKeyFirst(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	dir := t.TempDir()
	right, wrong := h.keyFile(), filepath.Join(dir, "wrong")
	if out, err := h.run(dir, "", "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", wrong); err != nil {
		t.Fatal(err, out)
	}
	_, err := h.run(dir, "", "/usr/bin/python3", "-c", `
import paramiko, sys
c = paramiko.SSHClient(); c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect("127.0.0.1", int(sys.argv[1]), "acme", key_filename=sys.argv[2:], allow_agent=False, look_for_keys=False)
c.open_sftp().listdir("."); c.close()`, h.port(), wrong, right)
	if err == nil {
		return // a paramiko or an x/crypto that mended it
	}
	if a := h.gate.nextRefused(t); !strings.Contains(a.Detail, "paramiko") || len(a.Offered) != 1 || !strings.Contains(a.ClientVersion, "paramiko") {
		t.Errorf("attempt: %+v", a)
	}
}

func TestShellAndCommandsAreExplained(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	for _, command := range []string{"", "cat /etc/passwd"} {
		s, err := h.dial().NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		s.Stdout, s.Stderr = &stdout, &stderr
		if command == "" {
			err = s.Shell()
		} else {
			err = s.Start(command)
		}
		if err != nil {
			t.Fatal(err)
		}
		exit, ok := errors.AsType[*ssh.ExitError](s.Wait())
		if !ok || exit.ExitStatus() != 1 || stdout.Len() != 0 {
			t.Errorf("%q: %v, stdout %q", command, exit, stdout.String())
		}
		if want := "This server offers sFTP only: sftp -P " + h.port() + " acme@HOST\r\n"; stderr.String() != want {
			t.Errorf("%q: stderr %q", command, stderr.String())
		}
	}
}

func TestAttackForwardingIsRefused(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	c := h.dial()
	if _, err := c.Dial("tcp", "127.0.0.1:22"); err == nil {
		t.Error("direct-tcpip was opened")
	}
	if _, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("tcpip-forward was granted")
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := s.SendRequest("auth-agent-req@openssh.com", true, nil); ok {
		t.Error("agent forwarding was granted")
	}
	if err := s.Setenv("LD_PRELOAD", "x"); err == nil {
		t.Error("an environment variable was taken")
	}
	if err := s.RequestSubsystem("shell"); err == nil {
		t.Error("another subsystem was started")
	}
}

func TestSSHAuditFindsNothing(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	out, _ := h.run(t.TempDir(), "", "ssh-audit", "-n", "-p", h.port(), "127.0.0.1")
	if !strings.Contains(out, "(kex) curve25519-sha256") {
		t.Fatalf("ssh-audit did not come through:\n%s", out)
	}
	for line := range strings.SplitSeq(out, "\n") {
		bad := strings.Contains(line, "[fail]") || strings.Contains(line, "[warn]")
		// Debian 12's ssh-audit is older than ML-KEM and strict key exchange.
		if bad && !strings.Contains(line, "unknown algorithm") {
			t.Error(line)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}
