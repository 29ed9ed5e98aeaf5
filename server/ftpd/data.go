package ftpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var (
	errUnreachable = errors.New("the client did not connect to the announced port")
	errHandshake   = errors.New("the TLS handshake of the data connection failed")
	errNotResumed  = errors.New("the data connection did not resume the TLS session of the control connection")
	errTruncated   = errors.New("the client closed the connection without ending TLS: the file may be cut off")
)

// dataListener is the announced port as the library sees it. What it accepts is
// the client's own connection, protected as the client asked by the time of the
// transfer, or nothing.
type dataListener struct {
	session *session
	place   *announcement
	// parked is the socket that the library opened. It listens no more; the
	// library sets deadlines on it, which have no effect here.
	parked net.Listener
	expiry *time.Timer
	once   sync.Once
}

// expire gives an announced port back that nobody has connected to.
func (l *dataListener) expire() {
	if !l.place.connected() {
		_ = l.Close()
	}
}

// Accept implements [net.Listener].
func (l *dataListener) Accept() (net.Conn, error) {
	conn, err := l.accept()
	if err != nil {
		_ = l.Close() // the library would keep the port for another transfer
		return nil, l.session.fault(l.session.request(), err)
	}
	return conn, nil
}

func (l *dataListener) accept() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.session.ctx, l.session.server.cfg.ConnectTimeout)
	defer cancel()
	conn, err := l.place.wait(ctx)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = errUnreachable
		}
		return nil, err
	}
	if !l.session.server.cfg.Gate.Admits(l.session.conn.Remote()) {
		_ = conn.Close()
		return nil, errUnreachable
	}
	return l.session.newDataConn(conn.(*net.TCPConn)), nil
}

// Addr implements [net.Listener]; the library announces its port.
func (l *dataListener) Addr() net.Addr { return &net.TCPAddr{Port: int(l.place.port())} }

// Close implements [net.Listener].
func (l *dataListener) Close() error {
	l.once.Do(func() {
		l.expiry.Stop()
		l.place.close()
		_ = l.parked.Close()
		l.session.listenerClosed(l)
	})
	return nil
}

// park makes a socket stop listening without closing it.
func park(l net.Listener) error {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T is no socket", l)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) { failure = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	return errors.Join(err, failure)
}

// newDataConn makes a data connection of what was accepted. Whether it is
// encrypted is decided now, however late the client asked for it.
func (s *session) newDataConn(conn *net.TCPConn) *dataConn {
	d := &dataConn{Conn: conn, tcp: conn, session: s, done: make(chan struct{})}
	if s.protected() {
		d.ended = &endWatcher{TCPConn: conn}
		d.out = &coalescer{Conn: d.ended}
		d.tls = tls.Server(d.out, s.server.dataTLS(s.tls))
		d.Conn = d.tls
	}
	s.dataOpened()
	d.stop = context.AfterFunc(s.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	go d.watch()
	return d
}

// open gets a data connection ready for the transfer. The handshake comes after
// the reply 150, for which many clients wait before they begin theirs.
func (d *dataConn) open() error {
	if d.tls == nil {
		if d.session.clearRefused() {
			return errClearData
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(d.session.ctx, d.session.server.cfg.ConnectTimeout)
	defer cancel()
	if err := d.tls.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: %v", errHandshake, err)
	}
	if d.session.server.cfg.RequireSessionReuse && !d.tls.ConnectionState().DidResume {
		return errNotResumed
	}
	return nil
}

// dataConn is a data connection. It does not embed the socket, so that whoever
// wants the kernel to copy must ask for [dataConn.source], which is the socket
// only where nothing is encrypted.
type dataConn struct {
	net.Conn // the TLS connection, or the socket
	tcp      *net.TCPConn
	tls      *tls.Conn   // nil in the clear
	ended    *endWatcher // under tls
	out      *coalescer  // under tls
	session  *session
	done     chan struct{}
	stop     func() bool // undoes what ends it with the session
	partial  atomic.Bool // it is being sent, or failed: the peer must not take it for whole
	stalled  atomic.Bool // it was ended because nothing moved

	mu        sync.Mutex
	closed    bool
	delivered func(error) // what to do once the peer has everything
}

// whenDelivered has tell called once the peer has everything, or it is known that
// it has not. ABOR may have closed the connection already.
func (d *dataConn) whenDelivered(tell func(error)) {
	d.mu.Lock()
	closed := d.closed
	d.delivered = tell
	d.mu.Unlock()
	if closed {
		tell(net.ErrClosed)
	}
}

// gather is how many bytes of an upload the kernel waits for before it wakes who
// reads them. At the end of the stream it waits for nothing.
const gather = 256 << 10

// source is what an upload is read from.
func (d *dataConn) source() io.Reader {
	if d.tls != nil {
		// Nothing is gathered here: a client may send its close_notify, which ends
		// the file, and wait for ours before it ends the stream.
		return &untruncated{d}
	}
	if raw, err := d.tcp.SyscallConn(); err == nil {
		// Without it an upload works too, at the price of more system calls.
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, gather) })
	}
	return d.tcp
}

