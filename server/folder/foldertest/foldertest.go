// Package foldertest is what every client's folder must do, as a test suite. A
// folder's own test hands [Run] a function that sets up an empty gateway:
//
//	func TestConformance(t *testing.T) {
//		foldertest.Run(t, func(t *testing.T) foldertest.Gateway { … })
//	}
//
// A protocol is tested by handing it folders that go through a real client. What
// the protocol has no words for it names in [Gateway.Lacks]; the subtests that need
// it are skipped, and say why.
package foldertest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

// Folder is a client's folder, as far as the suite goes.
type Folder = folder.Folder

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
	// Lacks is what can't be asked of these folders, and why.
	Lacks map[Ability]string
}

// Ability is something that a protocol may have no words for.
type Ability string

// What parts of the suite ask for, beyond whole files that are written from one
// place on.
const (
	WriteAnywhere     Ability = "writing at any offset, in any order"
	CutBack           Ability = "cutting off the end of an upload"
	ReadUpload        Ability = "reading what an upload holds"
	WorkBeside        Ability = "using a session that has an upload open"
	CreateExclusively Ability = "creating a file only where the name is free"
	RenameExclusively Ability = "renaming only to a name that is free"
	CountFiles        Ability = "counting what a folder holds"
)

// modes are the ways in which a file can be created.
func (g Gateway) modes() []folder.CreateMode {
	modes := []folder.CreateMode{folder.Truncate, folder.Continue}
	if _, lacks := g.Lacks[CreateExclusively]; !lacks {
		modes = append(modes, folder.Exclusive)
	}
	return modes
}

// Run runs the suite. open is called once per subtest; it cleans up after itself
// through t.Cleanup. The subtests run in parallel.
func Run(t *testing.T, open func(t *testing.T) Gateway) {
	t.Helper()
	for _, test := range []struct {
		name  string
		run   func(t *testing.T, g Gateway)
		needs []Ability
	}{
		{name: "empty folder", run: emptyFolder},
		{name: "usage", run: usage, needs: []Ability{CountFiles}},
		{name: "upload is invisible until it is closed", run: uploadInvisible},
		{name: "upload is seen by its own session", run: uploadInItsSession, needs: []Ability{WorkBeside}},
		{name: "upload over a file leaves it whole until closed", run: uploadOver},
		{name: "writes in any order give the right digest", run: anyOrder, needs: []Ability{WriteAnywhere}},
		{name: "concurrent writes give the right digest", run: concurrentWrites, needs: []Ability{WriteAnywhere}},
		{name: "streams are appended", run: streams},
		{name: "empty upload", run: emptyUpload},
		{name: "continue on a file", run: continueFile},
		{name: "continue within a file", run: continueWithin, needs: []Ability{WriteAnywhere}},
		{name: "continue on the beginning of a file", run: cutBack, needs: []Ability{CutBack}},
		{name: "continue on what was cut off", run: continuePartial},
		{name: "what was cut off can be read back", run: readBack, needs: []Ability{ReadUpload}},
		{name: "continue on nothing", run: continueNothing},
		{name: "cut off again and again", run: cutOffAgain},
		{name: "a sparse upload costs the gateway", run: sparseUploadCostsTheGateway, needs: []Ability{WriteAnywhere}},
		{name: "a resumed overwrite mixes old and new", run: resumedOverwriteMixesOldAndNew},
		{name: "exclusive", run: exclusive, needs: []Ability{CreateExclusively}},
		{name: "one name is written once at a time in a session", run: busy, needs: []Ability{WorkBeside}},
		{name: "closing twice destroys nothing", run: closeTwice},
		{name: "transfer error keeps aside", run: transferError},
		{name: "removing drops what was cut off", run: removeDropsPartial},
		{name: "names that are taken by the other kind", run: otherKind},
		{name: "folders", run: folders},
		{name: "rename", run: rename},
		{name: "rename onto a name that is taken", run: renameTaken, needs: []Ability{RenameExclusively}},
		{name: "times", run: times},
		{name: "times of an open upload", run: timesOfUpload, needs: []Ability{WorkBeside}},
		{name: "list pages over 5000 names", run: listPages},
		{name: "an open file outlives its name", run: openOutlivesName},
		{name: "a file is sent from an offset", run: sendFromOffset},
		{name: "two clients see nothing of each other", run: isolated},
		{name: "two sessions of one client", run: twoSessions},
		{name: "collected when every byte was read", run: collected},
		{name: "not collected when a transfer failed", run: notCollected},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := open(t)
			for _, ability := range test.needs {
				if why, lacks := g.Lacks[ability]; lacks {
					t.Skipf("%s: %s", ability, why)
				}
			}
			test.run(t, g)
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
