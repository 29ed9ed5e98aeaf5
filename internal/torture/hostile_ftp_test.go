package torture

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"
)

// clientHello is the first flight of a TLS client.
func clientHello() []byte {
	ours, theirs := net.Pipe()
	go func() {
		_ = tls.Client(ours, &tls.Config{InsecureSkipVerify: true}).Handshake()
	}()
	defer theirs.Close()
	buf := make([]byte, 4096)
	n, _ := theirs.Read(buf)
	return buf[:n]
}

// slowFTP drips a command, or the beginning of TLS on either port.
func slowFTP(l *lane) error {
	to, before, drop := l.Target.FTP, "", []byte("USER a-name-that-takes-its-time-until-it-has-come-to-its-end")
	switch l.i % 3 {
	case 1:
		before, drop = "AUTH TLS\r\n", clientHello()
	case 2:
		to, drop = l.Target.FTPS, clientHello()
	}
	conn, err := l.dial(admitted, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if before != "" {
		if err := auth(conn); err != nil {
			return err
		}
	}
	if err := l.drip(conn, drop[:len(drop)-2]); err != nil {
		return err
	}
	return l.hold(conn)
}

// auth asks for TLS.
func auth(conn net.Conn) error {
	c := &ftpClient{conn, bufio.NewReader(conn)}
	if _, err := c.do("", "220"); err != nil {
		return err
	}
	_, err := c.do("AUTH TLS", "234")
	return err
}

// port is one of the gateway's: each lane has its own.
func (l *lane) port() string {
	return []string{l.Target.SFTP, l.Target.FTP, l.Target.FTPS}[l.i%3]
}

// silence connects and says nothing, from where it may.
func silence(l *lane) error { return l.silent(admitted) }

// foreignSilence connects from where nobody may.
func foreignSilence(l *lane) error { return l.silent(foreign) }

func (l *lane) silent(network byte) error {
	conn, err := l.dial(network, l.port())
	if err != nil {
		return err
	}
	defer conn.Close()
	l.count(1)
	return l.hold(conn)
}

// garbage sends random bytes to each port, on the one for SSH also behind a first
// line that is good.
func garbage(l *lane) error {
	conn, err := l.dial(admitted, l.port())
	if err != nil {
		return err
	}
	defer conn.Close()
	if l.port() == l.Target.SFTP && l.dice.IntN(2) == 0 {
		if _, err := io.WriteString(conn, sshHello); err != nil {
			return err
		}
	}
	go swallow(conn)
	return l.pour(conn, 1<<30)
}

// endlessLine sends a command that has no end, before the login and after it.
func endlessLine(l *lane) error {
	var conn net.Conn
	if l.i%2 == 0 {
		raw, err := l.dial(admitted, l.Target.FTP)
		if err != nil {
			return err
		}
		conn = raw
	} else {
		c, err := l.loginFTP()
		if err != nil {
			return err
		}
		conn = c
	}
	defer conn.Close()
	l.under()
	go swallow(conn)
	for block := bytes.Repeat([]byte("x"), 32<<10); ; {
		n, err := conn.Write(block)
		l.count(n)
		if err != nil {
			return err
		}
	}
}

// loginFTP logs the hostile client in.
func (l *lane) loginFTP() (*secureFTP, error) {
	raw, err := l.dial(admitted, l.Target.FTPS)
	if err != nil {
		return nil, err
	}
	c, err := loginFTPS(raw, l.from(admitted), l.Target.User, l.Target.Password)
	if err != nil {
		_ = raw.Close()
	}
	return c, err
}

// abusePorts announces ports without end, begins transfers that nobody connects
// for, stalls them, or lists without reading.
func abusePorts(l *lane) error {
	c, err := l.loginFTP()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	if l.i%4 == 2 { // something to stall
		data, err := c.data(ctx, fmt.Sprintf("STOR ftp-%d", l.i))
		if err != nil {
			return err
		}
		_, _ = data.Write(make([]byte, big))
		_ = data.Close()
		if _, err := c.do("", "226"); err != nil {
			return err
		}
	}
	l.under()
	for l.ctx.Err() == nil {
		l.count(1)
		switch l.i % 4 {
		case 0:
			if _, err := c.port(); err != nil {
				return err
			}
		case 1:
			if _, err := c.port(); err != nil {
				return err
			}
			if _, err := c.do("RETR nothing", ""); err != nil {
				return err
			}
		case 2, 3:
			command := fmt.Sprintf("RETR ftp-%d", l.i)
			if l.i%4 == 3 {
				command = "LIST " + l.Target.Wide
			}
			data, err := c.data(ctx, command)
			if err != nil {
				return err
			}
			<-ctx.Done()
			_ = data.Close()
		}
	}
	return nil
}

// wrongPasswords tries passwords: each costs a great deal to check.
func wrongPasswords(l *lane) error {
	raw, err := l.dial(admitted, l.Target.FTPS)
	if err != nil {
		return err
	}
	defer raw.Close()
	l.under()
	_ = raw.SetDeadline(time.Now().Add(patience))
	user := l.Target.User
	if l.i%2 == 0 {
		user = rand.Text()
	}
	if _, err := loginFTPS(raw, l.from(admitted), user, rand.Text()); err == nil {
		return fmt.Errorf("a wrong password was let in")
	}
	l.count(1)
	return nil
}
