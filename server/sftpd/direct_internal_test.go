package sftpd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

// TestDirectAnswersAsTheRequestServer: a client can't tell which of the two answers it.
func TestDirectAnswersAsTheRequestServer(t *testing.T) {
	t.Parallel()
	direct, plain := talk(t, false), talk(t, true)
	plain.folder.now = direct.folder.now
	var handles [2][]string // in the order of the requests that asked for one
	both := func(what string, typ byte, parts ...any) []byte {
		t.Helper()
		var answers [2][]byte
		for i, c := range []*conversation{direct, plain} {
			answer := c.ask(typ, parts, handles[i])
			if answer[0] == typeHandle {
				handles[i] = append(handles[i], string(answer[9:]))
				answer = answer[:5]
			}
			answers[i] = answer
		}
		if !bytes.Equal(answers[0], answers[1]) {
			t.Errorf("%s: answered directly\n%q, by the request server\n%q", what, answers[0], answers[1])
		}
		return answers[0]
	}
	both("init", typeInit, 3)
	for i, p := range []string{"", "/", ".", "/file", "file", "in/../file", "../../file", "file/", "//file", "missing", "in", "a\x00b", "\xff", strings.Repeat("x", 300), "fault", "forbidden", "old"} {
		for _, typ := range []byte{typeStat, typeLstat, typeRealpath} {
			both(fmt.Sprintf("%d of %q", typ, p), typ, i, p)
		}
	}
	for i, p := range []string{"missing", "in", "fault", "a\x00b", "forbidden"} {
		both("open "+p, typeOpen, i, p, 1, 0)
	}
	for i, p := range []string{"missing", "file", "fault"} {
		both("list "+p, typeOpenDir, i, p)
	}
	file, list := handle(len(handles[0])), handle(len(handles[0])+1)
	both("open", typeOpen, 1, "in/../file", 1, 0)
	both("list", typeOpenDir, 2, "/")
	for _, at := range []uint64{0, 1, 99, 100, 1000, 1 << 40, 1 << 63, 1<<64 - 1} {
		for _, length := range []int{0, 1, 50, 100, 101, 32 << 10, 255 << 10, 1 << 20, -1} {
			both(fmt.Sprintf("read %d at %d", length, at), typeRead, 3, file, at, length)
		}
	}
	both("fstat", typeFstat, 4, file)
	both("fstat of a folder", typeFstat, 4, list)
	both("fsetstat of the time", typeFsetstat, 4, file, 8, 1, 2)
	both("fsetstat of another size", typeFsetstat, 4, file, 1, uint64(5))
	both("fsetstat of the mode", typeFsetstat, 4, file, 4, 0o600)
	for page := 1; both(fmt.Sprint("page ", page), typeReadDir, page, list)[0] == typeName; page++ {
	}
	both("after the end", typeReadDir, 9, list)
	both("close", typeClose, 5, file)
	both("close the list", typeClose, 6, list)
	both("an unknown type of extension", typeExtended, 7, "nonsense@example.com")
	both("making a folder between", 14, 8, "new", 0)
	both("stat after it", typeStat, 9, "file")
	if direct.st.run == nil || direct.st.conn.handles.Load() != 0 || plain.st.conn.handles.Load() != 0 {
		t.Errorf("%d and %d handles are left", direct.st.conn.handles.Load(), plain.st.conn.handles.Load())
	}
	if code := binary.BigEndian.Uint32(direct.ask(typeClose, []any{1, file}, handles[0])[5:]); code != 4 {
		t.Errorf("closing twice: status %d", code)
	}
}

// TestReadersTakeNoRequestServer: that one's buffers are what a session's memory is.
func TestReadersTakeNoRequestServer(t *testing.T) {
	t.Parallel()
	c := talk(t, false)
	c.ask(typeInit, []any{3}, nil)
	c.ask(typeStat, []any{1, "file"}, nil)
	h := []string{string(c.ask(typeOpen, []any{2, "file", 1, 0}, nil)[9:])}
	c.ask(typeRead, []any{3, handle(0), uint64(0), 100}, h)
	c.ask(typeClose, []any{4, handle(0)}, h)
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	if c.st.run != nil {
		t.Error("a request server was started")
	}
}

// TestFileThatIsOpenAtTheEndIsNoTransferThatEndedWell: only CLOSE makes it one.
func TestFileThatIsOpenAtTheEndIsNoTransferThatEndedWell(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		c := talk(t, plain)
		c.ask(typeInit, []any{3}, nil)
		h := []string{string(c.ask(typeOpen, []any{2, "file", 1, 0}, nil)[9:])}
		c.ask(typeRead, []any{3, handle(0), uint64(0), 100}, h)
		_ = c.in.Close()
		<-c.over
		if got := c.folder.ended; len(got) != 2 || got[0] != "unexpected EOF" || got[1] != "closed" {
			t.Errorf("plain %t: the file was told %q", plain, got)
		}
	}
}

