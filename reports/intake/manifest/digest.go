package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// MismatchError says that a file is not the one that its manifest means.
type MismatchError struct{ Want, Got string }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the file's SHA-256 is %s, and the manifest has %s; nothing was published", e.Got, e.Want)
}

// Hint says what an operator can do.
func (e *MismatchError) Hint() string {
	return "the file was changed after the manifest was made, or its copy is damaged: hand in both anew"
}

// Verify returns a reader of r that ends with a *[MismatchError] instead of
// [io.EOF] if the content's SHA-256 is another than want, which is lower-case hex.
// "" takes anything.
func Verify(r io.Reader, want string) io.Reader {
	if want == "" {
		return r
	}
	return &verifier{r: r, h: sha256.New(), want: want}
}

type verifier struct {
	r    io.Reader
	h    hash.Hash
	want string
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.h.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(v.h.Sum(nil)); got != v.want {
			return n, &MismatchError{Want: v.want, Got: got}
		}
	}
	return n, err
}
