package blob_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/blob/blobtest"
)

// store gives a Dir the suite's interfaces.
type store struct{ *blob.Dir }

func (s store) Create() (blobtest.Writer, error) {
	w, err := s.Dir.Create()
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (s store) Reopen(id string) (blobtest.Writer, error) {
	w, err := s.Dir.Reopen(id)
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (s store) Open(id string) (blobtest.Reader, error) {
	r, err := s.Dir.Open(id)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func TestConformance(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blobtest.Store {
		d, root := openDir(t)
		t.Cleanup(func() { wantNoOpenFiles(t, root) })
		return store{d}
	})
}

// openDir opens an empty store and returns its folder too.
func openDir(t testing.TB) (*blob.Dir, string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "blobs")
	d, err := blob.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, root
}

// put commits a blob and returns its id.
func put(t testing.TB, d *blob.Dir, content string) string {
	t.Helper()
	w, err := d.Create()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return w.ID()
}

// wantNoOpenFiles fails if this process has a blob's file or folder below root
// open.
func wantNoOpenFiles(t *testing.T, root string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(target, root+"/") {
			t.Errorf("%s is still open", target)
		}
	}
}

// hintOf returns what the error tells the operator to do.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

func TestLayout(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	id := put(t, d, "sealed")
	for path, want := range map[string]fs.FileMode{
		"":                0o700 | fs.ModeDir,
		id[:2]:            0o700 | fs.ModeDir,
		id[:2] + "/" + id: 0o600,
	} {
		info, err := os.Lstat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%q has mode %v, want %v", path, info.Mode(), want)
		}
	}
	if got, err := os.ReadFile(filepath.Join(root, id[:2], id)); err != nil || string(got) != "sealed" {
		t.Errorf("the file holds %q, %v", got, err)
	}
}

func TestBlobsOutliveTheDir(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	id := put(t, d, "sealed")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	wantNoOpenFiles(t, filepath.Dir(root))
	d, err := blob.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r, err := d.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rest, err := r.From(2)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(rest); err != nil || string(got) != "aled" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestOpenDirRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, root string) string // returns the root to open
		want    string                                 // part of the error
		hint    string                                 // part of the hint
	}{
		{"group-writable", withMode(0o770), "other users may write", "chmod 700"},
		{"world-writable", withMode(0o702), "other users may write", "chmod 700"},
		{"world-writable-sticky", withMode(0o777 | fs.ModeSticky), "other users may write", "chmod 700"},
		{"another user's", func(t *testing.T, root string) string {
			if os.Geteuid() != 0 {
				return "/" // belongs to root
			}
			mkdir(t, root, 0o700)
			if err := os.Chown(root, 65534, 65534); err != nil {
				t.Fatal(err)
			}
			return root
		}, "belongs to user id", "as the user"},
		{"parent missing", func(_ *testing.T, root string) string {
			return filepath.Join(root, "unmounted", "blobs")
		}, "no such file", "mount"},
		{"file", func(t *testing.T, root string) string {
			if err := os.WriteFile(root, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return root
		}, "not a directory", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := test.prepare(t, filepath.Join(t.TempDir(), "blobs"))
			d, err := blob.OpenDir(root)
			if err == nil {
				d.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(hintOf(err), test.hint) {
				t.Errorf("error %q with hint %q, want %q and %q", err, hintOf(err), test.want, test.hint)
			}
		})
	}
}

func withMode(mode fs.FileMode) func(*testing.T, string) string {
	return func(t *testing.T, root string) string {
		mkdir(t, root, mode)
		return root
	}
}

