// Package foldertest is what every client's folder must do, as a test suite. A
// folder's own test hands [Run] a function that sets up an empty gateway:
//
//	func TestConformance(t *testing.T) {
//		foldertest.Run(t, func(t *testing.T) foldertest.Gateway { … })
//	}
//
// A protocol is tested by handing it folders that go through a real client.
package foldertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

// Folder is a client's folder, as far as the suite goes. What its methods promise
// stands with package folder.
type Folder interface {
	Stat(ctx context.Context, name reports.Name) (folder.Entry, error)
	List(ctx context.Context, dir reports.Name, after string, limit int) ([]folder.Entry, error)
	Open(ctx context.Context, name reports.Name) (folder.File, error)
	Create(ctx context.Context, name reports.Name, mode folder.CreateMode) (folder.Upload, error)
	Remove(ctx context.Context, name reports.Name) error
	RemoveFolder(ctx context.Context, name reports.Name) error
	Rename(ctx context.Context, from, to reports.Name, replace bool) error
	Mkdir(ctx context.Context, name reports.Name) error
	Chtimes(ctx context.Context, name reports.Name, mtime time.Time) error
	Usage(ctx context.Context) (folder.Usage, error)
}

// Gateway is what the folders belong to. It has the clients "one" and "two".
type Gateway struct {
	// Session begins a session of a client.
	Session func(client string) Folder
	// SHA256 returns the digest that the catalog holds of a file, in lower-case
	// hex. Where it can't be seen it is nil, and is not compared.
	SHA256 func(client string, name reports.Name) string
	// Collected reports whether a file counts as collected, once everything that
	// waits to be recorded has been. nil: it can't be seen.
	Collected func(client string, name reports.Name) bool
}

// Run runs the suite. open is called once per subtest; it cleans up after itself
// through t.Cleanup. The subtests run in parallel.
func Run(t *testing.T, open func(t *testing.T) Gateway) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, g Gateway)
	}{
		{"empty folder", emptyFolder},
		{"upload is invisible until it is closed", uploadInvisible},
		{"upload over a file leaves it whole until closed", uploadOver},
		{"writes in any order give the right digest", anyOrder},
		{"concurrent writes give the right digest", concurrentWrites},
		{"empty upload", emptyUpload},
		{"continue on a file", continueFile},
		{"continue on what was cut off", continuePartial},
		{"continue on nothing", continueNothing},
		{"cut off again and again", cutOffAgain},
		{"a sparse upload costs the gateway", sparseUploadCostsTheGateway},
		{"a resumed overwrite mixes old and new", resumedOverwriteMixesOldAndNew},
		{"exclusive", exclusive},
		{"one name is written once at a time in a session", busy},
		{"closing twice destroys nothing", closeTwice},
		{"transfer error keeps aside", transferError},
		{"removing drops what was cut off", removeDropsPartial},
		{"names that are taken by the other kind", otherKind},
		{"folders", folders},
		{"rename", rename},
		{"times", times},
		{"list pages over 5000 names", listPages},
		{"an open file outlives its name", openOutlivesName},
		{"two clients see nothing of each other", isolated},
		{"two sessions of one client", twoSessions},
		{"collected when every byte was read", collected},
		{"not collected when a transfer failed", notCollected},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

func parse(t *testing.T, s string) reports.Name {
	t.Helper()
	name, err := reports.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func ok(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

func create(t *testing.T, f Folder, name string, mode folder.CreateMode) folder.Upload {
	t.Helper()
	u, err := f.Create(t.Context(), parse(t, name), mode)
	ok(t, "creating "+name, err)
	return u
}

func write(t *testing.T, u folder.Upload, data []byte, off int64) {
	t.Helper()
	n, err := u.WriteAt(data, off)
	if n != len(data) || err != nil {
		t.Fatalf("writing %d bytes at %d: %d, %v", len(data), off, n, err)
	}
}

func put(t *testing.T, f Folder, name string, data []byte) {
	t.Helper()
	u := create(t, f, name, folder.Truncate)
	write(t, u, data, 0)
	ok(t, "closing "+name, u.Close())
}

// cutOff uploads the beginning of a file and breaks off.
func cutOff(t *testing.T, u folder.Upload, data []byte, off int64) {
	t.Helper()
	write(t, u, data, off)
	u.TransferError(io.ErrUnexpectedEOF)
	if err := u.Close(); err == nil {
		t.Error("an upload that was cut off closed well")
	}
}

func read(t *testing.T, f Folder, name string) []byte {
	t.Helper()
	file, err := f.Open(t.Context(), parse(t, name))
	ok(t, "opening "+name, err)
	data, err := io.ReadAll(io.NewSectionReader(file, 0, file.Size()))
	ok(t, "reading "+name, err)
	ok(t, "closing "+name, file.Close())
	return data
}

// holds compares a file of client one with what it should hold.
func (g Gateway) holds(t *testing.T, f Folder, name string, data []byte) {
	t.Helper()
	if got := read(t, f, name); !bytes.Equal(got, data) {
		t.Errorf("%s holds %d bytes %.40q, want %d bytes %.40q", name, len(got), got, len(data), data)
	}
	if g.SHA256 == nil {
		return
	}
	sum := sha256.Sum256(data)
	if got := g.SHA256("one", parse(t, name)); got != hex.EncodeToString(sum[:]) {
		t.Errorf("%s: the catalog's SHA-256 is %s, want %x", name, got, sum)
	}
}

func list(t *testing.T, f Folder, dir string) (names []string) {
	t.Helper()
	entries, err := f.List(t.Context(), parse(t, dir), "", 1000)
	ok(t, "listing "+dir, err)
	for _, e := range entries {
		names = append(names, e.Name.Base())
	}
	return names
}
