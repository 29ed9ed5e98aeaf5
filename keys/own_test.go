package keys_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/keys"
)

func TestOwnKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := keys.CreateOwn(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	first, err := keys.LoadOwn(dir)
	if err != nil {
		t.Fatal(err)
	}
	// Made again, they stay: reports are sealed to the hold key.
	if err := keys.CreateOwn(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	second, err := keys.LoadOwn(dir)
	if err != nil || second.Hold.String() != first.Hold.String() || second.Signing.String() != first.Signing.String() ||
		!slices.Equal(second.Delivery, first.Delivery) || first.Hold.String() == first.Signing.String() || len(first.Delivery) != 32 {
		t.Errorf("%v and %v, %v", first.Hold, second.Hold, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Errorf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		for _, spoil := range []func() error{
			func() error { return os.Chmod(path, 0o640) },
			func() error { return os.Rename(path, path+".away") },
		} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			_, err := keys.LoadOwn(dir)
			var told *keys.SecretFileError
			if !errors.As(err, &told) || told.Path != path || told.Hint() == "" {
				t.Errorf("%s: %v", file.Name(), err)
			}
		}
		if err := errors.Join(os.Rename(path+".away", path), os.Chmod(path, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "delivery.key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.LoadOwn(dir); err == nil {
		t.Error("a delivery key that was cut off was taken")
	}
}
