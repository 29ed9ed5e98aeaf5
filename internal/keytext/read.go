package keytext

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// MaxSize is the largest text, in bytes, that is read as a key. The largest
// real ones, OpenPGP certificates with many signatures, have some 100 KiB.
const MaxSize = 1 << 20

// TooLargeError says that a text is larger than [MaxSize].
type TooLargeError struct {
	Name string // the file's name, or words for what was read
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s is larger than any key: 1 MiB at most", e.Name)
}

// Hint says what to do next.
func (e *TooLargeError) Hint() string {
	return "give the file that holds the public key alone, such as id_rsa.pub or key.asc"
}

// ReadFile reads the key file of that name. A file larger than [MaxSize] is
// refused with a [*TooLargeError] before it is read.
func ReadFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening key file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening key file: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("opening key file: %s is a directory", name)
	}
	if info.Size() > MaxSize {
		return nil, &TooLargeError{Name: name}
	}
	data, err := Read(file)
	if tooLarge := new(TooLargeError); errors.As(err, &tooLarge) {
		return nil, &TooLargeError{Name: name} // it grew, or is a pipe
	}
	return data, err
}

// Read reads a key text to its end. It gives up with a [*TooLargeError] as soon as
// more than [MaxSize] bytes came.
func Read(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	if len(data) > MaxSize {
		return nil, &TooLargeError{Name: "this"}
	}
	return data, nil
}
