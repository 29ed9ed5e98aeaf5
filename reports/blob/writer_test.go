package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealdrop/sealdrop/reports"

	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// TestWritesReportFullDisk runs everywhere: /dev/full refuses all writes as a full
// disk does.
func TestWritesReportFullDisk(t *testing.T) {
	t.Parallel()
	d, err := OpenDir(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := &Writer{dir: d, id: blobid.New(), f: f}
	for name, write := range map[string]func() error{
		"Write":    func() error { _, err := w.Write([]byte("sealed")); return err },
		"WriteAt":  func() error { _, err := w.WriteAt([]byte("sealed"), 100); return err },
		"ReadFrom": func() error { _, err := w.ReadFrom(strings.NewReader("sealed")); return err },
	} {
		if err := write(); !errors.Is(err, reports.ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v, want reports.ErrNoSpace over ENOSPC", name, err)
		}
	}
	if w.Size() != 0 {
		t.Errorf("Size is %d though nothing was written", w.Size())
	}
}

func TestFault(t *testing.T) {
	t.Parallel()
	d := &Dir{path: "/srv/blobs"}
	onPath := func(errno syscall.Errno) error { return &fs.PathError{Op: "openat", Path: "ab/abc", Err: errno} }
	hinted := &hintedError{err: onPath(syscall.ENOSPC), hint: "restart"}
	for _, test := range []struct {
		err     error
		want    string
		noSpace bool
		hint    string
	}{
		{onPath(syscall.EIO), "op: input/output error", false, ""},
		{onPath(syscall.ENOSPC), "op: no space left on the gateway (no space left on device)", true, "make room on the disk that holds /srv/blobs"},
		{onPath(syscall.EDQUOT), "op: no space left on the gateway (disk quota exceeded)", true, "raise its quota"},
		{hinted, "op: openat ab/abc: no space left on device", false, "restart"},
		{fmt.Errorf("wrapped: %w", hinted), "op: wrapped: openat ab/abc: no space left on device", false, "restart"},
	} {
		err := d.fault("op", test.err)
		if err.Error() != test.want || errors.Is(err, reports.ErrNoSpace) != test.noSpace {
			t.Errorf("%v became %q (no space: %t)", test.err, err, errors.Is(err, reports.ErrNoSpace))
		}
		var got *hintedError
		if hint := ""; errors.As(err, &got) {
			hint = got.Hint()
			if test.hint == "" || !strings.Contains(hint, test.hint) {
				t.Errorf("%v has the hint %q, want %q", test.err, hint, test.hint)
			}
		} else if test.hint != "" {
			t.Errorf("%v has no hint, want %q", test.err, test.hint)
		}
	}
}