// handle stands for the nth handle that was given.
type handle int

// conversation is a session with a client that waits for each answer.
type conversation struct {
	t      *testing.T
	st     *stream
	folder *talkFolder
	in     *io.PipeWriter
	out    *io.PipeReader
	over   chan struct{}
}

func talk(t *testing.T, plain bool) *conversation {
	s := &Server{plain: plain}
	s.cfg.setDefaults()
	setNamesPerReply()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	f := &talkFolder{now: time.Now()}
	c := &connection{server: s, log: slog.New(slog.DiscardHandler), conn: nopConn{}, session: talkSession{folder: f}, share: &share{}, streams: map[*stream]struct{}{}}
	st := newStream(c, &pipeChannel{in: inR, out: outW})
	over := make(chan struct{})
	go func() { st.serve(context.Background()); _ = outW.Close(); close(over) }()
	t.Cleanup(func() { _ = inW.Close(); <-over })
	return &conversation{t, st, f, inW, outR, over}
}

// ask returns an answer's type and body.
func (c *conversation) ask(typ byte, parts []any, handles []string) []byte {
	c.t.Helper()
	p := []byte{0, 0, 0, 0, typ}
	for _, part := range parts {
		switch part := part.(type) {
		case int:
			p = binary.BigEndian.AppendUint32(p, uint32(part))
		case uint64:
			p = binary.BigEndian.AppendUint64(p, part)
		case string:
			p = appendText(p, part)
		case handle:
			p = appendText(p, handles[part])
		}
	}
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	if _, err := c.in.Write(p); err != nil {
		c.t.Fatal(err)
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.out, head); err != nil {
		c.t.Fatal(err)
	}
	answer := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(c.out, answer); err != nil {
		c.t.Fatal(err)
	}
	return answer
}

type pipeChannel struct {
	ssh.Channel
	in  *io.PipeReader
	out *io.PipeWriter
}

func (c *pipeChannel) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *pipeChannel) Write(p []byte) (int, error) { return c.out.Write(p) }
func (c *pipeChannel) Close() error                { return c.out.Close() }

type talkSession struct {
	fuzzSession
	folder *talkFolder
}

func (s talkSession) Folder() Folder { return s.folder }

// talkFolder has names of every kind.
type talkFolder struct {
	fuzzFolder
	now   time.Time
	ended []string // what its last file was told
}

func (f *talkFolder) Stat(_ context.Context, name reports.Name) (folder.Entry, error) {
	e := folder.Entry{Name: name, Size: 100, ModTime: f.now}
	switch name.String() {
	case "missing":
		return e, fs.ErrNotExist
	case "fault":
		return e, errors.New("the disk is on fire")
	case "forbidden":
		return e, fs.ErrPermission
	case "old":
		e.Size, e.ModTime = 1<<62, time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)
	case "", "in":
		e.Folder = true
	}
	return e, nil
}

func (f *talkFolder) List(ctx context.Context, dir reports.Name, after string, limit int) ([]folder.Entry, error) {
	if d, err := f.Stat(ctx, dir); err != nil {
		return nil, err
	} else if !d.Folder {
		return nil, reports.ErrNotFolder
	}
	all := []string{"in", "old", strings.Repeat("y", 255)}
	for i := range 2*namesPerReply - 5 { // so that the last page is a full one
		all = append(all, fmt.Sprintf("z%04d", i))
	}
	all = append(all, "ä", "漢")
	var page []folder.Entry
	for i, s := range all {
		if s <= after || len(page) == limit {
			continue
		}
		name, err := reports.ParseName(s)
		if err != nil {
			return nil, err
		}
		e, err := f.Stat(ctx, name)
		if err != nil {
			return nil, err
		}
		e.ModTime = e.ModTime.AddDate(0, -4*i, 0) // half a year is where the form changes
		page = append(page, e)
	}
	return page, nil
}

func (f *talkFolder) Open(ctx context.Context, name reports.Name) (folder.File, error) {
	e, err := f.Stat(ctx, name)
	if err == nil && e.Folder {
		err = reports.ErrIsFolder
	}
	return talkFile{f: f}, err
}

type talkFile struct {
	fuzzFile
	f *talkFolder
}

func (f talkFile) TransferError(err error) { f.f.ended = append(f.f.ended, err.Error()) }
func (f talkFile) Close() error            { f.f.ended = append(f.f.ended, "closed"); return nil }
