package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
)

// Copies are backups to take single blobs from.
type Copies struct {
	path    string   // that was named
	backups []string // the newest first
}

// FindCopies takes what [Restore] takes: a backup, or the folder of several, which are then all
// looked through. There being none is a [*NoBackupError].
func FindCopies(path string) (*Copies, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	backups, err := findAll(path)
	if err != nil {
		return nil, err
	}
	return &Copies{path: path, backups: backups}, nil
}

// Blob hands a file's content to put, and returns the backup that it is from: the newest that
// has it as the catalog says. Only reading tells that, so the content ends with an error where it is
// something else, and put may be called again with another's. An error of put's own is returned.
func (c *Copies) Blob(r reports.Report, put func(content io.Reader) error) (from string, err error) {
	if r.SHA256 == "" {
		return "", errors.New("its SHA-256 was not recorded yet, so no copy of it can be told to be right")
	}
	place, parts, err := blob.Path(r.Blob)
	if err != nil {
		return "", err
	}
	var bad error // the newest copy's that is none
	for _, from := range c.backups {
		readErr, err := copyOut(from, "blobs/"+place, parts.Offset, r, put)
		switch {
		case err == nil:
			return from, nil
		case readErr == nil:
			return "", err
		case bad == nil && !errors.Is(readErr, fs.ErrNotExist):
			bad = fmt.Errorf("in %s %w", filepath.Base(from), readErr)
		}
	}
	if bad != nil {
		return "", fmt.Errorf("%s has no whole copy of it: %w", c.path, bad)
	}
	return "", fmt.Errorf("%s has no copy of it", c.path)
}

// copyOut hands a section of a backup's file to put. What could not be read is told apart.
func copyOut(backup, path string, offset int64, r reports.Report, put func(io.Reader) error) (readErr, err error) {
	source, err := os.OpenRoot(backup)
	if err != nil {
		return err, err
	}
	defer source.Close() // only read from
	in, err := source.Open(filepath.FromSlash(path))
	if err != nil {
		return err, err
	}
	defer in.Close() // only read from
	content := &vouched{in: io.NewSectionReader(in, offset, r.Size), digest: sha256.New(), want: r.SHA256}
	err = put(content)
	if err == nil && !content.whole {
		err = errors.New("the content was not read to its end")
	}
	return content.fault, err
}

// vouched reads what has a certain digest. Anything else does not end with io.EOF.
type vouched struct {
	in     io.Reader
	digest hash.Hash
	want   string // in hexadecimal
	whole  bool   // it was read to its end, and is right
	fault  error
}

func (v *vouched) Read(p []byte) (int, error) {
	n, err := v.in.Read(p)
	_, _ = v.digest.Write(p[:n]) // it never fails
	if errors.Is(err, io.EOF) {
		if v.whole = hex.EncodeToString(v.digest.Sum(nil)) == v.want; !v.whole {
			err = errNotAsStored
		}
	}
	if !v.whole {
		v.fault = err
	}
	return n, err
}
