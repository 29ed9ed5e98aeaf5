package ftpd

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

var (
	errClearData = errors.New("data may not go in the clear")
	errPastEnd   = errors.New("the restart position is beyond the end of the file")
	errGone      = errors.New("the client closed the control connection during an upload")
	errStalled   = errors.New("nothing moved for too long")
	errAborted   = errors.New("the client sent ABOR")
)

// announceAfter is how long an announced port must have been left alone before
// the client is said not to reach it. Clients do give up a transfer that they
// have prepared.
const announceAfter = 2 * time.Second

// announce reserves a passive port for the next transfer.
func (s *session) announce(parked net.Listener) (*dataListener, error) {
	s.mu.Lock()
	before := s.data
	s.mu.Unlock()
	if before != nil {
		_ = before.Close() // a session has one port at a time
	}
	if err := park(parked); err != nil {
		return nil, err
	}
	place, err := s.server.ports.announce(s.ctx, s.conn.Remote(), s.local.Addr())
	if err != nil {
		return nil, err
	}
	l := &dataListener{session: s, place: place, parked: parked}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		place.close()
		return nil, errSessionOver
	}
	s.data = l
	l.expiry = time.AfterFunc(announceTime, l.expire)
	return l, nil
}

// listenerClosed is told of each port that is given back.
func (s *session) listenerClosed(l *dataListener) {
	s.mu.Lock()
	if s.data == l {
		s.data = nil
	}
	unreached := !l.place.connected() && time.Since(l.place.since) > announceAfter
	client := s.client
	s.mu.Unlock()
	if unreached && client != nil {
		client.Unreachable(s.announcedAt(l.place.port()))
	}
}

// dataOpened is told of each data connection that was made.
func (s *session) dataOpened() {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client != nil {
		client.Reached()
	}
}

// announced is the address that the client was last told to connect to.
func (s *session) announced() netip.AddrPort {
	s.mu.Lock()
	l := s.data
	s.mu.Unlock()
	if l == nil {
		return s.announcedAt(0)
	}
	return s.announcedAt(l.place.port())
}

func (s *session) announcedAt(port uint16) netip.AddrPort {
	addr := s.local.Addr()
	if s.server.cfg.Announce != nil {
		addr = s.server.cfg.Announce(s.local)
	}
	return netip.AddrPortFrom(addr, port)
}

// GetHandle implements [ftpserver.ClientDriverExtentionFileTransfer].
func (d *driver) GetHandle(place string, flags int, _ int64) (ftpserver.FileTransfer, error) {
	s, r := d.s, d.s.request()
	if !s.begin() {
		return nil, errSessionOver
	}
	t := transfer{s: s, r: r, closed: make(chan struct{})}
	handle, err := t.open(place, flags)
	if err != nil {
		s.background.Done()
		return nil, s.fault(r, err)
	}
	s.mu.Lock()
	r.file = t.closed
	s.mu.Unlock()
	return handle, nil
}

// open opens what the client wants to transfer.
func (t transfer) open(place string, flags int) (handle ftpserver.FileTransfer, err error) {
	defer t.s.rescue(&err)
	if l := t.s.takeListing(); l != nil {
		return t.list(l)
	}
	offset := t.s.takeOffset()
	name, err := reports.ParseName(place)
	switch {
	case err != nil:
		return nil, err
	case flags&(os.O_WRONLY|os.O_RDWR) == 0:
		return t.download(name, offset)
	default:
		return t.upload(name, offset, flags&os.O_APPEND != 0)
	}
}

// transfer is what all transfers have in common.
type transfer struct {
	s      *session
	r      *request
	conn   *dataConn // nil until the transfer begins
	closed chan struct{}
}

// Seek implements [ftpserver.FileTransfer]; the offset is known already.
func (transfer) Seek(offset int64, _ int) (int64, error) { return offset, nil }

// Read implements [ftpserver.FileTransfer]. The library copies by WriteTo.
func (transfer) Read([]byte) (int, error) { return 0, errNotServed }

// Write implements [ftpserver.FileTransfer]. The library copies by ReadFrom, and
// writes nothing after an empty file.
func (transfer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return 0, errNotServed
}

// fault keeps the error that ended the transfer.
func (t transfer) fault(err error) error {
	if err != nil && t.conn != nil && t.conn.stalled.Load() {
		err = errStalled
	}
	return t.s.fault(t.r, err)
}

type download struct {
	transfer
	file   folder.File
	offset int64
	err    error
}

func (t transfer) download(name reports.Name, offset int64) (*download, error) {
	f, err := t.s.folder().Open(t.s.ctx, name)
	if err != nil {
		return nil, err
	}
	if offset > f.Size() {
		f.TransferError(errPastEnd)
		return nil, errors.Join(errPastEnd, f.Close())
	}
	return &download{transfer: t, file: f, offset: offset}, nil
}

