package blobtest

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Data returns how many bytes of a file are no hole. It moves the file's offset.
func Data(tb testing.TB, f *os.File) (total int64) {
	tb.Helper()
	for at := int64(0); ; {
		from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return total
		}
		to := from
		if err == nil {
			to, err = unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		}
		if err != nil {
			tb.Fatal(err)
		}
		total += (to - from + 4095) &^ 4095 // the end of a file is within a page
		at = to
	}
}
