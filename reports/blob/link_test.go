package blob_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealdrop/sealdrop/reports/blob"
)

func TestLink(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir, err := blob.OpenDir(filepath.Join(root, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	w, err := dir.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(root, "further")
	if err := dir.Link(w.ID(), target); err != nil {
		t.Fatal(err)
	}
	if err := dir.Delete(w.ID()); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(target); err != nil || string(data) != "content" {
		t.Errorf("it holds %q, %v", data, err)
	}
	for what, test := range map[string]struct {
		id   string
		want error
	}{
		"a blob that is gone":   {w.ID(), fs.ErrNotExist},
		"a path":                {"../../etc/passwd", fs.ErrInvalid},
		"nothing":               {"", fs.ErrInvalid},
		"a blob's own path":     {w.ID()[:2] + "/" + w.ID(), fs.ErrInvalid},
		"another alphabet's id": {"ABCDEFGHIJKLMNOPQRSTUVWXYZ", fs.ErrInvalid},
	} {
		if err := dir.Link(test.id, filepath.Join(root, "another")); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", what, err)
		}
		if _, _, err := blob.Path(test.id); (err == nil) != (test.want == fs.ErrNotExist) {
			t.Errorf("path of %s: %v", what, err)
		}
	}
}
