package password

import (
	"crypto/rand"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The length of a password, in characters.
const (
	MinLength = 12
	MaxLength = 128
)

// PolicyError says why a password can't be taken. It does not hold the password.
type PolicyError struct{ Problem, Advice string }

func (e *PolicyError) Error() string { return "the password " + e.Problem }

// Hint says what to do instead.
func (e *PolicyError) Hint() string { return e.Advice }

// Check returns a [*PolicyError] if a client must not have the password: it is too
// short or too long, is the client's own id, or would not come through the one
// line of text in which FTP sends it.
func Check(text, client string) error {
	refuse := func(problem, advice string) error { return &PolicyError{problem, advice} }
	const ready = "let `sealdrop password set --generate` make one"
	switch n := utf8.RuneCountInString(text); {
	case text == "":
		return refuse("is empty", ready)
	case !utf8.ValidString(text):
		return refuse("is not UTF-8 text", "use letters, digits and signs of a UTF-8 terminal, or "+ready)
	case strings.ContainsFunc(text, unprintable):
		return refuse("has a character that does not print, such as a line break or a tab", "FTP sends a password as one line of text: leave the character out")
	case strings.TrimSpace(text) != text:
		return refuse("begins or ends with a blank", "some programs cut blanks off: leave them out at both ends")
	case strings.EqualFold(text, client):
		return refuse("is the client's own id", ready)
	case n < MinLength:
		return refuse(fmt.Sprintf("has %d characters, and %d is the least", n, MinLength), "make it longer, or "+ready)
	case n > MaxLength:
		return refuse(fmt.Sprintf("has %d characters, and %d is the most", n, MaxLength), "make it shorter")
	}
	return nil
}

// unprintable reports whether a character could break a line or can't be seen, and
// so can't be typed from a letter.
func unprintable(r rune) bool { return r != ' ' && !unicode.IsGraphic(r) }

// alphabet has what can't be taken for something else, in print or on the phone:
// neither 0 and o nor 1, i and l.
const alphabet = "abcdefghjkmnpqrstuvwxyz23456789"

const (
	generatedLength = 20 // characters of 4.95 bits each: 99 bits
	groupLength     = 5
)

// Generate makes a password up: four groups of five characters, such as
// "k7mq3-x9wdt-b4hcn-82vfr", with 99 bits of the system's randomness.
func Generate() string {
	var out strings.Builder
	random := make([]byte, 1)
	for n := 0; n < generatedLength; {
		_, _ = rand.Read(random) // never fails: the program would end
		// Of 32 numbers, the one beyond the alphabet is thrown away, so that all
		// characters are equally likely.
		i := int(random[0] & 31)
		if i >= len(alphabet) {
			continue
		}
		if n > 0 && n%groupLength == 0 {
			out.WriteByte('-')
		}
		out.WriteByte(alphabet[i])
		n++
	}
	return out.String()
}
