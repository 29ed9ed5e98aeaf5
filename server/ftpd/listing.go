package ftpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

// A listing goes to the library as the download of a file, so that it can be
// sent in pages, with the facts, patterns and flags that clients expect, and so
// that a folder of any size takes no more memory than a page.

// pageSize is how many entries of a folder are looked at at a time.
const pageSize = 1000

// listing is what a client wants listed.
type listing struct {
	arg    string
	format func(l *listing, e folder.Entry) string
	facts  facts
	prefix string    // what NLST puts before each name
	now    time.Time // what LIST's dates are relative to
}

// listed returns the command that lists in a format.
func listed(format func(*listing, folder.Entry) string) func(*session, string) bool {
	return func(s *session, arg string) bool {
		s.takeOffset()
		s.mu.Lock()
		s.listing = &listing{arg: arg, format: format, facts: s.facts, now: time.Now()}
		s.mu.Unlock()
		s.move("RETR listing", "Here comes the list.")
		if len(s.queue) == 0 {
			s.takeListing() // refused
		}
		return true
	}
}

// mlsd lists folders only; a program that tries it on a file learns from the reply
// that it is one (RFC 3659, section 7.1).
func (s *session) mlsd(arg string) bool {
	if name, err := s.name(arg); err == nil {
		if e, err := s.folder().Stat(s.ctx, name); err == nil && !e.Folder {
			s.takeOffset()
			s.say(501, "It is not a folder; MLST tells about files.")
			return true
		}
	}
	return listed(formatMLSD)(s, arg)
}

func (s *session) takeListing() *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listing
	s.listing = nil
	return l
}

// withoutFlags removes the flags of ls that clients send, as long as what is
// there is not a name.
func withoutFlags(arg string) string {
	for strings.HasPrefix(arg, "-") {
		flags, rest, _ := strings.Cut(arg, " ")
		if strings.Trim(flags[1:], "1AaCFfGhLlnRrSTtuxdog") != "" {
			break
		}
		arg = strings.TrimLeft(rest, " ")
	}
	return arg
}

