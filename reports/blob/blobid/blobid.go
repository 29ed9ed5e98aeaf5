// Package blobid is the form of the ids under which blobs are kept. The catalog stores
// them and the store makes files of them; both know no more of each other than this.
//
// A blob is in a file of its own, or one of many in a pack:
//
//	abcdefghijklmnopqrstuvwxyz            a file: 26 characters of base32
//	abcdefghijklmnopqrstuvwxyz0           a pack: the same and a 0
//	abcdefghijklmnopqrstuvwxyz0001b001f40 a member: its pack, the page that it begins at (4 hex digits), its size (6)
//
// All of them hold lower-case letters and digits only: nothing that a path, a URL or a shell
// would treat specially. In the order of bytes a pack comes right before its members, and
// these come in the order in which they lie in it.
package blobid

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
)

const (
	// PageSize is what members begin at multiples of, in bytes: what file systems give
	// back of a file is whole pages.
	PageSize = 4096
	// MaxPages is how many pages of a pack members can begin at.
	MaxPages = 1 << 16
	// MaxMember is the greatest size of a member, in bytes.
	MaxMember = 1<<24 - 1
)

const (
	fileLength   = 26 // characters: 130 random bits in base32
	packLength   = fileLength + 1
	pageLength   = 4
	sizeLength   = 6
	memberLength = packLength + pageLength + sizeLength

	packMark  = '0'
	alphabet  = "abcdefghijklmnopqrstuvwxyz234567"
	hexDigits = "0123456789abcdef"
)

// New returns the id of a new file. No two are ever the same.
func New() string { return strings.ToLower(rand.Text()) }

// NewPack returns the id of a new pack.
func NewPack() string { return New() + string(packMark) }

// ID is an id in its parts.
type ID struct {
	File   string // the file that the blob is in: one of its own, or a pack
	Packed bool   // it is a member of a pack, which the next two say more of
	Offset int64  // in bytes
	Size   int64  // in bytes
}

// Parse takes the id of a blob apart. ok is false for what [New] and [Member] do not return,
// whatever it contains; also for a pack, which is no blob.
func Parse(s string) (id ID, ok bool) {
	switch {
	case len(s) == fileLength:
		return ID{File: s}, IsFile(s)
	case len(s) != memberLength || !IsPack(s[:packLength]):
		return ID{}, false
	}
	page, size := s[packLength:packLength+pageLength], s[packLength+pageLength:]
	if !only(page, hexDigits) || !only(size, hexDigits) {
		return ID{}, false
	}
	at, _ := strconv.ParseInt(page, 16, 64)
	n, _ := strconv.ParseInt(size, 16, 64)
	return ID{File: s[:packLength], Packed: true, Offset: at * PageSize, Size: n}, true
}

// IsFile reports whether s is what names a file of the store: [New]'s or [NewPack]'s.
func IsFile(s string) bool {
	return len(s) == fileLength && only(s, alphabet) || IsPack(s)
}

// IsPack reports whether s has the shape of [NewPack]'s.
func IsPack(s string) bool {
	return len(s) == packLength && s[fileLength] == packMark && only(s[:fileLength], alphabet)
}

// File returns the file that the blob with an id is in: the id itself, or that of its pack.
func File(id string) string {
	if len(id) == memberLength {
		return id[:packLength]
	}
	return id
}

// Member returns the id of a blob in a pack. The offset is a multiple of [PageSize], and
// the size at most [MaxMember].
func Member(pack string, offset, size int64) string {
	return fmt.Sprintf("%s%0*x%0*x", pack, pageLength, offset/PageSize, sizeLength, size)
}

// Last returns what is greater than the ids of all blobs in a file, and less than that of any
// other file.
func Last(file string) string { return file + "g" }

func only(s, of string) bool {
	for i := range len(s) {
		if strings.IndexByte(of, s[i]) < 0 {
			return false
		}
	}
	return true
}
