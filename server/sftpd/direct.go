package sftpd

import (
	"context"
	"encoding/binary"
	"io"
	"path"
	"strconv"
	"time"

	"github.com/pkg/sftp"

	"github.com/sealdrop/sealdrop/server/folder"
)

// direct answers, on the goroutine that reads a session's requests, those that
// downloads, listings and questions are made of. The request server would hand each
// from goroutine to goroutine four times, which takes longer than answering it, and
// keeps eight of them and their buffers for a session that does nothing else.
//
// It is a shorter way to the same [handlers], and answers byte for byte as the
// request server does, but for the handles' names, which begin with a letter here, and
// for requests that a handle is not for. What it does not know, and what is malformed,
// is the request server's to answer. A request is begun when all before it are answered,
// whoever answered them.
//
// One buffer is held while a request is answered, and none between two of them.
type direct struct {
	st   *stream
	h    *handlers
	open map[string]*opened
	last uint64 // handle
}

// opened is a file or a folder that is open.
type opened struct {
	path string
	file *reading // nil for a folder
	list *listing // nil for a file
}

// maxDirect is the longest request that is looked at, with its header: whatever has a
// sensible path is shorter.
const maxDirect = 4 << 10

var errWrongHandle = &status{sftp.ErrSSHFxFailure, "the handle is not for that"}

func newDirect(ctx context.Context, st *stream) *direct {
	return &direct{st: st, h: newHandlers(ctx, st), open: make(map[string]*opened)}
}

// question is a request that is answered here.
type question struct {
	typ     byte
	id      uint32
	subject []byte  // a path
	of      *opened // or what a handle stands for, and
	handle  string
	offset  uint64
	length  uint32
	flags   uint32 // that tell which attributes are set, and
	set     []byte
}

// looksAt tells whether a request, of which only the header has been read, may be one
// to answer here.
func (d *direct) looksAt(p packet) bool {
	if p.rest > maxDirect || d.st.conn.server.plain {
		return false
	}
	switch p.head[4] {
	case typeInit, typeOpen, typeClose, typeRead, typeLstat, typeFstat, typeFsetstat, typeOpenDir, typeReadDir, typeRealpath, typeStat:
		return true
	}
	return false
}

// parse reads a request's body; ok if it is answered here.
func (d *direct) parse(typ byte, body []byte) (q question, ok bool) {
	r := fields{rest: body}
	q = question{typ: typ, id: r.number()}
	switch typ {
	case typeInit: // with the version in the place of the id, and maybe extensions
		return q, !r.short
	case typeOpen:
		q.subject = r.text()
		const read, others = 1, 2 | 4 | 8 | 16 // to write, append, create and truncate
		flags := r.number()
		r.number() // of the attributes, which mean nothing to who reads
		return q, !r.short && flags&read != 0 && flags&others == 0
	case typeLstat, typeOpenDir, typeRealpath, typeStat:
		q.subject = r.text()
		return q, !r.short
	}
	handle := r.text()
	if q.of = d.open[string(handle)]; q.of == nil {
		return q, false
	}
	switch typ {
	case typeClose:
		q.handle = string(handle)
	case typeRead:
		q.offset = uint64(r.number())<<32 | uint64(r.number())
		q.length = r.number()
	case typeFsetstat:
		q.flags, q.set = r.number(), r.rest
	}
	return q, !r.short
}

// answer answers a request. An error means that the session is over.
func (d *direct) answer(q question) error {
	d.st.answering.Store(true)
	defer d.st.answering.Store(false)
	page := d.st.conn.server.pages.get()
	defer d.st.conn.server.pages.put(page)
	reply, err := d.reply(q, page[:0])
	if err != nil {
		reply = appendStatus(page[:0], q.id, err)
	}
	binary.BigEndian.PutUint32(reply, uint32(len(reply)-4))
	if _, err := d.st.write(reply); err != nil {
		return err
	}
	d.st.conn.touch()
	return nil
}

// reply makes the answer in a page, all but its length. An error is the answer, too.
func (d *direct) reply(q question, page []byte) ([]byte, error) {
	switch q.typ {
	case typeInit:
		return versionReply(), nil
	case typeRead:
		return d.read(q, page)
	case typeReadDir:
		return d.readDir(q, page)
	case typeOpen, typeOpenDir:
		handle, err := d.openPath(q)
		return appendText(appendHead(page, typeHandle, q.id), handle), err
	case typeFsetstat:
		err := d.h.Filecmd(&sftp.Request{Method: "Setstat", Filepath: q.of.path, Flags: q.flags, Attrs: q.set})
		return appendStatus(page, q.id, nil), err
	case typeClose:
		delete(d.open, q.handle)
		return appendStatus(page, q.id, nil), q.of.close()
	case typeRealpath:
		name, err := d.h.RealPath(string(q.subject))
		page = binary.BigEndian.AppendUint32(appendHead(page, typeName, q.id), 1)
		return binary.BigEndian.AppendUint32(appendText(appendText(page, name), name), 0), err
	}
	p := clean(q.subject) // of STAT and LSTAT
	if q.typ == typeFstat {
		p = q.of.path
	}
	answer, err := d.h.Filelist(&sftp.Request{Method: "Stat", Filepath: p})
	if err != nil {
		return nil, err
	}
	info := answer.(one).info
	return appendAttributes(appendHead(page, typeAttributes, q.id), info.Size(), info.IsDir(), info.ModTime()), nil
}

