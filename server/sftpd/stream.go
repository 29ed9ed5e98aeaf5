package sftpd

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Packets of the sFTP protocol, version 3 (draft-ietf-secsh-filexfer-02).
const (
	typeInit          = 1
	typeVersion       = 2
	typeOpen          = 3
	typeClose         = 4
	typeRead          = 5
	typeLstat         = 7
	typeFstat         = 8
	typeFsetstat      = 10
	typeOpenDir       = 11
	typeReadDir       = 12
	typeRealpath      = 16
	typeStat          = 17
	typeStatus        = 101
	typeHandle        = 102
	typeData          = 103
	typeName          = 104
	typeAttributes    = 105
	typeExtended      = 200
	typeExtendedReply = 201

	protocolVersion = 3
	limitsExtension = "limits@openssh.com"

	// maxPacket is the longest packet that pkg/sftp and OpenSSH take.
	maxPacket = 256 << 10
	// maxTransfer is what one READ or WRITE moves at most; with its header it
	// stays within maxPacket.
	maxTransfer = 255 << 10
	// sshPacket is what one SSH packet carries: everybody's maximum.
	sshPacket = 32 << 10
	// maxPending is how many requests are worked on at a time. Each may hold
	// two buffers of maxPacket, which are kept as long as the request server is.
	maxPending = 16
	// readAhead is how much of a client's requests is read at a time: some thirty READs.
	readAhead = 1 << 10
	// fewPending is the same in the sessions of a client that has maxWide others.
	fewPending = 2
	// maxWide is how many sessions of a client, over all of its connections, get
	// maxPending.
	maxWide = 16
)

var errBadPacket = errors.New("malformed sFTP packet")

// stream is the bytes of one sFTP session, between its SSH channel and what answers
// its requests. It reads one packet's header at a time, gives the packet to the
// request server of pkg/sftp unless a [direct] answers it, and counts what is not
// answered yet.
type stream struct {
	conn *connection
	ch   ssh.Channel
	in   *bufio.Reader // of ch
	got  []byte        // the packet that is being read, as far as it was looked at

	// What the other goroutines look at.
	writing   atomic.Int64 // since when 32 KiB can't be written, unix nanoseconds; 0: nothing is
	reading   atomic.Int64 // since when the rest of a request has not come
	appending atomic.Int32 // handles whose writes must be taken in their order
	answering atomic.Bool  // a request is answered directly

	out   sync.Mutex // held while writing to the channel
	buf   []byte     // a packet's beginning, until the rest is there
	ended bool       // nothing may be written any more

	mu       sync.Mutex
	answered sync.Cond // pending went down, or broken was set, or the run ended
	pending  int
	broken   error // writing to the channel failed
	opened   int   // handles
	alone    bool  // the last request must be answered before the next
	giving   bool  // a packet is on its way to the request server
	run      *run
	runs     sync.WaitGroup
}

func newStream(c *connection, ch ssh.Channel) *stream {
	st := &stream{conn: c, ch: ch, in: bufio.NewReaderSize(ch, readAhead), got: make([]byte, readAhead)}
	st.answered.L = &st.mu
	return st
}

// serve returns the session's exit status when the client has ended it, with
// everything closed that the session had open.
func (st *stream) serve(ctx context.Context) uint32 {
	var err error
	d := newDirect(ctx, st)
	defer func() { d.end(err) }()
	err = st.pump(ctx, d)
	st.mu.Lock()
	if errors.Is(err, io.EOF) {
		// A client may send all it has to say and then listen: the request
		// server would drop the answers it has not sent when its input ends.
		st.settle(1)
	}
	st.stop()
	st.mu.Unlock()
	st.runs.Wait()
	st.out.Lock()
	st.ended = true
	st.out.Unlock()
	if err != nil && !errors.Is(err, io.EOF) {
		st.conn.log.Info("sftp session ended", "event", "sftp.session-broken", "error", err)
		return 1
	}
	return 0
}

// pump takes requests off the channel until it ends.
func (st *stream) pump(ctx context.Context, d *direct) error {
	for {
		head := st.got[:5]
		if _, err := io.ReadFull(st.in, head); err != nil {
			return err
		}
		st.conn.touch()
		typ, size := head[4], binary.BigEndian.Uint32(head)
		if size == 0 || size > maxPacket {
			return errBadPacket
		}
		p := packet{head, int(size) - 1}
		looked := d.looksAt(p)
		if looked || typ == typeOpen || typ == typeExtended {
			var err error
			if p, err = st.readBody(p); err != nil {
				return err
			}
		}
		if looked {
			if q, ok := d.parse(typ, p.head[5:]); ok {
				if err := st.answerDirectly(d, q); err != nil {
					return err
				}
				continue
			}
		}
		if typ == typeOpen {
			openForBoth(p.head[5:])
		} else if id, ok := limitsRequest(p.head[5:]); ok && typ == typeExtended {
			if err := st.answerLimits(id); err != nil {
				return err
			}
			continue
		}
		if err := st.give(ctx, p); err != nil {
			return err
		}
	}
}

