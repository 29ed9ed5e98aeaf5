package ftpd

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	ftpserver "github.com/fclairamb/ftpserverlib"
)

const (
	// maxLine is the longest command. The library hangs up on one of 4096 bytes.
	maxLine = 4000
	// maxEarly is how many commands a client may send before it has logged in.
	maxEarly = 100
	// writeTimeout is how long a reply may take to get into the network.
	writeTimeout = 30 * time.Second
)

const (
	// drainQuiet is how long a session must have done nothing before it ends for a
	// shutdown: one that fetches file after file is not cut between two of them.
	drainQuiet = time.Second
	// drainPoll is how often that is looked at.
	drainPoll = 50 * time.Millisecond
)

// session is one control connection. It reads the client's commands, answers
// those that the library gets wrong or should not see, and feeds it the others;
// the library's replies come back through it.
type session struct {
	server *Server
	conn   Conn
	log    *slog.Logger
	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	tls    *tls.Config // nil: none is offered
	local  netip.AddrPort
	over   chan struct{} // closed when the library is done
	lib    ftpserver.ClientContext

	in *bufio.Reader // of the control connection, or of TLS over it

	// What only the goroutine that reads commands touches.
	early   int
	queue   []*request // for the library
	login   login
	epsvAll bool
	facts   facts

	out     sync.Mutex // held while a reply is written
	control net.Conn   // what replies are written to
	replies sync.Mutex // held while a reply of the library is looked at
	reply   []byte     // of the library, until its line is complete

	// background is what must end before the session has: open files, and
	// downloads that the client is still taking.
	background sync.WaitGroup
	draining   atomic.Bool

	mu       sync.Mutex
	idle     sync.Cond // transfer became nil, or ended was set
	ended    bool
	sized    bool // PBSZ was given
	private  bool // PROT P
	current  *request
	transfer *request // under way
	data     *dataListener
	offset   int64
	listing  *listing
	software string
	client   Session
	commands int // that have come
	seen     int // of commands, when a session that is to end was last looked at
	// unconfirmed are the downloads that wait for their client, the oldest first.
	unconfirmed []*dataConn
}

// request is a command that the library carries out.
type request struct {
	line string
	// transfer marks a command that moves data.
	transfer bool
	// answer turns the library's reply into ours; an empty text means none at
	// all. nil: the reply stands.
	answer func(code int) (int, string)

	// What follows is guarded by the session's mu.
	opened  bool          // its data connection is there
	aborted bool          // by ABOR
	err     error         // what the driver found, for the reply
	file    chan struct{} // closed when its file is; nil: it has none
}

func newSession(s *Server, c Conn, log *slog.Logger) *session {
	ss := &session{
		server: s, conn: c, log: log, tls: s.sessionTLS(), over: make(chan struct{}),
		in: bufio.NewReaderSize(c, maxLine+2), control: c, facts: allFacts(),
	}
	ss.idle.L = &ss.mu
	if addr, ok := c.LocalAddr().(*net.TCPAddr); ok {
		ap := addr.AddrPort()
		ss.local = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ss.login.attempt = Attempt{Address: c.Remote()}
	return ss
}

// serve returns when the connection is closed and all it had open is too.
func (s *session) serve(ctx context.Context, implicit bool) {
	// Files are closed under this context: it ends after the last of them.
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer s.cancel()
	defer context.AfterFunc(ctx, s.cancel)()
	defer context.AfterFunc(s.ctx, s.idle.Broadcast)()
	defer s.finish()
	if implicit {
		if !s.startTLS(true) {
			return
		}
		s.private = true
	}
	over := make(chan struct{})
	defer close(over)
	go s.drain(over)

	library := ftpserver.NewFtpServer(&driver{s})
	if err := library.Listen(); err != nil {
		s.log.Error("the FTP library refused its settings", "event", "ftp.library-failed", "error", err)
		return
	}
	// It serves the one connection that its listener has, in a goroutine, and
	// returns when that is over.
	_ = library.Serve()
}

// finish frees what the session holds. A client that has quit may still be taking
// the end of a download.
func (s *session) finish() {
	s.mu.Lock()
	s.ended = true
	data, client := s.data, s.client
	s.mu.Unlock()
	s.idle.Broadcast()
	_ = s.hangUp()
	if data != nil {
		_ = data.Close()
	}
	s.background.Wait()
	if client != nil {
		client.Close()
	} else {
		s.login.report(s)
	}
}

// drain ends the session once the server asks for it, as soon as no transfer is
// under way and it has been quiet.
func (s *session) drain(over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-s.conn.Draining():
	}
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for since := time.Now(); time.Since(since) <= drainQuiet; {
		select {
		case <-over:
			return
		case <-poll.C:
		}
		if s.stirred() {
			since = time.Now()
		}
	}
	s.draining.Store(true)
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
}

