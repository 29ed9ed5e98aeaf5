package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/sealdrop/sealdrop/reports"
)

// hintedError adds what an operator can do about an error.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

// Hint says what to do next.
func (e *hintedError) Hint() string { return e.hint }

// fault words an error of the operating system. The path is left out, because op
// names the blob already, and a full disk or quota becomes
// [reports.ErrNoSpace].
func (d *Dir) fault(op string, err error) error {
	// Not errors.As: an error that is worded already keeps its words.
	if path, ok := err.(*fs.PathError); ok {
		err = path.Err
	}
	var hinted *hintedError
	if !isNoSpace(err) || errors.As(err, &hinted) {
		return fmt.Errorf("%s: %w", op, err)
	}
	return &hintedError{
		err:  fmt.Errorf("%s: %w (%w)", op, reports.ErrNoSpace, err),
		hint: fmt.Sprintf("make room on the disk that holds %s (see df -h and df -i) or raise its quota, then try again", d.path),
	}
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