// readBody reads the rest of a packet.
func (st *stream) readBody(p packet) (packet, error) {
	// These requests carry two paths at most.
	if p.rest > 32<<10 {
		return p, errBadPacket
	}
	size := len(p.head) + p.rest
	whole := st.got
	if size > len(whole) {
		whole = append(make([]byte, 0, size), p.head...)
	}
	st.reading.Store(time.Now().UnixNano())
	defer st.reading.Store(0)
	_, err := io.ReadFull(st.in, whole[len(p.head):size])
	return packet{head: whole[:size]}, err
}

// answerDirectly has a request answered without the request server, when what that was
// given before is answered.
func (st *stream) answerDirectly(d *direct, q question) error {
	st.mu.Lock()
	st.settle(1)
	err := st.broken
	if err == nil && st.run != nil && st.run.over {
		err = st.run.err
	}
	st.mu.Unlock()
	if err != nil {
		return err
	}
	return d.answer(q)
}

// give hands a packet to the request server, starting one if there is none, and
// returns when all of it was taken.
func (st *stream) give(ctx context.Context, p packet) error {
	st.mu.Lock()
	limit := maxPending
	if st.run != nil {
		limit = st.run.width
	}
	if st.alone || st.appending.Load() > 0 {
		limit = 1
	}
	st.settle(limit)
	// Handles are numbers that a client can guess. One that uses a handle while
	// it is being opened or closed would have two workers of the request server
	// at the same file, one of them half way through changing it. A page of a listing
	// takes more memory than any other answer, and nobody asks for two at a time who
	// wants to read them.
	typ := p.head[4]
	st.alone = typ == typeOpen || typ == typeOpenDir || typ == typeReadDir || typ == typeClose
	if st.broken != nil {
		st.mu.Unlock()
		return st.broken
	}
	if st.run == nil {
		st.start(ctx)
	}
	r := st.run
	st.pending++
	st.giving = true
	st.mu.Unlock()

	defer func() {
		st.mu.Lock()
		st.giving = false
		st.mu.Unlock()
	}()
	select {
	case r.next <- p:
	case <-r.done:
		return r.err
	}
	select {
	case <-r.taken:
		return nil
	case <-r.done:
		return r.err
	}
}

// settle waits until fewer than limit requests are unanswered, or no answer will
// come; the caller holds the lock.
func (st *stream) settle(limit int) {
	for st.pending >= limit && st.broken == nil && (st.run == nil || !st.run.over) {
		st.answered.Wait()
	}
}

// start starts a request server; the caller holds the lock.
func (st *stream) start(ctx context.Context) {
	r := &run{
		st:    st,
		width: st.conn.share.enter(),
		next:  make(chan packet),
		taken: make(chan struct{}, 1),
		eof:   make(chan struct{}),
		done:  make(chan struct{}),
	}
	st.run = r
	h := newHandlers(ctx, st)
	rs := sftp.NewRequestServer(r, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h},
		sftp.WithRSAllocator(), sftp.WithRSMaxTxPacket(maxTransfer))
	st.runs.Go(func() {
		defer st.conn.contain()
		defer r.finish()
		r.err = errBadPacket // should Serve panic
		r.err = cmp.Or(rs.Serve(), io.EOF)
	})
}

// stop has the request server see the end of its input; the caller holds the lock.
func (st *stream) stop() {
	if st.run != nil {
		close(st.run.eof)
		st.run = nil
	}
}

// pause gives back the request server and its buffers if nothing is open, nothing
// is under way, and no request came for a while.
func (st *stream) pause(after time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.run != nil && !st.giving && st.pending == 0 && st.opened == 0 && since(&st.conn.requested) > after {
		st.stop()
	}
}

func (st *stream) busy() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.giving || st.pending > 0 || st.answering.Load()
}

func (st *stream) stalled(limit time.Duration) bool {
	for _, t := range []*atomic.Int64{&st.writing, &st.reading} {
		if t.Load() != 0 && since(t) > limit {
			return true
		}
	}
	return false
}

