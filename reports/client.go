package reports

import (
	"encoding"
	"fmt"
)

// MaxClientID is the length limit of a [ClientID] in bytes.
const MaxClientID = 64

// ClientID names one client of the gateway. It is what the client types as its
// user name, what operators type in commands, and the key of everything that
// belongs to the client. The zero value names nobody.
type ClientID struct{ s string }

var (
	_ encoding.TextMarshaler   = ClientID{}
	_ encoding.TextUnmarshaler = (*ClientID)(nil)
)

// ParseClientID reads a client id: 1 to 64 lower-case ASCII letters, digits,
// '-', '_' or '.', beginning with a letter or a digit. The alphabet leaves out
// whatever a shell, a log line or a URL would have to quote, and upper case, so
// that no two ids differ only by it.
func ParseClientID(s string) (ClientID, error) {
	if s == "" {
		return ClientID{}, fmt.Errorf("%w: it is empty", ErrClientID)
	}
	if len(s) > MaxClientID {
		return ClientID{}, fmt.Errorf("%w: it has %d characters, %d at most", ErrClientID, len(s), MaxClientID)
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if alnum || i > 0 && (c == '-' || c == '_' || c == '.') {
			continue
		}
		return ClientID{}, fmt.Errorf("%w: %q has %q at position %d; lower-case letters, digits, '-', '_' and '.' are allowed, the first a letter or digit",
			ErrClientID, s, s[i:i+1], i+1)
	}
	return ClientID{s}, nil
}

// String returns the id as it was parsed, "" for the zero value.
func (id ClientID) String() string { return id.s }

// IsZero reports whether id names nobody.
func (id ClientID) IsZero() bool { return id.s == "" }

// MarshalText implements [encoding.TextMarshaler].
func (id ClientID) MarshalText() ([]byte, error) { return []byte(id.s), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] by way of [ParseClientID].
func (id *ClientID) UnmarshalText(text []byte) error {
	parsed, err := ParseClientID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
