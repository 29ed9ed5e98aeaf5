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
// [Dir.Stream] is the same for who only ever appends, and learns the id last: it
// puts small blobs together.
//
// # Layout
//
// The file "abcdef…" is ab/abcdef… below the store's folder. Folders have mode
// 0700 and files 0600. There are at most 1024 folders ("aa" to "77"); each is
// created when first needed and never removed. A process fills one folder for a
// while, then another one by chance.
//
// A file is one blob, or a pack of blobs of up to 128 KiB: a night's thousands of
// statements of a few KiB each would take longer to make and sync one file each than to
// seal them, and to remove again. Package blobid has the form of the ids. Members
// of a pack begin at pages, so that the space of one can be given back (by a hole)
// while others stay. A process fills a pack of its own, of up to 1024 blobs, 16 MiB and
// an hour.
//
// # What it promises
//
// A blob whose Commit returned nil survives a kill and a power loss. The order
// of the system calls is
//
//  1. mkdir ab, fsync of the store's folder (if ab was not there at OpenDir, which
//     syncs the store's folder for those that were)
//  2. open ab/<file> with O_EXCL
//  3. writes
//  4. fsync and close of the file
//  5. fsync of ab, one for all that are committed to it at once
//
// A pack has its step 5 when it is made, and its fsyncs in step 4 are each for all that
// are committed to it at once; it is closed later.
//
// A crash before the end of these steps leaves at most a file that nobody was told
// of. There is no rename here, because a blob is visible to no one until a catalog
// row names it; that is the same on an object store. Whoever sweeps finds such
// orphans with [Dir.Files], and so does who looks for files whose deletion a
// power loss has undone: [Dir.Delete], [Dir.Collect] and [Writer.Abort] don't sync
// a folder.
//
// A failed fsync is never tried again: the kernel may have dropped the data and
// would report success the second time. If it was a file's, what waited for it can't be
// committed any more, and a pack takes no more. If it was a folder's, earlier commits are safe but no
// later one could be vouched for, so the Dir refuses to create and commit from
// then on; it goes on reading and deleting.
//
// [Dir.Repair] puts a blob in place again that is missing or damaged: a file by a new one and a
// rename, so that readers and backups keep theirs; a member by writing it to its place.
//
// # Giving back packs
//
// [Dir.Collect] gives back what no row shows any more. Whether it may, the catalog says
// in the moment in which nobody else can be at the pack: who reads a member, and who has
// committed one that may be about to get its row, holds a shared lock of the file (flock),
// and Collect takes the exclusive one, or leaves the pack for the next time.
//
// # What it refuses
//
// Ids that don't have the shape of package blobid's, whatever they contain: the
// operating system never sees a path that came from outside, and [os.Root]
// keeps even a planted symbolic link from leading out of the store. A folder
// that anyone but the own user may write.
//
// It neither encrypts nor checks content: it is handed the sealing writer's
// output, and the catalog holds the digest. It does not keep a published blob
// from being reopened and changed either; the caller decides what is reopened.
package blob

import (
	"fmt"
	"io/fs"

	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

const shardLength = 2 // characters of an id that name its folder

// isShard reports whether name is one that shardOf returns.
func isShard(name string) bool {
	const rest = "aaaaaaaaaaaaaaaaaaaaaaaa"
	return len(name) == shardLength && blobid.IsFile(name+rest)
}

// shardOf returns the folder of a valid id.
func shardOf(id string) string { return id[:shardLength] }

// place returns the path of a file with a valid id below the store's folder.
func place(file string) string { return shardOf(file) + "/" + file }

// parse wraps [fs.ErrInvalid] for what is not the id of a blob. The text is quoted, since
// it may hold anything, and cut short.
func parse(op, id string) (blobid.ID, error) {
	parts, ok := blobid.Parse(id)
	if !ok {
		return parts, fmt.Errorf("%s: not a blob id: %.80q: %w", op, id, fs.ErrInvalid)
	}
	return parts, nil
}

// checkFile wraps [fs.ErrInvalid] for what is not the name of a file.
func checkFile(op, file string) error {
	if blobid.IsFile(file) {
		return nil
	}
	return fmt.Errorf("%s: not a file of blobs: %.80q: %w", op, file, fs.ErrInvalid)
}
