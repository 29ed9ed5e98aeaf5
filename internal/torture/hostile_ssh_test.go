package torture

import (
	"bufio"
	wire "encoding/binary" // binary is the program under test
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

const sshHello = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"

// sshPacket frames a payload before encryption (RFC 4253, section 6).
func sshPacket(payload []byte) []byte {
	padding := 8 - (5+len(payload))%8
	if padding < 4 {
		padding += 8
	}
	p := wire.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	p = append(p, byte(padding))
	p = append(p, payload...)
	return append(p, make([]byte, padding)...)
}

// kexInit asks for what every client knows.
func kexInit() []byte {
	p := append([]byte{20}, make([]byte, 16)...)
	for _, list := range []string{
		"curve25519-sha256", "ssh-ed25519", "aes128-gcm@openssh.com", "aes128-gcm@openssh.com",
		"hmac-sha2-256-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "none", "none", "", "",
	} {
		p = wire.BigEndian.AppendUint32(p, uint32(len(list)))
		p = append(p, list...)
	}
	return sshPacket(append(p, make([]byte, 5)...))
}

// kexECDH is a client's half of a key exchange.
func (l *lane) kexECDH() []byte {
	p := append([]byte{30}, 0, 0, 0, 32)
	point := make([]byte, 32)
	_, _ = l.source.Read(point)
	return sshPacket(append(p, point...))
}

// slowSSH drips the first line or the first packet.
func slowSSH(l *lane) error {
	conn, err := l.dial(admitted, l.Target.SFTP)
	if err != nil {
		return err
	}
	defer conn.Close()
	hello := []byte(sshHello)
	if l.i%2 == 0 {
		if _, err := conn.Write(hello); err != nil {
			return err
		}
		hello = kexInit()
	}
	if err := l.drip(conn, hello[:len(hello)-3]); err != nil {
		return err
	}
	return l.hold(conn)
}

// stallKex falls silent after the first packet, or in the key exchange.
func stallKex(l *lane) error {
	conn, err := l.dial(admitted, l.Target.SFTP)
	if err != nil {
		return err
	}
	defer conn.Close()
	hello := append([]byte(sshHello), kexInit()...)
	if l.i%2 == 0 {
		hello = append(hello, l.kexECDH()...)
	}
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	l.count(1)
	return l.hold(conn)
}

// stormKex exchanges keys at speed, which costs the gateway more than it costs the
// attacker.
func stormKex(l *lane) error {
	conn, err := l.dial(admitted, l.Target.SFTP)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(append(append([]byte(sshHello), kexInit()...), l.kexECDH()...)); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	for range 2 { // the gateway's KEXINIT, and its half of the exchange
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		if _, err := in.Discard(int(wire.BigEndian.Uint32(head[:]))); err != nil {
			return err
		}
	}
	l.under()
	l.count(1)
	return nil
}

// floodKex sends what means nothing, or may not come, during the key exchange.
func floodKex(l *lane) error {
	conn, err := l.dial(admitted, l.Target.SFTP)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(append([]byte(sshHello), kexInit()...)); err != nil {
		return err
	}
	var packet []byte
	switch l.i % 4 {
	case 0: // SSH_MSG_IGNORE
		packet = sshPacket(append([]byte{2}, make([]byte, 30<<10)...))
	case 1: // KEXINIT again
		packet = kexInit()
	case 2: // an endless packet
		packet = []byte{0x7f, 0xff, 0xff, 0xff, 4}
	case 3: // a global request before the login
		packet = sshPacket([]byte("\x50\x00\x00\x00\x15keepalive@openssh.com\x01"))
	}
	l.under()
	go swallow(conn)
	for {
		n, err := conn.Write(packet)
		l.count(n)
		if err != nil {
			return err
		}
	}
}

// login logs the hostile client in.
func (l *lane) login(cfg ssh.Config) (*ssh.Client, error) {
	signer, err := ssh.ParsePrivateKey([]byte(l.Target.Key))
	if err != nil {
		return nil, err
	}
	return l.loginWith(cfg, signer)
}

func (l *lane) loginWith(cfg ssh.Config, signer ssh.Signer) (*ssh.Client, error) {
	conn, err := l.dial(admitted, l.Target.SFTP)
	if err != nil {
		return nil, err
	}
	sc, channels, requests, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{
		Config: cfg, User: l.Target.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return ssh.NewClient(sc, channels, requests), nil
}

// rawSFTP is an sFTP session packet by packet.
type rawSFTP struct {
	ssh.Channel
	id uint32
}

// session opens a session of a connection, and reads the answer to its INIT.
func session(c *ssh.Client) (*rawSFTP, error) {
	ch, requests, err := c.OpenChannel("session", nil)
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests)
	if ok, err := ch.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"})); err != nil || !ok {
		return nil, fmt.Errorf("asking for sftp: %v, %w", ok, err)
	}
	s := &rawSFTP{Channel: ch}
	if _, err := ch.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3}); err != nil {
		return nil, err
	}
	_, _, err = s.answer()
	return s, err
}

