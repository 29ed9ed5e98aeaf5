package manifest

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/steady"
	"github.com/sealdrop/sealdrop/reports"
)

const (
	// MaxSize is the longest manifest in bytes.
	MaxSize = 64 << 20
	// MaxLines is how many reports one manifest can list.
	MaxLines = 200_000
)

// Line is one report of a batch.
type Line struct {
	Number int // the line of the manifest on which it begins, from 1
	Client reports.ClientID
	File   string // resolved against the manifest's folder
	Name   reports.Name
	Date   time.Time // the report's own time; zero: the file's
	SHA256 string    // of the file, lower-case hex; "" if the manifest has none
	Size   int64     // of the file in bytes, when it was checked
}

// Options say what lines are checked against.
type Options struct {
	// Dir is the folder that relative paths are taken from.
	Dir string
	// Client returns nil for a client that there is, an error that wraps
	// [reports.ErrUnknownClient] for one that there is not, and any other if that
	// can't be told. It is called once for each client.
	Client func(reports.ClientID) error
}

// Read reads a whole manifest and checks every line of it: the form, the client,
// the file. The error is a *[Faults] if lines are wrong, and then tells of all of
// them.
func Read(r io.Reader, o Options) ([]Line, error) {
	c := &checker{Options: o, clients: map[reports.ClientID]error{}, seen: map[place]int{}}
	in := bufio.NewReader(&bounded{r: r, left: MaxSize})
	first, err := firstByte(in)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	read := readCSV
	if first == '{' {
		read = readJSON
	}
	if err := read(in, c); err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	if c.faults.count > 0 {
		return nil, &c.faults
	}
	if len(c.lines) == 0 {
		return nil, errEmpty
	}
	return c.lines, nil
}

var errEmpty = errors.New("the manifest lists no report")

// firstByte passes over a byte order mark and returns the first byte that is no
// white space, without taking it.
func firstByte(in *bufio.Reader) (byte, error) {
	if mark, err := in.Peek(3); err == nil && bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = in.Discard(3) // they are there
	}
	for n := 1; n < in.Size(); n++ {
		ahead, err := in.Peek(n)
		if errors.Is(err, io.EOF) {
			return 0, errEmpty
		}
		if err != nil {
			return 0, err
		}
		if b := ahead[n-1]; !strings.ContainsRune(" \t\r\n", rune(b)) {
			return b, nil
		}
	}
	return 0, errors.New("it begins with nothing but white space")
}

// bounded ends with an error where a manifest is too long.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &tooLongError{fmt.Sprintf("it is longer than %d MiB", MaxSize>>20)}
	}
	return n, err
}

// tooLongError says which bound a manifest goes beyond.
type tooLongError struct{ what string }

func (e *tooLongError) Error() string { return e.what }

// Hint says what an operator can do.
func (e *tooLongError) Hint() string {
	return "split it: several manifests can be delivered one after the other"
}

// record is a line as it was written.
type record struct{ client, file, name, date, sha256 string }

// set stores one field. ok is false if there is none of that name.
func (r *record) set(field, value string) (ok bool) {
	switch field {
	case "client":
		r.client = value
	case "file":
		r.file = value
	case "name":
		r.name = value
	case "date":
		r.date = value
	case "sha256":
		r.sha256 = value
	default:
		return false
	}
	return true
}

const fields = "client, file, name, date and sha256"

// place is where a report goes.
type place struct {
	client reports.ClientID
	name   reports.Name
}

type checker struct {
	Options
	lines   []Line
	faults  Faults
	clients map[reports.ClientID]error // what was asked already
	seen    map[place]int              // on which line
}

// add checks a record and keeps it. The error is one that ends the reading.
func (c *checker) add(number int, r record) error {
	if number > MaxLines+1 || len(c.lines) >= MaxLines { // a CSV has a header
		return &tooLongError{fmt.Sprintf("it has more than %d lines", MaxLines)}
	}
	before := c.faults.count
	l := Line{Number: number}
	fault := func(field string, err error) {
		if err != nil {
			c.faults.add(number, field, err)
		}
	}
	var err error
	if l.Client, err = c.client(r.client); errors.Is(err, errUnanswered) {
		return err
	}
	fault("client", err)
	l.File, l.Size, err = c.file(r.file)
	fault("file", err)
	l.Name, err = parseName(r)
	fault("name", err)
	l.Date, err = parseDate(r.date)
	fault("date", err)
	l.SHA256, err = parseSHA256(r.sha256)
	fault("sha256", err)
	if c.faults.count > before {
		return nil
	}
	at := place{l.Client, l.Name}
	if earlier := c.seen[at]; earlier > 0 {
		fault("name", fmt.Errorf("%q goes to client %s on line %d already", l.Name, l.Client, earlier))
		return nil
	}
	c.seen[at] = number
	c.lines = append(c.lines, l)
	return nil
}

// errUnanswered: whether there is a client could not be told.
var errUnanswered = errors.New("looking up the clients")

func (c *checker) client(text string) (reports.ClientID, error) {
	if text == "" {
		return reports.ClientID{}, errMissing
	}
	id, err := reports.ParseClientID(text)
	if err != nil {
		return id, err
	}
	known, asked := c.clients[id]
	if !asked {
		known = c.Client(id)
		c.clients[id] = known
	}
	if known != nil && !errors.Is(known, reports.ErrUnknownClient) {
		return id, fmt.Errorf("%w: %w", errUnanswered, known)
	}
	return id, known
}

var errMissing = errors.New("is missing")

// file resolves a path and sees that it can be read.
func (c *checker) file(text string) (path string, size int64, err error) {
	switch {
	case text == "":
		return "", 0, errMissing
	case strings.ContainsRune(text, 0):
		return "", 0, fmt.Errorf("%q is not the name of a file", text)
	}
	path = text
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	f, err := steady.Open(path)
	if err != nil {
		return path, 0, fmt.Errorf("%s: %w", path, err)
	}
	return path, f.Info.Size(), f.Close()
}

// parseName reads the report's name, which is the file's if there is none.
func parseName(r record) (reports.Name, error) {
	if r.name == "" {
		if r.file == "" {
			return reports.Name{}, nil // told already
		}
		return reports.ParseSegment(filepath.Base(r.file))
	}
	return reports.ParseSegment(r.name)
}

// parseDate reads a day, which begins in UTC, or a time of RFC 3339. OpenPGP keeps
// it as seconds since 1970 in 32 bits.
func parseDate(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		return t, fmt.Errorf("%q is not a date such as 2026-11-20 or 2026-11-20T17:30:00Z", text)
	}
	if t.Unix() < 0 || t.Unix() > math.MaxUint32 {
		return t, fmt.Errorf("%q is not between 1970 and 2106", text)
	}
	return t.UTC(), nil
}

func parseSHA256(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if b, err := hex.DecodeString(text); err != nil || len(b) != 32 {
		return "", fmt.Errorf("%q is not a SHA-256: 64 hexadecimal digits, as sha256sum prints them", text)
	}
	return strings.ToLower(text), nil
}
