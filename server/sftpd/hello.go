package sftpd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	serverVersion = "SSH-2.0-Sealdrop"

	// maxIdentification is the length limit of RFC 4253, section 4.2, with the
	// line's end.
	maxIdentification = 255
	// maxFirstPacket is the largest packet that RFC 4253, section 6.1, obliges
	// anybody to take. No client's list of algorithms comes near it.
	maxFirstPacket = 35000
	// kexInitWait is how long a client may take to send its list of algorithms
	// unasked. Those that wait for ours first get the full list of ciphers.
	kexInitWait = 2 * time.Second
)

// notSSHError says that a client did not introduce itself as SSH 2.
type notSSHError struct{ speaks string }

func (e *notSSHError) Error() string { return "the client speaks " + e.speaks + ", not SSH 2" }

// otherProtocol stands for one that [speaks] does not know; the others are told by
// their names.
const (
	otherProtocol = "another protocol"
	protocolTLS   = "TLS"
)

// speaks tells which protocol a client speaks that does not introduce itself as SSH.
func speaks(b []byte) string {
	const handshake, tls = 22, 3 // RFC 8446, section 5.1: the record's type and its major version
	if len(b) >= 2 && b[0] == handshake && b[1] == tls {
		return protocolTLS
	}
	for _, method := range []string{"GET ", "HEAD ", "POST ", "PUT ", "OPTIONS ", "CONNECT ", "PROPFIND ", "PRI * HTTP"} {
		if bytes.HasPrefix(b, []byte(method)) {
			return "HTTP"
		}
	}
	for _, command := range []string{"USER ", "AUTH ", "FEAT\r", "QUIT\r", "SYST\r"} {
		if len(b) >= len(command) && bytes.EqualFold(b[:len(command)], []byte(command)) {
			return "FTP"
		}
	}
	return otherProtocol
}

// kexInit is SSH_MSG_KEXINIT (RFC 4253, section 7.1).
type kexInit struct {
	Cookie              [16]byte `sshtype:"20"`
	KeyExchanges        []string
	HostKeys            []string
	CiphersToServer     []string
	CiphersToClient     []string
	MACsToServer        []string
	MACsToClient        []string
	CompressionToServer []string
	CompressionToClient []string
	LanguagesToServer   []string
	LanguagesToClient   []string
	FirstKexFollows     bool
	Reserved            uint32
}

// hello is what a client says before the handshake.
type hello struct {
	version string   // its identification line
	kex     *kexInit // nil if it did not send its list in time
}

// exchangeHello sends our identification line and reads the client's and, if it
// comes by itself, its list of algorithms. The returned connection is as if
// nothing had been said yet: it swallows our line when the handshake sends it,
// and gives what was read once more.
func exchangeHello(c net.Conn) (hello, *helloConn, error) {
	hc := &helloConn{Conn: c}
	line := serverVersion + "\r\n"
	if _, err := io.WriteString(c, line); err != nil {
		return hello{}, hc, err
	}
	hc.swallow = len(line)

	var h hello
	buf, err := readUntil(c, nil, func(b []byte) (int, bool) {
		i := bytes.IndexByte(b, '\n')
		return maxIdentification, i >= 0 || speaks(b) == protocolTLS // which has no lines
	})
	hc.replay = buf
	if protocol := speaks(buf); err != nil && protocol != otherProtocol {
		return h, hc, &notSSHError{protocol}
	}
	if err != nil {
		return h, hc, err
	}
	end := bytes.IndexByte(buf, '\n')
	if end < 0 || end >= maxIdentification {
		return h, hc, &notSSHError{speaks(buf)}
	}
	if protocol := speaks(buf); protocol == protocolTLS { // it has no line to show
		return h, hc, &notSSHError{protocol}
	}
	h.version = string(bytes.TrimSuffix(buf[:end], []byte("\r")))
	if v := []byte(h.version); !bytes.HasPrefix(v, []byte("SSH-2.0-")) && !bytes.HasPrefix(v, []byte("SSH-1.99-")) {
		return h, hc, &notSSHError{speaks(buf)}
	}

	if err := c.SetReadDeadline(time.Now().Add(kexInitWait)); err != nil {
		return h, hc, err
	}
	first := end + 1
	buf, err = readUntil(c, buf, func(b []byte) (int, bool) {
		b = b[first:]
		if len(b) < 4 {
			return first + 4 + maxFirstPacket, false
		}
		size := int64(binary.BigEndian.Uint32(b))
		if size > maxFirstPacket {
			return 0, true // the handshake will say what it thinks of that
		}
		return first + 4 + maxFirstPacket, int64(len(b)) >= 4+size
	})
	hc.replay = buf
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return h, hc, err
	}
	if err == nil {
		h.kex = parseKexInit(buf[first:])
	}
	// Back to the deadline of the login.
	return h, hc, c.SetReadDeadline(time.Time{})
}

// readUntil appends to buf what c sends until enough says that it is, or its
// limit is reached.
func readUntil(c net.Conn, buf []byte, enough func([]byte) (limit int, ok bool)) ([]byte, error) {
	for {
		limit, ok := enough(buf)
		if ok || len(buf) >= limit {
			return buf, nil
		}
		chunk := make([]byte, min(4096, limit-len(buf)))
		n, err := c.Read(chunk)
		buf = append(buf, chunk[:n]...)
		if err != nil {
			return buf, err
		}
	}
}

// parseKexInit reads an unencrypted binary packet (RFC 4253, section 6); nil if
// it is no key exchange init.
func parseKexInit(packet []byte) *kexInit {
	if len(packet) < 6 {
		return nil
	}
	size := int64(binary.BigEndian.Uint32(packet))
	padding := int64(packet[4])
	if size > int64(len(packet)-4) || size < 2+padding {
		return nil
	}
	var k kexInit
	if ssh.Unmarshal(packet[5:4+size-padding], &k) != nil {
		return nil
	}
	return &k
}

// helloConn is the connection under the handshake. It also remembers why reading
// ended and when the peer was last heard, which the layers above don't tell.
type helloConn struct {
	net.Conn
	swallow int    // bytes of ours still to be dropped
	replay  []byte // bytes of theirs still to be given

	heard   atomic.Int64 // unix nanoseconds
	timeout atomic.Bool  // a deadline ended reading or writing
}

func (c *helloConn) Read(p []byte) (int, error) {
	if len(c.replay) > 0 {
		n := copy(p, c.replay)
		if c.replay = c.replay[n:]; len(c.replay) == 0 {
			c.replay = nil
		}
		return n, nil
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
	}
	c.note(err)
	return n, err
}

func (c *helloConn) note(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.timeout.Store(true)
	}
}

func (c *helloConn) Write(p []byte) (int, error) {
	skip := min(c.swallow, len(p))
	c.swallow -= skip
	if skip == len(p) {
		return skip, nil
	}
	n, err := c.Conn.Write(p[skip:])
	c.note(err)
	return skip + n, err
}
