// Package sshkey reads the SSH public keys of clients in every form that they
// send, holds them to one policy of strength, and makes and loads the gateway's
// host keys.
//
// # Clients' keys
//
// Start with [Parse]. It takes a whole file and gives every key in it: OpenSSH
// lines, RFC 4716 blocks (what PuTTYgen's "Save public key" writes), PEM with
// PKCS#1 or PKCS#8. Byte order marks, CRLF, UTF-16, quoting, HTML and lines that a
// mail program wrapped are undone first (package keytext); text around the keys is
// skipped. [PublicKey.Line] is the one form to store, and Parse reads it back.
//
// What it promises:
//
//   - All or nothing: a file with one damaged or refused key gives no key. A line
//     that holds what could be a key is never skipped silently.
//   - A [PublicKey] passed [Check]. So does a key at login, where the same Check
//     applies to what the client presents, so that a policy made stricter also
//     holds for keys that were registered before.
//   - Fingerprints are those that "ssh-keygen -l" shows. Two encodings of one key
//     have one fingerprint.
//   - Time and memory are bounded by [keytext.MaxSize].
//
// What it refuses: private keys of every kind ([PrivateKeyError], which holds no
// byte of them), DSA, RSA under 2048 or over 8192 bits ([WeakKeyError]),
// certificates and algorithms that the gateway doesn't speak
// ([UnsupportedKeyError]). A text that is no SSH key at all gives [ErrNotSSHKey],
// for the caller to try another kind of key. The options of an authorized_keys
// line are dropped: what a key may do is the register's to say, not the client's.
//
// # Host keys
//
// [GenerateHostKeys] makes an Ed25519 and an RSA key that OpenSSH's tools can
// read. [LoadHostKeys] loads such files for the server, Ed25519 first because its
// signatures cost a hundredth of RSA's, and refuses files that others can read.
package sshkey

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/keytext"
)

// The forms in which a key can arrive: what [PublicKey.Form] returns.
const (
	FormOpenSSH = "openssh" // one line, as in authorized_keys; sshd(8)
	FormRFC4716 = "rfc4716" // ---- BEGIN SSH2 PUBLIC KEY ----
	FormPKCS1   = "pkcs1"   // -----BEGIN RSA PUBLIC KEY-----; RFC 8017, appendix A.1.1
	FormPKCS8   = "pkcs8"   // -----BEGIN PUBLIC KEY-----; RFC 5280, section 4.1
)

// maxComment is the longest comment kept, in bytes.
const maxComment = 256

// A PublicKey is a client's SSH public key that passed [Check]. It comes from
// [Parse] only and never changes; the zero PublicKey is no key.
type PublicKey struct {
	key     ssh.PublicKey
	comment string
	form    string
}

// Fingerprint returns the key's SHA-256 fingerprint as "ssh-keygen -l" shows it:
// "SHA256:" and 43 characters.
func (k PublicKey) Fingerprint() string { return ssh.FingerprintSHA256(k.key) }

// Algorithm returns the key's type: ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256 and
// so on.
func (k PublicKey) Algorithm() string { return k.key.Type() }

// Bits returns the key's size as "ssh-keygen -l" shows it.
func (k PublicKey) Bits() int { return bits(k.key) }

// Comment returns what the client wrote beside the key, cleaned for display: one
// line of printable UTF-8, at most 256 bytes, possibly empty.
func (k PublicKey) Comment() string { return k.comment }

// Form returns the form in which the key arrived, one of the Form constants.
func (k PublicKey) Form() string { return k.form }

// Line returns the key as one authorized_keys line without options or line end:
// the form to store, which [Parse] reads back to the same key and comment.
func (k PublicKey) Line() string { return line(k.key, k.comment) }

// SSH returns the key for comparing and verifying.
func (k PublicKey) SSH() ssh.PublicKey { return k.key }

// newPublicKey drops a comment that would read differently the next time, such as
// one that looks like the first line of another key once it is cleaned. A comment is
// a label; the key is what must survive.
func newPublicKey(key ssh.PublicKey, comment, form string) PublicKey {
	comment = cleanComment(comment)
	whole := []byte(line(key, comment) + "\n")
	if _, private := keytext.Private(whole); private || !bytes.Equal(keytext.Normalize(whole), whole) {
		comment = ""
	}
	return PublicKey{key: key, comment: comment, form: form}
}

func line(key ssh.PublicKey, comment string) string {
	text := key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal())
	if comment != "" {
		text += " " + comment
	}
	return text
}

// cleanComment makes a stranger's text safe to show on a terminal and to store on
// one line. Text that isn't UTF-8 is taken for Latin-1.
func cleanComment(comment string) string {
	if !utf8.ValidString(comment) {
		runes := make([]rune, len(comment))
		for i := range len(comment) {
			runes[i] = rune(comment[i])
		}
		comment = string(runes)
	}
	comment = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, comment)
	comment = strings.Trim(strings.Join(strings.Fields(comment), " "), `"' `)
	if len(comment) > maxComment {
		comment = strings.TrimSpace(strings.ToValidUTF8(comment[:maxComment], ""))
	}
	return comment
}
