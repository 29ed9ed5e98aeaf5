package manifest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/manifest"
)

func lineOf(t *testing.T, number int, client string) manifest.Line {
	t.Helper()
	id, err := reports.ParseClientID(client)
	if err != nil {
		t.Fatal(err)
	}
	name, err := reports.ParseSegment(fmt.Sprintf("%d.csv", number))
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Line{Number: number, Client: id, Name: name, File: name.String()}
}

func TestRunKeepsEachClientsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines []manifest.Line
		for i := range 300 {
			lines = append(lines, lineOf(t, i+1, fmt.Sprintf("c%d", i%7)))
		}
		var mu sync.Mutex
		last, atOnce, most := map[string]int{}, 0, 0
		begun := manifest.Run(t.Context(), lines, 4, func(_ context.Context, l manifest.Line) {
			id := l.Client.String()
			mu.Lock()
			if l.Number <= last[id] {
				t.Errorf("line %d of %s after %d", l.Number, id, last[id])
			}
			last[id] = l.Number
			atOnce++
			most = max(most, atOnce)
			mu.Unlock()
			time.Sleep(time.Duration(1+l.Number%5) * time.Millisecond)
			mu.Lock()
			atOnce--
			mu.Unlock()
		})
		if begun != 300 || most != 4 {
			t.Errorf("%d lines, up to %d at a time", begun, most)
		}
	})
}

// TestRunWaitsForNoClient: a batch for one client is as fast as one for many.
func TestRunWaitsForNoClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines []manifest.Line
		for i := range 100 {
			lines = append(lines, lineOf(t, i+1, "acme"))
		}
		lines = append(lines, lineOf(t, 101, "globex"))
		var second string
		var begun atomic.Int64
		started := time.Now()
		manifest.Run(t.Context(), lines, 10, func(_ context.Context, l manifest.Line) {
			if begun.Add(1); l.Client.String() == "globex" {
				second = fmt.Sprint(time.Since(started))
			}
			time.Sleep(time.Second)
		})
		if took := time.Since(started); took != 11*time.Second || begun.Load() != 101 || second != "0s" {
			t.Errorf("%d lines took %v, and the other client's turn came after %s", begun.Load(), took, second)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	lines := []manifest.Line{lineOf(t, 1, "acme"), lineOf(t, 2, "acme"), lineOf(t, 3, "globex")}
	if begun := manifest.Run(ctx, lines, 1, func(context.Context, manifest.Line) { cancel() }); begun != 1 {
		t.Errorf("%d lines were begun", begun)
	}
}

// journaled is a manifest of one line whose file was delivered.
type journaled struct {
	path, file string
	line       manifest.Line
}

func journal(t *testing.T) journaled {
	t.Helper()
	dir := t.TempDir()
	j := journaled{path: filepath.Join(dir, "list.csv.delivered"), file: filepath.Join(dir, "1.csv"), line: lineOf(t, 1, "acme")}
	j.line.File = j.file
	if err := os.WriteFile(j.file, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := j.open(t, false)
	if err := open.Record(j.line, j.info(t), "thereport"); err != nil {
		t.Fatal(err)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	return j
}

func (j journaled) open(t *testing.T, restart bool) *manifest.Journal {
	t.Helper()
	open, err := manifest.OpenJournal(j.path, []manifest.Line{j.line}, restart)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = open.Close() })
	return open
}

