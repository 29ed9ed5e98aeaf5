package sshkey

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// blockLabel returns what a BEGIN line announces. The line is normalised: it has
// the hyphens and blanks of its format.
func blockLabel(line string) (label string, ok bool) {
	for _, frame := range [...]struct{ begin, end string }{{"-----BEGIN ", "-----"}, {"---- BEGIN ", " ----"}} {
		if label, ok = strings.CutPrefix(line, frame.begin); ok {
			if label, ok = strings.CutSuffix(label, frame.end); ok {
				return label, true
			}
		}
	}
	return "", false
}

// readBlock reads a block whose BEGIN line was read already.
func (r *reader) readBlock(label string, number int) (PublicKey, error) {
	begin := r.lines[r.next-1]
	end := slices.Index(r.lines[r.next:], strings.Replace(begin, "BEGIN", "END", 1))
	body := r.lines[r.next:]
	if end >= 0 {
		body = body[:end]
		r.next += end + 1
	} else {
		r.next = len(r.lines)
	}
	var read func(headers, string) (PublicKey, error)
	switch label {
	case "SSH2 PUBLIC KEY":
		read = readRFC4716
	case "PUBLIC KEY", "RSA PUBLIC KEY", "EC PUBLIC KEY", "ECDSA PUBLIC KEY", "DSA PUBLIC KEY":
		read = readPEM
	case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE":
		return PublicKey{}, &UnsupportedKeyError{Algorithm: x509Certificate}
	default:
		if r.foreign == 0 {
			r.foreign = number
		}
		return PublicKey{}, errNoKey
	}
	if end < 0 {
		return PublicKey{}, &SyntaxError{Problem: "the key that begins here is cut off: it has no END line"}
	}
	return read(splitBlock(body))
}

// headers are the "Name: value" lines of a block, the names in lower case.
type headers map[string]string

// splitBlock separates headers from base64. A header line that ends with a
// backslash goes on with the next one (RFC 4716, section 3.3).
func splitBlock(lines []string) (headers, string) {
	h := headers{}
	for len(lines) > 0 {
		name, value, ok := strings.Cut(lines[0], ":")
		if !ok {
			break
		}
		lines = lines[1:]
		var whole strings.Builder
		for {
			part, more := strings.CutSuffix(value, `\`)
			whole.WriteString(part)
			if !more || len(lines) == 0 {
				break
			}
			value, lines = lines[0], lines[1:]
		}
		h[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(whole.String())
	}
	return h, strings.Join(lines, "")
}

// readRFC4716 reads the body of an RFC 4716 block: the wire form of a key.
func readRFC4716(h headers, body string) (PublicKey, error) {
	wire, err := decodeBase64(body)
	if err != nil {
		return PublicKey{}, err
	}
	pub, err := vet(wire)
	if err != nil {
		return PublicKey{}, err
	}
	return newPublicKey(pub, h["comment"], FormRFC4716), nil
}

// readPEM reads PKCS#1 and PKCS#8, whichever the block holds: some tools write the
// one under the label of the other.
func readPEM(_ headers, body string) (PublicKey, error) {
	der, err := decodeBase64(body)
	if err != nil {
		return PublicKey{}, err
	}
	form := FormPKCS1
	var key any
	if key, err = x509.ParsePKCS1PublicKey(der); err != nil {
		form = FormPKCS8
		if key, err = parsePKIX(der); err != nil {
			return PublicKey{}, err
		}
	}
	pub, err := ssh.NewPublicKey(key)
	if err != nil {
		return PublicKey{}, &UnsupportedKeyError{Algorithm: nameOf(key)}
	}
	if pub, err = vet(pub.Marshal()); err != nil {
		return PublicKey{}, err
	}
	return newPublicKey(pub, "", form), nil
}

// parsePKIX parses a SubjectPublicKeyInfo, and tells one of another kind from a
// damaged one.
func parsePKIX(der []byte) (any, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err == nil {
		return key, nil
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return nil, damaged()
	}
	var (
		oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
		oidDSA     = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
		oidECDSA   = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
		oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
	)
	switch oid := info.Algorithm.Algorithm; {
	case oid.Equal(oidRSA), oid.Equal(oidEd25519):
		return nil, damaged()
	case oid.Equal(oidDSA):
		return nil, checkAlgorithm(algorithmDSA)
	case oid.Equal(oidECDSA) && acceptedCurve(info.Algorithm.Parameters.FullBytes):
		return nil, damaged()
	case oid.Equal(oidECDSA):
		return nil, &UnsupportedKeyError{Algorithm: nameOf(&ecdsa.PublicKey{})}
	default:
		return nil, &UnsupportedKeyError{Algorithm: nameOf(nil)}
	}
}

// acceptedCurve reports whether the parameters of an elliptic-curve key name P-256,
// P-384 or P-521 (RFC 5480, section 2.1.1.1).
func acceptedCurve(parameters []byte) bool {
	var curve asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(parameters, &curve); err != nil {
		return false
	}
	return curve.Equal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}) ||
		curve.Equal(asn1.ObjectIdentifier{1, 3, 132, 0, 34}) || curve.Equal(asn1.ObjectIdentifier{1, 3, 132, 0, 35})
}

// nameOf names a kind of key that SSH has no form for.
func nameOf(key any) string {
	switch key.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA on another curve"
	case *ecdh.PublicKey:
		return "X25519"
	}
	return "unknown to SSH"
}
