package backup

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
)

const (
	manifestName   = "manifest.jsonl"
	manifestFormat = 1
)

// Header is the first line of a manifest.
type Header struct {
	Format int `json:"sealdrop_backup"`
	// Made is the moment of the snapshot.
	Made    time.Time `json:"made"`
	Version string    `json:"version"` // of the program
	// Keys tells whether the gateway's secrets are part of it.
	Keys bool `json:"keys"`
	// Audit is the end of the audit's chain at the snapshot.
	Audit audit.Head `json:"audit"`
}

// How a file got into the backup, or that it did not.
const (
	linked  = "linked"
	cloned  = "cloned"
	copied  = "copied"
	purged  = "purged" // since the snapshot: not there, and rightly so
	missing = "lost"   // not there, and not known why
)

// entry is a line of a manifest between the first and the last.
type entry struct {
	Path   string `json:"path"` // below the backup, with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
	How    string `json:"how"`
	Blob   string `json:"blob,omitempty"`
	// At is where the blob begins in a file of many, in bytes.
	At int64 `json:"at,omitempty"`
}

func (e entry) there() bool { return e.How != purged && e.How != missing }

// ending is the last line of a manifest.
type ending struct {
	End   bool  `json:"end"`
	Files int64 `json:"files"` // lines before it
	Bytes int64 `json:"bytes"`
}

// manifestWriter writes a manifest line by line.
type manifestWriter struct {
	f   *os.File
	buf *bufio.Writer
	enc *json.Encoder
	end ending
}

func createManifest(dir string, h Header) (*manifestWriter, error) {
	f, err := os.OpenFile(filepath.Join(dir, manifestName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	m := &manifestWriter{f: f, buf: bufio.NewWriterSize(f, 64<<10)}
	m.enc = json.NewEncoder(m.buf)
	if err := m.enc.Encode(h); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

func (m *manifestWriter) add(e entry) error {
	m.end.Files++
	m.end.Bytes += e.Size
	return m.enc.Encode(e)
}

// finish writes the last line and makes the file durable.
func (m *manifestWriter) finish() error {
	m.end.End = true
	if err := m.enc.Encode(m.end); err != nil {
		return err
	}
	if err := m.buf.Flush(); err != nil {
		return err
	}
	return m.f.Sync()
}

func (m *manifestWriter) Close() error { return m.f.Close() }

// DamagedError says what is wrong with a backup.
type DamagedError struct {
	Backup string
	File   string // "" for the backup as a whole
	Err    error
}

func (e *DamagedError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("the backup %s can't be restored: %v", e.Backup, e.Err)
	}
	return fmt.Sprintf("the backup %s can't be restored: %s: %v", e.Backup, e.File, e.Err)
}

// Unwrap returns what is wrong.
func (e *DamagedError) Unwrap() error { return e.Err }

// Hint says what an operator can do.
func (*DamagedError) Hint() string {
	return "nothing was put in place; take another backup (each is whole in itself), or restore what there is with --accept-losses"
}

// readManifest calls fn for every file of a manifest. It reads to the last line,
// without which the manifest is cut off.
func readManifest(r io.Reader, header func(Header) error, fn func(entry) error) error {
	dec := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	var h Header
	if err := dec.Decode(&h); err != nil {
		return fmt.Errorf("its manifest can't be read: %w", err)
	}
	if h.Format != manifestFormat {
		return fmt.Errorf("its manifest has the format %d, and this program knows %d", h.Format, manifestFormat)
	}
	if err := header(h); err != nil {
		return err
	}
	var end ending
	for {
		var line struct {
			entry
			ending
		}
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			return errors.New("its manifest is cut off")
		} else if err != nil {
			return fmt.Errorf("its manifest can't be read: %w", err)
		}
		if line.End {
			if line.ending.Files != end.Files || line.ending.Bytes != end.Bytes {
				return fmt.Errorf("its manifest lists %d files and should list %d", end.Files, line.ending.Files)
			}
			return nil
		}
		if !filepath.IsLocal(filepath.FromSlash(line.Path)) || line.Size < 0 || line.At < 0 {
			return fmt.Errorf("its manifest lists %q, which is no file of a backup", line.Path)
		}
		end.Files++
		end.Bytes += line.Size
		if err := fn(line.entry); err != nil {
			return err
		}
	}
}
