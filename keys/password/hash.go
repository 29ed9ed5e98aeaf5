package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What a new hash is made with.
const (
	memory     = 19 * 1024 // KiB
	passes     = 2
	threads    = 1
	saltLength = 16 // bytes
	keyLength  = 32
)

// The most, and where it matters the least, that Parse takes.
const (
	maxMemory  = 256 * 1024 // KiB
	maxPasses  = 16
	maxThreads = 16
	minSalt    = 8 // bytes; RFC 9106, section 3.1
	maxSalt    = 64
	minKey     = 16
	maxKey     = 64
)

// maxGuess is how much of a guess is looked at, in bytes: more than the longest
// password has.
const maxGuess = 4 * MaxLength

// Hash is an argon2id hash with its salt and parameters. The zero value matches
// nothing.
type Hash struct {
	memory, passes uint32
	threads        uint8
	salt, key      string // strings, so that hashes compare with ==
}

// New hashes a password with a salt of its own.
func New(text string) Hash {
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails: the program would end
	h := Hash{memory: memory, passes: passes, threads: threads, salt: string(salt)}
	h.key = string(h.derive(text, keyLength))
	return h
}

// Decoy returns a hash that no password is known for. Checking a guess against it
// costs what a check against a hash of [New] costs, so that a stranger can't tell
// by the time whether there was anything to check against.
func Decoy() Hash {
	random := make([]byte, saltLength+keyLength)
	_, _ = rand.Read(random) // never fails: the program would end
	return Hash{
		memory: memory, passes: passes, threads: threads,
		salt: string(random[:saltLength]), key: string(random[saltLength:]),
	}
}

func (h Hash) derive(text string, length int) []byte {
	return argon2.IDKey([]byte(text), []byte(h.salt), h.passes, h.memory, h.threads, uint32(length))
}

// Matches reports whether a guess is the password that h was made of. It takes the
// same time whether it is or not.
func (h Hash) Matches(guess string) bool {
	if len(h.key) < minKey {
		return false
	}
	whole := len(guess) <= maxGuess
	same := subtle.ConstantTimeCompare(h.derive(guess[:min(len(guess), maxGuess)], len(h.key)), []byte(h.key)) == 1
	return whole && same
}

// Encode returns the PHC string that [Parse] reads.
func (h Hash) Encode() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.threads,
		b64.EncodeToString([]byte(h.salt)), b64.EncodeToString([]byte(h.key)))
}

// String keeps a hash that is printed by mistake to itself.
func (h Hash) String() string { return "(argon2id hash)" }

// GoString is String, for %#v.
func (h Hash) GoString() string { return h.String() }

// ErrHash says that a text is no hash of a password that would be checked here.
var ErrHash = errors.New("not a usable argon2id hash")

func badHash(problem string) (Hash, error) { return Hash{}, fmt.Errorf("%w: %s", ErrHash, problem) }

// Parse reads a PHC string of argon2id, version 19. Only the one canonical way to
// write a hash is taken, and only with parameters within the bounds above; errors
// wrap [ErrHash].
func Parse(text string) (Hash, error) {
	const parts = 6 // the first is empty: the text begins with the separator
	part := strings.SplitN(text, "$", parts+1)
	switch {
	case len(part) != parts || part[0] != "":
		return badHash("it does not have five parts")
	case part[1] != "argon2id":
		return badHash("it is of another algorithm")
	case part[2] != "v="+strconv.Itoa(argon2.Version):
		return badHash("it is of another version")
	}
	h, err := parseParameters(part[3])
	if err != nil {
		return Hash{}, err
	}
	salt, saltErr := base64.RawStdEncoding.Strict().DecodeString(part[4])
	key, keyErr := base64.RawStdEncoding.Strict().DecodeString(part[5])
	h.salt, h.key = string(salt), string(key)
	switch {
	case saltErr != nil || keyErr != nil:
		return badHash("its salt or its key is not base64")
	case len(salt) < minSalt || len(salt) > maxSalt:
		return badHash("its salt is too short or too long")
	case len(key) < minKey || len(key) > maxKey:
		return badHash("its key is too short or too long")
	case h.Encode() != text: // base64 passes over line breaks
		return badHash("it is not written the canonical way")
	}
	return h, nil
}

// parseParameters reads "m=19456,t=2,p=1".
func parseParameters(text string) (Hash, error) {
	var values [3]uint32
	fields := strings.Split(text, ",")
	if len(fields) != len(values) {
		return badHash("it does not have three parameters")
	}
	for i, p := range []struct {
		name string
		most uint32
	}{{"m=", maxMemory}, {"t=", maxPasses}, {"p=", maxThreads}} {
		digits, ok := strings.CutPrefix(fields[i], p.name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil {
			return badHash("its parameters are not m, t and p")
		}
		if n < 1 || n > uint64(p.most) {
			return badHash("a parameter is absurd")
		}
		values[i] = uint32(n)
	}
	const least = 8 // KiB for each thread; RFC 9106, section 3.1
	if values[0] < least*values[2] {
		return badHash("its memory is too little for its threads")
	}
	return Hash{memory: values[0], passes: values[1], threads: uint8(values[2])}, nil
}
