package folder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
)

// readerFunc counts what is read, and lets a test step in.
type readerFunc func(p []byte, off int64) (int, error)

func (f readerFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

func TestSumStopsBetweenPieces(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	reads := 0
	_, err := sumOf(ctx, readerFunc(func(p []byte, _ int64) (int, error) {
		if reads++; reads == 3 {
			cancel()
		}
		return len(p), nil
	}), 1<<40, make([]byte, digestPiece))
	if !errors.Is(err, context.Canceled) || reads != 3 {
		t.Errorf("after %d reads: %v", reads, err)
	}
}

func TestSumOfAFileThatLacksItsEnd(t *testing.T) {
	t.Parallel()
	if sum, err := sumOf(t.Context(), bytes.NewReader(make([]byte, 1000)), 1001, make([]byte, 300)); !errors.Is(err, io.EOF) || sum != "" {
		t.Errorf("%q, %v", sum, err)
	}
}