// WriteTo implements [io.WriterTo].
func (d *download) WriteTo(w io.Writer) (n int64, err error) {
	defer func() { d.err = d.fault(err) }()
	defer d.s.rescue(&err)
	conn, ok := w.(*dataConn)
	if !ok {
		return 0, errNotServed
	}
	d.conn = conn
	if err := conn.open(); err != nil {
		return 0, err
	}
	conn.partial.Store(true)
	n, err = d.file.SendTo(conn, d.offset)
	conn.partial.Store(err != nil)
	return n, err
}

// TransferError implements [ftpserver.FileTransferError].
func (d *download) TransferError(err error) {
	if d.err == nil {
		d.err = err
	}
}

// Close implements [ftpserver.FileTransfer]. A download that went well stays open
// until the client has all of it.
func (d *download) Close() error {
	defer close(d.closed)
	if d.err != nil || d.conn == nil {
		d.finish(errors.Join(errNoTransfer, d.err))
		return nil
	}
	d.conn.whenDelivered(d.finish)
	return nil
}

var errNoTransfer = errors.New("the transfer did not end well")

func (d *download) finish(failed error) {
	defer d.s.background.Done()
	var err error
	defer d.s.rescue(&err)
	if failed != nil {
		d.file.TransferError(failed)
	}
	if err = d.file.Close(); err != nil {
		d.s.log.Error("closing a download", "event", "ftp.download-failed", "error", err)
	}
}

var errPanicked = errors.New("the folder panicked")

// rescue makes an error of a panic. The library would leave the transfer's file
// and its data connection open, and nothing would ever end the session.
func (s *session) rescue(err *error) {
	if p := recover(); p != nil {
		s.log.Error("transfer panicked", "event", "panic.transfer", "panic", p, "stack", string(debug.Stack()))
		*err = errPanicked
	}
}

type upload struct {
	transfer
	file folder.Upload
}

func (t transfer) upload(name reports.Name, offset int64, appending bool) (*upload, error) {
	mode := folder.Truncate
	if appending || offset > 0 {
		mode = folder.Continue
	}
	f, err := t.s.folder().Create(t.s.ctx, name, mode)
	if err != nil {
		return nil, err
	}
	if !appending && mode == folder.Continue {
		if offset > f.Size() {
			err = errPastEnd
		} else if offset < f.Size() {
			err = f.Truncate(offset)
		}
		if err != nil {
			f.TransferError(err)
			_ = f.Close() // it returns the same error
			return nil, err
		}
	}
	return &upload{transfer: t, file: f}, nil
}

// ReadFrom implements [io.ReaderFrom].
func (u *upload) ReadFrom(r io.Reader) (n int64, err error) {
	defer func() { err = u.fault(err) }()
	defer u.s.rescue(&err)
	conn, ok := r.(*dataConn)
	if !ok {
		return 0, errNotServed
	}
	u.conn = conn
	if err := conn.open(); err != nil {
		return 0, err
	}
	if n, err = u.file.ReadFrom(conn.source()); err == nil {
		err = u.vouched()
	}
	return n, err
}

// hangUpTime is how long after the end of the data the client must still be there.
// The connections of a program that is killed are closed one after the other, and
// the data connection may be the first.
const hangUpTime = 25 * time.Millisecond

// hearTime is how long what lies unread on the control connection is waited for: on
// a busy machine an ABOR that came before the end of the data may be read after it.
// A client that sends ahead more than is read during a transfer has to bear it.
const hearTime = time.Second

// vouched returns nil if the client stands by what it sent: it waits for the reply.
// The end of the data says nothing in the clear; and over TLS a program that gives
// up may still end it in order.
func (u *upload) vouched() error {
	start := time.Now()
	for heard := start; ; time.Sleep(time.Millisecond) {
		if time.Since(start) < hearTime && hasUnread(u.s.conn) {
			heard = time.Now()
		}
		switch {
		case u.aborted():
			// Clients close their end when they send ABOR, and that may come first.
			return errAborted
		case u.s.clientGone():
			return errGone
		case time.Since(heard) > hangUpTime:
			return nil
		}
	}
}

func (u *upload) aborted() bool {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.r.aborted
}

// TransferError implements [ftpserver.FileTransferError].
func (u *upload) TransferError(err error) { u.file.TransferError(u.fault(err)) }

// Close implements [ftpserver.FileTransfer]: the upload is visible when it
// returns nil.
func (u *upload) Close() (err error) {
	defer u.s.background.Done()
	defer close(u.closed)
	defer func() { err = u.fault(err) }()
	defer u.s.rescue(&err)
	return u.file.Close()
}

// isNetwork reports whether an error is the connection's doing.
func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errUnreachable) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fs.ErrClosed) ||
		errors.Is(err, unix.ECONNRESET) // of splice, as an error of the file
}

// hasUnread reports whether bytes have come that nobody has read yet.
func hasUnread(conn Conn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	controlErr := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	return controlErr == nil && err == nil && n > 0
}

// peerClosed reports whether the peer has closed its side of a connection.
func peerClosed(conn Conn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	var info *unix.TCPInfo
	controlErr := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err := errors.Join(controlErr, err); err != nil {
		return true
	}
	const established = 1 // TCP_ESTABLISHED of the kernel's tcp_states.h
	return info.State != established
}