func (j journaled) info(t *testing.T) os.FileInfo {
	t.Helper()
	info, err := os.Stat(j.file)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func (j journaled) found(t *testing.T) bool {
	t.Helper()
	open := j.open(t, false)
	defer open.Close()
	id, found := open.Find(j.line, j.info(t))
	if found && id != "thereport" {
		t.Errorf("the report is %q", id)
	}
	return found
}

func TestJournalIsHonouredForAnUnchangedFileOnly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(t *testing.T, j *journaled)
		want   bool
	}{
		"nothing":         {func(*testing.T, *journaled) {}, true},
		"the line moved":  {func(_ *testing.T, j *journaled) { j.line.Number = 7 }, true},
		"another client":  {func(t *testing.T, j *journaled) { j.line.Client = lineOf(t, 1, "globex").Client }, false},
		"another name":    {func(t *testing.T, j *journaled) { j.line.Name = lineOf(t, 2, "acme").Name }, false},
		"another sha256":  {func(_ *testing.T, j *journaled) { j.line.SHA256 = strings.Repeat("0f", 32) }, false},
		"another content": {func(t *testing.T, j *journaled) { rewrite(t, j.file, "second one") }, false},
		"same-length-and-time-but-other-content": {func(t *testing.T, j *journaled) {
			before := j.info(t).ModTime()
			time.Sleep(20 * time.Millisecond) // the kernel's clock for files is coarse
			rewrite(t, j.file, "other")
			if err := os.Chtimes(j.file, before, before); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := journal(t)
			test.change(t, &j)
			if got := j.found(t); got != test.want {
				t.Errorf("found: %v", got)
			}
		})
	}
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestJournalSurvivesACrashInTheMiddleOfALine(t *testing.T) {
	t.Parallel()
	j := journal(t)
	whole, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		rewrite(t, j.path, string(whole)+string(whole[:cut]))
		if !j.found(t) {
			t.Fatalf("after %d bytes of a second line, the first is lost", cut)
		}
		if left, err := os.ReadFile(j.path); err != nil || string(left) != string(whole) {
			t.Fatalf("after %d bytes of a second line, %q is left, %v", cut, left, err)
		}
		rewrite(t, j.path, string(whole[:cut]))
		if j.found(t) {
			t.Fatalf("%q says that the report was delivered", whole[:cut])
		}
	}
}

// TestJournalSurvivesAPowerLoss: some file systems leave zeros where data was to be.
func TestJournalSurvivesAPowerLoss(t *testing.T) {
	t.Parallel()
	j := journal(t)
	whole, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, j.path, string(whole)+strings.Repeat("\x00", 1<<20))
	if !j.found(t) {
		t.Error("the line before is lost")
	}
	if left, err := os.ReadFile(j.path); err != nil || string(left) != string(whole) {
		t.Errorf("%d bytes are left of %d, %v", len(left), len(whole), err)
	}
	rewrite(t, j.path, string(whole)+strings.Repeat("\x00", 100)+string(whole)+string(whole))
	if !j.found(t) {
		t.Error("the line after is lost")
	}
	rewrite(t, j.path, strings.Repeat("\x00", 4096)+string(whole))
	if !j.found(t) {
		t.Error("behind zeros at the very beginning, the line is lost")
	}
	rewrite(t, j.path, strings.Repeat("\x00", 300))
	if j.found(t) {
		t.Error("nothing but zeros says that the report was delivered")
	}
}

func TestRestartForgets(t *testing.T) {
	t.Parallel()
	j := journal(t)
	if _, found := j.open(t, true).Find(j.line, j.info(t)); found {
		t.Error("it was found")
	}
}

func TestJournalOfAnotherRunIsLeftAlone(t *testing.T) {
	t.Parallel()
	j := journal(t)
	j.open(t, false)
	if _, err := manifest.OpenJournal(j.path, nil, false); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Errorf("the error is %v", err)
	}
}

// What --journal names by mistake must not be written over.
func TestFileThatIsNoJournalIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		for _, text := range []string{"client,file\nacme,a.csv\n", "one line", "{\"line\":1}\n", strings.Repeat("x", 1<<20)} {
			path := filepath.Join(t.TempDir(), "precious")
			rewrite(t, path, text)
			_, err := manifest.OpenJournal(path, nil, restart)
			if err == nil {
				t.Errorf("%.20q was taken for a journal", text)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != text {
				t.Errorf("of %.20q, %.20q is left, %v", text, got, err)
			}
		}
	}
}