// untruncated reads what the client sent over TLS, and tells a connection that
// was cut off from one that ended.
type untruncated struct{ d *dataConn }

func (u *untruncated) Read(p []byte) (int, error) {
	n, err := u.d.tls.Read(p)
	if err == io.EOF && u.d.ended.eof.Load() {
		// crypto/tls takes the end of the TCP stream for the end of the data if
		// it comes between two records (RFC 8446, section 6.1, calls it a
		// truncation attack). A close_notify would have been read before it.
		err = errTruncated
	}
	return n, err
}

// endWatcher notes that the TCP stream has ended.
type endWatcher struct {
	*net.TCPConn
	eof atomic.Bool
}

func (w *endWatcher) Read(p []byte) (int, error) {
	n, err := w.TCPConn.Read(p)
	if err == io.EOF {
		w.eof.Store(true)
	}
	return n, err
}

// coalescer gathers the TLS records of one write into one system call. A connection
// may be closed, which writes a record, while another goroutine sends.
type coalescer struct {
	net.Conn

	mu   sync.Mutex // never held while something is sent
	hold bool
	buf  []byte
}

func (c *coalescer) Write(p []byte) (int, error) {
	c.mu.Lock()
	if !c.hold {
		c.mu.Unlock()
		return c.Conn.Write(p)
	}
	defer c.mu.Unlock()
	c.buf = append(c.buf, p...)
	return len(p), nil
}

// begin has records gathered, for flush to send, until end.
func (c *coalescer) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold, c.buf = true, make([]byte, 0, sendChunk+sendChunk/64)
}

func (c *coalescer) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = false
}

func (c *coalescer) flush() error {
	c.mu.Lock()
	out := c.buf
	c.buf = nil
	c.mu.Unlock()
	_, err := c.Conn.Write(out)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.buf == nil {
		c.buf = out[:0]
	}
	return err
}

// sendChunk is how much of a download is encrypted before it is written.
const sendChunk = 256 << 10

// ReadFrom sends what r holds: over TLS in large pieces, in the clear by the
// kernel if r is a file.
func (d *dataConn) ReadFrom(r io.Reader) (total int64, err error) {
	if d.tls == nil {
		return d.tcp.ReadFrom(r)
	}
	buffer := make([]byte, sendChunk)
	d.out.begin()
	defer d.out.end()
	for {
		n, err := io.ReadFull(r, buffer)
		if n > 0 {
			if _, err := d.tls.Write(buffer[:n]); err != nil {
				return total, err
			}
			if err := d.out.flush(); err != nil {
				return total, err
			}
			total += int64(n)
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return total, nil
		default:
			return total, err
		}
	}
}

// watch closes the connection when nothing has moved for the stall time. It asks
// the kernel, which alone knows while it copies by itself. While something moves
// it keeps the control connection from idling away.
func (d *dataConn) watch() {
	limit := d.session.server.cfg.StallTimeout
	tick := time.NewTicker(max(limit/8, time.Millisecond))
	defer tick.Stop()
	var before uint64
	moved := time.Now()
	for {
		select {
		case <-d.done:
			return
		case <-tick.C:
		}
		now, err := progress(d.tcp)
		if err != nil {
			return // closed
		}
		if now != before {
			before, moved = now, time.Now()
			d.session.conn.Touch()
		} else if time.Since(moved) > limit {
			d.session.log.Info("closing a data connection that stalled", "event", "data.stalled", "for", limit)
			d.stalled.Store(true)
			_ = d.tcp.SetDeadline(time.Unix(1, 0)) // whoever reads or writes is woken
			return
		}
	}
}