// stirred reports whether a transfer is under way, or a command has come since it
// was last asked.
func (s *session) stirred() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	stirred := s.transfer != nil || s.commands != s.seen
	s.seen = s.commands
	return stirred
}

// begin books an open file in; false if the session is over.
func (s *session) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.background.Add(1)
	return true
}

// next returns the next line for the library. It runs in the goroutine in which
// the library reads commands.
func (s *session) next() (line string, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("command panicked", "event", "panic.command", "panic", p, "stack", string(debug.Stack()))
			err = io.EOF
		}
	}()
	for len(s.queue) == 0 {
		line, err := s.readLine()
		if err != nil {
			s.log.Debug("control connection ended", "event", "connection.closed", "error", err)
			return "", io.EOF
		}
		s.mu.Lock()
		s.commands++
		s.mu.Unlock()
		if !s.command(line) {
			return "", io.EOF
		}
	}
	r := s.queue[0]
	s.queue = s.queue[1:]
	s.mu.Lock()
	if s.current = r; r.transfer {
		s.transfer = r
	}
	s.mu.Unlock()
	return r.line, nil
}

// forward queues a command for the library.
func (s *session) forward(r request) { s.queue = append(s.queue, &r) }

var (
	errLineTooLong = errors.New("line too long")
	errSessionOver = errors.New("the session is over")
)

// readLine returns the next command, without its end. A line that is too long is
// passed over and answered.
func (s *session) readLine() (string, error) {
	for {
		line, err := s.readRaw()
		switch {
		case errors.Is(err, errLineTooLong):
			s.say(500, "The command is too long.")
		case err != nil:
			return "", err
		default:
			return line, nil
		}
	}
}

func (s *session) readRaw() (string, error) {
	var line []byte
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(s.server.cfg.IdleTimeout)); err != nil {
			return "", err
		}
		if s.draining.Load() {
			s.waitIdle()
			s.say(421, "The server is going down for maintenance; please connect again later.")
			return "", errSessionOver
		}
		chunk, err := s.in.ReadSlice('\n')
		line = append(line, chunk...)
		switch {
		case err == nil && len(line) > maxLine:
			return "", errLineTooLong
		case err == nil:
			return strings.TrimRight(string(withoutTelnet(line)), "\r\n"), nil
		case len(line) > 16*maxLine:
			s.say(500, "The command is much too long; closing the connection.")
			return "", errSessionOver
		case errors.Is(err, bufio.ErrBufferFull):
		case isTimeout(err):
			if err := s.timedOut(); err != nil {
				return "", err
			}
		default:
			return "", err
		}
	}
}

// timedOut decides what a silence of the client means; nil: nothing.
func (s *session) timedOut() error {
	s.mu.Lock()
	busy := s.transfer != nil
	s.mu.Unlock()
	switch {
	case busy || s.draining.Load():
		return nil
	case s.loggedIn():
		s.say(421, fmt.Sprintf("No command for %s; closing the connection.", s.server.cfg.IdleTimeout))
	default:
		s.login.attempt.Cause = TimedOut
		s.say(421, "You took too long to log in; closing the connection.")
	}
	return errSessionOver
}

// withoutTelnet removes the Telnet commands that clients send before ABOR (RFC
// 959, section 4.1.3): IAC IP, IAC DM and the like. One of their bytes is sent as
// urgent data, which does not come this way, and which one differs: what is left
// of a pair stands at the beginning, where no command has such a byte.
func withoutTelnet(line []byte) []byte {
	const lowest, iac = 0xf0, 0xff
	for len(line) > 0 && line[0] >= lowest {
		line = line[1:]
	}
	out := line[:0]
	for i := 0; i < len(line); i++ {
		if line[i] == iac && i+1 < len(line) && line[i+1] >= lowest {
			i++
			continue
		}
		out = append(out, line[i])
	}
	return out
}

// waitIdle returns when no transfer is under way; false if the session ended.
func (s *session) waitIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.transfer != nil && !s.ended && s.ctx.Err() == nil {
		s.idle.Wait()
	}
	return !s.ended && s.ctx.Err() == nil
}

