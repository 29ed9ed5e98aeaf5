package folder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// TestDigestOfOverlappingWritesThatSwapped: two goroutines write the same bytes;
// in the file the second one wins, and it is also the first to say so.
func TestDigestOfOverlappingWritesThatSwapped(t *testing.T) {
	t.Parallel()
	content := []byte("aaaaabbbbb") // after "aaaaaaaa" at 0 and then "bbbbb" at 5
	d := newDigest(bytes.NewReader(content), 0)
	d.wrote([]byte("bbbbb"), 5)
	d.wrote([]byte("aaaaaaaa"), 0)
	got, err := d.sum(int64(len(content)))
	want := sha256.Sum256(content)
	if err != nil || got != hex.EncodeToString(want[:]) {
		t.Errorf("digest %s, %v; want %x", got, err, want)
	}
}