// open books a handle in, false if the connection has too many.
func (st *stream) open() bool {
	if st.conn.handles.Add(1) > int32(st.conn.server.cfg.MaxHandles) {
		st.conn.handles.Add(-1)
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.opened++
	return true
}

func (st *stream) closed() {
	st.conn.handles.Add(-1)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.opened--
}

// packet is a request: what was read of it, and how much is still to come.
type packet struct {
	head []byte
	rest int
}

// run is one request server's life. It is the connection that the server reads
// from and writes to.
type run struct {
	st    *stream
	next  chan packet
	taken chan struct{}
	width int           // how many requests it is given at a time
	eof   chan struct{} // closed: no packet will come
	done  chan struct{} // closed: the request server is gone
	err   error         // why, once done is closed
	over  bool          // like done, under the stream's lock

	cur packet // being read
}

func (r *run) finish() {
	r.st.conn.share.leave(r.width)
	r.st.mu.Lock()
	r.over = true
	r.st.answered.Broadcast()
	r.st.mu.Unlock()
	close(r.done)
}

// Read implements [io.Reader] for the request server, from one goroutine.
func (r *run) Read(p []byte) (int, error) {
	if len(r.cur.head) == 0 && r.cur.rest == 0 {
		select {
		case r.cur = <-r.next:
		case <-r.eof:
			return 0, io.EOF
		}
	}
	var n int
	var err error
	if len(r.cur.head) > 0 {
		n = copy(p, r.cur.head)
		r.cur.head = r.cur.head[n:]
	} else {
		r.st.reading.Store(time.Now().UnixNano())
		n, err = r.st.in.Read(p[:min(len(p), r.cur.rest)])
		r.st.reading.Store(0)
		r.cur.rest -= n
	}
	if len(r.cur.head) == 0 && r.cur.rest == 0 {
		r.taken <- struct{}{}
	}
	return n, err
}

// Write implements [io.Writer] for the request server, which writes a packet in
// one piece or two.
func (r *run) Write(p []byte) (int, error) {
	answered, err := r.st.write(p)
	if !answered && err == nil {
		return len(p), nil
	}
	r.st.conn.touch()
	r.st.mu.Lock()
	defer r.st.mu.Unlock()
	r.st.answered.Broadcast()
	if err != nil {
		// The request server does not look at this error.
		r.st.broken = err
		return 0, err
	}
	r.st.pending--
	return len(p), nil
}

// Close implements [io.Closer]: what the request server does when it is fed what
// it can't read.
func (r *run) Close() error { return r.st.ch.Close() }

// write sends a piece of a packet and reports whether that ended it. The header
// that precedes a piece of a file is held back to travel with its beginning.
func (st *stream) write(p []byte) (bool, error) {
	st.out.Lock()
	defer st.out.Unlock()
	if st.ended {
		return false, io.ErrClosedPipe
	}
	if len(st.buf) == 0 {
		if len(p) < 5 {
			return false, errBadPacket
		}
		size := int(binary.BigEndian.Uint32(p)) + 4
		if size <= len(p) {
			if p[4] == typeVersion {
				p = versionReply()
			}
			return true, st.send(p)
		}
		st.buf = append(st.buf, p...)
		return false, nil
	}
	size := int(binary.BigEndian.Uint32(st.buf)) + 4
	total := len(st.buf) + len(p)
	first := min(max(sshPacket-len(st.buf), 0), len(p))
	st.buf = append(st.buf, p[:first]...)
	err := st.send(st.buf)
	st.buf = st.buf[:0]
	if err == nil {
		err = st.send(p[first:])
	}
	return total >= size, err
}

// send writes in pieces small enough that the time one takes tells a slow line
// from a stalled one.
func (st *stream) send(p []byte) error {
	defer st.writing.Store(0)
	for len(p) > 0 {
		st.writing.Store(time.Now().UnixNano())
		n, err := st.ch.Write(p[:min(len(p), sshPacket)])
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// openForBoth makes an OPEN for writing one for reading and writing. The request
// server keeps READ and WRITE apart only on such handles: on one opened for
// writing alone it takes a READ for a WRITE of whatever its buffer holds.
func openForBoth(body []byte) {
	const read, others = 1, 2 | 4 | 8 | 16
	if len(body) < 8 {
		return
	}
	at := 8 + int64(binary.BigEndian.Uint32(body[4:]))
	if at+4 > int64(len(body)) {
		return
	}
	if flags := binary.BigEndian.Uint32(body[at:]); flags&others != 0 {
		binary.BigEndian.PutUint32(body[at:], flags|read)
	}
}

// limitsRequest reads an extended request's body; ok if it asks for the limits.
func limitsRequest(body []byte) (id uint32, ok bool) {
	if len(body) < 8 {
		return 0, false
	}
	id = binary.BigEndian.Uint32(body)
	return id, int64(binary.BigEndian.Uint32(body[4:])) == int64(len(limitsExtension)) &&
		bytes.HasPrefix(body[8:], []byte(limitsExtension))
}

// answerLimits answers limits@openssh.com (OpenSSH's PROTOCOL, section 4.8) when
// all requests before it are answered, and so no packet is half written.
func (st *stream) answerLimits(id uint32) error {
	st.mu.Lock()
	st.settle(1)
	st.mu.Unlock()
	p := binary.BigEndian.AppendUint32(nil, 1+4+4*8)
	p = append(p, typeExtendedReply)
	p = binary.BigEndian.AppendUint32(p, id)
	for _, v := range []uint64{maxPacket, maxTransfer, maxTransfer, uint64(st.conn.server.cfg.MaxHandles)} {
		p = binary.BigEndian.AppendUint64(p, v)
	}
	_, err := st.write(p)
	return err
}

// versionReply is the answer to INIT. It names what is really supported, which
// pkg/sftp keeps in a variable for the whole process.
func versionReply() []byte {
	p := []byte{0, 0, 0, 0, typeVersion}
	p = binary.BigEndian.AppendUint32(p, protocolVersion)
	for _, s := range []string{"posix-rename@openssh.com", "1", "statvfs@openssh.com", "2", limitsExtension, "1"} {
		p = binary.BigEndian.AppendUint32(p, uint32(len(s)))
		p = append(p, s...)
	}
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	return p
}
