package keytext

import (
	"bytes"
	"encoding/asn1"
	"regexp"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Private looks for a secret key of any form in data, as it came and as
// [Normalize] gives it. The words for what was found are fit for a sentence,
// such as "an OpenSSH private key", and hold nothing of the key.
//
// It goes by what such files say of themselves and therefore also finds what is
// encrypted, damaged or cut off: whoever sent it did send a secret. It does not
// decode OpenPGP: a secret key in binary, or one labelled as public, is for
// keys/pgp to recognise by its packets.
func Private(data []byte) (what string, found bool) {
	if what, found = privateText(data); found {
		return what, true
	}
	if what, found = privateDER(data); found {
		return what, true
	}
	return privateText(Normalize(data))
}

// privateText goes by the marks in the text, the more telling first.
func privateText(text []byte) (what string, found bool) {
	for _, mark := range privateMarks {
		if bytes.Contains(text, []byte(mark.needle)) && mark.pattern.Match(text) {
			return mark.what, true
		}
	}
	return "", false
}

// privateMarks are what secret keys say of themselves. The needle is a part of
// the pattern that spares most texts the slower search.
var privateMarks = []struct {
	needle  string
	pattern *regexp.Regexp
	what    string
}{
	{"PuTTY-User", regexp.MustCompile(`PuTTY-User-Key-File-`), "a PuTTY private key (.ppk)"},
	{"Private-", regexp.MustCompile(`Private-(?:Lines|MAC|Hash):`), "a PuTTY private key (.ppk)"},
	{"PRIVATE", regexp.MustCompile(`SSH2 (?:ENCRYPTED )?PRIVATE`), "an SSH2 private key"},
	{"OPENSSH", regexp.MustCompile(`(?:BEGIN|END) +OPENSSH +PRIVATE`), "an OpenSSH private key"},
	{"PGP", regexp.MustCompile(`(?:BEGIN|END) +PGP +(?:PRIVATE|SECRET)`), "a PGP private key"},
	{"PRIVATE KEY", regexp.MustCompile(`(?:BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY`), "a PEM private key"},
	{"SSH PRIVATE", regexp.MustCompile(`SSH PRIVATE KEY FILE FORMAT`), "an SSH1 private key"},
	// The magic of OpenSSH's format, plain and as the base64 that a paste
	// without its first line begins with.
	{"b3BlbnNzaC1rZXktdj", regexp.MustCompile(`b3BlbnNzaC1rZXktdj`), "an OpenSSH private key"},
	{"openssh-key-v1", regexp.MustCompile(`openssh-key-v1\x00`), "an OpenSSH private key"},
	// libgcrypt's expressions, as in ~/.gnupg/private-keys-v1.d.
	{"private-key", regexp.MustCompile(`\((?:\d{1,2}:)?(?:protected-|shadowed-)?private-key[ (]`), "a GnuPG private key file"},
}

// privateDER recognises private keys without armor by their shape. That of a
// public key differs: two integers (PKCS#1), or an algorithm and a bit string.
func privateDER(data []byte) (what string, found bool) {
	var body cryptobyte.String
	input := cryptobyte.String(data)
	if !input.ReadASN1(&body, der.SEQUENCE) {
		return "", false
	}
	if body.PeekASN1Tag(der.SEQUENCE) {
		// An encrypted PKCS#8 key: RFC 5958, section 3.
		var algorithm cryptobyte.String
		var oid asn1.ObjectIdentifier
		if body.ReadASN1(&algorithm, der.SEQUENCE) && algorithm.ReadASN1ObjectIdentifier(&oid) &&
			body.PeekASN1Tag(der.OCTET_STRING) {
			return "an encrypted private key (DER)", true
		}
		return "", false
	}
	var version int
	if !body.ReadASN1Integer(&version) {
		return "", false
	}
	switch {
	case version == 3 && body.PeekASN1Tag(der.SEQUENCE):
		return "a PKCS#12 file (.pfx, .p12), which holds a private key", true
	case version > 1:
		return "", false
	case body.PeekASN1Tag(der.SEQUENCE), // PKCS#8: RFC 5958, section 2
		body.PeekASN1Tag(der.OCTET_STRING), // SEC 1: RFC 5915, section 3
		isRSAPrivate(body):
		return "a private key (DER)", true
	}
	return "", false
}

// isRSAPrivate reports whether modulus and public exponent are followed by a third
// integer: RFC 8017, appendix A.1.2.
func isRSAPrivate(body cryptobyte.String) bool {
	for range 2 {
		if !body.SkipASN1(der.INTEGER) {
			return false
		}
	}
	return body.PeekASN1Tag(der.INTEGER)
}
