package api

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"net/http"
	"strings"
)

// digests are what Content-Digest says of a body, nil where it says nothing.
type digests struct{ sha256, sha512 []byte }

// parseDigest reads Content-Digest (RFC 9530), a dictionary of RFC 8941 whose values
// are byte sequences. Other algorithms than SHA-256 and SHA-512 are passed over,
// but not a field with nothing else: who sends one wants it checked. Lines are the
// field's lines, none if it was not sent. A member that is there twice is refused,
// where RFC 8941 would take the last.
func parseDigest(lines []string) (d digests, err *Problem) {
	if len(lines) == 0 {
		return d, nil
	}
	there := map[string]bool{}
	for member := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, value, found := strings.Cut(strings.Trim(member, " \t"), "=")
		if !found || !isKey(name) || there[name] {
			return digests{}, problem(badDigest, "")
		}
		there[name] = true
		sum, ok := parseBytes(value)
		if !ok {
			return digests{}, problem(badDigest, "")
		}
		switch {
		case name == "sha-256" && len(sum) == sha256.Size:
			d.sha256 = sum
		case name == "sha-512" && len(sum) == sha512.Size:
			d.sha512 = sum
		case name == "sha-256", name == "sha-512":
			return digests{}, problem(badDigest, name+" has another length")
		}
	}
	if d.sha256 == nil && d.sha512 == nil {
		return digests{}, problem(badDigest, "it has neither sha-256 nor sha-512")
	}
	return d, nil
}

// isKey reports whether s is a key of RFC 8941, section 3.1.2.
func isKey(s string) bool {
	for i, r := range s {
		lower := r >= 'a' && r <= 'z' || r == '*'
		if !lower && (i == 0 || !(r >= '0' && r <= '9') && !strings.ContainsRune("_-.", r)) {
			return false
		}
	}
	return s != ""
}

// parseBytes reads a byte sequence of RFC 8941, section 3.3.5.
func parseBytes(s string) ([]byte, bool) {
	if len(s) < 2 || s[0] != ':' || s[len(s)-1] != ':' {
		return nil, false
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(s[1 : len(s)-1])
	return sum, err == nil && !strings.ContainsAny(s, "\r\n")
}

// check is a digest being computed.
type check struct {
	hash.Hash
	want []byte
}

// checks returns the digests to compute.
func (d digests) checks() (list []check) {
	if d.sha256 != nil {
		list = append(list, check{sha256.New(), d.sha256})
	}
	if d.sha512 != nil {
		list = append(list, check{sha512.New(), d.sha512})
	}
	return list
}

func (c check) good() bool { return bytes.Equal(c.Sum(nil), c.want) }

const contentDigest = "Content-Digest"

// trailer checks a Content-Digest that comes behind the body (RFC 9530, section 2),
// where who streams a report first knows it. It has to be announced in Trailer, so
// that there is something to compare with; what it must have is sha-256.
type trailer struct {
	hash.Hash // nil if none was announced
	request   *http.Request
}

func newTrailer(r *http.Request) trailer {
	t := trailer{request: r}
	if _, announced := r.Trailer[contentDigest]; announced {
		t.Hash = sha256.New()
	}
	return t
}

func (t trailer) Write(p []byte) (int, error) {
	if t.Hash == nil {
		return len(p), nil
	}
	return t.Hash.Write(p)
}

// check is for after the body's end, which is when the trailer is there.
func (t trailer) check() *Problem {
	lines := t.request.Trailer.Values(contentDigest)
	switch {
	case t.Hash == nil && len(lines) == 0:
		return nil
	case t.Hash == nil:
		return problem(badDigest, "it came behind the body, and Trailer did not announce it")
	case len(lines) == 0:
		return problem(badDigest, "Trailer announced it, and it did not come")
	}
	d, p := parseDigest(lines)
	switch {
	case p != nil:
		return p
	case d.sha256 == nil:
		return problem(badDigest, "behind the body it must have sha-256")
	case !bytes.Equal(d.sha256, t.Sum(nil)):
		return problem(otherDigest, "")
	}
	return nil
}
