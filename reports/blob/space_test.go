package blob_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
)

// TestDiskFull fills a small file system of its own, which only the child process
// sees. (That every write reports a full disk rightly is also shown without one,
// on /dev/full, for machines that allow no namespaces.)
func TestDiskFull(t *testing.T) {
	t.Parallel()
	inNamespace(t, "full", t.TempDir())
}

// inNamespace runs a role with mounts of its own.
func inNamespace(t *testing.T, role, root string) {
	t.Helper()
	cmd := inRole(t, role, root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		t.Skip("this machine lets us make no mount namespace")
	} else if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.Bytes())
	}
}

// fillUp runs out of bytes, then of inodes, and checks that both are told, that
// Abort gives the room back, and that a blob then fits.
func fillUp(mount string) error {
	if err := syscall.Mount("none", mount, "tmpfs", 0, "size=256k,nr_inodes=40,mode=0700"); err != nil {
		return fmt.Errorf("mounting a small file system: %w", err)
	}
	defer syscall.Unmount(mount, syscall.MNT_DETACH)
	root := filepath.Join(mount, "blobs")
	d, err := blob.OpenDir(root)
	if err != nil {
		return err
	}
	defer d.Close()
	for name, fill := range map[string]func(*blob.Writer) error{
		"Write":   func(w *blob.Writer) error { _, err := w.Write(make([]byte, 1<<20)); return err },
		"WriteAt": func(w *blob.Writer) error { _, err := w.WriteAt(make([]byte, 1<<20), 100); return err },
		"ReadFrom": func(w *blob.Writer) error {
			_, err := w.ReadFrom(strings.NewReader(strings.Repeat("x", 1<<20)))
			return err
		},
	} {
		if err := overfill(d, root, fill); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := spare(d, mount); err != nil {
		return err
	}
	for range 100 {
		w, err := d.Create()
		if err != nil {
			return wantNoSpace(err)
		}
		if err := w.Commit(); err != nil {
			return err
		}
	}
	return errors.New("100 blobs fit where there are 40 inodes")
}

// spare checks that the last of the disk is kept back, and still there.
func spare(d *blob.Dir, mount string) error {
	if err := d.Spare(); err != nil {
		return fmt.Errorf("an empty disk has nothing to spare: %w", err)
	}
	filler := filepath.Join(mount, "filler")
	if err := os.WriteFile(filler, make([]byte, 248<<10), 0o600); err != nil {
		return fmt.Errorf("filling the disk down to its reserve: %w", err)
	}
	if err := wantNoSpace(d.Spare()); err != nil {
		return fmt.Errorf("at the reserve: %w", err)
	}
	if err := os.WriteFile(filepath.Join(mount, "login"), make([]byte, 4<<10), 0o600); err != nil {
		return fmt.Errorf("the reserve can't be used: %w", err)
	}
	return errors.Join(os.Remove(filler), os.Remove(filepath.Join(mount, "login")))
}

func overfill(d *blob.Dir, root string, fill func(*blob.Writer) error) error {
	w, err := d.Create()
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := wantNoSpace(fill(w)); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(root, w.ID()[:2], w.ID()))
	if err != nil {
		return err
	}
	if w.Size() != info.Size() {
		return fmt.Errorf("Size is %d, the file's is %d", w.Size(), info.Size())
	}
	if err := w.Abort(); err != nil {
		return err
	}
	if w, err = d.Create(); err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.CopyN(w, bytes.NewReader(make([]byte, 128<<10)), 128<<10); err != nil {
		return fmt.Errorf("after Abort: %w", err)
	}
	if err := w.Commit(); err != nil {
		return err
	}
	return d.Delete(w.ID())
}

func wantNoSpace(err error) error {
	if !errors.Is(err, reports.ErrNoSpace) {
		return fmt.Errorf("%v, want reports.ErrNoSpace", err)
	}
	if !strings.Contains(hintOf(err), "make room") {
		return fmt.Errorf("the hint is %q", hintOf(err))
	}
	return nil
}