// mkdir makes a folder whose mode the umask doesn't change.
func mkdir(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestSymlinkInTheStoreLeadsNowhere(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	secret := filepath.Join(filepath.Dir(root), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := put(t, d, "sealed")
	path := filepath.Join(root, id[:2], id)
	for _, target := range []string{secret, "../../secret"} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if r, err := d.Open(id); err == nil {
			r.Close()
			t.Errorf("opened a link to %s", target)
		}
		if w, err := d.Reopen(id); err == nil {
			w.Abort()
			t.Errorf("reopened a link to %s", target)
		}
	}
	if err := d.Delete(id); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(secret); err != nil {
		t.Errorf("what the link led to is gone: %v", err)
	}
}

func TestWalkPassesOverWhatIsNoBlob(t *testing.T) {
	t.Parallel()
	d, root := openDir(t)
	id := put(t, d, "sealed")
	misplaced := blobid.New()
	for misplaced[:2] == id[:2] {
		misplaced = blobid.New()
	}
	for _, name := range []string{"README", "lost+found", "z9", id, id[:2] + "/" + misplaced, id[:2] + "/.nfs0001", "a", "abc"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A file where a folder would be, and the reverse.
	if err := os.WriteFile(filepath.Join(root, otherShard(id)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, id[:2], id[:2]+blobid.New()[2:]), 0o700); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := d.Walk(t.Context(), func(id string, _ int64, _ time.Time) error {
		got = append(got, id)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0] != id {
		t.Errorf("walk saw %v, want only %s", got, id)
	}
}

func otherShard(id string) string {
	if id[:2] == "aa" {
		return "bb"
	}
	return "aa"
}

func TestSpace(t *testing.T) {
	t.Parallel()
	d, _ := openDir(t)
	total, free, err := d.Space()
	if err != nil {
		t.Fatal(err)
	}
	if total == 0 || free > total {
		t.Errorf("%d bytes free of %d", free, total)
	}
}

func TestReadFromFileAndSocket(t *testing.T) {
	t.Parallel()
	d, _ := openDir(t)
	want := strings.Repeat("sealed bytes ", 100_000)
	path := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]func(t *testing.T) io.Reader{
		"file": func(t *testing.T) io.Reader {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			return f
		},
		"socket": func(t *testing.T) io.Reader { return socketWith(t, want) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := d.Create()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort()
			if _, err := io.WriteString(w, "head "); err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(w, source(t))
			if err != nil || n != int64(len(want)) {
				t.Fatalf("copied %d bytes of %d: %v", n, len(want), err)
			}
			got := make([]byte, w.Size())
			if _, err := w.ReadAt(got, 0); err != nil {
				t.Fatal(err)
			}
			if string(got) != "head "+want {
				t.Error("the blob differs from its source")
			}
		})
	}
}

// socketWith returns the receiving end of a TCP connection that carries s.
func socketWith(t *testing.T, s string) io.Reader {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sender, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { receiver.Close() })
	go func() {
		io.WriteString(sender, s)
		sender.Close()
	}()
	return receiver
}

// Two Dirs on one folder stand for two processes, such as a command beside the
// gateway.
func TestTwoProcessesShareAStore(t *testing.T) {
	t.Parallel()
	a, root := openDir(t)
	b, err := blob.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var all sync.WaitGroup
	for _, pair := range [][2]*blob.Dir{{a, b}, {b, a}} {
		all.Go(func() {
			for i := range 200 {
				id := put(t, pair[0], fmt.Sprint(i))
				r, err := pair[1].Open(id)
				if err != nil {
					t.Error(err)
					continue
				}
				r.Close()
			}
		})
	}
	all.Wait()
}

// TestFoldersAreFilledInTurn: blobs made at the same time lie side by side, and no folder
// takes them all.
func TestFoldersAreFilledInTurn(t *testing.T) {
	t.Parallel()
	d, _ := openDir(t)
	const blobs = 600
	count := make(map[string]int)
	seen := make(map[string]bool)
	for range blobs {
		w, err := d.Create()
		if err != nil {
			t.Fatal(err)
		}
		if seen[w.ID()] || !blobid.IsFile(w.ID()) {
			t.Errorf("id %s", w.ID())
		}
		seen[w.ID()] = true
		count[w.ID()[:2]]++
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	if len(count) > 3 {
		t.Errorf("%d blobs went into %d folders", blobs, len(count))
	}
}

// TestCommitsShareAFoldersSync: each is there however many were committed with it.
func TestCommitsShareAFoldersSync(t *testing.T) {
	t.Parallel()
	d, _ := openDir(t)
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			w, err := d.Create()
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Abort()
			if _, err := fmt.Fprint(w, "sealed ", i); err != nil {
				t.Error(err)
			}
			if err := w.Commit(); err != nil {
				t.Error(err)
			}
			r, err := d.Open(w.ID())
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			if r.Size() != w.Size() {
				t.Errorf("blob %d has %d bytes, and had %d", i, r.Size(), w.Size())
			}
		})
	}
	group.Wait()
}