// clean resolves a path as the request server does, against the root.
func clean(p []byte) string { return path.Clean("/" + string(p)) }

func (d *direct) openPath(q question) (handle string, err error) {
	o := &opened{path: clean(q.subject)}
	if q.typ == typeOpen {
		file, err := d.h.Fileread(&sftp.Request{Method: "Get", Filepath: o.path})
		if err != nil {
			return "", err
		}
		o.file = file.(*reading)
	} else {
		list, err := d.h.Filelist(&sftp.Request{Method: "List", Filepath: o.path})
		if err != nil {
			return "", err
		}
		o.list = list.(*listing)
	}
	d.last++
	handle = "d" + strconv.FormatUint(d.last, 10)
	d.open[handle] = o
	return handle, nil
}

func (d *direct) read(q question, page []byte) ([]byte, error) {
	if q.of.file == nil {
		return nil, errWrongHandle
	}
	const head = 4 + 1 + 4 + 4
	length := int(min(q.length, maxTransfer))
	n, err := q.of.file.ReadAt(page[head:head+length], int64(q.offset))
	if err != nil && (err != io.EOF || n == 0) {
		return nil, err
	}
	page = binary.BigEndian.AppendUint32(appendHead(page, typeData, q.id), uint32(n))
	return page[:head+n], nil
}

func (d *direct) readDir(q question, page []byte) ([]byte, error) {
	if q.of.list == nil {
		return nil, errWrongHandle
	}
	entries, err := q.of.list.next()
	if err != nil {
		return nil, err
	}
	page = binary.BigEndian.AppendUint32(appendHead(page, typeName, q.id), uint32(len(entries)))
	recent := time.Now().AddDate(0, -6, 0)
	for _, e := range entries {
		page = appendText(page, e.Name.Base())
		at := len(page)
		page = d.appendLong(append(page, 0, 0, 0, 0), e, recent)
		binary.BigEndian.PutUint32(page[at:], uint32(len(page)-at-4))
		page = appendAttributes(page, e.Size, e.Folder, e.ModTime)
	}
	return page, nil
}

// appendLong appends what `ls -l` shows of an entry, as the request server does.
func (d *direct) appendLong(b []byte, e folder.Entry, recent time.Time) []byte {
	b = append(b, e.Info().Mode().String()...)
	b = append(b, "    1 "...)
	b = appendPadded(b, d.h.owner, 8, false)
	b = appendPadded(append(b, ' '), d.h.LookupGroupName(""), 8, false)
	var number [20]byte
	b = appendPadded(append(b, ' '), string(strconv.AppendInt(number[:0], e.Size, 10)), 8, true)
	b = e.ModTime.AppendFormat(append(b, ' '), "Jan 2")
	if e.ModTime.Before(recent) {
		b = e.ModTime.AppendFormat(append(b, ' ', ' '), "2006")
	} else {
		b = e.ModTime.AppendFormat(append(b, ' '), "15:04")
	}
	return append(append(b, ' '), e.Name.Base()...)
}

// close ends what was open.
func (o *opened) close() error {
	if o.file != nil {
		return o.file.Close()
	}
	return o.list.Close()
}

// end closes what the session has left open. Files that the client did not close are
// transfers that did not end well.
func (d *direct) end(why error) {
	if why == nil || why == io.EOF {
		why = io.ErrUnexpectedEOF
	}
	for handle, o := range d.open {
		delete(d.open, handle)
		if o.file != nil {
			o.file.TransferError(why)
		}
		_ = o.close() // nobody is there to be told; the log has been
	}
}

// fields reads a request's fields. One that is not all there makes it short.
type fields struct {
	rest  []byte
	short bool
}

func (f *fields) number() uint32 {
	if len(f.rest) < 4 {
		f.rest, f.short = nil, true
		return 0
	}
	n := binary.BigEndian.Uint32(f.rest)
	f.rest = f.rest[4:]
	return n
}

func (f *fields) text() []byte {
	n := f.number()
	if int64(n) > int64(len(f.rest)) {
		f.rest, f.short = nil, true
		return nil
	}
	text := f.rest[:n]
	f.rest = f.rest[n:]
	return text
}

// appendHead begins an answer, whose length is put in last.
func appendHead(b []byte, typ byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 0, typ), id)
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// appendPadded appends a text, at least so many bytes wide.
func appendPadded(b []byte, s string, width int, right bool) []byte {
	if !right {
		b = append(b, s...)
	}
	for range width - len(s) {
		b = append(b, ' ')
	}
	if right {
		b = append(b, s...)
	}
	return b
}

// appendAttributes appends a file's attributes (draft-ietf-secsh-filexfer-02,
// section 5): size, permissions, and its time twice.
func appendAttributes(b []byte, size int64, isFolder bool, modified time.Time) []byte {
	const flags = 1 | 4 | 8
	const regular, directory = 0o100_000, 0o040_000
	mode := uint32(regular | 0o644)
	if isFolder {
		mode = directory | 0o755
	}
	b = binary.BigEndian.AppendUint32(b, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	b = binary.BigEndian.AppendUint32(b, mode)
	at := uint32(modified.Unix())
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, at), at)
}

// appendStatus appends the answer that says how it went.
func appendStatus(b []byte, id uint32, err error) []byte {
	code, text := statusCode(err)
	b = binary.BigEndian.AppendUint32(appendHead(b, typeStatus, id), code)
	return appendText(appendText(b, text), "") // the text is in no particular language
}