// entries finds out what an argument means: the entries of a folder, those of it
// that fit a pattern, or one file. yield returns an error to end the walk.
func (s *session) entries(ctx context.Context, arg string, yield func(folder.Entry) error) (err error) {
	name, err := s.name(arg)
	var e folder.Entry
	if err == nil {
		e, err = s.folder().Stat(ctx, name)
	}
	if err == nil && !e.Folder {
		return yield(e)
	}
	pattern := ""
	if err != nil {
		// It is not there; is it a pattern?
		dir, last := path.Split(s.abs(arg))
		if !strings.ContainsAny(last, "*?[") {
			return err
		}
		if _, badPattern := path.Match(last, ""); badPattern != nil {
			return err
		}
		if name, err = reports.ParseName(dir); err != nil {
			return err
		}
		pattern = last
	}
	for after := ""; ; {
		page, err := s.folder().List(ctx, name, after, pageSize)
		if err != nil {
			return err
		}
		for _, e := range page {
			if pattern != "" {
				if ok, _ := path.Match(pattern, e.Name.Base()); !ok {
					continue
				}
			}
			if err := yield(e); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
		after = page[len(page)-1].Name.Base()
	}
}

// list opens a listing as a file. What can't be listed is said before the data
// connection is opened.
func (t transfer) list(l *listing) (*listFile, error) {
	arg, isFolder := l.arg, false
	look := func() bool {
		name, err := t.s.name(arg)
		if err != nil {
			return false
		}
		e, err := t.s.folder().Stat(t.s.ctx, name)
		isFolder = err == nil && e.Folder
		return err == nil
	}
	if !look() {
		arg = withoutFlags(arg)
		look()
	}
	switch dir, _ := path.Split(arg); {
	case isFolder && arg != "":
		l.prefix = strings.TrimSuffix(arg, "/") + "/"
	default:
		l.prefix = dir
	}
	err := t.s.entries(t.s.ctx, arg, func(folder.Entry) error { return io.EOF })
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &listFile{transfer: t, listing: l, arg: arg}, nil
}

// listFile is a listing that is being downloaded.
type listFile struct {
	transfer
	listing *listing
	arg     string
}

// WriteTo implements [io.WriterTo].
func (f *listFile) WriteTo(w io.Writer) (n int64, err error) {
	defer func() { err = f.fault(err) }()
	defer f.s.rescue(&err)
	conn, ok := w.(*dataConn)
	if !ok {
		return 0, errNotServed
	}
	f.conn = conn
	if err := conn.open(); err != nil {
		return 0, err
	}
	conn.partial.Store(true)
	counted := &counter{w: conn}
	out := bufio.NewWriterSize(counted, 64<<10)
	err = f.s.entries(f.s.ctx, f.arg, func(e folder.Entry) error {
		_, err := out.WriteString(f.listing.format(f.listing, e) + "\r\n")
		return err
	})
	if err == nil {
		err = out.Flush()
	}
	conn.partial.Store(err != nil)
	return counted.n, err
}

// Close implements [ftpserver.FileTransfer].
func (f *listFile) Close() error {
	close(f.closed)
	f.s.background.Done()
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// timeFormat is how RFC 3659, section 2.3, writes times; in UTC.
const timeFormat = "20060102150405"

// formatLIST is the form of `ls -l`, which is the best known to clients. They
// take its times for local ones; here they are UTC.
func formatLIST(l *listing, e folder.Entry) string {
	kind := "-rw-r--r-- 1"
	if e.Folder {
		kind = "drwxr-xr-x 2"
	}
	at := e.ModTime.UTC()
	stamp := at.Format("Jan _2 15:04")
	const halfYear = 180 * 24 * time.Hour
	if age := l.now.Sub(at); age > halfYear || age < -time.Hour {
		stamp = at.Format("Jan _2  2006")
	}
	return fmt.Sprintf("%s ftp ftp %12d %s %s", kind, e.Size, stamp, e.Name.Base())
}

func formatNLST(l *listing, e folder.Entry) string { return l.prefix + e.Name.Base() }

func formatMLSD(l *listing, e folder.Entry) string { return l.facts.of(e) + " " + e.Name.Base() }

// facts are those that a client wants in MLST and MLSD (RFC 3659, section 7.5),
// in the order of factNames.
type facts [4]bool

func factNames() [4]string { return [4]string{"type", "size", "modify", "perm"} }

func allFacts() facts { return facts{true, true, true, true} }

// parseFacts reads the argument of OPTS MLST; what is unknown is left out.
func parseFacts(arg string) (f facts) {
	for wanted := range strings.SplitSeq(arg, ";") {
		for i, name := range factNames() {
			if strings.EqualFold(strings.TrimSpace(wanted), name) {
				f[i] = true
			}
		}
	}
	return f
}

// feature lists the facts for FEAT; those that are sent have an asterisk.
func (f facts) feature() string {
	var b strings.Builder
	for i, name := range factNames() {
		b.WriteString(name)
		if f[i] {
			b.WriteByte('*')
		}
		b.WriteByte(';')
	}
	return b.String()
}

// chosen lists the facts that are sent.
func (f facts) chosen() string {
	var b strings.Builder
	for i, name := range factNames() {
		if f[i] {
			b.WriteString(name + ";")
		}
	}
	return b.String()
}

func (f facts) of(e folder.Entry) string {
	kind, perm := "file", "adfrw"
	if e.Folder {
		kind, perm = "dir", "cdeflmp"
	}
	var b strings.Builder
	for i, value := range []string{kind, fmt.Sprint(e.Size), e.ModTime.UTC().Format(timeFormat), perm} {
		if f[i] && !(e.Folder && i == 1) { // a folder has no size
			b.WriteString(factNames()[i] + "=" + value + ";")
		}
	}
	return b.String()
}

// mlst answers MLST, over the control connection.
func (s *session) mlst(arg string) bool {
	name, err := s.name(arg)
	if err != nil {
		return s.fail(err)
	}
	e, err := s.folder().Stat(s.ctx, name)
	if err != nil {
		return s.fail(err)
	}
	s.sayLines(250, "Listing "+s.abs(arg), []string{" " + s.facts.of(e) + " /" + name.String()}, "End")
	return true
}

// statusOf answers STAT with a path: a listing over the control connection.
func (s *session) statusOf(arg string) bool {
	l := &listing{now: time.Now()}
	begun := false
	err := s.entries(s.ctx, withoutFlags(arg), func(e folder.Entry) error {
		if !begun {
			s.write("213-Status:\r\n")
			begun = true
		}
		s.write(oneLine(formatLIST(l, e)) + "\r\n")
		return nil
	})
	switch {
	case err == nil && !begun:
		s.sayLines(213, "Status:", nil, "End")
	case !begun:
		return s.fail(err)
	default:
		s.say(213, "End")
	}
	return true
}
