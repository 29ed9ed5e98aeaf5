package blob_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sealdrop/sealdrop/reports/blob"
)

// Variables that turn the test binary into a process under observation.
const (
	roleVar = "BLOB_TEST_ROLE" // a key of roles
	rootVar = "BLOB_TEST_ROOT" // the store's folder
)

func TestMain(m *testing.M) {
	role, ok := os.LookupEnv(roleVar)
	if !ok {
		os.Exit(m.Run())
	}
	// strace counts the calls to inject faults into by thread.
	runtime.LockOSThread()
	run, ok := map[string]func(root string) error{
		"commit":             commitOne,
		"file fsync fails":   fileSyncFails,
		"folder fsync fails": folderSyncFails,
		"full":               fillUp,
		"repair":             repairFirst,
	}[role]
	if !ok {
		run = packRoles[role]
	}
	if err := run(os.Getenv(rootVar)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// inRole returns a command that runs the test binary in a role, under the
// program and arguments in front if there are any.
func inRole(t *testing.T, role, root string, front ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := append(slices.Clone(front), self)
	cmd := exec.CommandContext(t.Context(), line[0], line[1:]...)
	cmd.Env = append(os.Environ(), roleVar+"="+role, rootVar+"="+root)
	return cmd
}

// begin opens the store and writes a blob that is not committed yet.
func begin(root string) (*blob.Dir, *blob.Writer, error) {
	d, err := blob.OpenDir(root)
	if err != nil {
		return nil, nil, err
	}
	w, err := d.Create()
	if err != nil {
		return nil, nil, err
	}
	_, err = io.WriteString(w, "sealed")
	return d, w, err
}

func commitOne(root string) error {
	_, w, err := begin(root)
	if err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	_, err = fmt.Println(w.ID())
	return err
}

// TestSyscallOrder holds the promise of the package comment: what strace saw is
// all of it, in this order, with no other sync, rename or write to the store.
func TestSyscallOrder(t *testing.T) {
	t.Parallel()
	wantCalls(t, "commit", []string{
		"mkdirat blobs",
		"fsync .",
		"fsync blobs", // for folders found
		"mkdirat blobs/SHARD",
		"fsync blobs",
		"openat O_EXCL blobs/SHARD/ID",
		"write blobs/SHARD/ID",
		"fsync blobs/SHARD/ID",
		"close blobs/SHARD/ID",
		"fsync blobs/SHARD",
	})
}

// wantCalls runs a role and fails unless these are its calls.
func wantCalls(t *testing.T, role string, want []string) {
	t.Helper()
	if got := calledBy(t, role); !slices.Equal(got, want) {
		t.Errorf("the system calls were\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// calledBy runs a role, which prints the file that it is about, and returns its calls.
func calledBy(t *testing.T, role string) []string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "blobs")
	trace, id := traced(t, role, root)
	return storeCalls(trace, filepath.Dir(root), id)
}

// traced runs a role under strace, and returns what was seen and what the role printed.
func traced(t *testing.T, role, root string) (trace, printed string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	cmd := inRole(t, role, root, "strace", "-f", "-y", "-o", log,
		"-e", "trace=mkdir,mkdirat,open,openat,write,pwrite64,fsync,fdatasync,sync_file_range,close,rename,renameat,renameat2,link,linkat,flock,fallocate,unlink,unlinkat")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("strace: %v\n%s", err, stderr.Bytes())
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), strings.TrimSpace(stdout.String())
}

var (
	unfinished = regexp.MustCompile(`^(\d+) (.*) <unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^(\d+) <\.\.\. \w+ resumed>(.*)$`)
	call       = regexp.MustCompile(`^\d+ (\w+)\((.*)\) += (\d+)`)
	argument   = regexp.MustCompile(`^(?:\w+<([^>]*)>)?(?:, )?(?:"([^"]*)")?`)
)

// storeCalls returns the successful calls in strace's output that change or sync
// something below base: the call's name and the path in terms of base, the
// blob's folder and its id.
func storeCalls(trace, base, id string) []string {
	var calls []string
	pending := make(map[string]string)
	for line := range strings.Lines(trace) {
		line = strings.Join(strings.Fields(line), " ")
		if m := unfinished.FindStringSubmatch(line); m != nil {
			pending[m[1]] = m[0][:len(m[0])-len(" <unfinished ...>")]
			continue
		}
		if m := resumed.FindStringSubmatch(line); m != nil {
			line = pending[m[1]] + m[2]
		}
		m := call.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name, args := m[1], m[2]
		at := argument.FindStringSubmatch(args)
		path := at[1]
		if strings.HasPrefix(at[2], "/") {
			path = at[2]
		} else if strings.HasPrefix(name, "mkdir") || strings.HasPrefix(name, "unlink") || strings.HasPrefix(name, "open") {
			path = filepath.Join(path, at[2])
		}
		path, err := filepath.Rel(base, path)
		if err != nil || strings.HasPrefix(path, "..") {
			continue
		}
		path = strings.Replace(path, id, "ID", 1)
		path = strings.Replace(path, "blobs/"+id[:2], "blobs/SHARD", 1)
		switch {
		case strings.HasPrefix(name, "open") && strings.Contains(args, "O_EXCL"):
			name += " O_EXCL"
		case name == "flock":
			name += " " + strings.TrimPrefix(args, at[0])
		case strings.HasPrefix(name, "open"), name == "close" && !strings.HasSuffix(path, "ID"):
			continue // reading, and folders
		}
		calls = append(calls, name+" "+path)
	}
	return calls
}

// TestFailedSync makes the kernel fail one fsync with EIO, and lets all others
// succeed: whoever tried again would be told a lie.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	// Before the sync of the file come those of the store's parent, and of the
	// store: one when it is opened, one for each blob in a new folder.
	for role, nth := range map[string]int{"file fsync fails": 4, "folder fsync fails": 6} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(t.TempDir(), "blobs")
			cmd := inRole(t, role, root, "strace", "-f", "-o", filepath.Join(t.TempDir(), "strace"),
				"-e", "trace=fsync", "-e", fmt.Sprintf("inject=fsync:error=EIO:when=%d", nth))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if files, err := filepath.Glob(filepath.Join(root, "*", "*")); err != nil || len(files) > 1 {
				t.Errorf("the store holds %v, %v; want at most the blob that could be committed", files, err)
			}
		})
	}
}

