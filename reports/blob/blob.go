// Package blob keeps the content of reports: ciphertext under random ids, in a
// local directory. It knows no names and no clients; those are the catalog's.
//
// Start with [OpenDir]. [Dir.Create] gives a [Writer], whose Commit makes the
// blob durable; [Dir.Open] gives a [Reader]. The usual shape is
//
//	w, err := dir.Create()
//	if err != nil { … }
//	defer w.Abort() // does nothing once Commit has succeeded
//	if _, err := io.Copy(w, sealed); err != nil { … }
//	if err := w.Commit(); err != nil { … }
//	// now a catalog row may name w.ID()
//
// # Layout
//
// The blob with id "abcdef…" is the file ab/abcdef… below the store's folder.
// Folders have mode 0700 and files 0600. There are at most 1024 folders ("aa"
// to "77"); each is created when first needed and never removed. A process fills
// one folder for a while, then another one by chance.
//
// # What it promises
//
// A blob whose Commit returned nil survives a kill and a power loss. The order
// of the system calls is
//
//  1. mkdir ab, fsync of the store's folder (if ab was not there at OpenDir, which
//     syncs the store's folder for those that were)
//  2. open ab/<id> with O_EXCL
//  3. writes
//  4. fsync and close of the file
//  5. fsync of ab, one for all that are committed to it at once
//
// A crash before the end of step 5 leaves at most a file that nobody was told
// of. There is no rename, because a blob is visible to no one until a catalog
// row names it; that is the same on an object store. Whoever sweeps finds such
// orphans with [Dir.Walk], and so does who looks for blobs whose deletion a
// power loss has undone: [Dir.Delete] and [Writer.Abort] are not synced.
//
// A failed fsync is never tried again: the kernel may have dropped the data and
// would report success the second time. If it was a file's, that blob can't be
// committed any more. If it was a folder's, earlier commits are safe but no
// later one could be vouched for, so the Dir refuses to create and commit from
// then on; it goes on reading and deleting.
//
// # What it refuses
//
// Ids that don't have the shape of [NewID]'s, whatever they contain: the
// operating system never sees a path that came from outside, and [os.Root]
// keeps even a planted symbolic link from leading out of the store. A folder
// that anyone but the own user may write.
//
// It neither encrypts nor checks content: it is handed the sealing writer's
// output, and the catalog holds the digest. It does not keep a published blob
// from being reopened and changed either; the caller decides what is reopened.
package blob

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"strings"
)

const (
	idLength    = 26 // characters of an id: 130 random bits in base32
	shardLength = 2  // characters of an id that name its folder
	idAlphabet  = "abcdefghijklmnopqrstuvwxyz234567"
)

// NewID returns a random id: 26 characters of lower-case base32 (a to z and 2
// to 7), 130 bits of them random. No two are ever the same.
func NewID() string { return strings.ToLower(rand.Text()) }

// ValidID reports whether s has the shape of an id made by [NewID]. A valid id
// holds nothing that a path, a URL or a shell would treat specially.
func ValidID(s string) bool {
	return len(s) == idLength && onlyIDCharacters(s)
}

func onlyIDCharacters(s string) bool {
	for i := range len(s) {
		if strings.IndexByte(idAlphabet, s[i]) < 0 {
			return false
		}
	}
	return true
}

// isShard reports whether name is one that shardOf returns.
func isShard(name string) bool {
	return len(name) == shardLength && onlyIDCharacters(name)
}

// shardOf returns the folder of a valid id.
func shardOf(id string) string { return id[:shardLength] }

// place returns the path of a valid id below the store's folder.
func place(id string) string { return shardOf(id) + "/" + id }

// checkID wraps [fs.ErrInvalid] for what is not an id. The text is quoted, since
// it may hold anything, and cut short.
func checkID(op, id string) error {
	if ValidID(id) {
		return nil
	}
	return fmt.Errorf("%s: not a blob id: %.80q: %w", op, id, fs.ErrInvalid)
}
