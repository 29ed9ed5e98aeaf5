package cfbsha1

import "testing"

// Nothing of a key outlives its message.
func TestTheKeyIsForgotten(t *testing.T) {
	t.Parallel()
	for path, fast := range paths() {
		var s Stream
		encrypt(t, &s, random(5, keySize), random(6, 1000), Unit, fast)
		if s.plain.cbc != nil || s.plain.sha1 != nil || s.keys != [len(s.keys)]byte{} {
			t.Errorf("%s: something of the key is left", path)
		}
	}
}