// say writes a reply of one line.
func (s *session) say(code int, text string) { s.write(fmt.Sprintf("%d %s\r\n", code, oneLine(text))) }

// sayLines writes a reply of several lines: a first, any number of others, and a
// last. A line between must not begin with the code.
func (s *session) sayLines(code int, first string, lines []string, last string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%d-%s\r\n", code, oneLine(first))
	for _, line := range lines {
		b.WriteString(oneLine(line) + "\r\n")
	}
	fmt.Fprintf(&b, "%d %s\r\n", code, oneLine(last))
	s.write(b.String())
}

// oneLine keeps what was in a name from becoming a reply of its own.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

func (s *session) write(text string) {
	s.out.Lock()
	defer s.out.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := io.WriteString(s.control, text); err != nil {
		_ = s.conn.Close() // the reader notices
	}
}

// hangUp closes the control connection, and says so to a client that uses TLS: it
// can't tell an end without that from an attack.
func (s *session) hangUp() error {
	s.out.Lock()
	defer s.out.Unlock()
	return s.control.Close()
}

// startTLS makes the control connection an encrypted one. With implicit, it is the
// first thing on the connection.
func (s *session) startTLS(implicit bool) bool {
	under := &heardConn{Conn: s.conn}
	conn := tls.Server(under, s.tls)
	ctx, cancel := context.WithTimeout(s.ctx, s.server.cfg.ConnectTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		s.login.attempt.Cause, s.login.attempt.Detail = TLSFailed, printable(handshakeFault(err), maxDetail)
		if other, ok := errors.AsType[tls.RecordHeaderError](err); ok && implicit && isCommand(other.RecordHeader[:]) {
			s.login.attempt.Cause, s.login.attempt.Detail = NotTLS, "FTP"
		}
		if implicit && !under.heard.Load() && (errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)) {
			s.login.attempt.Cause, s.login.attempt.Detail = NotTLS, "nothing" // as who waits for a greeting
		}
		return false
	}
	s.out.Lock()
	s.control = conn
	s.out.Unlock()
	s.in.Reset(conn)
	s.login.attempt.TLS = true
	return true
}

// isCommand reports whether it begins like a command of FTP.
func isCommand(b []byte) bool {
	for _, c := range b[:3] { // the shortest has three letters
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return true
}

// heardConn remembers whether the client has said anything.
type heardConn struct {
	net.Conn
	heard atomic.Bool
}

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, err
}

// handshakeFault says why TLS could not be set up.
func handshakeFault(err error) string {
	if strings.Contains(err.Error(), "bad record MAC") {
		// The client's alert comes under keys that crypto/tls is past by then.
		return "the client broke it off; it does not trust the gateway's certificate, most likely"
	}
	return err.Error()
}

func (s *session) loggedIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client != nil
}

// protected reports whether data connections are to be encrypted.
func (s *session) protected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.private
}

// clearRefused reports whether data must not go in the clear.
func (s *session) clearRefused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client == nil || !s.client.Plain()
}

// clientGone reports whether the client has closed the control connection. What
// it sent on a plain data connection is then not known to be whole: a program
// that is killed closes both.
func (s *session) clientGone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended || peerClosed(s.conn)
}

// The library's end of the session.

// feed is the control connection as the library sees it: the lines that are for
// it, one at each Read, and its replies.
type feed struct{ s *session }

func (f feed) Read(p []byte) (int, error) {
	line, err := f.s.next()
	if err != nil {
		return 0, err
	}
	return copy(p, line+"\r\n"), nil
}

func (f feed) Write(p []byte) (int, error) {
	f.s.fromLibrary(p)
	return len(p), nil
}

func (f feed) Close() error                     { return f.s.hangUp() }
func (f feed) LocalAddr() net.Addr              { return f.s.conn.LocalAddr() }
func (f feed) RemoteAddr() net.Addr             { return f.s.conn.RemoteAddr() }
func (f feed) SetDeadline(time.Time) error      { return nil } // the session has its own
func (f feed) SetReadDeadline(time.Time) error  { return nil }
func (f feed) SetWriteDeadline(time.Time) error { return nil }

// single is a listener that accepts one connection.
type single struct {
	s     *session
	given atomic.Bool
}

func (l *single) Accept() (net.Conn, error) {
	if l.given.CompareAndSwap(false, true) {
		return feed{l.s}, nil
	}
	<-l.s.over
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
}

func (l *single) Close() error   { return nil }
func (l *single) Addr() net.Addr { return l.s.conn.LocalAddr() }