// request frames a request of the protocol, with strings after its number.
func (s *rawSFTP) request(typ byte, fields ...string) []byte {
	s.id++
	body := wire.BigEndian.AppendUint32([]byte{typ}, s.id)
	for _, f := range fields {
		body = wire.BigEndian.AppendUint32(body, uint32(len(f)))
		body = append(body, f...)
	}
	return append(wire.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// read frames a READ.
func (s *rawSFTP) read(handle string, offset uint64, n uint32) []byte {
	p := s.request(5, handle)
	p = wire.BigEndian.AppendUint32(wire.BigEndian.AppendUint64(p, offset), n)
	wire.BigEndian.PutUint32(p, uint32(len(p)-4))
	return p
}

// open frames an OPEN.
func (s *rawSFTP) open(name string, flags uint32) []byte {
	p := s.request(3, name)
	p = append(wire.BigEndian.AppendUint32(p, flags), 0, 0, 0, 0)
	wire.BigEndian.PutUint32(p, uint32(len(p)-4))
	return p
}

// answer reads one answer: its type, and what follows its number.
func (s *rawSFTP) answer() (byte, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return 0, nil, err
	}
	body := make([]byte, wire.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(s, body); err != nil {
		return 0, nil, err
	}
	if len(body) < 5 {
		return 0, nil, errors.New("a short answer")
	}
	return body[0], body[5:], nil
}

const (
	sftpStatus = 101
	sftpHandle = 102
)

// do sends a request and returns what its answer holds: a handle's name, mostly.
func (s *rawSFTP) do(request []byte) (string, error) {
	if _, err := s.Write(request); err != nil {
		return "", err
	}
	typ, body, err := s.answer()
	if err != nil {
		return "", err
	}
	switch {
	case typ == sftpHandle && len(body) >= 4:
		return string(body[4:]), nil
	case typ == sftpStatus && len(body) >= 8 && wire.BigEndian.Uint32(body) != 0:
		n := min(int(wire.BigEndian.Uint32(body[4:])), len(body)-8)
		return "", &sftpError{string(body[8 : 8+n])}
	}
	return "", nil
}

// sftpError is a request's refusal.
type sftpError struct{ text string }

func (e *sftpError) Error() string { return e.text }

// rekey exchanges keys again after every few packets.
func rekey(l *lane) error {
	c, err := l.login(ssh.Config{RekeyThreshold: 256})
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := session(c)
	if err != nil {
		return err
	}
	l.under()
	for l.ctx.Err() == nil {
		if _, err := s.do(s.request(17, "/")); err != nil { // STAT
			return err
		}
		l.count(1)
	}
	return nil
}

// floodRequests asks for channels, environment variables and signs of life, at
// speed, and cares for no answer.
func floodRequests(l *lane) error {
	c, err := l.login(ssh.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	ch, requests, err := c.OpenChannel("session", nil)
	if err != nil {
		return err
	}
	go ssh.DiscardRequests(requests)
	l.under()
	for l.ctx.Err() == nil {
		switch l.i % 4 {
		case 0:
			_, _, err = c.SendRequest("keepalive@openssh.com", false, nil)
		case 1:
			_, _, err = c.SendRequest("ping@openssh.com", true, make([]byte, 16<<10))
		case 2:
			_, err = ch.SendRequest("env", false, make([]byte, 16<<10))
		case 3:
			if _, _, refused := c.OpenChannel("session", nil); refused != nil {
				if _, expected := errors.AsType[*ssh.OpenChannelError](refused); !expected {
					err = refused
				}
			}
		}
		if err != nil {
			return err
		}
		l.count(1)
	}
	return nil
}

// wrongKeys tries keys that nobody knows.
func wrongKeys(l *lane) error {
	_, err := l.loginWith(ssh.Config{}, stranger(l))
	if err == nil {
		return errors.New("a stranger's key was let in")
	}
	l.under()
	l.count(1)
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		l.sleep(20 * time.Millisecond)
	}
	return nil
}
