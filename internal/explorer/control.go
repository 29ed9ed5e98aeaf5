package explorer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// patience is how long Explorer waits for a reply, or for the next piece of a
// file.
const patience = 60 * time.Second

// ReplyError is a reply that Explorer did not hope for.
type ReplyError struct {
	Command string // without the password
	Code    int
	Text    string // of the reply's last line
}

func (e *ReplyError) Error() string {
	return fmt.Sprintf("after %q the server said: %d %s", e.Command, e.Code, e.Text)
}

// control is a control connection.
type control struct {
	conn net.Conn
	in   *bufio.Reader
	log  io.Writer
	stop func() bool // keeps the context from closing it
	data net.Conn    // opened for the next transfer; nil: there is none
}

// dial connects, and reads the greeting. The connection ends with the context.
func dial(ctx context.Context, address string, log io.Writer) (*control, error) {
	if log == nil {
		log = io.Discard
	}
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	w := &control{conn: conn, in: bufio.NewReader(conn), log: log}
	w.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	fmt.Fprintf(log, "# connected to %s\n", address)
	if err := w.expect("connecting", 220); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// close hangs up; Explorer says no goodbye.
func (w *control) close() error {
	w.stop()
	if w.data != nil {
		_ = w.data.Close()
	}
	fmt.Fprintln(w.log, "# hung up")
	return w.conn.Close()
}

// do sends a command and returns the text of its reply, or a [*ReplyError] if its
// code is another.
func (w *control) do(line string, want int) (string, error) {
	fmt.Fprintln(w.log, ">", line)
	return w.send(line, line, want)
}

// secret is do for a command whose argument is nobody's business.
func (w *control) secret(verb, argument string, want int) (string, error) {
	fmt.Fprintf(w.log, "> %s***\n", verb)
	return w.send(verb+"***", verb+argument, want)
}

func (w *control) send(shown, line string, want int) (string, error) {
	if strings.ContainsAny(line, "\r\n") {
		return "", fmt.Errorf("%q has a line break in it", shown)
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(w.conn, line+"\r\n"); err != nil {
		return "", fmt.Errorf("sending %q: %w", shown, err)
	}
	code, text, err := w.reply()
	if err != nil {
		return "", fmt.Errorf("waiting for the reply to %q: %w", shown, err)
	}
	if code != want {
		return "", &ReplyError{shown, code, text}
	}
	return text, nil
}

// expect reads a reply that comes by itself.
func (w *control) expect(after string, want int) error {
	code, text, err := w.reply()
	if err != nil {
		return fmt.Errorf("waiting for the reply to %q: %w", after, err)
	}
	if code != want {
		return &ReplyError{after, code, text}
	}
	return nil
}

var errNoReply = errors.New("what came is no reply of FTP")

// reply reads one reply, of however many lines (RFC 959, section 4.2).
func (w *control) reply() (code int, text string, err error) {
	_ = w.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return 0, "", err // among them, that the line is too long
		}
		text := strings.TrimRight(string(line), "\r\n")
		fmt.Fprintln(w.log, "<", text)
		number, err := strconv.Atoi(text[:min(3, len(text))])
		begins := err == nil && len(text) >= 3 && (len(text) == 3 || text[3] == ' ' || text[3] == '-')
		switch {
		case code == 0 && !begins:
			return 0, "", errNoReply
		case code == 0:
			code = number
		}
		if begins && number == code && (len(text) == 3 || text[3] == ' ') {
			return code, strings.TrimPrefix(text[3:], " "), nil
		}
	}
}

// changeTo enters a folder. Explorer names all but the root with a slash at the
// end.
func (w *control) changeTo(dir string) error {
	if dir != "/" {
		dir += "/"
	}
	_, err := w.do("CWD "+dir, 250)
	return err
}

// size asks for a file's size in bytes.
func (w *control) size(base string) (int64, error) {
	text, err := w.do("SIZE "+base, 213)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the size of %s: %w", base, err)
	}
	return n, nil
}

// offer opens a data connection for the next transfer.
func (w *control) offer(ctx context.Context) error {
	address, err := w.passive()
	if err != nil {
		return err
	}
	w.data, err = (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("opening the data connection: %w", err)
	}
	fmt.Fprintf(w.log, "# data connection to %s\n", address)
	return nil
}

// passive asks where to connect to for data.
func (w *control) passive() (string, error) {
	host, _, err := net.SplitHostPort(w.conn.RemoteAddr().String())
	if err != nil {
		return "", err
	}
	if addr := net.ParseIP(host); addr != nil && addr.To4() != nil {
		text, err := w.do("PASV", 227)
		if err != nil {
			return "", err
		}
		return parsePassive(text)
	}
	text, err := w.do("EPSV", 229)
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(text, "(|||")
	port, _, ok := strings.Cut(rest, "|)")
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || !ok {
		return "", fmt.Errorf("%w: no port in %q", errNoReply, text)
	}
	return net.JoinHostPort(host, port), nil
}

// parsePassive finds the address in a reply to PASV, (h1,h2,h3,h4,p1,p2).
func parsePassive(text string) (string, error) {
	_, rest, _ := strings.Cut(text, "(")
	inside, _, _ := strings.Cut(rest, ")")
	parts := strings.Split(inside, ",")
	if len(parts) != 6 {
		return "", fmt.Errorf("%w: no address in %q", errNoReply, text)
	}
	var n [6]byte
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return "", fmt.Errorf("%w: no address in %q", errNoReply, text)
		}
		n[i] = byte(v)
	}
	return net.JoinHostPort(net.IP(n[:4]).String(), strconv.Itoa(int(n[4])<<8|int(n[5]))), nil
}

// transfer runs a command that moves data, over the connection that was offered or
// a new one.
func (w *control) transfer(ctx context.Context, line string, move func(data io.ReadWriter) error) error {
	if w.data == nil {
		if err := w.offer(ctx); err != nil {
			return err
		}
	}
	data := w.data
	w.data = nil
	defer data.Close()
	defer context.AfterFunc(ctx, func() { _ = data.SetDeadline(time.Unix(1, 0)) })()
	if _, err := w.do(line, 150); err != nil {
		return err
	}
	if err := move(patient{data}); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	if err := data.Close(); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return w.expect(line, 226)
}

// patient is a data connection that does not wait for ever.
type patient struct{ conn net.Conn }

func (p patient) Read(b []byte) (int, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	return p.conn.Read(b)
}

func (p patient) Write(b []byte) (int, error) {
	_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
	return p.conn.Write(b)
}
