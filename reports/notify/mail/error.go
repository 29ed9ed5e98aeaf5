package mail

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"unicode"
)

// Error says why a mail was not handed over.
type Error struct {
	Server string // host:port
	Doing  string // what was being done: "connecting to", "logging in to", …
	Code   int    // of the server's answer; 0 if it gave none
	Reply  string // the server's own words, on one line

	err       error
	hint      string
	permanent bool
}

// Error returns "sending to a@b.example by smtp.example.com:587: 550 no such user".
func (e *Error) Error() string {
	what := e.Reply
	if e.Code > 0 {
		what = strings.TrimSpace(fmt.Sprintf("%03d %s", e.Code, e.Reply))
	}
	if e.Server == "" {
		return e.Doing + ": " + what
	}
	return e.Doing + " " + e.Server + ": " + what
}

// Unwrap returns the cause. It is nil where the cause's text may hold a secret.
func (e *Error) Unwrap() error { return e.err }

// Permanent reports whether trying again is of no use.
func (e *Error) Permanent() bool { return e.permanent }

// TooLarge reports whether the mail is larger than the server takes (RFC 3463, 5.3.4
// and 5.2.3; RFC 1870, section 6.2).
func (e *Error) TooLarge() bool {
	return e.Code == 552 || e.Code == 523 || e.permanent && (strings.HasPrefix(e.Reply, "5.3.4") || strings.HasPrefix(e.Reply, "5.2.3"))
}

// Hint says what an operator can do; "" if nothing is known.
func (e *Error) Hint() string { return e.hint }

// malformed is the error of a mail that can't be one.
func malformed(format string, args ...any) *Error {
	return &Error{Doing: "writing a mail", Reply: fmt.Sprintf(format, args...), permanent: true}
}

// failure makes an Error of what went wrong. Server and secrets are those of s.
func (s *session) failure(doing string, err error) *Error {
	if e := new(Error); errors.As(err, &e) {
		return e
	}
	e := &Error{Server: s.server, Doing: doing, Reply: s.printable(err.Error())}
	var answer *textproto.Error
	if errors.As(err, &answer) {
		e.Code, e.Reply = answer.Code, s.printable(answer.Msg)
		return e
	}
	if len(s.secrets) == 0 {
		e.err = err
	}
	return e
}

// longest bounds what is kept of a server's words, in bytes.
const longest = 300

// printable makes one line of somebody else's words, without the secrets.
func (s *session) printable(words string) string {
	for _, secret := range s.secrets {
		words = strings.ReplaceAll(words, secret, "[…]")
	}
	words = strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(words, "?"))
	words = strings.Join(strings.Fields(words), " ")
	if len(words) > longest {
		words = strings.ToValidUTF8(words[:longest], "") + "…"
	}
	return words
}

// secrets lists what a password looks like on the wire, the longest first.
func secrets(user, password string) []string {
	if password == "" {
		return nil
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	return []string{plain, base64.StdEncoding.EncodeToString([]byte(password)), password}
}