// progress counts the bytes that have gone over a connection in both directions
// and were acknowledged.
func progress(conn *net.TCPConn) (n uint64, err error) {
	info, err := tcpInfo(conn)
	if err != nil {
		return 0, err
	}
	return info.Bytes_acked + info.Bytes_received, nil
}

func tcpInfo(conn *net.TCPConn) (info *unix.TCPInfo, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	controlErr := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	return info, errors.Join(controlErr, err)
}

// Close implements [net.Conn]. After a download it returns at once, and the
// connection lives on until the client has taken everything.
func (d *dataConn) Close() error {
	d.mu.Lock()
	again, delivered := d.closed, d.delivered
	d.closed = true
	d.mu.Unlock()
	if again {
		return nil
	}
	if delivered == nil {
		d.close()
		return nil
	}
	var err error
	if d.tls != nil {
		err = d.tls.CloseWrite()
	}
	if err == nil {
		err = d.tcp.CloseWrite()
	}
	if err != nil {
		delivered(err)
		d.close()
		return nil
	}
	d.session.confirming(d)
	d.session.background.Go(func() {
		defer d.close()
		defer d.session.confirmed(d)
		delivered(d.confirm())
	})
	return nil
}

// close ends the connection; a download that is not whole is ended by a reset,
// which no client takes for the end of the file.
func (d *dataConn) close() {
	close(d.done)
	d.stop()
	if d.partial.Load() {
		_ = d.tcp.SetLinger(0)
		_ = d.tcp.Close()
		return
	}
	_ = d.Conn.Close()
}

// confirm returns nil once the client's system has acknowledged every byte and
// the client has closed its side, as it does when it has read to the end. That
// all is acknowledged is not enough: megabytes of it may lie in buffers of a
// program that never reads them. It takes as long as the client does, but ends
// with [dataConn.watch] when nothing moves.
func (d *dataConn) confirm() error {
	// What it still sends is of no interest: over TLS a close_notify.
	n, err := io.Copy(io.Discard, io.LimitReader(d.tcp, maxAfterEnd))
	if err != nil {
		return err // a reset: it did not take all of it
	}
	if n == maxAfterEnd {
		return errNotTaken
	}
	for wait := time.Millisecond; ; wait = min(2*wait, time.Second) {
		left, err := unsent(d.tcp)
		if err != nil || left == 0 {
			return err
		}
		if d.stalled.Load() {
			return errNotTaken
		}
		select {
		case <-d.session.ctx.Done():
			return d.session.ctx.Err()
		case <-time.After(wait):
		}
	}
}

const (
	// maxAfterEnd is how much a client may send behind the end of a download.
	maxAfterEnd = 64 << 10
	// maxUnconfirmed is how many downloads of a session may wait for their client
	// to close its side. They hold descriptors, and a client that never closes any
	// must not hold all there are.
	maxUnconfirmed = 16
)

var errNotTaken = errors.New("the client did not take the end of the file")

// confirming books a download in that waits for its client, and gives the oldest
// up if there are too many. What is on its way still arrives.
func (s *session) confirming(d *dataConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unconfirmed = append(s.unconfirmed, d)
	if len(s.unconfirmed) > maxUnconfirmed {
		_ = s.unconfirmed[0].tcp.SetReadDeadline(time.Unix(1, 0))
		s.unconfirmed = s.unconfirmed[1:]
	}
}

func (s *session) confirmed(d *dataConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unconfirmed = slices.DeleteFunc(s.unconfirmed, func(other *dataConn) bool { return other == d })
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// unsent is how many bytes the peer has not acknowledged, the end of the stream
// counting as one. A connection that was reset has an error instead.
func unsent(conn *net.TCPConn) (left int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		var code int
		if code, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && code != 0 {
			err = syscall.Errno(code)
		}
		if err == nil {
			left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		}
	})
	return left, errors.Join(controlErr, err)
}