// commitMustFail checks that the Writer stays uncommitted and can be aborted.
func commitMustFail(root string, d *blob.Dir, w *blob.Writer, hint string) error {
	first := w.Commit()
	if first == nil {
		return errors.New("Commit succeeded although an fsync failed")
	}
	if !errors.Is(first, syscall.EIO) || !strings.Contains(hintOf(first), hint) {
		return fmt.Errorf("Commit returned %w with hint %q, want EIO and %q", first, hintOf(first), hint)
	}
	if again := w.Commit(); again != first {
		return fmt.Errorf("a second Commit returned %w, the first %w", again, first)
	}
	if err := w.Abort(); err != nil {
		return err
	}
	if r, err := d.Open(w.ID()); err == nil {
		r.Close()
		return errors.New("the blob is still there after Abort")
	}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, filepath.Join(root, w.ID()[:2])) {
			return fmt.Errorf("%s is still open", target)
		}
	}
	return nil
}

// fileSyncFails: only that blob is lost.
func fileSyncFails(root string) error {
	d, w, err := begin(root)
	if err != nil {
		return err
	}
	if err := commitMustFail(root, d, w, ""); err != nil {
		return err
	}
	if w, err = d.Create(); err != nil {
		return fmt.Errorf("after another blob's failure: %w", err)
	}
	return w.Commit()
}

// folderSyncFails: the store takes nothing more, but goes on reading and deleting.
func folderSyncFails(root string) error {
	d, w, err := begin(root)
	if err != nil {
		return err
	}
	other, err := d.Create()
	for err == nil && other.ID()[:2] == w.ID()[:2] {
		other.Abort() // in one folder there would be a sync less
		other, err = d.Create()
	}
	if err != nil {
		return err
	}
	if err := commitMustFail(root, d, w, "restart"); err != nil {
		return err
	}
	if _, err := d.Create(); err == nil || hintOf(err) == "" {
		return fmt.Errorf("Create after a folder's failed fsync: %v, want an error with a hint", err)
	}
	if err := other.Commit(); err == nil || hintOf(err) == "" {
		return fmt.Errorf("Commit after a folder's failed fsync: %v, want an error with a hint", err)
	}
	r, err := d.Open(other.ID())
	if err != nil {
		return err
	}
	r.Close()
	return d.Delete(other.ID())
}
