package manifest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sealdrop/sealdrop/internal/durable"
)

// JournalSuffix is what a journal's name has after its manifest's.
const JournalSuffix = ".delivered"

// done is a line of the journal.
type done struct {
	Line   int    `json:"line"`
	Client string `json:"client"`
	Name   string `json:"name"`
	File   string `json:"file"`
	SHA256 string `json:"sha256,omitempty"` // as the manifest has it
	stamp
	Report string `json:"report"`
}

// beginning is what every line of a journal begins with.
const beginning = `{"line":`

// stamp tells one state of a file from another. The change time can't be set back,
// as the modification time can.
type stamp struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Changed  time.Time `json:"changed"`
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{Size: info.Size(), Modified: info.ModTime().UTC()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Changed = time.Unix(sys.Ctim.Unix()).UTC()
	}
	return s
}

// key is what a line of a manifest is found again by, wherever it has moved to.
func (d done) key() [sha256.Size]byte {
	text, _ := json.Marshal([]string{d.Client, d.Name, d.File, d.SHA256}) // texts always can be
	return sha256.Sum256(text)
}

func doneOf(l Line) done {
	file := l.File
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	return done{Line: l.Number, Client: l.Client.String(), Name: l.Name.String(), File: file, SHA256: l.SHA256}
}

// Journal remembers which lines of a manifest were delivered. It is safe for
// concurrent use.
type Journal struct {
	mu    sync.Mutex
	file  *os.File
	end   int64 // of the last whole line
	known map[[sha256.Size]byte]memory
}

// memory is what is kept of a line of the journal.
type memory struct {
	stamp
	report string
}

// BusyError says that another run works on the same manifest.
type BusyError struct{ Path string }

func (e *BusyError) Error() string {
	return "another run works on this manifest (it holds " + e.Path + ")"
}

// Hint says what an operator can do.
func (e *BusyError) Hint() string { return "wait for it to end; `fuser " + e.Path + "` finds it" }

// OpenJournal opens the journal at path for these lines, and makes it if it is not
// there. It is locked against other runs until it is closed. With restart, what
// it says is forgotten. The last line, if a crash has cut it off, is dropped.
func OpenJournal(path string, lines []Line, restart bool) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	j := &Journal{file: f, known: make(map[[sha256.Size]byte]memory, len(lines))}
	if err := j.open(path, lines, restart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

func (j *Journal) open(path string, lines []Line, restart bool) error {
	err := syscall.Flock(int(j.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return &BusyError{path}
	}
	if err != nil {
		return fmt.Errorf("locking the journal: %w", err)
	}
	if j.end, err = j.read(lines); err != nil {
		return fmt.Errorf("reading the journal %s: %w", path, err)
	}
	if restart { // only after it was seen to be a journal
		j.end = 0
		clear(j.known)
	}
	if err := j.file.Truncate(j.end); err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}
	return nil
}

// read takes in what concerns the lines, and returns the length of all whole lines
// of the journal. One that makes no sense is passed over: it only costs a
// delivery that changes nothing.
func (j *Journal) read(lines []Line) (whole int64, err error) {
	wanted := make(map[[sha256.Size]byte]bool, len(lines))
	for _, l := range lines {
		wanted[doneOf(l).key()] = true
	}
	in := bufio.NewReaderSize(j.file, maxLine)
	for {
		all, err := in.ReadSlice('\n')
		text := bytes.TrimLeft(all, "\x00") // which a power loss leaves of what was not synced
		switch {
		case errors.Is(err, io.EOF):
			if whole == 0 && !bytes.HasPrefix(text, []byte(beginning)[:min(len(text), len(beginning))]) {
				return whole, &notJournalError{}
			}
			return whole, nil
		case errors.Is(err, bufio.ErrBufferFull) && whole > 0:
			return whole, nil // what a power loss made of the rest
		case errors.Is(err, bufio.ErrBufferFull):
			return whole, &notJournalError{}
		case err != nil:
			return whole, err
		}
		var d done
		good := json.Unmarshal(text, &d) == nil && d.Report != ""
		if !good && whole == 0 {
			return whole, &notJournalError{}
		}
		if good && wanted[d.key()] {
			j.known[d.key()] = memory{d.stamp, d.Report}
		}
		whole += int64(len(all))
	}
}

// notJournalError says that a file is something else: it is not to be written to.
type notJournalError struct{}

func (e *notJournalError) Error() string { return "it is no journal of deliveries" }

// Hint says what an operator can do.
func (e *notJournalError) Hint() string {
	return "move it away, or name another with --journal; without a journal, what was delivered is recognised by its content"
}

// Find returns the id of the report that a line was delivered as, if the file is
// still what it was then.
func (j *Journal) Find(l Line, info fs.FileInfo) (report string, found bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	m, found := j.known[doneOf(l).key()]
	now := stampOf(info)
	if !found || m.Size != now.Size || !m.Modified.Equal(now.Modified) || !m.Changed.Equal(now.Changed) {
		return "", false
	}
	return m.report, true
}

// Record notes that a line was delivered from a file that was in the state of info
// throughout. It is sure to be on disk once Close returns nil. What a power loss takes
// of it before is delivered again and recognised, which is rarer than a note and
// costs less than a sync of the disk for each.
func (j *Journal) Record(l Line, info fs.FileInfo, report string) error {
	d := doneOf(l)
	d.stamp, d.Report = stampOf(info), report
	text, err := json.Marshal(d)
	if err == nil {
		err = j.append(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

// append writes a line, always behind the last whole one: what a full disk or a crash
// left of another is written over.
func (j *Journal) append(line []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, err := j.file.WriteAt(line, j.end)
	if err != nil {
		return errors.Join(err, j.file.Truncate(j.end))
	}
	j.end += int64(n)
	return nil
}

// Close makes the journal durable, closes it and lets other runs have it.
func (j *Journal) Close() error {
	if err := errors.Join(j.file.Sync(), j.file.Close()); err != nil {
		return fmt.Errorf("closing the journal: %w", err)
	}
	return nil
}
