package support

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Bundle is what is sent.
type Bundle struct {
	made  time.Time
	files []File
}

// File is one part of a bundle.
type File struct {
	Name string `json:"name"`
	What string `json:"what"` // what it holds, in a few words
	Size int    `json:"size"`
	// SHA256 is of the file's bytes, in lower-case hex.
	SHA256 string `json:"sha256"`

	data []byte
}

// Content returns the file's bytes.
func (f File) Content() []byte { return f.data }

// Files returns the parts, the manifest first.
func (b *Bundle) Files() []File { return b.files }

func newFile(name, what string, value any) (File, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return File{}, fmt.Errorf("writing %s: %w", name, err)
	}
	sum := sha256.Sum256(text.Bytes())
	return File{Name: name, What: what, Size: text.Len(), SHA256: hex.EncodeToString(sum[:]), data: text.Bytes()}, nil
}

func (b *Bundle) add(name, what string, value any) error {
	f, err := newFile(name, what, value)
	if err == nil {
		b.files = append(b.files, f)
	}
	return err
}

// Write writes the bundle as a zip.
func (b *Bundle) Write(dst io.Writer) error {
	z := zip.NewWriter(dst)
	for _, f := range b.files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: b.made})
		if err == nil {
			_, err = w.Write(f.data)
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.Name, err)
		}
	}
	return z.Close()
}
